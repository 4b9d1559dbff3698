"""The list of credentials: page by page, each but the first for an acknowledgement.

Reference: protocol §6.4, §9.8; captures ``lock-sync``, ``lock-freeze``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from protocol.credential_list import (
    OldSyncChange,
    SyncEnd,
    SyncEntry,
    SyncPage,
    sync_crc8,
)
from protocol.credentials import Method

from .buffer import ReplyBuffer, Request
from .credentials import hardids
from .flash import Credential, Flash

_ALL_HARDIDS = [hardid for method in Method for hardid in hardids(method)]
_UPDATE, _DELETE = 0, 1
_OLD_ENTRIES = 40
"""Most corrections that fit into one reply of the older list."""


class CredentialSync:
    """A list that is being handed out. It outlives the connection, not the power-up."""

    def __init__(self, flash: Flash) -> None:
        self._flash = flash
        self._methods: list[int] = []
        self._pages = 0
        self.running = False

    def begin(self, request: Request) -> bool:
        """Start over with these methods; False if the request makes no sense."""
        methods = list(request.data)
        known = {int(method) for method in Method}
        if not 1 <= len(methods) <= len(known) or not known.issuperset(methods):
            return False
        self._methods, self._pages, self.running = methods, 0, True
        return True

    def advance(self) -> Iterator[bytes]:
        """What goes out next: a page, the end, or both together where it was the last page."""
        while self._methods:
            entries = self._entries(self._methods.pop(0))
            if entries:
                yield SyncPage(self._pages, entries).to_bytes()
                self._pages += 1
                break
        if not self._methods:
            self.running = False
            yield SyncEnd(self._pages).to_bytes()

    def _entries(self, method: int) -> tuple[SyncEntry, ...]:
        found = self._flash.credentials
        return tuple(_entry(hardid, found) for hardid in hardids(method) if hardid in found)

    def old(self, request: Request, reply: ReplyBuffer) -> bool:
        """Datapoint ``sync_old``: the corrections to what the central believes."""
        believed: dict[int, tuple[int, int]] = {}
        changes: list[OldSyncChange] = []
        for index in range(request.byte(0)):
            hardid, method, crc8 = request.take(1 + 3 * index, 3)
            if hardid not in _ALL_HARDIDS:
                changes.append(OldSyncChange(_DELETE, hardid, method, 0, 0))
            else:
                believed.setdefault(hardid, (method, crc8))
        changes = changes[:_OLD_ENTRIES]
        for hardid in _ALL_HARDIDS:
            change = self._correction(hardid, believed.get(hardid))
            if change is not None:
                changes.append(change)
        data = b"".join(change.to_bytes() for change in changes[: _OLD_ENTRIES + 10])
        reply.put(0, bytes((len(data) // 5,)) + data)
        reply.size = 1 + len(data)
        return True

    def _correction(self, hardid: int, believed: tuple[int, int] | None) -> OldSyncChange | None:
        if hardid not in self._flash.credentials:
            return None if believed is None else OldSyncChange(_DELETE, hardid, believed[0], 0, 0)
        entry = _entry(hardid, self._flash.credentials)
        if believed is not None and believed[1] == sync_crc8(entry):
            return None
        return OldSyncChange(_UPDATE, hardid, entry.method, entry.member, entry.freeze)


def _entry(hardid: int, found: Mapping[int, Credential]) -> SyncEntry:
    one = found[hardid]
    return SyncEntry(hardid, one.method, one.member, one.freeze)
