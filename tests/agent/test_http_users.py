"""What a mapped uid may do at the Unix socket: its scopes, route by route."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, cast

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from bleagent.authority.guests import GuestTerms
from bleagent.authority.shared import Permission, Shared
from bleagent.authority.tokens import EVERY_SCOPE
from bleagent.errors import ScopeMissing
from bleagent.http.auth import Tokens
from bleagent.http.callers import Callers, User, Users
from bleagent.http.peer import NOBODY, STATE, Peer
from bleagent.model import Principal
from protocol import Secret
from tests.agent.test_http_tokens import ROUTES, SCOPES, Gate, refused
from tests.agent.world import DOOR, World, rehearse

ANNA, BERT, CARLA, STAFF = 1001, 1002, 1003, 50


def peer(uid: int, *gids: int) -> Peer:
    return Peer(uid=uid, gids=frozenset((uid, *gids)))


def user(uid: int, *scopes: str) -> User:
    return User(uids=frozenset({uid}), scopes=frozenset(scopes))


def group(gid: int, *scopes: str) -> User:
    return User(gids=frozenset({gid}), scopes=frozenset(scopes))


# -- who is it, and what may it do


def test_a_user_may_what_is_said_and_all_where_nothing_is() -> None:
    users = Users([user(ANNA, "read"), User(uids=frozenset({BERT}))])
    assert users.principal(peer(ANNA)) == Principal(
        id=f"uid:{ANNA}", scopes=frozenset({"read"})
    )  # fmt: skip
    assert users.principal(peer(BERT)) == Principal(id=f"uid:{BERT}", scopes=EVERY_SCOPE)
    assert users.principal(peer(CARLA)) is None


def test_who_is_named_several_times_may_what_any_of_them_may() -> None:
    users = Users([user(ANNA, "read"), group(STAFF, "operate:front"), user(ANNA, "records")])
    both = users.principal(peer(ANNA, STAFF))
    assert both is not None
    assert both.scopes == {"read", "records", "operate:front"}
    by_group = users.principal(peer(BERT, STAFF))
    assert by_group is not None
    assert by_group.scopes == {"operate:front"}


def test_a_hidden_uid_has_no_scopes_whatever_its_groups() -> None:
    users = Users([user(NOBODY, "read"), group(STAFF, "read")])
    assert users.principal(peer(NOBODY, STAFF)) is None
    assert users.principal(Peer(address="127.0.0.1")) is None


def test_what_it_may_is_asked_again_at_the_commit_point() -> None:
    callers = Callers(Tokens(Secret("x")), Users([user(ANNA, "read", "operate:front")]))
    anna = callers.principal(None, peer(ANNA))
    callers.require_good(anna, "front")
    with pytest.raises(ScopeMissing, match="operate:back"):
        callers.require_good(anna, "back")


def test_who_may_only_pass_tickets_on_opens_with_one_and_not_without() -> None:
    callers = Callers(Tokens(Secret("x")), Users([user(ANNA, "share:front")]))
    anna = callers.principal(None, peer(ANNA))
    with pytest.raises(ScopeMissing, match="operate:front"):
        callers.require_good(anna, "front")
    ticket = Shared(id="sharing:1", permission=Permission(terms=GuestTerms()), until=1.0)
    callers.require_good(replace(anna, shared=ticket), "front")
    with pytest.raises(ScopeMissing, match="share:back"):
        callers.require_good(replace(anna, shared=ticket), "back")


# -- which route takes which scope


class Socket:
    """The application before a world's door, for callers without a token."""

    def __init__(self, world: World, *users: User) -> None:
        self.world = world
        gate = Gate(world)
        self.app = cast("Any", gate.transport.app)
        self.app.state.callers = callers = Callers(Tokens(Secret("x")), Users(users))
        world.doors._allowed = callers.require_good

    async def ask(self, method: str, url: str, who: Peer, **headers: str) -> httpx.Response:
        """One request."""

        async def told(scope: Scope, receive: Receive, send: Send) -> None:
            await self.app({**scope, "state": {STATE: who}}, receive, send)

        transport = httpx.ASGITransport(told)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.request(method, url, headers=headers)


def at_the_socket(story: Callable[[Socket], Awaitable[None]], *users: User) -> None:
    async def main(world: World) -> None:
        await story(Socket(world, *users))

    rehearse(main)


@pytest.mark.parametrize(("method", "url", "scope"), ROUTES)
def test_a_route_takes_its_scope_of_a_user_too(method: str, url: str, scope: str) -> None:
    others = [one for one in SCOPES if one != scope]

    async def story(socket: Socket) -> None:
        answer = await socket.ask(method, url, peer(ANNA))
        assert refused(answer) == (403, "scope-missing")
        assert answer.json()["detail"].endswith(f" {scope}")
        assert (await socket.ask(method, url, peer(BERT))).status_code not in (401, 403)
        # One of its own and one of its group: together they are enough, and nobody else's are.
        assert (await socket.ask(method, url, peer(ANNA, STAFF))).status_code not in (401, 403)
        assert (await socket.ask(method, url, peer(CARLA))).status_code == 401
        assert (await socket.ask(method, url, Peer(address="127.0.0.1"))).status_code == 401

    at_the_socket(story, user(ANNA, *others), user(BERT, scope), group(STAFF, scope))


def test_a_user_sees_how_its_own_operation_ended_and_no_other_one() -> None:
    async def story(socket: Socket) -> None:
        url = f"/v1/locks/{DOOR}/unlock"
        first = await socket.ask("POST", url, peer(ANNA), **{"Idempotency-Key": "one"})
        assert first.json()["outcome"] == "confirmed"
        where = first.headers["location"]
        assert (await socket.ask("GET", where, peer(ANNA))).json()["outcome"] == "confirmed"
        assert refused(await socket.ask("GET", where, peer(BERT))) == (403, "scope-missing")
        assert {one.principal for one in socket.world.ledger.records.values()} == {f"uid:{ANNA}"}

    at_the_socket(story, user(ANNA, f"operate:{DOOR}"), user(BERT, "operate:*"))
