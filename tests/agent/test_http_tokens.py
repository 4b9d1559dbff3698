"""Tokens over HTTP: issued, looked at, revoked; which route takes which scope; what a door asks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC
from itertools import count
from typing import Any, cast

import anyio
import httpx
import pytest
from structlog.testing import capture_logs

from bleagent.authority.guests import GuestTerms
from bleagent.authority.issued_tokens import (
    MOST,
    DateUnknown,
    Expired,
    IssuedTokens,
    NotNow,
    Revoked,
    TooManyTokens,
    UnknownToken,
)
from bleagent.authority.sharing import Sharings
from bleagent.authority.tokens import StoredToken
from bleagent.cloud.client import CloudState
from bleagent.doors import Doors
from bleagent.errors import AgentError, ScopeMissing, StoreError
from bleagent.events import Bell
from bleagent.health.metrics import Tally
from bleagent.health.readiness import Look, Readiness
from bleagent.http.app import HttpParts, create_app
from bleagent.http.auth import Tokens
from bleagent.http.events import EventParts
from bleagent.http.metrics import MetricParts
from bleagent.http.records import RecordParts
from bleagent.http.tokens import TokenParts
from bleagent.issued import offline_times
from bleagent.model import Principal
from bleagent.simulator.cloud_sharing import SharingDesk
from bleagent.simulator.event_fakes import events_of_ledger
from bleagent.simulator.fakes import LoopClock
from bleagent.simulator.memory_tokens import MemoryTokens
from protocol import Secret
from tests.agent.audit_site import HeardAudit
from tests.agent.record_shelf import TinyShelf, stored
from tests.agent.sharing_world import DirectSharing
from tests.agent.stories import FIRST, LAST, at_write
from tests.agent.watched import at_once, watched
from tests.agent.world import DOOR, World, rehearse

MASTER = "CANARY-token-0123456789"
DAY = 86400.0
PARKED = stored(1)


def let_go() -> Bell:
    """Who follows what happens is let go after the beginning."""
    bell = Bell()
    bell.close()
    return bell


class Gate:
    """The application before a world's door, with tokens."""

    def __init__(self, world: World, book: MemoryTokens | None = None) -> None:
        self.world = world
        self.clock = world.clock
        self.book = book or MemoryTokens()
        draws = count(1)
        self.book.uses = world.ledger.uses
        self.issued = IssuedTokens(
            self.book, self.clock, lambda size: next(draws).to_bytes(size, "big"), zone=UTC
        )
        tokens = Tokens(Secret(MASTER), self.issued)
        doors = world.doors
        desk = SharingDesk(lambda _: True, self.clock.unix, names_lock=True)
        self.sharing = DirectSharing(desk)
        self.sharings = Sharings(
            doors._doors, self.sharing, self.clock, tokens.require_good, zone=UTC
        )
        world.doors = Doors(
            doors._doors, doors._ports, doors._supervisor, world.tasks,
            allowed=self.sharings.require_good,
        )  # fmt: skip
        self.shelf = shelf = TinyShelf(PARKED)
        self.audit = HeardAudit()
        looked_at = Readiness(watched(self.clock, shelf))
        known = [(one.facts, one.policy) for one in world.doors._doors.values()]
        self.offline = Look(lambda: offline_times(known, world.memory, self.clock), self.clock)
        self.parts = parts = HttpParts(
            doors=world.doors, ledger=world.ledger, clock=self.clock, tokens=tokens,
            new_id=lambda: f"op-{next(world.ids)}", stalled=lambda: False, air=lambda: None,
            states=world.states, offline=lambda: self.offline.current or {},
            readiness=looked_at.parts,
            records=RecordParts(
                shelf=shelf, last_seq=shelf.last_seq, locks=(DOOR,), clock=self.clock,
                audit=self.audit,
            ),
            issued=TokenParts(
                issued=self.issued, clock=self.clock, locks=(DOOR, "back"), audit=self.audit
            ),
            metrics=MetricParts(
                tally=Tally(), readiness=looked_at, doors=world.doors, clock=self.clock,
                air=lambda: None, cloud=lambda: CloudState(token=True, quota_pause=0.0),
                version="test", in_thread=at_once,
            ),
            audit=self.audit,
            events=EventParts(
                operations=events_of_ledger(world.ledger), records=None, bell=let_go(),
                clock=self.clock,
            ),
            sharings=self.sharings,
        )  # fmt: skip
        self.transport = httpx.ASGITransport(create_app(parts))

    async def ask(
        self, method: str, url: str, token: str = MASTER, *, key: str | None = None, **more: Any
    ) -> httpx.Response:
        """One request."""
        headers = {"Authorization": f"Bearer {token}"}
        if key is not None:
            headers["Idempotency-Key"] = key
        async with httpx.AsyncClient(transport=self.transport, base_url="http://gate") as client:
            return await client.request(method, url, headers=headers, **more)

    async def create(self, *scopes: str, **more: Any) -> dict[str, Any]:
        """A new token as it is told."""
        answer = await self.ask("POST", "/v1/tokens", json={"scopes": list(scopes), **more})
        assert answer.status_code == 201, answer.text
        return cast("dict[str, Any]", answer.json())

    async def unlock(self, token: str, key: str = "key-1", **more: Any) -> httpx.Response:
        """Open the door."""
        return await self.ask("POST", f"/v1/locks/{DOOR}/unlock", token, key=key, **more)


def before_the_door(story: Callable[[Gate], Awaitable[None]], **more: Any) -> None:
    async def main(world: World) -> None:
        await story(Gate(world, **more))

    rehearse(main)


def refused(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["advice"]
    return answer.status_code, answer.json()["code"]


# -- issued, looked at, revoked


def test_a_token_is_told_once_and_kept_without_its_secret() -> None:
    async def story(gate: Gate) -> None:
        with capture_logs() as logged:
            made = await gate.create("read", f"operate:{DOOR}", label="hall", expires_in=DAY)
        text = made.pop("token")
        assert made == {
            "id": "00000002", "label": "hall", "scopes": [f"operate:{DOOR}", "read"],
            "state": "good", "created": "2023-11-14T22:13:20.000+00:00",
            "expires": "2023-11-15T22:13:20.000+00:00", "revoked": None, "guest": None,
        }  # fmt: skip
        (event,) = logged
        assert (event["event"], event["id"]) == ("token.created", "blk_00000002")
        assert event["principal"] == "token"
        secret = text.removeprefix("blk_00000002_")
        assert len(secret) == 43
        seen = await gate.ask("GET", "/v1/tokens")
        assert seen.json() == {"tokens": [made]}
        assert seen.headers["cache-control"] == "no-store"
        for shown in (seen.text, str(logged), repr(gate.book.kept)):
            assert secret not in shown
        assert (await gate.ask("GET", "/v1/locks", text)).status_code == 200

    before_the_door(story)


def test_a_revoked_token_is_refused_from_then_on_and_stays_in_the_list() -> None:
    async def story(gate: Gate) -> None:
        made = await gate.create("read")
        other = await gate.create("read")
        gone = await gate.ask("POST", f"/v1/tokens/blk_{made['id']}/revoke")
        assert (gone.status_code, gone.json()["state"]) == (200, "revoked")
        assert gone.json()["revoked"] is not None
        assert (await gate.ask("GET", "/v1/locks", made["token"])).status_code == 401
        assert (await gate.ask("GET", "/v1/locks", other["token"])).status_code == 200
        states = [one["state"] for one in (await gate.ask("GET", "/v1/tokens")).json()["tokens"]]
        assert states == ["revoked", "good"]
        again = IssuedTokens(gate.book, gate.clock, bytes)
        await again.load()
        assert again.principal(made["token"]) is None
        assert again.principal(other["token"]) is not None

    before_the_door(story)


def test_nobody_is_told_why_a_token_is_not_good() -> None:
    async def story(gate: Gate) -> None:
        revoked, ended = await gate.create("read"), await gate.create("read", expires_in=60)
        await gate.ask("POST", f"/v1/tokens/{revoked['id']}/revoke")
        await anyio.sleep(61)
        good = (await gate.create("read"))["token"]
        wrong = [
            revoked["token"], ended["token"], good[:-1] + ("A" if good[-1] != "A" else "B"),
            "blk_ffffffff_" + "x" * 43, "blk_", "", "something", good.upper(),
        ]  # fmt: skip
        answers = [await gate.ask("GET", "/v1/locks", one) for one in wrong]
        assert {one.status_code for one in answers} == {401}
        assert len({one.content for one in answers}) == 1
        assert (await gate.ask("GET", "/v1/locks", good)).status_code == 200

    before_the_door(story)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"scopes": []}, "scopes: found 0"),
        ({"scopes": ["operate:side"]}, "found 'operate:side', expected one of the locks back"),
        ({"scopes": ["read"], "label": "a\nb"}, "label: found 3 characters"),
        ({"scopes": ["read"], "expires": "2023-11-14T22:13:20Z"}, "has passed"),
        ({"scopes": ["read"], "expires": "tomorrow"}, "expires: found 'tomorrow'"),
        ({"scopes": ["read"], "expires": "2031-01-01T00:00:00"}, "an offset after it"),
        ({"scopes": ["read"], "expires": 1e10, "expires_in": 5}, "expected one of them"),
        ({"scopes": ["read"], "expires_in": 0}, "expires_in"),
        ({"scopes": "read"}, "scopes"),
        ({"scopes": ["read"], "secret": "mine"}, "secret"),
        ({}, "scopes"),
    ],
)
def test_what_no_token_can_be_is_said_and_nothing_is_made(body: Any, words: str) -> None:
    async def story(gate: Gate) -> None:
        answer = await gate.ask("POST", "/v1/tokens", json=body)
        assert answer.status_code == 422
        assert words in answer.json()["detail"]
        assert gate.book.kept == {}

    before_the_door(story)


def test_who_is_not_there_is_not_revoked() -> None:
    async def story(gate: Gate) -> None:
        unknown = await gate.ask("POST", "/v1/tokens/00ffee12/revoke")
        assert refused(unknown) == (404, "unknown-token")
        odd = await gate.ask("POST", f"/v1/tokens/blk_00ffee12_{'CANARY' * 8}/revoke")
        assert refused(odd) == (422, "token-unusable")
        assert "CANARY" not in odd.text

    before_the_door(story)


def test_what_could_not_be_stored_is_not_issued_and_a_revocation_counts_all_the_same() -> None:
    async def story(gate: Gate) -> None:
        made = await gate.create("read")
        gate.book.fails = True
        failed = await gate.ask("POST", "/v1/tokens", json={"scopes": ["read"]})
        assert refused(failed) == (503, "store-failed")
        assert len(gate.issued.all()) == 1
        failed = await gate.ask("POST", f"/v1/tokens/{made['id']}/revoke")
        assert refused(failed) == (503, "store-failed")
        assert "until the agent is started again" in failed.json()["detail"]
        assert (await gate.ask("GET", "/v1/locks", made["token"])).status_code == 401
        gate.book.fails = False
        assert (await gate.ask("POST", f"/v1/tokens/{made['id']}/revoke")).status_code == 200
        assert gate.book.kept[made["id"]].revoked is not None

    before_the_door(story)


def test_there_is_room_for_so_many_and_the_spent_ones_make_way() -> None:
    book = MemoryTokens()
    for number in range(MOST):
        token = StoredToken(
            id=f"{number:08x}", label="", digest=bytes(32), scopes=frozenset({"read"}),
            created=float(number), revoked=1.0 if number == 5 else None,
        )  # fmt: skip
        book.kept[token.id] = token

    async def story(gate: Gate) -> None:
        await gate.issued.load()
        gate.issued._random = lambda size: b"\xff" * size
        await gate.create("read")
        assert "00000005" not in book.kept
        assert len(book.kept) == MOST
        full = await gate.ask("POST", "/v1/tokens", json={"scopes": ["read"]})
        assert refused(full) == (409, TooManyTokens.code)

    before_the_door(story, book=book)


# -- which route takes which scope

ROUTES = [
    ("GET", "/v1/locks", "read"),
    ("GET", f"/v1/locks/{DOOR}", "read"),
    ("GET", "/v1/outbox", "read"),
    ("GET", "/metrics", "read"),
    ("GET", "/v1/operations/op-9", "read"),
    ("GET", "/v1/records", "records"),
    ("GET", f"/v1/records/{PARKED.id}", "records"),
    ("POST", f"/v1/records/{PARKED.id}/retry", "records"),
    ("POST", f"/v1/records/{PARKED.id}/drop", "admin"),
    ("POST", "/v1/outbox/gone/forget", "admin"),
    ("POST", f"/v1/locks/{DOOR}/records/verify", "records"),
    ("POST", f"/v1/locks/{DOOR}/unlock", f"operate:{DOOR}"),
    ("POST", f"/v1/locks/{DOOR}/lock", f"operate:{DOOR}"),
    ("POST", f"/v1/locks/{DOOR}/hint", f"operate:{DOOR}"),
    ("POST", f"/v1/locks/{DOOR}/rehearse", f"operate:{DOOR}"),
    ("POST", "/v1/locks/nowhere/unlock", "operate:nowhere"),
    ("GET", "/v1/tokens", "admin"),
    ("POST", "/v1/tokens", "admin"),
    ("POST", "/v1/tokens/00ffee12/revoke", "admin"),
]
SCOPES = ("read", "records", "admin", f"operate:{DOOR}", "operate:back")


@pytest.mark.parametrize(("method", "url", "scope"), ROUTES)
def test_a_route_takes_its_scope_and_no_other(method: str, url: str, scope: str) -> None:
    async def story(gate: Gate) -> None:
        others = await gate.create(*[one for one in SCOPES if one != scope])
        answer = await gate.ask(method, url, others["token"])
        assert refused(answer) == (403, "scope-missing")
        assert answer.json()["detail"].endswith(f" {scope}")
        if scope != "operate:nowhere":
            holder = await gate.create(scope)
            assert (await gate.ask(method, url, holder["token"])).status_code not in (401, 403)
        if scope.startswith("operate:"):
            every = await gate.create("operate:*")
            assert (await gate.ask(method, url, every["token"])).status_code not in (401, 403)
        assert (await gate.ask(method, url)).status_code not in (401, 403)
        assert (await gate.ask(method, url, "no-token")).status_code == 401

    before_the_door(story)


def test_every_route_of_the_application_is_in_that_list() -> None:
    async def story(gate: Gate) -> None:
        app = cast("Any", gate.transport.app)
        # The page's files are the same for everybody; what it shows is asked for below.
        page = {one.path for one in app.routes if one.path.startswith("/page/")} | {"/"}
        paths = {one.path for one in app.routes} - page - {
            "/livez", "/readyz", "/v1/operations", "/v1/events", "/openapi.json", "/docs",
            "/docs.css",
        }  # fmt: skip
        shaped = {url.replace(PARKED.id, "{record_id}") for _, url, _ in ROUTES}
        for concrete, shape in (
            ("op-9", "{operation_id}"), ("00ffee12", "{token_id}"), (DOOR, "{lock}"),
            ("gone", "{sink}"),
            ("nowhere", "{lock}"),
        ):  # fmt: skip
            shaped = {one.replace(concrete, shape) for one in shaped}
        assert paths == shaped

    before_the_door(story)


# -- a door and its keys


def test_each_token_has_keys_of_its_own_and_sees_what_it_asked_for() -> None:
    async def story(gate: Gate) -> None:
        one, two = await gate.create(f"operate:{DOOR}"), await gate.create("operate:*")
        first = await gate.unlock(one["token"])
        assert first.json()["outcome"] == "confirmed"
        await anyio.sleep(3)
        assert (await gate.unlock(one["token"])).headers["idempotency-replayed"] == "true"
        second = await gate.unlock(two["token"])
        assert second.json()["outcome"] == "confirmed"
        assert second.json()["id"] != first.json()["id"]
        kept = gate.world.ledger.records
        assert {op.principal for op in kept.values()} == {f"blk_{one['id']}", f"blk_{two['id']}"}
        own = await gate.ask("GET", first.headers["location"], one["token"])
        assert own.json()["outcome"] == "confirmed"
        foreign = await gate.ask("GET", first.headers["location"], two["token"])
        assert refused(foreign) == (403, "scope-missing")

    before_the_door(story)


def test_an_operation_is_not_written_after_its_token_has_ended() -> None:
    async def story(gate: Gate) -> None:
        made = await gate.create("operate:*", expires_in=5.0)
        gate.world.ledger.sending_takes = 6.0
        late = await gate.unlock(made["token"], json={"deadline_ms": 30_000})
        assert (late.json()["outcome"], late.json()["code"]) == ("unreached", "too-late")
        assert gate.clock.now() < 5.5  # nobody waited for the request's own deadline
        assert gate.world.actuations() == []

    before_the_door(story)


@pytest.mark.parametrize("fragment", [0, FIRST, LAST - 1])
def test_an_operation_whose_token_is_revoked_on_the_way_is_not_written(fragment: int) -> None:
    async def main(world: World) -> None:
        revoked: list[str] = []

        def revoke() -> None:
            # It counts from its first step on, before anything is stored.
            for one in revoked:
                world.tasks.start_soon(gate.issued.revoke, one)

        at_write(world, fragment, revoke)
        gate = Gate(world)
        made = await gate.create("operate:*")
        revoked.append(made["id"])
        answer = await gate.unlock(made["token"])
        assert told_of(answer) == ("unreached", "token-revoked")
        assert world.actuations() == []

    rehearse(main)


def told_of(answer: httpx.Response) -> tuple[str, str]:
    return answer.json()["outcome"], answer.json()["code"]


# -- guests

# The clock begins at 22:13:20 on a Tuesday.
NIGHT = {"lock": DOOR, "weekdays": ["tue"], "between": "22:00-22:15"}


async def guest(gate: Gate, **terms: Any) -> str:
    answer = await gate.ask(
        "POST", "/v1/tokens", json={"guest": {"lock": DOOR, **terms}, "expires_in": 30 * DAY}
    )
    assert answer.status_code == 201, answer.text
    return str(answer.json()["token"])


def test_a_guest_opens_within_the_hours_and_not_outside() -> None:
    async def story(gate: Gate) -> None:
        shown = await guest(gate, **NIGHT)
        assert (await gate.unlock(shown)).json()["outcome"] == "confirmed"
        assert refused(await gate.ask("GET", "/v1/locks", shown)) == (403, "scope-missing")
        assert refused(await gate.ask("POST", "/v1/locks/back/unlock", shown, key="other")) == (
            403, "scope-missing",
        )  # fmt: skip
        await anyio.sleep(101)
        assert refused(await gate.unlock(shown, "later")) == (403, "outside-window")
        await anyio.sleep(7 * DAY - 101)
        assert (await gate.unlock(shown, "next week")).json()["outcome"] == "confirmed"
        await anyio.sleep(28 * DAY)
        assert (await gate.unlock(shown, "too late")).status_code == 401
        early = await guest(gate, begins="2024-01-01T00:00:00Z")
        assert refused(await gate.unlock(early, "early")) == (403, "outside-window")
        assert len(gate.world.actuations()) == 2

    before_the_door(story)


def test_an_operation_is_not_written_after_the_window_has_closed() -> None:
    async def story(gate: Gate) -> None:
        shown = await guest(gate, between="22:00-22:14")
        await anyio.sleep(38)  # two seconds before
        gate.world.ledger.sending_takes = 3.0
        late = await gate.unlock(shown, json={"deadline_ms": 30_000})
        assert told_of(late) == ("unreached", "too-late")
        assert gate.clock.now() < 40.5
        assert gate.world.actuations() == []

    before_the_door(story)


def test_a_guest_has_so_many_openings_and_one_that_came_to_nothing_does_not_count() -> None:
    async def story(gate: Gate) -> None:
        shown = await guest(gate, times=2)
        assert (await gate.unlock(shown, "1")).json()["outcome"] == "confirmed"
        await anyio.sleep(3)
        gate.world.ledger.sending_takes = 6.0
        late = await gate.unlock(shown, "2", json={"deadline_ms": 5000})
        assert told_of(late) == ("unreached", "too-late")
        gate.world.ledger.sending_takes = 0.0
        await anyio.sleep(60)
        assert (await gate.unlock(shown, "3")).json()["outcome"] == "confirmed"
        await anyio.sleep(3)
        assert refused(await gate.unlock(shown, "4")) == (403, "uses-spent")
        assert (await gate.unlock(shown, "1")).headers["idempotency-replayed"] == "true"
        (told,) = (await gate.ask("GET", "/v1/tokens")).json()["tokens"]
        assert told["scopes"] == [f"operate:{DOOR}"]
        assert told["guest"] == {
            "begins": None, "weekdays": [], "between": None, "times": 2, "used": 2,
        }  # fmt: skip
        assert len(gate.world.actuations()) == 2

    before_the_door(story)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"guest": {"lock": DOOR}}, "guest: found no end"),
        ({"guest": {"lock": DOOR}, "scopes": ["read"], "expires_in": 9}, "scopes and guest"),
        ({"guest": {"lock": "side"}, "expires_in": 9}, "found 'operate:side'"),
        ({"guest": {"lock": "*"}, "expires_in": 9}, "lock: found '*'"),
        ({"guest": {"lock": DOOR, "weekdays": ["monday"]}, "expires_in": 9}, "weekdays: found"),
        ({"guest": {"lock": DOOR, "between": "8-18"}, "expires_in": 9}, "between: found"),
        ({"guest": {"lock": DOOR, "times": 0}, "expires_in": 9}, "times"),
        ({"guest": {"lock": DOOR, "begins": "2024-01-01T00:00:00Z"}, "expires_in": 9}, "begins:"),
        ({"guest": {"lock": DOOR, "hours": 3}, "expires_in": 9}, "hours"),
    ],
)
def test_what_no_guest_can_be_given_is_said(body: Any, words: str) -> None:
    async def story(gate: Gate) -> None:
        answer = await gate.ask("POST", "/v1/tokens", json=body)
        assert answer.status_code == 422
        assert words in answer.json()["detail"]
        assert gate.book.kept == {}

    before_the_door(story)


def test_a_guest_is_known_as_one_and_never_served_without_the_date() -> None:
    async def story(world: World) -> None:
        gate = Gate(world)
        shown = await guest(gate, times=1)
        caller = gate.issued.principal(shown)
        assert caller is not None
        assert (caller.guest, caller.times) == (True, 1)  # so it never opens offline (F3)
        gate.clock.trusted = False
        assert refused(await gate.unlock(shown)) == (503, "date-unknown")
        with pytest.raises(DateUnknown):
            gate.issued.require_good(caller, DOOR)

    rehearse(story)


# -- without the date


class Undated(LoopClock):
    """Not trusted yet."""

    def __init__(self) -> None:
        super().__init__(trusted=False)


def test_without_the_date_a_token_with_an_end_is_good_for_nothing() -> None:
    async def story(world: World) -> None:
        clock = Undated()
        world.clock = clock
        gate = Gate(world)
        forever = await gate.create("read")
        refusal = await gate.ask("POST", "/v1/tokens", json={"scopes": ["read"], "expires_in": 9})
        assert refused(refusal) == (503, "date-unknown")
        far = {"scopes": ["read"], "expires": "2200-01-01T00:00:00Z"}
        assert refused(await gate.ask("POST", "/v1/tokens", json=far)) == (503, "date-unknown")
        clock.trusted = True
        ending = await gate.create("read", expires="2200-01-01T00:00:00Z")
        clock.trusted = False
        assert (await gate.ask("GET", "/v1/locks", forever["token"])).status_code == 200
        answer = await gate.ask("GET", "/v1/locks", ending["token"])
        assert refused(answer) == (503, "date-unknown")
        wrong = ending["token"][:-1] + ("A" if ending["token"][-1] != "A" else "B")
        assert refused(await gate.ask("GET", "/v1/locks", wrong)) == (401, "unauthorized")
        states = [one["state"] for one in (await gate.ask("GET", "/v1/tokens")).json()["tokens"]]
        assert states == ["good", "date-unknown"]

    rehearse(story)


# -- asked again at the commit point


def held(**more: Any) -> tuple[IssuedTokens, MemoryTokens, LoopClock]:
    clock, book = LoopClock(), MemoryTokens()
    token = StoredToken(
        id="00ffee12", label="", digest=bytes(32), scopes=frozenset({"operate:front"}),
        created=0.0, **more,
    )  # fmt: skip
    book.kept[token.id] = token
    return IssuedTokens(book, clock, bytes), book, clock


@pytest.mark.parametrize(
    ("more", "lock", "error"),
    [
        ({}, "front", None),
        ({}, "back", ScopeMissing),
        ({"revoked": 1.0}, "front", Revoked),
        ({"expires": 1.0}, "front", Expired),
        ({"expires": 9e9}, "front", None),
        ({"expires": 9e9, "guest": GuestTerms(begins=8e9)}, "front", NotNow),
        ({"expires": 9e9, "guest": GuestTerms(begins=8.0)}, "front", None),
    ],
)
def test_what_was_good_is_asked_again(
    more: dict[str, Any], lock: str, error: type[AgentError] | None
) -> None:
    async def main() -> None:
        issued, _, _ = held(**more)
        await issued.load()
        caller = Principal(id="blk_00ffee12", scopes=frozenset({"operate:*"}), expires=9e9)
        if error is None:
            issued.require_good(caller, lock)
        else:
            with pytest.raises(error):
                issued.require_good(caller, lock)

    anyio.run(main)


def test_without_the_date_what_has_an_end_is_not_good_at_the_commit_point() -> None:
    async def main() -> None:
        issued, book, clock = held(expires=9e9)
        await issued.load()
        clock.trusted = False
        with pytest.raises(DateUnknown):
            issued.require_good(Principal(id="blk_00ffee12"), "front")
        with pytest.raises(Revoked):
            issued.require_good(Principal(id="blk_00ffee13"), "front")
        with pytest.raises(UnknownToken):
            await issued.revoke("00ffee13")
        book.fails = True
        with pytest.raises(StoreError):
            await issued.load()

    anyio.run(main)
