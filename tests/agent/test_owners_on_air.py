"""Owners above the Bluetooth radio: impostors, slots that are wanted, and who is left for whom."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import Any

import anyio
import pytest

from bleagent.errors import AgentError, StoreError
from bleagent.model import Proven
from bleagent.policy import Connection, Policy
from bleagent.radio import RadioSettings
from bleagent.session import LinkPorts
from bleagent.simulator.air import AirLock
from bleagent.simulator.fakes import MemoryLocks, record_ports
from bleagent.simulator.record_fakes import MemoryRecords
from bleagent.supervisor import Supervisor
from tests.agent.air_world import FRONT, ROGUE, Air, facts, keys, rehearse

HELD: dict[str, Any] = {"connection": Connection.HELD}
ONE_SLOT = RadioSettings(slots=1)


def supervise(
    air: Air, *, memory: MemoryLocks | None = None, locks: int = 1, **policy: Any
) -> Supervisor:
    """Owners for the first locks, wired as in the daemon; ``policy`` is lock-1's."""
    draws, radio = count(1), air.radio
    links = LinkPorts(
        radio=radio, memory=memory or MemoryLocks(), clock=air.clock,
        new_iv=lambda: next(draws).to_bytes(16, "big"), records=record_ports(MemoryRecords()),
        judge=radio, trouble=radio.trouble, idle=radio.idle,
    )  # fmt: skip
    plain = Policy(major=4)
    owned = {
        f"lock-{number}": (facts(number), replace(plain, **policy) if number == 1 else plain)
        for number in range(1, locks + 1)
    }
    supervisor = Supervisor(owned, links, air.tasks)
    listeners = replace(radio._listeners, full=lambda _, holding: supervisor.make_room(holding))
    radio._listeners = listeners
    return supervisor


def connects(air: Air) -> list[str]:
    """Whom was tried to connect to."""
    return [address for _, call, _, address in air.bluetooth.calls if call == "connect"]


def test_whoever_does_not_stand_the_handshake_makes_way_for_the_lock() -> None:
    """One replayed advertisement must not keep a door closed (H1)."""

    async def story(air: Air) -> None:
        air.bluetooth.locks.append(AirLock(address=ROGUE, keys=keys(), rssi={"hci0": -30}))
        owner = supervise(air).owner("lock-1")
        await anyio.sleep(1)
        opened = False
        with anyio.move_on_after(20):
            while not opened:
                try:
                    async with owner.use():
                        opened = True
                except AgentError:
                    await anyio.sleep(0.1)
        assert connects(air) == [ROGUE, FRONT]

    rehearse(story)


def test_a_store_that_fails_says_nothing_about_the_lock() -> None:
    class Unreadable(MemoryLocks):
        async def proven(self, lock: str) -> Proven | None:
            raise StoreError(f"no word about {lock}")

    async def story(air: Air) -> None:
        owner = supervise(air, memory=Unreadable()).owner("lock-1")
        await anyio.sleep(1)
        with pytest.raises(StoreError):
            async with owner.use():
                pytest.fail("it could not be checked")
        await anyio.sleep(5)
        (first, *_) = air.radio.sightings.candidates("lock-1", air.clock.now(), within=10.0)
        assert first.failures == 0

    rehearse(story)


@pytest.mark.parametrize("busy", [True, False], ids=["while it is used", "while it pairs"])
def test_a_slot_is_given_up_as_soon_as_its_holder_becomes_idle(busy: bool) -> None:
    async def story(air: Air) -> None:
        supervisor = supervise(air, locks=2, **HELD)
        supervisor.start()
        holder = supervisor.owner("lock-1")
        with anyio.fail_after(30):
            while not (holder.paired if busy else air.hci0.links):
                await anyio.sleep(0.01)

        async def use() -> None:
            async with holder.use():
                await anyio.sleep(3)

        if busy:
            air.tasks.start_soon(use)
            await anyio.sleep(0.5)
        with anyio.fail_after(12):
            async with supervisor.owner("lock-2").use():
                pass
        supervisor.stop()

    rehearse(story, locks=2, settings=ONE_SLOT)


def test_two_kept_connections_do_not_displace_each_other_for_ever() -> None:
    async def story(air: Air) -> None:
        supervisor = supervise(air, locks=2, **HELD)
        other = supervisor.owner("lock-2")
        other._policy = replace(other._policy, **HELD)
        other._keep_until = float("inf")
        supervisor.start()
        await anyio.sleep(600)
        assert len(connects(air)) < 15
        supervisor.stop()

    rehearse(story, locks=2, settings=ONE_SLOT)
