"""A door opened with a sharing ticket over HTTP: who may pass one on, what the cloud is asked,
and until when its yes is good."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import anyio
import httpx
import pytest
from structlog.testing import capture_logs

from bleagent.authority.issued_tokens import NotNow, Revoked
from bleagent.authority.shared import id_of
from bleagent.authority.sharing import MOST_CONFIRMED
from bleagent.cloud.errors import CloudFault, CloudRefused
from bleagent.doors import Door
from bleagent.errors import ScopeMissing, TooLate
from bleagent.model import Principal
from bleagent.policy import Offline, SharingLock
from bleagent.simulator.cloud_sharing import SharingDesk
from protocol import Secret
from tests.agent.stories import FIRST, LAST, at_write, until
from tests.agent.test_http_tokens import MASTER, Gate, before_the_door, refused, told_of
from tests.agent.world import DOOR, World, rehearse

DEVICE = "virtual-door"
UNLOCK = f"/v1/locks/{DOOR}/unlock"
MS = 1000
WRONG = "wrong-ticket-0123456789"


def shared(gate: Gate, **detail: Any) -> str:
    """A ticket for the door, as its owner made it in the app."""
    return gate.sharing.desk.share(DEVICE, **detail).ticket


def with_ticket(ticket: str, **more: Any) -> dict[str, Any]:
    return {"sharing": {"ticket": ticket}, **more}


async def reader(gate: Gate) -> str:
    """The token of a program at the door that passes tickets on, and may do nothing else."""
    made = await gate.create(f"share:{DOOR}")
    return str(made["token"])


async def show(
    gate: Gate, token: str, ticket: str, key: str = "key-1", **more: Any
) -> httpx.Response:
    return await gate.unlock(token, key, json=with_ticket(ticket, **more))


# -- who may pass one on


def test_a_ticket_opens_the_door_for_a_program_that_could_not_open_it_otherwise() -> None:
    async def story(gate: Gate) -> None:
        token = await reader(gate)
        assert refused(await gate.unlock(token)) == (403, "scope-missing")
        ticket = shared(gate)
        with capture_logs() as logged:
            answer = await show(gate, token, ticket)
        assert answer.json()["outcome"] == "confirmed"
        assert gate.sharing.asked == ["verify", "confirm"]
        (event,) = logged
        assert event["event"] == "sharing.accepted"
        assert event["sharing"] == id_of(Secret(ticket))
        assert ticket not in str(logged)
        assert ticket not in answer.text + repr(gate.world.ledger.records)
        (kept,) = gate.world.ledger.records.values()
        assert event["operation"] == kept.id
        own = await gate.ask("GET", answer.headers["location"], token)
        assert own.json()["outcome"] == "confirmed"
        # Nothing of it stays: the next one needs a ticket as well.
        await anyio.sleep(3)
        assert refused(await gate.unlock(token, "key-2")) == (403, "scope-missing")
        assert len(gate.world.actuations()) == 1

    before_the_door(story)


@pytest.mark.parametrize("scopes", [["read", "records", "admin"], ["share:back", "operate:back"]])
def test_a_ticket_without_the_scope_to_pass_it_on_opens_nothing(scopes: list[str]) -> None:
    async def story(gate: Gate) -> None:
        made = await gate.create(*scopes)
        answer = await show(gate, made["token"], shared(gate))
        assert refused(answer) == (403, "scope-missing")
        assert (gate.sharing.asked, gate.world.actuations()) == ([], [])

    before_the_door(story)


@pytest.mark.parametrize("scope", [f"operate:{DOOR}", "operate:*"])
def test_whoever_may_operate_a_lock_may_pass_tickets_on_and_the_ticket_decides(scope: str) -> None:
    async def story(gate: Gate) -> None:
        token = (await gate.create(scope))["token"]
        assert refused(await show(gate, token, WRONG)) == (403, "sharing-refused")
        assert (await show(gate, token, shared(gate), "2")).json()["outcome"] == "confirmed"
        assert len(gate.world.actuations()) == 1

    before_the_door(story)


def test_a_program_with_tickets_may_neither_lock_nor_hint() -> None:
    async def story(gate: Gate) -> None:
        token, ticket = await reader(gate), shared(gate)
        for what in ("lock", "hint"):
            url = f"/v1/locks/{DOOR}/{what}"
            answer = await gate.ask("POST", url, token, key="1", json=with_ticket(ticket))
            assert answer.status_code in (403, 422)
            assert answer.headers["content-type"] == "application/problem+json"
        assert (gate.sharing.asked, gate.world.actuations()) == ([], [])

    before_the_door(story)


@pytest.mark.parametrize(
    "sharing",
    [{}, {"ticket": "short"}, {"ticket": "x" * 129}, {"ticket": "has a blank in it, and a comma"},
     {"ticket": WRONG, "device": "x"}, {"ticket": WRONG, "receiver": ""}, {"ticket": 1}, WRONG],
)  # fmt: skip
def test_what_is_no_ticket_is_not_asked_about_nor_shown(sharing: Any) -> None:
    async def story(gate: Gate) -> None:
        answer = await gate.unlock(await reader(gate), json={"sharing": sharing})
        assert refused(answer) == (422, "request-invalid")
        assert WRONG not in answer.text
        assert gate.sharing.asked == []

    before_the_door(story)


# -- what the cloud says


def expired(gate: Gate, ticket: str) -> None:
    gate.sharing.desk.shares[ticket].made -= 301


def cancelled(gate: Gate, ticket: str) -> None:
    gate.sharing.desk.shares[ticket].cancelled = True


def of_another(gate: Gate, ticket: str) -> None:
    gate.sharing.desk.shares[ticket].device_id = "another-device"


def taken(gate: Gate, ticket: str) -> None:
    gate.sharing.desk.shares[ticket].receiver = "somebody-else"


def spent(gate: Gate, ticket: str) -> None:
    gate.sharing.desk.shares[ticket].detail["available_times"] = 0


def of_a_finger(gate: Gate, ticket: str) -> None:
    gate.sharing.desk.shares[ticket].detail["biz_type"] = "unlock_fingerprint"


def ended(gate: Gate, ticket: str) -> None:
    past = round((gate.clock.unix() - 1) * MS)
    gate.sharing.desk.shares[ticket].detail["invalid_time"] = past


def lock_untold(gate: Gate, _ticket: str) -> None:
    gate.sharing.desk.names_lock = False


def refused_by_the_cloud(gate: Gate, _ticket: str) -> None:
    gate.sharing.fails = CloudRefused("the cloud's no")


@pytest.mark.parametrize(
    "spoil", [expired, cancelled, of_another, taken, spent, of_a_finger, ended, lock_untold,
              refused_by_the_cloud],
)  # fmt: skip
def test_a_ticket_that_is_good_for_nothing_opens_nothing(
    spoil: Callable[[Gate, str], None],
) -> None:
    async def story(gate: Gate) -> None:
        ticket = shared(gate)
        spoil(gate, ticket)
        assert refused(await show(gate, await reader(gate), ticket)) == (403, "sharing-refused")
        assert gate.world.ledger.records == {}
        assert gate.world.cloud.asked == []

    before_the_door(story)


@pytest.mark.parametrize("spoil", [expired, of_another, lock_untold])
def test_what_opens_nothing_here_is_not_confirmed_for_that_could_spend_it(
    spoil: Callable[[Gate, str], None],
) -> None:
    async def story(gate: Gate) -> None:
        ticket = shared(gate)
        spoil(gate, ticket)
        await show(gate, await reader(gate), ticket)
        assert gate.sharing.asked == ["verify"]

    before_the_door(story)


def test_a_confirmation_for_another_lock_opens_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(gate: Gate) -> None:
        other = {"effective_flag": 1, "device_id": "another-device"}
        monkeypatch.setattr(SharingDesk, "_flags", lambda *_: other)
        named = {"device_id": "virtual-door"}
        monkeypatch.setattr(SharingDesk, "_named", lambda _, kept: {} if kept.confirmed else named)
        answer = await show(gate, await reader(gate), shared(gate))
        assert refused(answer) == (403, "sharing-refused")
        assert gate.sharing.asked == ["verify", "confirm"]

    before_the_door(story)


def test_an_answer_without_a_lock_means_the_only_one_where_the_operator_says_so() -> None:
    async def story(gate: Gate) -> None:
        gate.sharing.desk.names_lock = False
        door = gate.world.doors._doors[DOOR]
        policy = replace(door.policy, sharing=SharingLock.ONLY_LOCK)
        gate.sharings._doors = {DOOR: Door(door.facts, policy)}
        token = await reader(gate)
        assert (await show(gate, token, shared(gate))).json()["outcome"] == "confirmed"
        gate.sharing.desk.names_lock = True
        ticket = shared(gate)
        of_another(gate, ticket)
        assert refused(await show(gate, token, ticket, "2")) == (403, "sharing-refused")

    before_the_door(story)


@pytest.mark.parametrize("fails", [None, CloudFault("a fault")])
def test_without_the_clouds_yes_nothing_happens_be_the_door_one_that_opens_offline(
    fails: CloudFault | None,
) -> None:
    async def story(world: World) -> None:
        gate = Gate(world)
        token = await reader(gate)
        assert (await show(gate, token, shared(gate), "0")).json()["outcome"] == "confirmed"
        await anyio.sleep(3)
        gate.sharing.down, gate.sharing.fails = fails is None, fails
        answer = await show(gate, token, shared(gate))
        assert refused(answer) == (503, "sharing-unverified")
        assert len(world.ledger.records) == 1
        # It came to nothing: the same key is as good as new.
        gate.sharing.down, gate.sharing.fails = False, None
        assert (await show(gate, token, shared(gate))).json()["outcome"] == "confirmed"
        # The yes alone does not do: the instruction is the cloud's, never the cache's (F3).
        await anyio.sleep(3)
        world.cloud.down = True
        late = await show(gate, token, shared(gate), "2")
        assert (late.status_code, late.json()["outcome"]) == (503, "unreached")
        assert len(world.actuations()) == 2

    rehearse(story, offline=Offline.CACHED)


def test_the_question_is_bounded_and_inside_of_the_callers_deadline() -> None:
    async def story(gate: Gate) -> None:
        token = await reader(gate)
        gate.sharing.takes = 60.0
        for deadline_ms, bound in ((30_000, 5.0), (2000, 2.0)):
            began = anyio.current_time()
            answer = await show(gate, token, shared(gate), deadline_ms=deadline_ms)
            assert refused(answer) == (503, "sharing-unverified")
            assert anyio.current_time() - began == pytest.approx(bound, abs=0.2)

    before_the_door(story)


def test_a_caller_who_hangs_up_while_the_cloud_is_asked_has_opened_nothing() -> None:
    async def story(gate: Gate) -> None:
        token, ticket = await reader(gate), shared(gate)
        gate.sharing.takes = 3.0
        sent: list[Any] = []
        body = b'{"sharing": {"ticket": "' + ticket.encode() + b'"}}'
        parts: list[Any] = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Any:
            if parts:
                return parts.pop()
            await until(lambda: gate.sharing.asked)
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        headers = [
            (b"authorization", f"Bearer {token}".encode()), (b"idempotency-key", b"1"),
            (b"content-type", b"application/json"),
        ]  # fmt: skip
        scope: Any = {
            "type": "http", "method": "POST", "path": UNLOCK, "raw_path": UNLOCK.encode(),
            "query_string": b"", "headers": headers, "server": ("gate", 80), "scheme": "http",
            "client": ("127.0.0.1", 1), "http_version": "1.1", "root_path": "",
            "asgi": {"version": "3.0"},
        }  # fmt: skip
        await gate.transport.app(scope, receive, send)
        await anyio.sleep(10)
        assert gate.sharing.asked == ["verify"]
        assert gate.world.ledger.records == {}

    before_the_door(story)


# -- time and hours

# The clock begins at 22:13:20 on a Tuesday; bit 2 is Tuesday.
TUESDAY = {"schedule_start_time": 22 * 60, "schedule_end_time": 22 * 60 + 15, "working_day": 4}


def test_a_ticket_is_good_within_its_weekly_hours_here_too() -> None:
    async def story(gate: Gate) -> None:
        token = await reader(gate)
        gate.sharing.desk.life = 9_999_999
        ticket = shared(gate, **TUESDAY)
        assert (await show(gate, token, ticket, "1")).json()["outcome"] == "confirmed"
        await anyio.sleep(101)
        # The cloud still verifies it, and is not asked to confirm it again.
        assert refused(await show(gate, token, ticket, "2")) == (403, "outside-window")
        assert gate.sharing.asked == ["verify", "confirm", "verify"]
        await anyio.sleep(7 * 86400 - 101)
        assert (await show(gate, token, ticket, "3")).json()["outcome"] == "confirmed"
        assert len(gate.world.actuations()) == 2

    before_the_door(story)


GOOD_NOW = {"effective_flag": 1, "schedule_effective_flag": 1}


@pytest.mark.parametrize(
    "detail",
    [{**TUESDAY, "working_day": 2}, {**TUESDAY, "schedule_end_time": 22 * 60 + 13},
     {"effective_time": 1_700_000_060_000}],
)  # fmt: skip
@pytest.mark.parametrize("told", [True, False])
def test_at_another_time_it_opens_nothing_whether_the_cloud_says_so_or_not(
    monkeypatch: pytest.MonkeyPatch, detail: dict[str, int], told: bool
) -> None:
    async def story(gate: Gate) -> None:
        if not told:
            monkeypatch.setattr(SharingDesk, "_flags", lambda *_: GOOD_NOW)
        answer = await show(gate, await reader(gate), shared(gate, **detail))
        assert refused(answer) == (403, "outside-window")
        assert gate.world.ledger.records == {}

    before_the_door(story)


def test_what_the_cloud_says_of_now_counts_and_is_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def story(gate: Gate) -> None:
        token, ticket = await reader(gate), shared(gate)
        for flags in ({"effective_flag": 2}, {"schedule_effective_flag": 0}):
            monkeypatch.setattr(SharingDesk, "_flags", lambda *_, told=flags: told)
            assert refused(await show(gate, token, ticket)) == (403, "outside-window")
        monkeypatch.undo()
        assert (await show(gate, token, ticket)).json()["outcome"] == "confirmed"
        assert gate.sharing.asked == ["verify", "confirm"] * 3

    before_the_door(story)


@pytest.mark.parametrize("detail", [{"invalid_time": 1_700_000_004_000}, {}])
def test_an_operation_is_not_written_after_its_ticket_has_ended(detail: dict[str, int]) -> None:
    async def story(gate: Gate) -> None:
        token = await reader(gate)
        ticket = shared(gate, **detail)
        if not detail:
            gate.sharing.desk.shares[ticket].made -= 296
        gate.world.ledger.sending_takes = 9.0
        late = await show(gate, token, ticket, deadline_ms=30_000)
        assert told_of(late) == ("unreached", "too-late")
        assert gate.clock.now() < 5.0
        assert gate.world.actuations() == []

    before_the_door(story)


@pytest.mark.parametrize("fragment", [FIRST, LAST - 1])
@pytest.mark.parametrize(
    ("change", "code"), [("date", "date-unknown"), ("hours", NotNow.code), ("token", Revoked.code)]
)
def test_a_ticket_and_whoever_passed_it_on_are_looked_at_again_at_the_commit_point(
    fragment: int, change: str, code: str
) -> None:
    async def main(world: World) -> None:
        tokens: list[str] = []

        def happens() -> None:
            if change == "date":
                gate.clock.trusted = False
            elif change == "hours":
                gate.clock._unix += 3600
            else:
                world.tasks.start_soon(gate.issued.revoke, tokens[0])

        at_write(world, fragment, happens)
        gate = Gate(world)
        token = await reader(gate)
        tokens.append(token.split("_")[1])
        answer = await show(gate, token, shared(gate, **TUESDAY))
        assert told_of(answer) == ("unreached", code)
        assert world.actuations() == []

    rehearse(main)


def test_without_the_date_no_ticket_is_asked_about() -> None:
    async def story(gate: Gate) -> None:
        token = await reader(gate)
        gate.clock.trusted = False
        assert refused(await show(gate, token, shared(gate))) == (503, "date-unknown")
        assert gate.sharing.asked == []

    before_the_door(story)


# -- keys, uses, wrong ones


def test_a_key_belongs_to_its_ticket_and_is_answered_without_the_cloud() -> None:
    async def story(gate: Gate) -> None:
        token, ticket = await reader(gate), shared(gate)
        first = await show(gate, token, ticket)
        cancelled(gate, ticket)
        gate.sharing.down = True
        again = await show(gate, token, ticket)
        assert (again.status_code, again.json()) == (200, first.json())
        assert again.headers["idempotency-replayed"] == "true"
        assert gate.sharing.asked == ["verify", "confirm"]
        other = await show(gate, token, shared(gate))
        assert refused(other) == (422, "idempotency-key-reused")
        sharing = {"ticket": ticket, "receiver": "another"}
        received = await gate.unlock(token, json={"sharing": sharing})
        assert refused(received) == (422, "idempotency-key-reused")
        bare = await gate.unlock((await gate.create("operate:*"))["token"])
        assert bare.status_code != 422  # another caller's key
        assert gate.sharing.asked == ["verify", "confirm"]

    before_the_door(story)


def test_a_key_that_was_used_without_a_ticket_is_not_good_for_one() -> None:
    async def story(gate: Gate) -> None:
        token = (await gate.create("operate:*"))["token"]
        assert (await gate.unlock(token)).json()["outcome"] == "confirmed"
        assert refused(await show(gate, token, shared(gate))) == (422, "idempotency-key-reused")

    before_the_door(story)


def test_two_who_send_the_same_request_at_once_open_once() -> None:
    async def story(gate: Gate) -> None:
        token, ticket = await reader(gate), shared(gate)
        gate.sharing.desk.once = True
        answers: list[httpx.Response] = []

        async def ask() -> None:
            answers.append(await show(gate, token, ticket))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            await anyio.sleep(0.07)  # between the two questions
            tasks.start_soon(ask)
        assert {one.json()["outcome"] for one in answers} == {"confirmed"}
        assert len({one.json()["id"] for one in answers}) == 1
        assert len(gate.world.actuations()) == 1

    before_the_door(story)


def test_a_ticket_opens_as_often_as_it_says_whoever_passes_it_on() -> None:
    async def story(gate: Gate) -> None:
        one, two = await reader(gate), await reader(gate)
        ticket = shared(gate, available_times=2)
        assert (await show(gate, one, ticket, "1")).json()["outcome"] == "confirmed"
        await anyio.sleep(3)
        gate.world.ledger.sending_takes = 6.0
        missed = await show(gate, one, ticket, "2", deadline_ms=5000)
        assert told_of(missed) == ("unreached", "too-late")
        gate.world.ledger.sending_takes = 0.0
        await anyio.sleep(60)
        assert (await show(gate, two, ticket, "3")).json()["outcome"] == "confirmed"
        await anyio.sleep(3)
        assert refused(await show(gate, one, ticket, "4")) == (403, "uses-spent")
        (told,) = gate.audit.of("token.used_up")
        assert told["via"].endswith(id_of(Secret(ticket)))
        assert (await show(gate, one, shared(gate), "5")).json()["outcome"] == "confirmed"
        assert len(gate.world.actuations()) == 3

    before_the_door(story)


def test_a_ticket_is_confirmed_once_and_where_the_cloud_takes_it_once_it_is_spent_then() -> None:
    async def story(gate: Gate) -> None:
        token, ticket = await reader(gate), shared(gate)
        for key in ("1", "2"):
            assert (await show(gate, token, ticket, key)).json()["outcome"] == "confirmed"
            await anyio.sleep(3)
        assert gate.sharing.asked == ["verify", "confirm", "verify"]
        gate.sharing.desk.once = True
        assert refused(await show(gate, token, ticket, "3")) == (403, "sharing-refused")

    before_the_door(story)


def test_wrong_tickets_are_counted_by_caller_and_good_ones_are_not() -> None:
    async def story(gate: Gate) -> None:
        token, other = await reader(gate), await reader(gate)
        assert (await show(gate, token, shared(gate), "first")).json()["outcome"] == "confirmed"
        gate.sharing.down = True
        for number in range(12):
            answer = await show(gate, token, WRONG, f"down {number}")
            assert answer.status_code == 503
        gate.sharing.down = False
        await anyio.sleep(60)
        for number in range(10):
            answer = await show(gate, token, f"{WRONG}{number}", f"wrong {number}")
            assert refused(answer) == (403, "sharing-refused")
        asked = len(gate.sharing.asked)
        held = await show(gate, token, shared(gate), "one more")
        assert refused(held) == (429, "too-many-requests")
        assert 0 < int(held.headers["retry-after"]) <= 7
        assert len(gate.sharing.asked) == asked
        # What is known is told all the same, and nobody else waits.
        assert (await show(gate, token, shared(gate), "first")).status_code == 422
        assert (await show(gate, other, shared(gate))).json()["outcome"] == "confirmed"
        assert (await gate.unlock(MASTER)).status_code == 409  # it rests
        await anyio.sleep(8)
        assert (await show(gate, token, shared(gate), "later")).json()["outcome"] == "confirmed"

    before_the_door(story)


def test_a_lock_that_is_not_there_is_not_asked_about() -> None:
    async def story(gate: Gate) -> None:
        answer = await gate.ask(
            "POST", "/v1/locks/nowhere/unlock", key="1", json=with_ticket(shared(gate))
        )
        assert refused(answer) == (404, "unknown-lock")
        assert gate.sharing.asked == []

    before_the_door(story)


@pytest.mark.parametrize("old", [{"stale": True}, {"deadline": 0.0}])
def test_what_is_too_late_anyway_is_not_asked_about(old: dict[str, Any]) -> None:
    async def story(gate: Gate) -> None:
        request = replace(gate.world.request(), **old)
        with pytest.raises(TooLate):
            await gate.sharings.authorised(request, Secret(shared(gate)))
        assert gate.sharing.asked == []

    before_the_door(story)


def test_so_many_confirmed_tickets_are_remembered_and_the_newest_longest() -> None:
    async def story(gate: Gate) -> None:
        gate.sharing.takes = 0.0
        tickets = [Secret(shared(gate)) for _ in range(MOST_CONFIRMED + 1)]
        for ticket in tickets:
            await gate.sharings.authorised(gate.world.request(), ticket)
        assert gate.sharing.asked.count("confirm") == MOST_CONFIRMED + 1
        for number, confirmed in ((-1, 1), (1, 1), (0, 2)):
            await gate.sharings.authorised(gate.world.request(), tickets[number])
            assert gate.sharing.asked.count("confirm") == MOST_CONFIRMED + confirmed

    before_the_door(story)


def test_without_its_ticket_a_program_that_passes_them_on_is_stopped_at_the_commit_point() -> None:
    async def story(gate: Gate) -> None:
        await reader(gate)
        (kept,) = gate.issued.all()
        caller = Principal(id=kept.principal, scopes=frozenset({"operate:*"}))
        with pytest.raises(ScopeMissing):
            gate.sharings.require_good(caller, DOOR)

    before_the_door(story)


def test_who_does_not_wait_has_the_clouds_yes_before_being_told_that_it_goes_on() -> None:
    async def story(gate: Gate) -> None:
        token = await reader(gate)

        async def ask(ticket: str, key: str) -> httpx.Response:
            headers = {
                "Authorization": f"Bearer {token}", "Idempotency-Key": key,
                "Prefer": "respond-async",
            }  # fmt: skip
            async with httpx.AsyncClient(transport=gate.transport, base_url="http://gate") as http:
                return await http.post(UNLOCK, headers=headers, json=with_ticket(ticket))

        assert refused(await ask(WRONG, "1")) == (403, "sharing-refused")
        answer = await ask(shared(gate), "2")
        assert answer.status_code == 202
        await anyio.sleep(5)
        told = await gate.ask("GET", answer.headers["location"], token)
        assert told.json()["outcome"] == "confirmed"

    before_the_door(story)
