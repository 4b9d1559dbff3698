"""The tokens that were issued: who shows one, what it allows now, new ones, revoked ones.

All are held in memory, so that a request costs no disk and a revocation counts from the moment it
is asked for. That is allowed because the daemon alone writes them (safety A5, F2).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import tzinfo

import anyio

from bleagent.errors import AgentError, Rejected, ScopeMissing, StoreError, TokenUnusable
from bleagent.model import Principal
from bleagent.ports import Clock, TokenBook

from .guests import GuestTerms
from .tokens import (
    PREFIX,
    ShownToken,
    StoredToken,
    allows,
    make_token,
    opening,
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
    advice = "Wait until the agent has had the date from the cloud; what has no end works."


class NotNow(Rejected):
    """A guest's token outside of its hours or days."""

    code = "outside-window"
    advice = "Come back within the hours that were agreed."


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

    ``random`` gives so many bytes that nobody can foretell; ``zone`` is that of guests' hours,
    ``None`` this machine's.
    """

    def __init__(
        self,
        book: TokenBook,
        clock: Clock,
        random: Callable[[int], bytes],
        zone: tzinfo | None = None,
    ) -> None:
        self._book = book
        self._clock = clock
        self._random = random
        self._zone = zone
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
            NotNow: it is a guest's, outside of its hours.
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
        return Principal(
            id=found.principal,
            guest=found.guest is not None,
            scopes=found.scopes,
            expires=self._good_until(found),
            times=None if found.guest is None else found.guest.times,
        )

    def require_good(self, principal: Principal, lock: str) -> None:
        """Asked again at the commit point, of what is held now.

        Raises:
            Revoked, Expired, NotNow, DateUnknown: it is good for nothing any more.
            ScopeMissing: it may not operate this lock.
        """
        found = self._held.get(principal.id.removeprefix(PREFIX))
        if found is None or found.revoked is not None:
            raise Revoked("the token was revoked while the operation was on its way")
        if self._ended(found):
            raise Expired("the token ended while the operation was on its way")
        needed = opening(lock, with_ticket=principal.shared is not None)
        if not allows(found.scopes, needed):
            raise ScopeMissing(f"it takes the scope {needed}")
        self._good_until(found)

    async def create(
        self,
        *,
        label: str,
        scopes: frozenset[str],
        expires: float | None,
        guest: GuestTerms | None = None,
    ) -> tuple[StoredToken, ShownToken]:
        """A new token, stored; its secret is in the second and nowhere else.

        Raises:
            TokenUnusable: it would have ended already, or never be good for anything.
            DateUnknown: it has an end, and the date is not trusted.
            TooManyTokens: there is no room.
            StoreError: nothing was stored.
        """
        now = self._clock.unix()
        if expires is not None:
            self._require_date()
            if expires <= now:
                raise TokenUnusable("expires: found a time that has passed, expected a later one")
        if guest is not None:
            _require_bounds(guest, expires)
        async with self._one_at_a_time:
            await self._make_room()
            shown = make_token(self._random)
            kept = StoredToken(
                id=shown.id, label=label, digest=shown.digest, scopes=scopes, created=now,
                expires=expires, guest=guest,
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

    async def used(self) -> dict[str, int]:
        """Openings of guests by the token's id, where they are counted. Raises StoreError."""
        return await self._book.used()

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

    def _good_until(self, token: StoredToken) -> float | None:
        """Unix seconds. Raises NotNow, DateUnknown."""
        if token.guest is None:
            return token.expires
        self._require_date()
        until = token.guest.open_until(self._clock.unix(), self._zone)
        if until is None:
            raise NotNow("this token is not good at this hour")
        return until if token.expires is None else min(until, token.expires)

    def _require_date(self) -> None:
        if not self._clock.trusted:
            raise DateUnknown("an end was given, and the date is not certain")


def _require_bounds(guest: GuestTerms, expires: float | None) -> None:
    """A guest leaves some day. Raises TokenUnusable."""
    if expires is None:
        raise TokenUnusable("guest: found no end, expected expires or expires_in")
    if guest.begins is not None and guest.begins >= expires:
        raise TokenUnusable("begins: found a time that is not before the end, expected one that is")
