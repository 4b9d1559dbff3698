"""The audit's rows and their chain (reference: safety H3). Pure: no clock, no randomness, no IO.

Each row has a *digest*, SHA-256 over the digest before it and the row, and a *mac*, HMAC-SHA256
over that digest under a key that is used for this one row: the next key is an HMAC of it, and
the old one is destroyed. So two things are proven by two holders. Whoever has the root key, which
is kept off the gateway, can say of every row that it was written when the machine was not yet
somebody else's; whoever has a copy of a later digest (an anchor) can say that nothing up to it
was changed or cut off, with no key at all.
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Self

from bleagent.errors import AuditUnusable
from protocol import Secret

KEY_SIZE = 32
LONGEST_DETAIL = 2048
"""Characters of a row's detail; more is told by its length."""
LONGEST_NAME = 128
"""Characters of an event, a principal, a lock or an operation."""
CUT = "audit.cut"
"""The event of a row that says up to where the oldest ones were cut off."""
ROOTED = "audit.rooted"
"""The event of the last row before a new root key holds."""
HEAD = "audit.head"
"""The event of a line in the log that anchors the chain."""

_NEXT, _ROW = b"bleagent audit: next key", b"bleagent audit: row"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRow:
    """Who did what, when (Unix seconds). ``detail`` holds no secret: it is stored in clear."""

    at: float
    event: str
    principal: str | None = None
    lock: str | None = None
    operation: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainedRow:
    """A row as it is stored. ``at_ms``: Unix milliseconds; ``detail``: JSON text."""

    number: int
    at_ms: int
    event: str
    principal: str | None
    lock: str | None
    operation: str | None
    detail: str
    digest: bytes
    mac: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """Where a chain ends: the number, digest and mac of its last row; ``chain`` names it."""

    chain: str
    number: int
    digest: bytes
    mac: bytes

    def to_fields(self) -> dict[str, Any]:
        """As a line of the log has it."""
        return {
            "chain": self.chain, "number": self.number,
            "digest": self.digest.hex(), "mac": self.mac.hex(),
        }  # fmt: skip

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Self:
        """The reverse. Raises AuditUnusable."""
        chain, number = fields.get("chain"), fields.get("number")
        try:
            digest, mac = (bytes.fromhex(fields[name]) for name in ("digest", "mac"))
        except (KeyError, TypeError, ValueError):
            digest = mac = b""
        if (
            not isinstance(chain, str)
            or type(number) is not int
            or not len(digest) == len(mac) == 32
        ):
            raise AuditUnusable("found an audit.head without chain, number, digest and mac")
        return cls(chain=chain, number=number, digest=digest, mac=mac)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What the file says about itself: where it ends, and up to where it was cut off."""

    head: Head
    cut: int
    cut_digest: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """The key of row ``first`` of a chain, from which those of all later rows follow."""

    chain: str
    first: int
    key: Secret

    def to_text(self) -> str:
        """One line, to be kept off the gateway."""
        return f"bleagent-audit:{self.chain}:{self.first}:{self.key.reveal().hex()}"

    @classmethod
    def from_text(cls, text: str) -> Self:
        """The reverse; whatever stands around the line is no harm. Raises AuditUnusable."""
        pattern = r"bleagent-audit:([0-9a-f]{16}):([0-9]{1,18}):([0-9a-f]{64})\b"
        found = re.search(pattern, text)
        if found is None:
            raise AuditUnusable("found no root key, expected the line of `bleagent audit init`")
        return cls(chain=found[1], first=int(found[2]), key=Secret(bytes.fromhex(found[3])))


def beginning(chain: str) -> bytes:
    """The digest before the first row."""
    return sha256(f"bleagent audit chain {chain}".encode()).digest()


def digest_of(before: bytes, row: ChainedRow) -> bytes:
    """The digest of a row, from the one before it; of what stands in its columns."""
    columns = [
        row.number, row.at_ms, row.event, row.principal, row.lock, row.operation, row.detail,
    ]  # fmt: skip
    # JSON tells a missing text from an empty one, and where one column ends.
    return sha256(before + json.dumps(columns, default=repr).encode()).digest()


def mac_of(key: bytes | bytearray, digest: bytes) -> bytes:
    """What only the holder of this row's key, or of one before it, can make."""
    return hmac.digest(key, _ROW + digest, "sha256")


def evolve(key: bytearray) -> None:
    """Put the next row's key in place of this one, from which there is no way back.

    As far as Python can: this copy is overwritten; what the libraries have copied is not.
    """
    key[:] = hmac.digest(key, _NEXT, "sha256")


def chained(row: AuditRow, number: int, before: bytes, key: bytearray) -> ChainedRow:
    """The row behind a digest; ``key`` is the next one's afterwards."""
    bare = ChainedRow(
        number=number, at_ms=round(row.at * 1000), event=_short(row.event),
        principal=_short_or_none(row.principal), lock=_short_or_none(row.lock),
        operation=_short_or_none(row.operation), detail=detail_text(row.detail),
        digest=b"", mac=b"",
    )  # fmt: skip
    digest = digest_of(before, bare)
    mac = mac_of(key, digest)
    evolve(key)
    return ChainedRow(
        number=bare.number, at_ms=bare.at_ms, event=bare.event, principal=bare.principal,
        lock=bare.lock, operation=bare.operation, detail=bare.detail, digest=digest, mac=mac,
    )  # fmt: skip


def detail_text(detail: Mapping[str, Any]) -> str:
    """As it is stored: JSON, short, and of what is no JSON (a secret, say) the type only."""
    text = json.dumps(dict(detail), default=lambda value: f"<{type(value).__name__}>")
    return text if len(text) <= LONGEST_DETAIL else json.dumps({"too_long": len(text)})


def _short(text: str) -> str:
    # A lone surrogate is no text to a database.
    return text[:LONGEST_NAME].encode(errors="replace").decode()


def _short_or_none(text: str | None) -> str | None:
    return None if text is None else _short(text)


class Audit:
    """Is told what has to be remembered; does nothing by itself.

    Telling never waits and never fails, whatever becomes of the disk (safety H2).
    """

    def tell(
        self,
        event: str,
        *,
        principal: str | None = None,
        lock: str | None = None,
        operation: str | None = None,
        **detail: Any,
    ) -> None:
        """Something happened now. ``detail`` holds no secret."""
