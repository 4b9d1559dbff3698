"""The project's access token: one owner, fetched by one caller at a time.

A refresh kills the token before it, so two that refresh at once kill each other's. Source:
reference cloud §1.3.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from copy import copy
from dataclasses import dataclass

import anyio

from protocol import Secret

from . import fields
from .errors import BadAnswer, CloudError, CloudTimeout, CloudUnreachable

RENEW_EARLY = 60.0
"""Seconds before its end."""
RENEWAL_PAUSE = 10.0
"""Seconds between attempts to renew a token that is still good."""
DEFAULT_LIFE = 7200


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """An access token; times on the monotonic clock."""

    access: Secret
    refresh: Secret | None
    renew_at: float
    ends_at: float


def read_token(result: object, asked_at: float) -> Token:
    """Result of a token request.

    Raises:
        BadAnswer: no token in it.
    """
    found = fields.mapping(result, "the token")
    access = fields.find(found, "access_token")
    if not isinstance(access, str) or not access or not access.isascii():
        raise BadAnswer("the token's access_token is missing")
    refresh = fields.find(found, "refresh_token")
    life = fields.find(found, "expire_time", "expire")
    ends = float(DEFAULT_LIFE if life is None else fields.number(life, "expire_time"))
    return Token(
        access=Secret(access),
        refresh=Secret(refresh) if isinstance(refresh, str) and refresh.isalnum() else None,
        # A token handed out in its last minute is used for half of what is left.
        renew_at=asked_at + max(ends - RENEW_EARLY, ends / 2),
        ends_at=asked_at + ends,
    )


Fetch = Callable[[Secret | None, float | None], Awaitable[Token]]
"""Fetch a token: with a refresh token or anew, until a deadline."""


class TokenKeeper:
    """Keeps one token; ``fetch`` runs at most once at a time, whoever asks.

    Args:
        fetch: gets a token.
        now: the monotonic clock.
    """

    def __init__(self, fetch: Fetch, now: Callable[[], float]) -> None:
        self._fetch = fetch
        self._now = now
        self._lock = anyio.Lock()
        self._token: Token | None = None
        self._try_again_at = 0.0
        self._failures = 0
        self._failure: CloudError | None = None

    async def get(self, deadline: float | None) -> Token:
        """The token, fetched or renewed if need be.

        Raises:
            CloudError: none can be had. Never ambiguous: the call it was for was not made.
        """
        if (token := self._good()) is not None:
            return token
        seen = self._failures
        left = None if deadline is None else max(deadline - self._now(), 0.0)
        with anyio.move_on_after(left):
            async with self._lock:
                if (token := self._good()) is not None:
                    return token
                if self._failures != seen and self._failure is not None:
                    # The fetch we waited for failed. A queue of callers is no reason to ask
                    # the same question as many times, each waiting for its time-out.
                    raise copy(self._failure)
                return await self._fetch_one(deadline)
        raise CloudTimeout("No token before the deadline")

    def reject(self, token: Token) -> None:
        """The cloud does not accept it: get another one, unless somebody already has."""
        if self._token is token:
            self._token = None

    @property
    def held(self) -> bool:
        """Whether there is one that has not ended."""
        return self._token is not None and self._now() < self._token.ends_at

    def _good(self) -> Token | None:
        token, now = self._token, self._now()
        if token is None or now >= token.ends_at:
            return None
        return token if now < max(token.renew_at, self._try_again_at) else None

    async def _fetch_one(self, deadline: float | None) -> Token:
        old = self._token
        try:
            self._token = await self._renew_or_fetch(old, deadline)
        except CloudError as error:
            if old is not None and self._now() < old.ends_at and _may_be_mended(error):
                self._try_again_at = self._now() + RENEWAL_PAUSE
                return old
            failure = copy(error)
            failure.ambiguous = False
            if not isinstance(error, CloudTimeout) or deadline is None:
                # A time-out may be this caller's own deadline: nobody else's business.
                self._failures += 1
                self._failure = failure
            raise failure from None
        return self._token

    async def _renew_or_fetch(self, old: Token | None, deadline: float | None) -> Token:
        if old is not None and old.refresh is not None and self._now() < old.ends_at:
            try:
                return await self._fetch(old.refresh, deadline)
            except CloudError as error:
                if _may_be_mended(error):
                    raise
                # A refresh token is good once, and others may have used it.
        return await self._fetch(None, deadline)


def _may_be_mended(error: CloudError) -> bool:
    return isinstance(error, CloudUnreachable)
