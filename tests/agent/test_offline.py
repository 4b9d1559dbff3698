"""Opening without the cloud: each condition of it, both ways (reference: safety F3)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import anyio
import pytest

from bleagent.errors import CloudError, StoreError
from bleagent.held_memory import HeldMemory
from bleagent.model import Action, Ending, IssuedConfig
from bleagent.policy import LockVia, Offline
from bleagent.simulator.fakes import MemoryLocks
from bleagent.simulator.log import Actuated
from bleagent.simulator.profiles import PROFILE_NAMES
from tests.agent.stories import DurableLedger, ending, messages, rewire, told
from tests.agent.world import DOOR, World, rehearse

CACHED: dict[str, Any] = {"offline": Offline.CACHED}


class No(CloudError):
    """The cloud's no."""

    code = "cloud-no-permission"
    refusal = True


class Odd(CloudError):
    """An answer was had, and it makes no sense."""

    code = "cloud-odd"


async def seen_then_down(world: World, wait: float = 10.0, **options: Any) -> Ending:
    """An opening with the cloud, and a second one some time later without it."""
    assert told(await world.operate("key-1")) == ("confirmed", "ok")
    await anyio.sleep(wait)
    world.cloud.down = True
    return ending(await world.operate("key-2", **options))


@pytest.mark.parametrize("name", PROFILE_NAMES)
def test_a_known_lock_is_opened_without_the_cloud_and_the_record_says_so(name: str) -> None:
    async def story(world: World) -> None:
        found = await seen_then_down(world)
        assert (found.outcome, found.code, found.offline) == ("confirmed", "ok", True)
        assert len(world.actuations()) == 2

    rehearse(story, name, **CACHED)


def test_with_the_cloud_there_nothing_is_offline() -> None:
    async def story(world: World) -> None:
        assert not ending(await world.operate()).offline

    rehearse(story, **CACHED)


def test_without_the_policy_nothing_opens_without_the_cloud() -> None:
    async def story(world: World) -> None:
        found = await seen_then_down(world)
        assert (found.outcome, found.code) == ("unreached", "cloud-unreachable")
        assert not found.offline
        assert len(world.actuations()) == 1

    rehearse(story)


@pytest.mark.parametrize("answer", [No("not yours"), Odd("what?")], ids=["no", "nonsense"])
def test_an_answer_of_the_cloud_is_never_overruled(answer: CloudError) -> None:
    async def story(world: World) -> None:
        await world.operate("key-1")
        await anyio.sleep(10)
        world.cloud.refuse = answer
        found = ending(await world.operate("key-2"))
        assert found.outcome == ("refused" if answer.refusal else "unreached")
        assert found.code == answer.code
        assert not found.offline
        assert len(world.actuations()) == 1

    rehearse(story, **CACHED)


def test_the_clouds_no_to_the_configuration_is_never_overruled_either() -> None:
    async def story(world: World) -> None:
        await world.operate("key-1")
        await anyio.sleep(2 * 3600)  # so that the configuration is asked for again
        world.cloud.refuse = No("not yours")
        found = ending(await world.operate("key-2"))
        assert (found.outcome, found.code) == ("refused", "cloud-no-permission")
        assert len(world.cloud.asked) == 1
        assert len(world.actuations()) == 1

    rehearse(story, **CACHED)


def test_guests_are_never_let_in_without_the_cloud() -> None:
    async def story(world: World) -> None:
        found = await seen_then_down(world, guest=True)
        assert (found.outcome, found.code) == ("unreached", "cloud-unreachable")
        assert len(world.actuations()) == 1

    rehearse(story, **CACHED)


@pytest.mark.parametrize(("hours", "opens"), [(2, True), (23.9, True), (24.1, False), (200, False)])
def test_the_last_yes_of_the_cloud_counts_for_a_day(hours: float, opens: bool) -> None:
    async def story(world: World) -> None:
        found = await seen_then_down(world, hours * 3600)
        assert (found.outcome == "confirmed") is found.offline is opens
        assert len(world.actuations()) == 1 + opens

    rehearse(story, **CACHED)


def test_the_operator_says_for_how_long_the_last_yes_counts() -> None:
    async def story(world: World) -> None:
        assert (await seen_then_down(world, 700.0)).outcome == "unreached"
        assert len(world.actuations()) == 1

    rehearse(story, **CACHED, offline_max_age=600.0)


def test_a_clock_that_is_not_trusted_makes_every_yes_too_old() -> None:
    async def story(world: World) -> None:
        await world.operate("key-1")
        await anyio.sleep(10)
        world.clock.trusted = False
        world.cloud.down = True
        found = ending(await world.operate("key-2"))
        assert (found.outcome, found.code) == ("unreached", "cloud-unreachable")
        assert len(world.actuations()) == 1

    rehearse(story, **CACHED)


def test_a_lock_whose_code_was_never_issued_stays_closed() -> None:
    async def story(world: World) -> None:
        world.cloud.down = True
        assert told(await world.operate()) == ("unreached", "cloud-unreachable")
        assert world.actuations() == []

    rehearse(story, **CACHED)


def test_locking_by_an_instruction_needs_the_cloud() -> None:
    async def story(world: World) -> None:
        found = await seen_then_down(world, action=Action.LOCK)
        assert (found.outcome, found.code) == ("unreached", "cloud-unreachable")
        assert len(world.cloud.asked) == 2
        assert len([one for one in world.lock.log if isinstance(one, Actuated)]) == 1

    rehearse(story, **CACHED, lock_via=LockVia.DP71)


def test_our_own_openings_carry_timestamps_that_only_grow() -> None:
    """So that two replies can be told apart, whatever the date does (C5)."""

    async def story(world: World) -> None:
        assert (await seen_then_down(world)).offline
        world.memory.timestamps[DOOR] = 1_800_000_000  # the date was ahead once
        for key in ("key-3", "key-4"):
            await anyio.sleep(10)
            assert ending(await world.operate(key)).outcome == "confirmed"
        stamps = [one.timestamp for one in world.actuations()]
        assert stamps[-2:] == [1_800_000_001, 1_800_000_002]

    rehearse(story, **CACHED)


def test_our_own_opening_is_under_the_session_key_and_under_the_configured_member() -> None:
    async def story(world: World) -> None:
        assert (await seen_then_down(world)).offline
        flags = [message[0] for message in messages(world.radio.links[1])]
        assert flags[1:] == [world.cloud.dialect.session_flag] * len(flags[1:])
        assert [one.member for one in world.actuations()] == [1, 7]

    rehearse(story, **CACHED, member=7)


def test_a_lock_that_refuses_our_own_opening_has_refused() -> None:
    async def story(world: World) -> None:
        await world.operate("key-1")
        await anyio.sleep(10)
        world.lock.preset_check_code(5, b"99999999")
        world.cloud.down = True
        found = ending(await world.operate("key-2"))
        assert (found.outcome, found.code) == ("refused", "lock-result-4")
        assert found.offline
        assert len(world.actuations()) == 1

    rehearse(story, **CACHED)


def test_the_deadline_holds_without_the_cloud_too() -> None:
    async def story(world: World) -> None:
        await world.operate("key-1")
        await anyio.sleep(10)
        world.cloud.down = True
        rewire(world, ledger=DurableLedger(sending_takes=5.0))
        assert ending(await world.operate("key-2", deadline=3.0)).outcome == "unreached"
        assert len(world.actuations()) == 1

    rehearse(story, **CACHED)


def test_a_no_of_the_cloud_is_not_forgotten_when_the_cloud_goes_away() -> None:
    async def story(world: World) -> None:
        await world.operate("key-1")
        await anyio.sleep(10)
        world.cloud.refuse = No("not yours any more")
        assert ending(await world.operate("key-2")).outcome == "refused"
        await anyio.sleep(10)
        world.cloud.refuse, world.cloud.down = None, True
        assert ending(await world.operate("key-3")).outcome == "unreached"
        assert len(world.actuations()) == 1

    rehearse(story, **CACHED)


@pytest.mark.parametrize(("ahead", "opens"), [(59.0, True), (61.0, False), (1e8, False)])
def test_a_configuration_from_the_future_opens_nothing_without_the_cloud(
    ahead: float, opens: bool
) -> None:
    """Whichever date was wrong: it would stay young for as long as it was ahead."""

    async def story(world: World) -> None:
        config = await world.cloud.issued_config("")
        fetched_at = world.clock.unix() + ahead
        await world.memory.keep_issued_config(DOOR, replace(config, fetched_at=fetched_at))
        world.cloud.down = True
        found = ending(await world.operate())
        assert (found.outcome, found.offline) == (
            ("confirmed", True) if opens else ("unreached", False)
        )

    rehearse(story, **CACHED)


@dataclass(slots=True)
class FailingLocks(MemoryLocks):
    """No issued configuration can be written while ``fails``."""

    fails: bool = False

    async def keep_issued_config(self, lock: str, config: IssuedConfig) -> None:
        """Fail on demand."""
        if self.fails:
            raise StoreError("the disk is full")
        await MemoryLocks.keep_issued_config(self, lock, config)


def test_a_no_that_could_not_be_kept_holds_all_the_same() -> None:
    async def story(world: World) -> None:
        disk = FailingLocks()
        rewire(world, memory=HeldMemory(disk))
        assert told(await world.operate("key-1")) == ("confirmed", "ok")
        await anyio.sleep(10)
        world.cloud.refuse, disk.fails = No("removed from the project"), True
        assert told(await world.operate("key-2")) == ("refused", "cloud-no-permission")
        assert disk.configs[DOOR].fetched_at > 0, "the yes of before is still on disk"
        world.cloud.refuse, world.cloud.down = None, True
        for key, fails in (("key-3", True), ("key-4", False), ("key-5", False)):
            disk.fails = fails
            found = ending(await world.operate(key))
            assert (found.outcome, found.offline) == ("unreached", False)
        assert disk.configs[DOOR].fetched_at == 0.0, "written as soon as it can be"
        world.cloud.down = False
        assert told(await world.operate("key-6")) == ("confirmed", "ok")
        assert (await seen_again(world)).offline
        assert len(world.actuations()) == 3

    async def seen_again(world: World) -> Ending:
        await anyio.sleep(10)
        world.cloud.down = True
        return ending(await world.operate("key-7"))

    rehearse(story, **CACHED)


def test_a_yes_that_could_not_be_kept_opens_nothing_without_the_cloud() -> None:
    async def story(world: World) -> None:
        disk = FailingLocks(fails=True)
        rewire(world, memory=HeldMemory(disk))
        assert told(await world.operate("key-1"))[0] == "unreached"
        world.cloud.down = True
        assert told(await world.operate("key-2"))[0] == "unreached"
        assert world.actuations() == []

    rehearse(story, **CACHED)
