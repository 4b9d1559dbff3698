"""Records sent to an address of the operator's choice, signed (Standard Webhooks).

Each record is one request: ``webhook-id`` is the record's id, the same at every attempt, so that a
receiver can tell a repetition.
"""

from __future__ import annotations

from collections.abc import Sequence

from bleagent.records.record import Receipt, ReceiptKind, StoredRecord

from .signed_post import SignedPost
from .view import People, record_view


class WebhookSink:
    """Implements ``ports.RecordSink``."""

    batch = 10

    def __init__(self, name: str, post: SignedPost, people: People) -> None:
        self.name = name
        self._post = post
        self._people = people

    async def deliver(self, records: Sequence[StoredRecord]) -> list[Receipt]:
        """One request a record, in order; what is behind a failure waits, to stay in order."""
        receipts: list[Receipt] = []
        for record in records:
            view = {"type": "record", "record": record_view(record, self._people)}
            receipt = await self._post(record.id, view)
            receipts.append(receipt)
            if receipt.kind in (ReceiptKind.LATER, ReceiptKind.NO_ROUTE):
                behind = Receipt(kind=receipt.kind, code="behind", after=receipt.after)
                return receipts + [behind] * (len(records) - len(receipts))
        return receipts
