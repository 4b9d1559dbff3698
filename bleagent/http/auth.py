"""Who calls: the holder of the token, as it is now (safety F2)."""

from __future__ import annotations

import hmac
from hashlib import sha256

from bleagent.errors import AgentError
from bleagent.model import Principal
from protocol import Secret


class Unauthorized(AgentError):
    """No token, or a wrong one."""

    code = "unauthorized"
    advice = "Send the configured token as `Authorization: Bearer ...`."


class Revoked(AgentError):
    """The token was replaced after the request had been accepted."""

    code = "token-revoked"
    advice = "Ask again with the new token."


class Tokens:
    """The one token of the first form, and which issue of it is good."""

    def __init__(self, token: Secret) -> None:
        self._digest = sha256(token.reveal()).digest()
        self._grant = 1

    def replace(self, token: Secret) -> bool:
        """From now on another token is good; whether it is another one."""
        digest = sha256(token.reveal()).digest()
        if hmac.compare_digest(digest, self._digest):
            return False
        self._digest = digest
        self._grant += 1
        return True

    def principal(self, authorization: str | None) -> Principal:
        """The caller behind an ``Authorization`` header, compared in constant time.

        Raises:
            Unauthorized: no token, or another one.
        """
        scheme, _, given = (authorization or "").partition(" ")
        digest = sha256(given.strip().encode()).digest()
        if scheme.lower() != "bearer" or not hmac.compare_digest(digest, self._digest):
            raise Unauthorized("no valid token")
        return Principal(id="token", grant=self._grant)

    def require_good(self, principal: Principal) -> None:
        """Asked again at the commit point: what was good when the request came may not be now.

        Raises:
            Revoked: the token that was shown has been replaced since.
        """
        if principal.grant != self._grant:
            raise Revoked("the token was replaced while the operation was on its way")
