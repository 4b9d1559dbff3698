"""Is the audit whole? What its digests, the root key and anchors say (reference: safety H3).

What each proves. *Digests alone*: nobody who changed the file forgot one; whoever can write it
can make them all anew. *An anchor*, a line that the log kept elsewhere: no row up to it was
changed, moved, put in or cut off since. *The root key*: no row was changed or put in by somebody
who did not have the key of that very time, which was destroyed when the row was written; a
missing end, or an older copy of the whole file, it cannot show.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from bleagent.errors import AuditUnusable

from .chain import (
    CUT,
    HEAD,
    ROOTED,
    ChainedRow,
    Head,
    Kept,
    Root,
    beginning,
    digest_of,
    evolve,
    mac_of,
)

FARTHEST = 10_000_000
"""Rows behind a root key: a step for each takes ten seconds, and nobody writes so many."""
MOST_TOLD = 20
"""Findings that are listed; one is enough."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """``broken``: what cannot be, the first first. ``limits``: what this does not prove."""

    chain: str
    first: int
    last: int
    anchored: int
    """Up to this number anchors hold; 0 where none does."""
    broken: tuple[str, ...]
    limits: tuple[str, ...]

    @property
    def whole(self) -> bool:
        """Whether nothing is broken."""
        return not self.broken


def read_anchors(lines: Iterable[str]) -> list[Head]:
    """The anchors among lines of the log, as ``journalctl -o cat`` shows them.

    Raises:
        AuditUnusable: one of them cannot be read, or there is none.
    """
    found = []
    for number, line in enumerate(lines, 1):
        if HEAD not in line:
            continue
        try:
            fields = json.loads(line[max(0, line.find("{")) :])
        except ValueError:
            raise AuditUnusable(f"line {number}: found {HEAD}, expected it as JSON") from None
        if isinstance(fields, dict) and fields.get("event") == HEAD:
            try:
                found.append(Head.from_fields(fields))
            except AuditUnusable as error:
                raise AuditUnusable(f"line {number}: {error}") from None
    if not found:
        raise AuditUnusable(f"found no anchor, expected lines of the log with the event {HEAD}")
    return found


def verify(
    rows: Iterable[ChainedRow],
    kept: Kept,
    *,
    root: Root | None = None,
    anchors: Iterable[Head] = (),
) -> Verdict:
    """Go through all rows, oldest first, and say what is wrong and what stays unproven."""
    walk = _Walk(kept, root, anchors)
    for row in rows:
        walk.step(row)
    walk.end()
    return Verdict(
        chain=kept.head.chain, first=walk.first, last=walk.number, anchored=walk.anchored,
        broken=tuple(walk.broken[:MOST_TOLD]), limits=tuple(walk.limits()),
    )  # fmt: skip


@dataclass(slots=True)
class _Walk:
    kept: Kept
    root: Root | None
    given: Iterable[Head]
    broken: list[str] = field(default_factory=list)
    anchored: int = 0
    number: int = field(init=False)
    first: int = 0
    _digest: bytes = field(init=False)
    _anchors: dict[int, list[Head]] = field(default_factory=dict)
    _cut: tuple[int, str] = (0, "")
    _key: bytearray | None = None
    _next_root: int | None = None

    def __post_init__(self) -> None:
        self.number, self._digest = self.kept.cut, self.kept.cut_digest
        chain = self.kept.head.chain
        others: dict[str, int] = {}
        for anchor in self.given:
            if anchor.chain == chain:
                self._anchors.setdefault(anchor.number, []).append(anchor)
            else:
                others[anchor.chain] = max(others.get(anchor.chain, 0), anchor.number)
        for other, number in others.items():
            self.broken.append(
                f"anchors up to row {number} are of the chain {other}, this is {chain}: the file "
                "was replaced or begun anew"
            )
        if self.root is not None and self.root.chain != chain:
            self.broken.append(f"the root key is of the chain {self.root.chain}, this is {chain}")
            self.root = None
        if not self.kept.cut and self._digest != beginning(chain):
            self.broken.append("the chain does not begin as it should")
        self._compare(self.kept.cut, self._digest, None)

    def step(self, row: ChainedRow) -> None:
        """The next row."""
        if row.number <= self.number:
            self.broken.append(f"row {row.number} stands where row {self.number + 1} should")
            return
        if row.number != self.number + 1:
            missing = f"{self.number + 1} to {row.number - 1}"
            self.broken.append(f"rows {missing} are missing")
            self._digest = b""  # unknown: what follows can only be held against itself
        self.first = self.first or row.number
        if self._digest and digest_of(self._digest, row) != row.digest:
            self.broken.append(f"row {row.number} is not what was written")
        self._check_mac(row)
        # Of what was written, so that one change is told once.
        self.number, self._digest = row.number, row.digest
        self._compare(row.number, row.digest, row.mac)
        if row.event == CUT:
            self._note_cut(row)

    def _check_mac(self, row: ChainedRow) -> None:
        root = self.root
        if root is None or row.number < root.first or self._next_root is not None:
            return
        if row.number - root.first > FARTHEST:
            self.broken.append(f"row {row.number} is too far from the root key to be told")
            self.root = None
            return
        if self._key is None:
            self._key = bytearray(root.key.reveal())
            self._skip(row.number - root.first)
        else:
            self._skip(row.number - self.number - 1)
        if not hmac.compare_digest(mac_of(self._key, row.digest), bytes(row.mac)):
            self.broken.append(f"row {row.number} was not written with its key")
        self._skip(1)
        if row.event == ROOTED:
            self._next_root = row.number + 1

    def _skip(self, rows: int) -> None:
        assert self._key is not None  # noqa: S101 - the caller has just made it
        for _ in range(rows):
            evolve(self._key)

    def _compare(self, number: int, digest: bytes, mac: bytes | None) -> None:
        for anchor in self._anchors.get(number, ()):
            if anchor.digest != digest or (mac is not None and anchor.mac != mac):
                self.broken.append(f"row {number} is another one than the log has")
            else:
                self.anchored = number

    def _note_cut(self, row: ChainedRow) -> None:
        try:
            detail = json.loads(row.detail)
            self._cut = (int(detail["up_to"]), str(detail["digest"]))
        except (ValueError, TypeError, KeyError):
            self.broken.append(f"row {row.number} does not say what was cut off")

    def end(self) -> None:
        """After the last row: what the file and the anchors say is more than there is."""
        head = self.kept.head
        if head.number > self.number:
            self.broken.append(f"rows {self.number + 1} to {head.number} are missing at the end")
        elif (head.number, head.digest) != (self.number, self._digest):
            self.broken.append(f"the file ends with row {head.number} by its own word, not so here")
        up_to, digest = self._cut
        if (self.kept.cut, self.kept.cut_digest.hex()) != (up_to, digest) and (
            self.kept.cut or up_to
        ):
            self.broken.append(f"rows up to {self.kept.cut} are gone, and no row says so")
        beyond = max(self._anchors, default=0)
        if beyond > self.number:
            self.broken.append(
                f"the log has row {beyond}, the file ends with {self.number}: cut off, or an older "
                "copy"
            )
        if self.root is not None and self.root.first > self.number + 1:
            self.broken.append(
                f"the root key holds from row {self.root.first}, the file ends with {self.number}"
            )

    def limits(self) -> Iterable[str]:
        """What all of this does not prove."""
        if not self.anchored:
            yield "without an anchor it is not excluded that the end was cut off"
        elif self.anchored < self.number:
            yield (
                f"rows {self.anchored + 1} to {self.number} came after the last anchor: their loss "
                "would not show"
            )
        if self.root is None:
            proven = f"rows after {self.anchored}" if self.anchored else "the rows"
            if self.anchored < self.number:
                yield f"without the root key whoever can write the file could have made {proven}"
            return
        if self.root.first > max(self.first, 1) and self.root.first > self.anchored + 1:
            before = self.root.first - 1
            yield f"rows up to {before} are older than the root key: as they were when it was drawn"
        if self._next_root is not None and self._next_root <= self.number:
            yield f"rows from {self._next_root} on are proven by the root key that was drawn then"


def told(verdict: Verdict) -> Mapping[str, object]:
    """As JSON."""
    return {
        "whole": verdict.whole, "chain": verdict.chain, "first": verdict.first,
        "last": verdict.last, "anchored": verdict.anchored, "broken": list(verdict.broken),
        "limits": list(verdict.limits),
    }  # fmt: skip
