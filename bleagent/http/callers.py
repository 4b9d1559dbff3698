"""Who calls: the holder of a token, or a program of this machine by its uid (safety F5)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bleagent.authority.tokens import EVERY_SCOPE, PREFIX, allows, opening, parse_token
from bleagent.errors import ScopeMissing
from bleagent.model import Principal

from .auth import Tokens, Unauthorized
from .peer import NOBODY, UNKNOWN, Peer

UID = "uid:"
"""What the id of a principal begins with that is a program of this machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Programs of a uid or a group, and what they may do."""

    uids: frozenset[int] = frozenset()
    gids: frozenset[int] = frozenset()
    scopes: frozenset[str] = EVERY_SCOPE

    def is_behind(self, uid: int, gids: frozenset[int]) -> bool:
        """Whether it is one of these."""
        return uid in self.uids or not gids.isdisjoint(self.gids)


class Users:
    """Whose programs may call through the Unix socket without a token: ``[[http.users]]``.

    Root is one only if it is named; a hidden uid never is.
    """

    def __init__(self, users: Iterable[User] = ()) -> None:
        self._users = tuple(users)

    def replace(self, others: Users) -> None:
        """From now on others are users."""
        self._users = others._users

    def principal(self, peer: Peer) -> Principal | None:
        """The caller behind a connection, if it is a mapped one; it may what any of them may."""
        if peer.uid is None or peer.uid == NOBODY:
            return None
        found = [user.scopes for user in self._users if user.is_behind(peer.uid, peer.gids)]
        if not found:
            return None
        scopes = frozenset[str]().union(*found)
        return Principal(id=f"{UID}{peer.uid}", scopes=scopes, gids=peer.gids)

    def scopes_of(self, principal: Principal) -> frozenset[str]:
        """What such a caller may do by now; nothing, if it is no user any more."""
        uid = int(principal.id.removeprefix(UID))
        found = [user.scopes for user in self._users if user.is_behind(uid, principal.gids)]
        return frozenset[str]().union(*found)


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
        if not principal.id.startswith(UID):
            self._tokens.require_good(principal, lock)
            return
        needed = opening(lock, with_ticket=principal.shared is not None)
        if not allows(self._users.scopes_of(principal), needed):
            raise ScopeMissing(f"it takes the scope {needed}")
