"""Whose a credential is: the names that the cloud has, kept in memory.

A name is for people and nothing depends on it: it is looked up without waiting, asked for in
the background, and a cloud that does not answer leaves what was known before.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NoReturn, Protocol

import anyio

from bleagent.errors import CloudError
from bleagent.ports import Clock
from protocol.records import RecordKind

from .readback import MEMBER, CredentialName
from .record import StoredRecord
from .standard_codes import code_of

FRESH = 24 * 3600.0
"""Seconds for which names are believed, and a refusal too."""
PAUSE = 600.0
"""Seconds between two questions about one lock, whatever they are for."""

_BY_MEMBER = frozenset(
    {
        RecordKind.BLUETOOTH,
        RecordKind.REMOTE,
        RecordKind.REMOTE_PHONE,
        RecordKind.REMOTE_VOICE,
    }
)
"""Their value is a member's number, not a credential's."""
_BY_CREDENTIAL = frozenset(
    {
        RecordKind.FINGERPRINT,
        RecordKind.PASSWORD,
        RecordKind.CARD,
        RecordKind.FACE,
        RecordKind.EYE,
        RecordKind.PALM,
        RecordKind.FINGER_VEIN,
    }
)
"""Their value is a credential's number. Whose a passing password was, no list tells."""

_Key = tuple[str | int, int]
"""Code or datapoint, and number."""


class CredentialNames(Protocol):
    """Where names come from. Raises CloudError."""

    async def credential_names(self, device_id: str) -> tuple[CredentialName, ...]:
        """The members of a lock and their credentials."""
        ...


@dataclass(slots=True)
class _Known:
    """What is known of one device. ``*_at`` are of ``clock.now()``, ``told_unix`` is a date."""

    names: dict[_Key, CredentialName] = field(default_factory=dict)
    asked_at: float | None = None
    rest: float = 0.0
    """How long to wait since then, at least."""
    told_at: float | None = None
    told_unix: float = 0.0


class Names:
    """Names by lock and record. ``run`` asks; the rest answers at once, from memory.

    The cloud is asked at most once a day for a lock that anybody wants names of; before that
    only when a record has come in since that shows a credential without a name, and at most
    every 10 minutes.

    Args:
        cloud: where names come from.
        clock: both clocks.
        codes: a product's own codes, by lock and datapoint.
    """

    def __init__(
        self,
        cloud: CredentialNames,
        clock: Clock,
        *,
        codes: Mapping[str, Mapping[int, str]] | None = None,
    ) -> None:
        self._cloud = cloud
        self._clock = clock
        self._codes = codes or {}
        self._known: dict[str, _Known] = {}
        self._due: set[str] = set()
        self._wake = anyio.Event()

    def name_of(self, lock: str, record: StoredRecord) -> str | None:
        """Who it was: the member's name, else the credential's; None where nobody knows (yet)."""
        found = self._find(lock, record)
        return None if found is None else found.user_name or found.unlock_name or None

    def is_duress(self, lock: str, record: StoredRecord) -> bool:
        """Whether it was opened with a credential that is there to call for help."""
        found = self._find(lock, record)
        return found is not None and found.duress

    def expect(self, device_ids: Iterable[str]) -> None:
        """Names of these will be wanted: ask before the first record comes."""
        for device_id in device_ids:
            self._known.setdefault(device_id, _Known())
            self._due.add(device_id)
        self._wake.set()

    async def run(self) -> NoReturn:
        """Ask for what is due, as soon as it is; until cancelled."""
        while True:
            await self._wake.wait()
            self._wake = anyio.Event()
            await self.ask_due()

    async def ask_due(self) -> None:
        """Ask for what is due now; the cloud's failure leaves things as they are."""
        while self._due:
            await self._ask(self._due.pop())

    def _find(self, lock: str, record: StoredRecord) -> CredentialName | None:
        keys = self._keys(lock, record)
        if not keys:
            return None
        known = self._known.setdefault(record.device_id, _Known())
        found = next((known.names[key] for key in keys if key in known.names), None)
        if self._is_due(known, record, named=found is not None):
            self._due.add(record.device_id)
            self._wake.set()
        return found

    def _keys(self, lock: str, record: StoredRecord) -> tuple[_Key, ...]:
        """Under which its credential may be known; its own code first."""
        if record.value is None:
            return ()
        if record.kind in _BY_MEMBER:
            return ((MEMBER, record.value),)
        if record.kind not in _BY_CREDENTIAL:
            return ()
        code = code_of(record, self._codes.get(lock, {}))
        return (code, record.value), (record.dp, record.value)

    def _is_due(self, known: _Known, record: StoredRecord, *, named: bool) -> bool:
        now = self._clock.now()
        if known.asked_at is not None and now - known.asked_at < known.rest:
            return False
        if known.told_at is None or now - known.told_at >= FRESH:
            return True
        # A list that was made after the record came in, and has no name for it, will have none.
        return not named and record.taken_at > known.told_unix

    async def _ask(self, device_id: str) -> None:
        known = self._known[device_id]
        known.asked_at, known.rest = self._clock.now(), PAUSE
        unix = self._clock.unix()
        try:
            told = await self._cloud.credential_names(device_id)
        except CloudError as error:
            known.rest = FRESH if error.refusal else PAUSE
            return
        known.names = _by_key(told)
        known.told_at, known.told_unix = known.asked_at, unix


def _by_key(told: Collection[CredentialName]) -> dict[_Key, CredentialName]:
    names: dict[_Key, CredentialName] = {}
    for one in told:
        if one.dp is not None:
            names[one.dp, one.sn] = one
        if one.code != MEMBER or one.sn:  # a member without a number at the lock has 0
            names[one.code, one.sn] = one
    return names
