"""Operating a door over HTTP: with or without waiting, until when, and how it is found again."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import anyio
import httpx
import pytest

from bleagent.simulator.fakes import LoopClock
from bleagent.simulator.faults import NO_FAULTS, Faults
from bleagent.simulator.quirks import Quirks
from tests.agent.stories import until
from tests.agent.test_http_tokens import Gate, before_the_door, refused
from tests.agent.world import DOOR, World, rehearse

UNLOCK = f"/v1/locks/{DOOR}/unlock"


async def without_waiting(gate: Gate, key: str, prefer: str = "respond-async") -> httpx.Response:
    headers = {"Authorization": "Bearer CANARY-token-0123456789", "Prefer": prefer}
    async with httpx.AsyncClient(transport=gate.transport, base_url="http://gate") as client:
        return await client.post(UNLOCK, headers={**headers, "Idempotency-Key": key})


MASTER = "CANARY-token-0123456789"


def iso_ms(unix: float) -> str:
    return datetime.fromtimestamp(unix, UTC).isoformat(timespec="milliseconds")


def iso(unix: float) -> str:
    return datetime.fromtimestamp(unix, UTC).isoformat()


# -- without waiting


@pytest.mark.parametrize("prefer", ["respond-async", "wait=5, Respond-Async; x=1"])
def test_whoever_does_not_wait_is_told_where_to_look(prefer: str) -> None:
    async def story(gate: Gate) -> None:
        answer = await without_waiting(gate, "key-1", prefer)
        assert answer.status_code == 202
        assert answer.headers["preference-applied"] == "respond-async"
        assert (answer.json()["outcome"], answer.json()["steps"]) == (None, {})
        await until(lambda: gate.world.cloud.asked)
        running = (await gate.ask("GET", answer.headers["location"])).json()
        assert (running["outcome"], next(iter(running["steps"]))) == (None, "connect")
        await until(gate.world.actuations)
        await anyio.sleep(1)
        ended = (await gate.ask("GET", answer.headers["location"])).json()
        assert (ended["outcome"], list(ended["steps"])[-1]) == ("confirmed", "ack")
        assert len(gate.world.actuations()) == 1

    before_the_door(story)


def test_a_known_key_tells_a_caller_who_does_not_wait_what_is_known() -> None:
    async def story(gate: Gate) -> None:
        first = await without_waiting(gate, "key-1")
        again = await without_waiting(gate, "key-1")
        assert (again.status_code, again.headers["idempotency-replayed"]) == (202, "true")
        joined = await gate.unlock("CANARY-token-0123456789")
        assert (joined.status_code, joined.json()["id"]) == (200, first.json()["id"])
        ended = await without_waiting(gate, "key-1")
        assert (ended.status_code, ended.json()["outcome"]) == (200, "confirmed")
        assert len(gate.world.actuations()) == 1

    before_the_door(story)


@pytest.mark.parametrize("prefer", ["return=minimal", "wait=10", "x-respond-async", ""])
def test_whoever_prefers_something_else_waits(prefer: str) -> None:
    async def story(gate: Gate) -> None:
        answer = await without_waiting(gate, "key-1", prefer)
        assert (answer.status_code, answer.json()["outcome"]) == (200, "confirmed")
        assert "preference-applied" not in answer.headers

    before_the_door(story)


# -- found again


def test_an_operation_is_found_by_its_key_and_by_its_caller_only() -> None:
    async def story(gate: Gate) -> None:
        opened = await gate.unlock("CANARY-token-0123456789", "a key: 1")
        found = await gate.ask("GET", "/v1/operations", params={"key": "a key: 1"})
        assert (found.status_code, found.json()) == (200, opened.json())
        assert found.headers["location"] == opened.headers["location"]
        other = await gate.create("operate:*", "read")
        answer = await gate.ask("GET", "/v1/operations?key=a key: 1", other["token"])
        assert refused(answer) == (404, "unknown-operation")

    before_the_door(story)


@pytest.mark.parametrize(
    "query", ["", "?key=", "?key=a&key=a", "?kee=a", "?key=a&x=1", "?key=%20a", "?key=%C3%A9",
              "?key=" + "k" * 256],
)  # fmt: skip
def test_one_key_and_nothing_else_is_asked_for(query: str) -> None:
    async def story(gate: Gate) -> None:
        answer = await gate.ask("GET", "/v1/operations" + query)
        assert refused(answer) == (422, "request-invalid")

    before_the_door(story)


# -- until when


@pytest.mark.parametrize("shape", [iso, float, str])
def test_an_operation_ends_when_its_caller_says_if_that_is_earlier(shape: Any) -> None:
    async def story(gate: Gate) -> None:
        now = gate.clock.unix()
        gate.world.radio.faults = Faults(connect_delay=9.0)
        began = anyio.current_time()
        missed = await gate.ask("POST", UNLOCK, key="one", json={"expires_at": shape(now + 3)})
        assert (missed.status_code, missed.json()["outcome"]) == (503, "unreached")
        assert 2.5 < anyio.current_time() - began < 3.5
        gone = await gate.ask("POST", UNLOCK, key="two", json={"expires_at": shape(now)})
        assert refused(gone) == (503, "too-late")
        gate.world.radio.faults = NO_FAULTS
        later = {"expires_at": shape(now + 3600), "deadline_ms": 9000}
        assert (await gate.ask("POST", UNLOCK, key="three", json=later)).status_code == 200

    before_the_door(story)


@pytest.mark.parametrize(
    "text", ["soon", "2026-01-31T18:30:00", "1e9", "-1", "nan", 1e300, -1, True]
)
def test_what_is_no_end_is_said(text: Any) -> None:
    async def story(gate: Gate) -> None:
        answer = await gate.ask("POST", UNLOCK, key="key-1", json={"expires_at": text})
        assert refused(answer) == (422, "request-invalid")
        assert "expires_at" in answer.json()["detail"]
        assert gate.world.ledger.records == {}

    before_the_door(story)


def test_without_the_date_nothing_begins_that_has_an_end_and_what_is_known_is_told() -> None:
    async def story(world: World) -> None:
        world.clock = clock = LoopClock()
        gate = Gate(world)
        body = {"expires_at": clock.unix() + 60}
        opened = await gate.ask("POST", UNLOCK, key="one", json=body)
        assert opened.status_code == 200
        clock.trusted = False
        again = await gate.ask("POST", UNLOCK, key="one", json=body)
        assert (again.status_code, again.json()) == (200, opened.json())
        await anyio.sleep(10)
        refusal = await gate.ask("POST", UNLOCK, key="two", json=body)
        assert refused(refusal) == (503, "date-unknown")
        assert len(world.actuations()) == 1

    rehearse(story)


def test_a_whole_number_is_one_however_it_is_written() -> None:
    async def story(gate: Gate) -> None:
        first = await gate.ask("POST", UNLOCK, key="one", json={"deadline_ms": 8000})
        again = await gate.ask("POST", UNLOCK, key="one", json={"deadline_ms": 8000.0})
        assert (again.status_code, again.json()) == (200, first.json())
        for wrong in (8000.5, "8000", True, 1e300):
            answer = await gate.ask("POST", UNLOCK, key="two", json={"deadline_ms": wrong})
            assert refused(answer) == (422, "request-invalid")

    before_the_door(story)


def test_another_end_is_another_request() -> None:
    async def story(gate: Gate) -> None:
        end = gate.clock.unix() + 60
        await gate.ask("POST", UNLOCK, key="one", json={"expires_at": end})
        answer = await gate.ask("POST", UNLOCK, key="one", json={"expires_at": end + 1})
        assert refused(answer) == (422, "idempotency-key-reused")

    before_the_door(story)


# -- ways


def test_a_path_says_all_methods_that_it_has() -> None:
    async def story(gate: Gate) -> None:
        for path, methods in (
            ("/v1/tokens", "GET, POST"), (UNLOCK, "POST"), ("/v1/operations", "GET"),
        ):  # fmt: skip
            answer = await gate.ask("DELETE", path)
            assert refused(answer) == (405, "method-not-allowed")
            assert answer.headers["allow"] == methods
        assert refused(await gate.ask("POST", f"/v1/locks/{DOOR}/burn")) == (404, "not-found")

    before_the_door(story)


# -- what a program needs of a refusal


def test_a_busy_lock_says_when_to_come_again() -> None:
    async def story(gate: Gate) -> None:
        await gate.unlock(MASTER)
        await until(lambda: not gate.world.doors.busy(DOOR))
        answer = await gate.unlock(MASTER, "key-2")
        assert refused(answer) == (409, "lock-busy")
        assert answer.headers["retry-after"] == "2"
        await anyio.sleep(2)
        assert (await gate.unlock(MASTER, "key-2")).json()["outcome"] == "confirmed"

    before_the_door(story)


def test_an_unresolved_operation_is_named_for_who_goes_on() -> None:
    async def main(world: World) -> None:
        gate = Gate(world)
        first = (await gate.unlock(MASTER)).json()
        assert first["outcome"] == "unconfirmed"
        await anyio.sleep(3)
        answer = await gate.unlock(MASTER, "key-2")
        assert refused(answer) == (409, "unresolved-operation")
        assert answer.json()["operation"] == first["id"]
        wrong = await gate.unlock(MASTER, "key-2", json={"after": "another"})
        assert wrong.json()["detail"].endswith("and `after` names another one")
        going_on = await gate.unlock(MASTER, "key-2", json={"after": answer.json()["operation"]})
        assert "outcome" in going_on.json()

    rehearse(main, quirks=Quirks(answer_delay=100.0))


def test_a_field_that_cannot_be_used_is_named_with_the_reason_and_not_shown() -> None:
    async def story(gate: Gate) -> None:
        for body, words in (
            ({"deadline_ms": 40_000}, "deadline_ms: input should be less than or equal to 30000"),
            ({"after": 5}, "after: input should be a valid string"),
            ({"more": 1}, "more: extra inputs are not permitted"),
        ):
            answer = await gate.unlock(MASTER, json=body)
            assert refused(answer) == (422, "request-invalid")
            assert answer.json()["detail"] == words
        broken = await gate.ask("POST", UNLOCK, key="k", content=b'{"after": CANARY')
        assert refused(broken) == (422, "request-invalid")
        assert "CANARY" not in broken.text

    before_the_door(story)


def test_it_was_asked_for_when_its_steps_begin() -> None:
    async def story(gate: Gate) -> None:
        began = gate.clock.unix()
        told = (await gate.unlock(MASTER)).json()
        assert told["requested_at"] == iso_ms(began)

    before_the_door(story)
