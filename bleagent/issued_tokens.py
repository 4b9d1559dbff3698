"""The tokens that were issued: who shows one, what it allows now, new ones, revoked ones.

All are held in memory, so that a request costs no disk and a revocation counts from the moment it
is asked for. That is allowed because the daemon alone writes them (safety A5, F2).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import anyio

from .errors import AgentError, Rejected, ScopeMissing, StoreError
from .model import Principal
from .ports import Clock, TokenBook
from .tokens import (
    PREFIX,
    ShownToken,
    StoredToken,
    TokenUnusable,
    allows,
    make_token,
    operate,
    parse_token,
)

MOST = 1000
"""Tokens that are kept. Beyond, the oldest that is good for nothing makes room for a new one."""

_NO_DIGEST = bytes(32)


class Revoked(AgentError):
    """The credential was replaced or revoked after the request had been accepted."""

    code = "token-revoked"
    advice = "Ask again with another token."


class Expired(AgentError):
    """The token ended after the request had been accepted."""

    code = "token-expired"
    advice = "Ask again with another token."


class DateUnknown(AgentError):
    """Something depends on the date, and the date is not trusted yet (safety E2)."""

    code = "date-unknown"
    advice = "Wait until the agent has had the date from the cloud; a token without an end works."


class UnknownToken(AgentError):
    """No token of that id."""

    code = "unknown-token"
    advice = "GET /v1/tokens (`bleagent token list`) has the ids."


class TooManyTokens(Rejected):
    """All of them are still good for something."""

    code = "too-many-tokens"
    advice = "Revoke one that nobody uses any more."


class IssuedTokens:
    """The tokens of this gateway; ``load`` them before anybody is asked.

    ``random`` gives so many bytes that nobody can foretell.
    """

    def __init__(self, book: TokenBook, clock: Clock, random: Callable[[int], bytes]) -> None:
        self._book = book
        self._clock = clock
        self._random = random
        self._held: dict[str, StoredToken] = {}
        self._one_at_a_time = anyio.Lock()

    async def load(self) -> None:
        """Read what is stored. Raises StoreError."""
        self._held = {one.id: one for one in await self._book.tokens()}

    def all(self) -> list[StoredToken]:
        """Oldest first, with those that are good for nothing."""
        return sorted(self._held.values(), key=lambda one: (one.created, one.id))

    def principal(self, text: str) -> Principal | None:
        """Who shows this; ``None`` for what is unknown, revoked or expired.

        Raises:
            DateUnknown: it is a token of ours that has an end, and the date is not trusted.
        """
        try:
            shown = parse_token(text)
        except TokenUnusable:
            return None
        found = self._held.get(shown.id)
        # Compared in any case: an id that exists takes no longer than one that does not.
        right = shown.is_of(_NO_DIGEST if found is None else found.digest)
        if found is None or not right or found.revoked is not None or self._ended(found):
            return None
        return Principal(id=found.principal, scopes=found.scopes, expires=found.expires)

    def require_good(self, principal: Principal, lock: str) -> None:
        """Asked again at the commit point, of what is held now.

        Raises:
            Revoked, Expired, DateUnknown: it is good for nothing any more.
            ScopeMissing: it may not operate this lock.
        """
        found = self._held.get(principal.id.removeprefix(PREFIX))
        if found is None or found.revoked is not None:
            raise Revoked("the token was revoked while the operation was on its way")
        if self._ended(found):
            raise Expired("the token ended while the operation was on its way")
        if not allows(found.scopes, operate(lock)):
            raise ScopeMissing(f"it takes the scope {operate(lock)}")

    async def create(
        self, *, label: str, scopes: frozenset[str], expires: float | None
    ) -> tuple[StoredToken, ShownToken]:
        """A new token, stored; its secret is in the second and nowhere else.

        Raises:
            TokenUnusable: it would have ended already.
            DateUnknown: it has an end, and the date is not trusted.
            TooManyTokens: there is no room.
            StoreError: nothing was stored.
        """
        now = self._clock.unix()
        if expires is not None:
            self._require_date()
            if expires <= now:
                raise TokenUnusable("expires: found a time that has passed, expected a later one")
        async with self._one_at_a_time:
            await self._make_room()
            shown = make_token(self._random)
            kept = StoredToken(
                id=shown.id, label=label, digest=shown.digest, scopes=scopes, created=now,
                expires=expires,
            )  # fmt: skip
            await self._book.add(kept)
            self._held[kept.id] = kept
        return kept, shown

    async def revoke(self, token_id: str) -> StoredToken:
        """From now on it is good for nothing, whatever the disk says.

        Raises:
            UnknownToken: there is none of that id.
            StoreError: it was not stored: a restart would make it good again.
        """
        found = self._held.get(token_id)
        if found is None:
            raise UnknownToken(f"no token {token_id}")
        unix = self._clock.unix()
        if found.revoked is None:
            self._held[token_id] = replace(found, revoked=unix)
        try:
            stored = await self._book.revoke(token_id, unix=unix)
        except StoreError as error:
            raise type(error)(
                f"{token_id} is revoked until the agent is started again, it could not be stored: "
                f"{error}"
            ) from error
        if stored is not None:
            self._held[token_id] = stored
        return self._held[token_id]

    def good_for_nothing(self, token: StoredToken) -> bool:
        """Whether it is revoked, or certainly expired."""
        return token.revoked is not None or (self._clock.trusted and self._ended(token))

    async def _make_room(self) -> None:
        while len(self._held) >= MOST:
            spent = next((one for one in self.all() if self.good_for_nothing(one)), None)
            if spent is None:
                raise TooManyTokens(f"found {len(self._held)} tokens, expected fewer than {MOST}")
            await self._book.remove(spent.id)
            self._held.pop(spent.id, None)

    def _ended(self, token: StoredToken) -> bool:
        if token.expires is None:
            return False
        self._require_date()
        return token.expires <= self._clock.unix()

    def _require_date(self) -> None:
        if not self._clock.trusted:
            raise DateUnknown("an end was given, and the date is not certain")
