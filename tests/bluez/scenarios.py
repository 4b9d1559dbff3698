"""What must hold in every world: stories of a door, each written once.

make test                  in this process over bumble, and on a scripted bluetoothd
make test-bluez            on a real kernel and a real BlueZ
BLEAGENT_LONG=1 ...        1,000 connections instead of a few where it says so
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import pytest

from bleagent.errors import LinkLost
from bleagent.model import Action, OperationRecord, Outcome, Sighting
from bleagent.simulator.profiles import PROFILE_NAMES
from bleagent.simulator.quirks import Quirks

from .conversation import keys_of
from .gateway import Gateway, gateway
from .layers import Ability, Layer, LockHere
from .memory import MAX_GROWTH, Growth

PATIENCE = 20.0
"""Seconds for anything; machines may be slow."""
FRONT = "DC:23:51:00:00:01"
LONG = bool(os.environ.get("BLEAGENT_LONG"))
MOST_WRITES = 60
"""No unlock takes more."""
Story = Callable[[Layer], Awaitable[None]]


@dataclass(frozen=True)
class Scenario:
    """One story, and what the world must be able to do for it."""

    name: str
    story: Story
    needs: frozenset[Ability] = frozenset()


@dataclass
class _Told:
    scenarios: list[Scenario] = field(default_factory=list)

    def of(self, *needs: Ability) -> Callable[[Story], Story]:
        """Add a story to the table."""

        def add(story: Story) -> Story:
            self.scenarios.append(Scenario(story.__name__, story, frozenset(needs)))
            return story

        return add

    def for_each_profile(self, story: Callable[[Layer, str], Awaitable[None]]) -> None:
        """Add a story once for every kind of lock."""
        self.scenarios += [
            Scenario(f"{story.__name__}[{name}]", partial(story, profile=name))  # type: ignore[call-arg]
            for name in PROFILE_NAMES
        ]


_told = _Told()


def playable(layer: frozenset[Ability]) -> list[Scenario]:
    """The stories for a world with these abilities."""
    return [one for one in _told.scenarios if one.needs <= layer]


# -- what the stories share


@asynccontextmanager
async def front_door(
    layer: Layer, profile: str = "v4-244", quirks: Quirks | None = None
) -> AsyncIterator[tuple[LockHere, Gateway]]:
    """One lock, and the agent that serves it."""
    async with layer.place(profile, FRONT, quirks) as lock, gateway(layer, lock) as agent:
        yield lock, agent
        await lock.hooks.done()


def opened(lock: LockHere) -> int:
    """How often it was, by its own count."""
    return int(lock.lock.dump()["opened"])


def outcome(record: OperationRecord) -> Outcome:
    assert record.ending is not None
    return record.ending.outcome


async def until(condition: Callable[[], bool]) -> None:
    """Look again and again."""
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.01)


async def opens(lock: LockHere, agent: Gateway) -> None:
    """The door opens, confirmed, once."""
    before = opened(lock)
    record = await agent.operate(lock)
    assert outcome(record) is Outcome.CONFIRMED, record.ending
    assert opened(lock) == before + 1


def briefly(layer: Layer) -> float:
    """Seconds that are too few for a lock that is not there, and enough to connect to one."""
    return 6.0 if layer.slow else 1.5


async def tells_the_truth(lock: LockHere, agent: Gateway, deadline: float = 10.0) -> Outcome:
    """Whatever happens meanwhile: what the agent says is what happened at the door."""
    before = opened(lock)
    said = outcome(await agent.operate(lock, deadline=deadline))
    did = opened(lock) - before
    allowed = {
        Outcome.CONFIRMED: {1},
        Outcome.UNREACHED: {0},
        Outcome.REFUSED: {0},
        Outcome.UNCONFIRMED: {0, 1},
    }
    assert did in allowed[said], f"{said}, and the door was opened {did} times"
    return said


# -- the stories


@_told.for_each_profile
async def a_lock_is_heard_with_both_halves_of_what_it_sends(layer: Layer, profile: str) -> None:
    heard: list[Sighting] = []
    async with (
        layer.place(profile, FRONT, None),
        layer.bluetooth.scan(layer.adapter, heard.append),
    ):
        await until(lambda: any(one.advertisement.uuid == keys_of(FRONT).uuid for one in heard))
    whole = [one for one in heard if one.advertisement.uuid is not None][-1]
    assert (whole.address, whole.adapter) == (FRONT, layer.adapter)
    assert whole.advertisement.verify(keys_of(FRONT))
    assert -127 < whole.rssi < 0


@_told.for_each_profile
async def a_door_is_opened(layer: Layer, profile: str) -> None:
    async with front_door(layer, profile) as (lock, agent):
        await opens(lock, agent)
        await until(lambda: not lock.is_connected)


@_told.of()
async def a_door_is_locked(layer: Layer) -> None:
    async with front_door(layer, "v3.0", Quirks(reports_bolt=True)) as (lock, agent):
        await opens(lock, agent)
        record = await agent.operate(lock, Action.LOCK)
        assert outcome(record) is Outcome.CONFIRMED, record.ending
        assert lock.lock.dump()["bolt"] == "closed"


@_told.of()
async def a_lock_says_no(layer: Layer) -> None:
    async with front_door(layer, quirks=Quirks(refuse_open_with=2)) as (lock, agent):
        record = await agent.operate(lock)
        assert outcome(record) is Outcome.REFUSED
        assert record.ending is not None
        assert (record.ending.by, record.ending.result) == ("lock", 2)
        assert opened(lock) == 0


@_told.of()
async def a_lock_that_is_not_there_is_unreached_and_opens_when_it_is(layer: Layer) -> None:
    async with layer.place("v4-244", FRONT, None) as lock:
        await lock.leave_range()  # before anybody listens: one that was heard is another story
        async with gateway(layer, lock) as agent:
            record = await agent.operate(lock, deadline=briefly(layer))
            assert outcome(record) is Outcome.UNREACHED
            assert record.ending is not None
            assert record.ending.code == "lock-not-found", record.ending
            await lock.come_back()
            await opens(lock, agent)
        await lock.hooks.done()


@_told.of()
async def a_lock_that_was_heard_and_leaves_is_unreached(layer: Layer) -> None:
    async with front_door(layer) as (lock, agent):
        await opens(lock, agent)
        await lock.leave_range()
        assert await tells_the_truth(lock, agent, deadline=briefly(layer)) is Outcome.UNREACHED
        await lock.come_back()
        await opens(lock, agent)


@_told.of()
async def the_lock_hangs_up_after_each_write(layer: Layer) -> None:
    """The loop ends when an opening took fewer writes than the lock would have waited for."""
    async with front_door(layer, "v3.0" if LONG else "v4-244") as (lock, agent):
        for count in range(1, MOST_WRITES):
            lock.hooks.after_writes(count, lock.hang_up)
            said = await tells_the_truth(lock, agent)
            if lock.hooks.waiting:
                assert said is Outcome.CONFIRMED
                return
        raise AssertionError("an unlock never ended by itself")


@_told.of()
async def the_lock_loses_power_in_the_middle_and_comes_back(layer: Layer) -> None:
    async with front_door(layer) as (lock, agent):
        lock.hooks.after_writes(2, partial(lock.power, on=False))
        assert await tells_the_truth(lock, agent, deadline=briefly(layer)) is Outcome.UNREACHED
        await lock.hooks.done()
        await lock.power(on=True)
        await opens(lock, agent)


@_told.of()
async def the_lock_leaves_range_after_it_opened_and_nobody_claims_more(layer: Layer) -> None:
    async with front_door(layer, quirks=Quirks(answer_delay=0.5)) as (lock, agent):
        lock.hooks.when_opened(lock.leave_range)
        assert await tells_the_truth(lock, agent) is Outcome.UNCONFIRMED
        assert opened(lock) == 1
        await lock.hooks.done()
        await lock.come_back()
        await opens(lock, agent)


@_told.of()
async def three_doors_open_at_once(layer: Layer) -> None:
    addresses = [f"DC:23:51:00:00:{number:02X}" for number in range(1, 4)]
    async with AsyncExitStack() as stack:
        locks = [
            await stack.enter_async_context(layer.place("v3.0", address, None))
            for address in addresses
        ]
        agent = await stack.enter_async_context(gateway(layer, *locks))
        await asyncio.gather(*(opens(lock, agent) for lock in locks))
        assert [opened(lock) for lock in locks] == [1, 1, 1]


@_told.of()
async def a_lock_that_somebody_else_holds_is_unreached_until_it_is_free(layer: Layer) -> None:
    async with front_door(layer) as (lock, agent):
        async with lock.taken():
            assert await tells_the_truth(lock, agent, deadline=briefly(layer)) is Outcome.UNREACHED
        await opens(lock, agent)


@_told.of()
async def each_packet_arrives_once_after_many_connections(layer: Layer) -> None:
    rounds = 1000 if LONG else 4 if layer.slow else 20
    growth = Growth("reconnecting", rounds)
    async with layer.place("v3.0", FRONT, None) as lock:
        for number in range(rounds):
            await _one_burst(layer, lock, number)
            lock.lock.log.entries.clear()  # what it remembers of each is not ours
            growth.round_ends(number)
    if LONG:
        assert growth.grown < MAX_GROWTH, growth


async def _one_burst(layer: Layer, lock: LockHere, number: int) -> None:
    sent = [bytes((0xF0, number & 0xFF, index)) for index in range(8)]
    async with (
        asyncio.timeout(PATIENCE),
        _connected(layer, lock) as arriving,
    ):
        for value in sent:
            await lock.say(value)
        assert [await anext(arriving) for _ in sent] == sent
        if number % 2:
            await lock.hang_up()
            with pytest.raises(LinkLost):
                await anext(arriving)


@asynccontextmanager
async def _connected(layer: Layer, lock: LockHere) -> AsyncIterator[AsyncIterator[bytes]]:
    heard = asyncio.Event()

    def hear(sighting: Sighting) -> None:
        if sighting.address == lock.address:
            heard.set()

    async with layer.bluetooth.scan(layer.adapter, hear):
        await heard.wait()
    async with layer.bluetooth.connect(layer.adapter, lock.address, within=PATIENCE) as link:
        yield link.notifications()


@_told.of(Ability.BLUETOOTHD)
async def bluetoothd_is_killed_before_the_lock_has_answered(layer: Layer) -> None:
    async with front_door(layer, quirks=Quirks(answer_delay=5.0)) as (lock, agent):
        lock.hooks.when_opened(layer.kill_bluetoothd)
        assert await tells_the_truth(lock, agent) is Outcome.UNCONFIRMED
        assert opened(lock) == 1
        await lock.hooks.done()
    async with front_door(layer) as (lock, agent):
        await opens(lock, agent)


@_told.of(Ability.BLUETOOTHD)
async def bluetoothd_is_killed_between_two_openings(layer: Layer) -> None:
    async with front_door(layer) as (lock, agent):
        await opens(lock, agent)
        await layer.kill_bluetoothd()
        await opens(lock, agent)


@_told.of(Ability.ADAPTER)
async def the_adapter_is_pulled_out_in_the_middle_and_put_back(layer: Layer) -> None:
    async with front_door(layer) as (lock, agent):
        lock.hooks.after_writes(2, layer.plug_out)
        assert await tells_the_truth(lock, agent, deadline=briefly(layer)) is Outcome.UNREACHED
        await lock.hooks.done()
        await layer.plug_in()
        await opens(lock, agent)


@_told.of(Ability.PROCESS)
async def a_process_is_killed_while_connected_and_the_next_one_opens(layer: Layer) -> None:
    async with layer.place("v3.0", FRONT, None) as lock:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.bluez.holding_on", layer.adapter, FRONT,
            stdout=asyncio.subprocess.PIPE, env={**os.environ, **layer.environment},
        )  # fmt: skip
        try:
            assert process.stdout is not None
            async with asyncio.timeout(PATIENCE):
                assert await process.stdout.readline() == b"connected\n"
        finally:
            process.kill()
            await process.wait()
        assert lock.is_connected
        async with gateway(layer, lock) as agent:
            await opens(lock, agent)
