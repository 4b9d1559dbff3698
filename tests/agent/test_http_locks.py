"""GET /v1/locks: what is known of a lock, from what it has said and from what was issued."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import anyio
import httpx
import pytest

from bleagent.errors import StoreError
from bleagent.health.lock_states import LockStates
from bleagent.http.app import create_app
from bleagent.http.locks import LATELY, _reachable
from bleagent.model import CodeAttempt
from bleagent.policy import Offline
from bleagent.radio.airtime import LockAir
from bleagent.simulator.fakes import MemoryLocks
from bleagent.simulator.quirks import Quirks
from bleagent.sync.password_desk import SyncState
from bleagent.sync.passwords import State
from bleagent.sync.upkeep import Note, Progress, Subject
from bleagent.sync.upkeep_desk import UpkeepState
from protocol import Datapoint, DpMap, DpName, DpType, Secret
from protocol import events as ev
from protocol.dpmap import LockGeneration
from protocol.reports import Report, ReportTime, TimeKind
from tests.agent.stories import happens
from tests.agent.test_http_tokens import Gate
from tests.agent.world import CODE, DOOR, World, rehearse

DPS = DpMap.default(LockGeneration.V3_3)
DAY = 86400.0


def shown(story: Callable[[Gate], Awaitable[None]], **options: Any) -> None:
    async def main(world: World) -> None:
        await story(Gate(world))

    rehearse(main, **options)


async def lock(gate: Gate) -> dict[str, Any]:
    """As it is shown after a look at the store."""
    await gate.offline.once()
    return await shown_now(gate)


async def shown_now(gate: Gate) -> dict[str, Any]:
    answer = await gate.ask("GET", "/v1/locks")
    (found,) = answer.json()["locks"]
    assert found["name"] == DOOR
    return dict(found)


# -- what locks say


def reported(dp: int, kind: DpType, data: bytes, *, timed: bool = False) -> ev.Reported:
    time = ReportTime(TimeKind.UNIX, b"\0\0\0\1") if timed else None
    report = Report(code=0x8001, datapoints=(Datapoint(dp, kind, data),), time=time)
    return ev.Reported(1, report)


@pytest.mark.parametrize(
    ("name", "kind", "data", "told"),
    [
        (DpName.BATTERY, DpType.VALUE, b"\0\0\0\x51", ("battery", 81)),
        (DpName.BATTERY_CLASS, DpType.ENUM, b"\2", ("battery_class", "low")),
        (DpName.BOLT, DpType.BOOL, b"\1", ("bolt", "open")),
        (DpName.BOLT, DpType.BOOL, b"\0", ("bolt", "closed")),
        (DpName.DOOR, DpType.ENUM, b"\2", ("door", "closed")),
        (DpName.DOOR, DpType.ENUM, b"\1", ("door", "open")),
    ],
)
def test_a_state_is_the_last_word_of_the_lock(
    name: DpName, kind: DpType, data: bytes, told: tuple[str, str | int]
) -> None:
    states = LockStates()
    states.heard("front", DPS, reported(DPS.number(name), kind, data), 5.0)
    found = states.of("front")
    assert [(key, one.value, one.at) for key, one in found.items()] == [(*told, 5.0)]
    assert states.of("back") == {}


@pytest.mark.parametrize(
    "event",
    [
        reported(DPS.number(DpName.BATTERY), DpType.VALUE, b"\0\0\0\x65"),  # 101 percent
        reported(DPS.number(DpName.BOLT), DpType.BOOL, b"\2"),
        reported(DPS.number(DpName.DOOR), DpType.ENUM, b"\x09"),
        reported(DPS.number(DpName.BATTERY), DpType.VALUE, b"\0\0\0\x10", timed=True),
        reported(DPS.number(DpName.KEY_TONE), DpType.BOOL, b"\1"),
    ],
)
def test_what_is_no_such_value_or_a_record_changes_nothing(event: ev.Reported) -> None:
    states = LockStates()
    battery = reported(DPS.number(DpName.BATTERY), DpType.VALUE, b"\0\0\0\x51")
    states.heard("front", DPS, battery, 1.0)
    states.heard("front", DPS, event, 2.0)
    assert {key: one.at for key, one in states.of("front").items()} == {"battery": 1.0}


def test_it_is_shown_with_its_age() -> None:
    async def story(gate: Gate) -> None:
        assert (await lock(gate))["state"] == {}
        await gate.unlock("CANARY-token-0123456789")
        await happens(gate.world, {"action": "state", "dp": 8, "value": 64})
        await anyio.sleep(30)
        state = (await lock(gate))["state"]
        assert state["battery"] == {"value": 64, "told_s_ago": 30.0}
        assert state["bolt"]["value"] == "open"

    shown(story, linger=60.0, quirks=Quirks(reports_bolt=True))


def test_one_lock_is_shown_as_among_all() -> None:
    async def story(gate: Gate) -> None:
        answer = await gate.ask("GET", f"/v1/locks/{DOOR}")
        assert answer.status_code == 200
        assert answer.json() == await lock(gate)
        assert (await gate.ask("GET", "/v1/locks/other")).json()["code"] == "unknown-lock"

    shown(story)


# -- passwords


def test_how_passwords_stand_is_shown_where_they_are_brought() -> None:
    passwords = dict.fromkeys(State, 0) | {State.WAITING: 2}
    state = SyncState(passwords=passwords, asked_at=1_700_000_000.0, last_error="cloud-down")

    async def story(gate: Gate) -> None:
        assert "sync" not in await lock(gate)
        parts = replace(gate.parts, syncs=lambda: {DOOR: state})
        gate.transport = httpx.ASGITransport(create_app(parts))
        assert (await lock(gate))["sync"] == {
            "passwords": {
                "waiting": 2, "written": 0, "confirmed": 0, "refused": 0, "given_up": 0, "gone": 0
            },
            "asked_at": "2023-11-14T22:13:20.000+00:00",
            "last_error": "cloud-down",
        }  # fmt: skip

    shown(story)


def test_how_the_upkeep_stands_is_shown_where_it_is_kept() -> None:
    told = Note(subject=Subject.T0, progress=Progress.DONE, at=1_700_000_000.0, digest="5" * 32)
    state = UpkeepState(
        clock_told_at=1_700_000_000.0, t0=told, credentials=None, listed={"card": 2},
        asked_at=1_700_000_000.0, last_error=None,
    )  # fmt: skip
    at = "2023-11-14T22:13:20.000+00:00"

    async def story(gate: Gate) -> None:
        assert "upkeep" not in await lock(gate)
        parts = replace(gate.parts, upkeeps=lambda: {DOOR: state})
        gate.transport = httpx.ASGITransport(create_app(parts))
        assert (await lock(gate))["upkeep"] == {
            "clock_told_at": at,
            "t0": {"progress": "done", "at": at},
            "credentials": None,
            "listed": {"card": 2},
            "asked_at": at,
            "last_error": None,
        }

    shown(story)


# -- whether it can be reached


AIR = LockAir(
    attempts=1, connections=1, failures={}, connected_s={}, connected=False, adapter="hci0",
    last_heard_age=1.0, rssi=-60.0,
)  # fmt: skip


@pytest.mark.parametrize(
    ("air", "connected", "expected"),
    [
        (None, False, None),
        (None, True, True),
        (AIR, False, True),
        (replace(AIR, last_heard_age=LATELY), False, False),
        (replace(AIR, last_heard_age=LATELY), True, True),
        (replace(AIR, last_heard_age=None), False, False),
    ],
)
def test_a_lock_can_be_reached_that_was_heard_lately(
    air: LockAir | None, expected: bool | None, *, connected: bool
) -> None:
    assert _reachable(air, connected=connected) is expected


# -- until when it opens without the cloud


def test_how_long_it_opens_without_the_cloud_is_said() -> None:
    async def story(gate: Gate) -> None:
        assert (await lock(gate))["offline_until"] is None  # nothing was issued yet
        await gate.unlock("CANARY-token-0123456789")
        assert (await lock(gate))["offline_until"] is not None
        gate.clock.trusted = False
        assert (await lock(gate))["offline_until"] is None
        gate.clock.trusted = True
        await gate.world.memory.begin_code(DOOR, CodeAttempt(old=Secret(CODE), new=Secret(CODE)))
        assert (await lock(gate))["offline_until"] is None  # nobody knows the lock's code
        await gate.world.memory.settle_code(DOOR)
        await anyio.sleep(DAY + 1)
        assert (await lock(gate))["offline_until"] is None

    shown(story, offline=Offline.CACHED, offline_max_age=DAY)


def test_a_door_that_needs_the_cloud_has_no_such_time() -> None:
    async def story(gate: Gate) -> None:
        await gate.unlock("CANARY-token-0123456789")
        assert (await lock(gate))["offline_until"] is None

    shown(story, offline=Offline.NEVER)


@pytest.mark.parametrize("stalls", [False, True])
def test_nobody_who_looks_at_locks_waits_for_the_store(
    monkeypatch: pytest.MonkeyPatch, *, stalls: bool
) -> None:
    """Nor for the thread on which it stalls: an opening goes that way, too."""

    async def story(gate: Gate) -> None:
        await gate.unlock("CANARY-token-0123456789")
        assert (await lock(gate))["offline_until"] is not None

        async def broken(*_: object) -> None:
            if stalls:
                await anyio.sleep_forever()
            raise StoreError("disk I/O error")

        monkeypatch.setattr(MemoryLocks, "issued_config", broken)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(gate.offline.once)
            await anyio.sleep(6)
            began = anyio.current_time()
            found = await shown_now(gate)
            assert anyio.current_time() == began
            assert (found["offline"], found["offline_until"]) == ("cached", None)
            tasks.cancel_scope.cancel()

    shown(story, offline=Offline.CACHED)
