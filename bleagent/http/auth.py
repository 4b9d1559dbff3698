"""Who calls: the holder of a token, and what it may do, as it is now (safety F2)."""

from __future__ import annotations

import hmac
from hashlib import sha256
from typing import ClassVar

from bleagent.authority.issued_tokens import DateUnknown, IssuedTokens, NotNow, Revoked
from bleagent.authority.tokens import EVERY_SCOPE, allows
from bleagent.errors import AgentError, ScopeMissing
from bleagent.model import Principal
from bleagent.ports import Clock
from protocol import Secret

CONFIGURED = "token"
"""The principal of the configuration's token."""


class Unauthorized(AgentError):
    """No token, or a wrong one."""

    status: ClassVar[int] = 401
    code = "unauthorized"
    advice = "Send a valid token as `Authorization: Bearer ...`."


class NotYet(Unauthorized):
    """A good token with an end, before the date is trusted (safety E2): to be shown again."""

    status = 503
    code = DateUnknown.code
    advice = DateUnknown.advice


class Outside(Unauthorized):
    """A guest's good token, at another hour than was agreed."""

    status = 403
    code = NotNow.code
    advice = NotNow.advice


class Tokens:
    """The configuration's token, which may do everything, and those that were issued."""

    def __init__(self, token: Secret, issued: IssuedTokens | None = None) -> None:
        self._digest = sha256(token.reveal()).digest()
        self._grant = 1
        self._issued = issued

    def replace(self, token: Secret) -> bool:
        """From now on another token is configured; whether it is another one."""
        digest = sha256(token.reveal()).digest()
        if hmac.compare_digest(digest, self._digest):
            return False
        self._digest = digest
        self._grant += 1
        return True

    def principal(self, authorization: str | None) -> Principal:
        """The caller behind an ``Authorization`` header, compared in constant time.

        Raises:
            Unauthorized: no token, or one that is unknown, revoked or expired; nobody is told
                which.
            NotYet: it has an end, and the date is not trusted.
            Outside: it is a guest's, outside of its hours.
        """
        scheme, _, given = (authorization or "").partition(" ")
        given = given.strip()
        digest = sha256(given.encode()).digest()
        if scheme.lower() == "bearer":
            if hmac.compare_digest(digest, self._digest):
                return Principal(id=CONFIGURED, grant=self._grant, scopes=EVERY_SCOPE)
            if (found := self._issued_to(given)) is not None:
                return found
        raise Unauthorized("no valid token")

    def _issued_to(self, given: str) -> Principal | None:
        try:
            return None if self._issued is None else self._issued.principal(given)
        except DateUnknown:
            raise NotYet("this token has an end, and the date is not certain") from None
        except NotNow as error:
            raise Outside(str(error)) from None

    def require_good(self, principal: Principal, lock: str) -> None:
        """Asked again at the commit point: what was good when the request came may not be now.

        Raises:
            Revoked: the token that was shown has been replaced or revoked since.
            Expired, NotNow, DateUnknown, ScopeMissing: see ``IssuedTokens.require_good``.
        """
        if principal.id != CONFIGURED and self._issued is not None:
            self._issued.require_good(principal, lock)
        elif principal.id != CONFIGURED or principal.grant != self._grant:
            raise Revoked("the token was replaced while the operation was on its way")


def deadline_of(principal: Principal, deadline: float, clock: Clock) -> float:
    """Not later than the credential ends. Seconds of ``Clock.now`` (safety F2)."""
    if principal.expires is None:
        return deadline
    return min(deadline, clock.now() + principal.expires - clock.unix())


def require_scope(principal: Principal, scope: str) -> None:
    """Raises ScopeMissing, which names it."""
    if not allows(principal.scopes, scope):
        raise ScopeMissing(f"this takes the scope {scope}")
