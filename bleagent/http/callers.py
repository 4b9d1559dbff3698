"""Who calls: the holder of a token, or a program of this machine by its uid (safety F5)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from bleagent.model import Principal
from bleagent.tokens import EVERY_SCOPE, PREFIX, parse_token

from .auth import Tokens, Unauthorized
from .peer import NOBODY, UNKNOWN, Peer


@dataclass(frozen=True, slots=True)
class Users:
    """Whose programs may call through the Unix socket without a token.

    ``uids`` and ``gids`` are those of ``[[http.users]]``. Root is one only if it is named; a
    hidden uid never is.
    """

    uids: Collection[int] = ()
    gids: Collection[int] = ()

    def principal(self, peer: Peer) -> Principal | None:
        """The caller behind a connection, if it is a mapped one.

        The one place where it will be decided what a uid may do; today a mapped one may all.
        """
        if peer.uid is None or peer.uid == NOBODY:
            return None
        if peer.uid not in self.uids and peer.gids.isdisjoint(self.gids):
            return None
        return Principal(id=f"uid:{peer.uid}", scopes=EVERY_SCOPE)


class Callers:
    """All who may call. A token that is shown decides alone, a uid only where there is none."""

    def __init__(self, tokens: Tokens, users: Users | None = None) -> None:
        self._tokens = tokens
        self._users = users or Users()

    def principal(self, authorization: str | None, peer: Peer = UNKNOWN) -> Principal:
        """The caller behind a request.

        Raises:
            Unauthorized: no token, or another one, and no uid that is mapped.
        """
        if authorization is None and (user := self._users.principal(peer)) is not None:
            return user
        if authorization is None and peer.local:
            raise Unauthorized(f"no valid token, and uid {peer.uid} is none of [[http.users]]")
        return self._tokens.principal(authorization)

    def owner_of(self, text: str) -> str | None:
        """Whose token a text is, be it only good at another time; None if it is none of ours."""
        try:
            return self._tokens.principal(f"Bearer {text}").id
        except Unauthorized as error:
            return None if type(error) is Unauthorized else PREFIX + parse_token(text).id
        except UnicodeEncodeError:
            return None

    def is_token(self, text: str) -> bool:
        """Whether a text is a token of ours."""
        return self.owner_of(text) is not None

    def require_good(self, principal: Principal, lock: str) -> None:
        """Asked again at the commit point. Raises AgentError, as ``Tokens.require_good``."""
        if not principal.id.startswith("uid:"):  # users change with a restart only
            self._tokens.require_good(principal, lock)
