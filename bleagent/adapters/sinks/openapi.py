"""Records into the vendor's cloud: the third-cloud property report, one message each.

The vendor promises nothing about a repeated message id: what is carried here arrives at least
once, and once where the receiver dedupes (reference: safety D5, cloud §5 R1).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from bleagent.cloud import errors
from bleagent.cloud.errors import CloudError
from bleagent.ports import Clock
from bleagent.records.record import DONE, Receipt, ReceiptKind, StoredRecord
from bleagent.records.standard_codes import code_of, value_of

BATCH = 20
WITHIN = 60.0
"""Seconds for one call of ``deliver``; a record that is begun has its own bound inside."""

SOON = 0.0
"""The outbox's own back-off is enough."""
MINUTE = 60.0
LONG = 3600.0
"""Nothing changes until somebody changes something."""
QUOTA = 2 * 3600.0
"""What the client waits by itself; each call more may cost money."""

BEHIND = Receipt(
    kind=ReceiptKind.LATER, code="behind", detail="an older record of this lock has to go first"
)
OUT_OF_TIME = Receipt(
    kind=ReceiptKind.LATER, code="out-of-time", detail="the time for one batch was over"
)


class Reports(Protocol):
    """What is wanted of the cloud client. Raises ``cloud.errors.CloudError``."""

    async def report_property(
        self,
        device_id: str,
        *,
        message_id: str,
        code: str,
        value: int | bool | str,
        time_ms: int,
        deadline: float | None = None,
    ) -> None:
        """Report one value; returns on the cloud's own *yes* only. ``deadline``: ``now()``."""
        ...


@dataclass(frozen=True, slots=True)
class _Word:
    """What a failure says about a record, and what to do."""

    kind: ReceiptKind
    after: float = SOON


_POISON = _Word(ReceiptKind.POISON)
_NO_ROUTE = _Word(ReceiptKind.NO_ROUTE)

BY_CODE: Mapping[int | str, _Word] = {
    # The content is refused, and a record's content never changes: park it, go on with the next.
    1100: _POISON,  # a parameter is empty
    1101: _POISON,  # out of range
    1102: _POISON,  # null
    1104: _POISON,  # of the wrong type
    1109: _POISON,  # illegal; values the product's model does not have end here
    2003: _POISON,  # this function is not supported: the product has no such code
    2008: _POISON,  # this command or value is not supported
    # The lock is refused, whatever is said about it. Records wait until the operator has linked
    # it, chosen another data centre or another sink.
    1106: _NO_ROUTE,  # no permission: not linked to the project, or natively paired
    2004: _NO_ROUTE,  # not for this type of lock
    2009: _NO_ROUTE,  # not for this device
    2010: _NO_ROUTE,  # there is no such device
    2015: _NO_ROUTE,  # not for this category
    # Asked again at once it would be worse, and the vendor says so in words.
    1113: _Word(ReceiptKind.LATER, 10 * MINUTE),  # "do not repeat in a short time", or "upgrade"
}
"""The vendor's codes that mean something of their own here."""

BY_KIND: Sequence[tuple[type[CloudError], _Word]] = (
    (errors.QuotaExhausted, _Word(ReceiptKind.LATER, QUOTA)),
    (errors.RateLimited, _Word(ReceiptKind.LATER, MINUTE)),
    # Client id, secret, subscription, path: a person has to correct them. The record is as good
    # as before, so that it is never parked for them.
    (errors.SignatureRejected, _Word(ReceiptKind.LATER, LONG)),
    (errors.PermissionDenied, _Word(ReceiptKind.LATER, LONG)),
    (errors.NotSupported, _Word(ReceiptKind.LATER, LONG)),
    (errors.InvalidArgument, _Word(ReceiptKind.LATER, LONG)),  # of the request, not of the value
    # The client has tried with a new token and a corrected time already.
    (errors.TokenRejected, _Word(ReceiptKind.LATER, MINUTE)),
    (errors.ClockSkew, _Word(ReceiptKind.LATER, MINUTE)),
)
"""The other failures, by their class."""

_LATER = _Word(ReceiptKind.LATER)
"""Not reached, cut off, out of order, or a code in no table: it may be there or not. Again."""


class OpenApiSink:
    """Implements ``ports.RecordSink``.

    Args:
        name: the operator's name for it.
        reports: the cloud client.
        clock: bounds a batch.
        codes: a product's own codes, by lock and datapoint.
        batch: records in one call.
        within: seconds for one call.
    """

    def __init__(
        self,
        name: str,
        reports: Reports,
        clock: Clock,
        *,
        codes: Mapping[str, Mapping[int, str]] | None = None,
        batch: int = BATCH,
        within: float = WITHIN,
    ) -> None:
        self._name = name
        self._reports = reports
        self._clock = clock
        self._codes = codes or {}
        self._batch = batch
        self._within = within

    @property
    def name(self) -> str:
        """The operator's name for it."""
        return self._name

    @property
    def batch(self) -> int:
        """How many records one call may carry."""
        return self._batch

    async def deliver(self, records: Sequence[StoredRecord]) -> list[Receipt]:
        """Report one after the other; behind one that has to wait, the rest waits.

        A device that is refused is not asked about again. A lock that was paired anew has
        another one: its records go on.
        """
        deadline = self._clock.now() + self._within
        receipts: list[Receipt] = []
        refused: dict[str, Receipt] = {}
        for record in records:
            if receipts and receipts[-1].kind is ReceiptKind.LATER:
                receipts.append(BEHIND)
            elif record.device_id in refused:
                receipts.append(refused[record.device_id])
            elif self._clock.now() >= deadline:
                receipts.append(OUT_OF_TIME)
            else:
                receipts.append(await self._report(record, deadline))
            if receipts[-1].kind is ReceiptKind.NO_ROUTE:
                refused[record.device_id] = receipts[-1]
        return receipts

    async def _report(self, record: StoredRecord, deadline: float) -> Receipt:
        try:
            await self._reports.report_property(
                record.device_id,
                message_id=record.id,
                code=code_of(record, self._codes.get(record.lock, {})),
                value=value_of(record),
                time_ms=round(record.at * 1000),
                deadline=deadline,
            )
        except CloudError as error:
            return receipt_of(error)
        return DONE


def receipt_of(error: CloudError) -> Receipt:
    """The word about a record that a failure amounts to; its code is the vendor's, or ours."""
    word = BY_CODE.get(error.cloud_code) if error.cloud_code is not None else None
    if word is None:
        word = next((word for kind, word in BY_KIND if isinstance(error, kind)), _LATER)
    code = error.code if error.cloud_code is None else str(error.cloud_code)
    return Receipt(kind=word.kind, code=code, detail=str(error), after=word.after)
