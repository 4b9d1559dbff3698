"""Tokens: what one looks like, what it may do, and how it is known again. Pure.

A token is ``blk_<id>_<secret>``: eight hex digits that may be shown to anybody, and 256 random
bits as 43 base64url characters that are shown once. Kept is the SHA-256 of the secret part. A
slow hash (argon2, scrypt) makes guessing dear where people choose the secret; here nobody can
try 2**256 of them at any speed, and a slow one on each request would be a way to keep the
gateway busy.
"""

from __future__ import annotations

import hmac
import re
from base64 import urlsafe_b64encode
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from hashlib import sha256

from bleagent.errors import TokenUnusable
from protocol import Secret

from .guests import GuestTerms

PREFIX = "blk_"
ID_BYTES, SECRET_BYTES = 4, 32
MAX_LABEL = 64
MAX_SCOPES = 64
"""Of one token."""

READ, RECORDS, ADMIN = "read", "records", "admin"
OPERATE = "operate:"
OPERATE_ALL = "operate:*"
SHARE = "share:"
EVERY_SCOPE = frozenset({READ, RECORDS, ADMIN, OPERATE_ALL})
"""Together they allow everything."""

_TOKEN = re.compile(r"blk_([0-9a-f]{8})_([A-Za-z0-9_-]{43})")
_ID = re.compile(r"(?:blk_)?([0-9a-f]{8})")
SCOPE = re.compile(r"read|records|admin|operate:(?:\*|[a-z0-9-]{1,32})|share:[a-z0-9-]{1,32}")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredToken:
    """A token as it is kept: everything but its secret. Times are Unix seconds."""

    id: str
    label: str
    digest: bytes = field(repr=False)
    """SHA-256 of the secret part."""
    scopes: frozenset[str]
    created: float
    expires: float | None = None
    revoked: float | None = None
    guest: GuestTerms | None = None

    @property
    def principal(self) -> str:
        """Its id where it stands beside others: with operations, and in the log."""
        return PREFIX + self.id


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownToken:
    """A token as somebody shows it."""

    id: str
    secret: Secret

    @property
    def digest(self) -> bytes:
        """What is kept of its secret."""
        return sha256(self.secret.reveal()).digest()

    @property
    def text(self) -> Secret:
        """The whole of it."""
        return Secret(f"{PREFIX}{self.id}_".encode() + self.secret.reveal())

    def is_of(self, digest: bytes) -> bool:
        """Whether this is the secret that was kept; in constant time."""
        return hmac.compare_digest(self.digest, digest)


def make_token(random: Callable[[int], bytes]) -> ShownToken:
    """A new one; ``random`` gives so many bytes that nobody can foretell."""
    secret = urlsafe_b64encode(random(SECRET_BYTES)).rstrip(b"=")
    return ShownToken(id=random(ID_BYTES).hex(), secret=Secret(secret))


def parse_token(text: str) -> ShownToken:
    """Read a token. Raises TokenUnusable: it has not the form of one."""
    match = _TOKEN.fullmatch(text)
    if match is None:
        raise TokenUnusable(
            f"found {len(text)} characters, expected blk_, eight hex digits, _ and 43 characters"
        )
    return ShownToken(id=match[1], secret=Secret(match[2]))


def parse_id(text: str) -> str:
    """The id of a token, with or without ``blk_``. Raises TokenUnusable.

    A whole token is refused, and not shown: it does not belong where ids are written.
    """
    match = _ID.fullmatch(text)
    if match is None:
        raise TokenUnusable(
            f"found {len(text)} characters, expected the eight hex digits of a token's id"
        )
    return match[1]


def parse_scopes(texts: Collection[str], locks: Collection[str]) -> frozenset[str]:
    """What a new token may do. ``locks`` are the configured ones.

    Raises:
        TokenUnusable: none, too many, or one that does not exist.
    """
    if not 1 <= len(texts) <= MAX_SCOPES:
        raise TokenUnusable(f"scopes: found {len(texts)}, expected 1 to {MAX_SCOPES}")
    for text in texts:
        if SCOPE.fullmatch(text) is None:
            raise TokenUnusable(
                f"scope: found {text[:48]!r}, expected read, records, admin, operate:LOCK, "
                "operate:* or share:LOCK"
            )
        _, of_one, lock = text.partition(":")
        if of_one and lock != "*" and lock not in locks:
            raise TokenUnusable(
                f"scope: found {text!r}, expected one of the locks {', '.join(sorted(locks))}"
            )
    return frozenset(texts)


def parse_label(text: str) -> str:
    """What a token is for, in somebody's words. Raises TokenUnusable."""
    if len(text) > MAX_LABEL or not text.isprintable():
        raise TokenUnusable(
            f"label: found {len(text)} characters, expected at most {MAX_LABEL} printable ones"
        )
    return text


def operate(lock: str) -> str:
    """The scope that operating a lock takes."""
    return OPERATE + lock


def share(lock: str) -> str:
    """The scope that passing on sharing tickets for a lock takes."""
    return SHARE + lock


def opening(lock: str, *, with_ticket: bool) -> str:
    """The scope that opening a lock takes: a ticket is an authority of its own."""
    return share(lock) if with_ticket else operate(lock)


def allows(scopes: Collection[str], needed: str) -> bool:
    """Whether scopes cover one that is needed.

    None of them covers another, but ``operate:*`` those of all locks, and who may operate a lock
    may also pass on tickets for it.
    """
    if needed.startswith(SHARE) and allows(scopes, operate(needed.removeprefix(SHARE))):
        return True
    return needed in scopes or (needed.startswith(OPERATE) and OPERATE_ALL in scopes)
