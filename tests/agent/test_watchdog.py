"""What the service manager is told: ready, how it is, that it lives; in virtual time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import anyio
import pytest

from bleagent.errors import StoreError, StoreFull
from bleagent.health.readiness import PATIENCE, Part, Readiness
from bleagent.health.watchdog import DEAF, LATE, SOON, Watchdog, status_of
from bleagent.health.watches import Trouble
from bleagent.radio.airtime import AdapterAir, RadioAir
from bleagent.simulator import virtual_time
from bleagent.simulator.fakes import LoopClock
from tests.agent.air_world import ToldManager
from tests.agent.record_shelf import TinyShelf
from tests.agent.watched import watched

WANTED = 30.0
GOOD = AdapterAir(
    usable=True, scanning=True, links=0, waiting=0, last_advertisement_age=1.0, symptoms=(),
    rungs={},
)  # fmt: skip
DEAF_ONE = replace(GOOD, scanning=False, last_advertisement_age=None)


class HeldClock(LoopClock):
    """The loop's time, and what it was held up for: a look comes late by that."""

    def __init__(self) -> None:
        super().__init__()
        self.held = 0.0
        self.each = 0.0

    def now(self) -> float:
        self.held += self.each
        return super().now() + self.held


class Site:
    """A daemon as its service manager sees it."""

    def __init__(self, wanted: float | None = WANTED) -> None:
        self.clock = HeldClock()
        self.manager = ToldManager()
        self.adapters = {"hci0": GOOD}
        self.ask: Callable[[], Awaitable[None]] = self._well
        told = watched(
            self.clock, TinyShelf(), store=self._answer,
            air=lambda: RadioAir(adapters=self.adapters, locks={}),
        )  # fmt: skip
        self.readiness = Readiness(told)
        self.watchdog = Watchdog(self.clock, self.manager, self.readiness, wanted=wanted)

    async def _answer(self) -> None:
        await self.ask()

    async def _well(self) -> None:
        """An operation could begin."""

    def words(self) -> int:
        """How often it was told that we live."""
        return self.manager.told.count("WATCHDOG=1")

    async def told_in(self, seconds: float) -> int:
        """How often in these."""
        before = self.words()
        await anyio.sleep(seconds)
        return self.words() - before

    def statuses(self) -> list[str]:
        return [one for one in self.manager.told if one.startswith("STATUS=")]


def at_the_site(story: Callable[[Site], Awaitable[None]], **given: Any) -> None:
    async def main() -> None:
        site = Site(**given)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(site.readiness.run)
            tasks.start_soon(site.watchdog.run)
            site.watchdog.listens()
            await anyio.sleep(1)
            await story(site)
            tasks.cancel_scope.cancel()

    virtual_time.run(main)


# -- ready


def test_ready_is_told_once_and_only_with_radio_and_listener() -> None:
    async def main() -> None:
        site = Site()
        site.adapters = {}
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(site.watchdog.run)
            await anyio.sleep(5)
            site.adapters = {"hci0": GOOD}
            await anyio.sleep(5)
            assert "READY=1" not in site.manager.told
            site.adapters = {}
            site.watchdog.listens()
            await anyio.sleep(200)
            assert "READY=1" not in site.manager.told
            # Nobody but the radio itself is to give up meanwhile.
            assert site.manager.told.count("EXTEND_TIMEOUT_USEC=60000000") >= 200 / 60
            site.adapters = {"hci0": GOOD}
            await anyio.sleep(2 * SOON)
            assert "READY=1" in site.manager.told
            await anyio.sleep(1000)
            assert site.manager.told.count("READY=1") == 1
            tasks.cancel_scope.cancel()

    virtual_time.run(main)


# -- alive


def test_while_all_is_well_it_is_told_in_time() -> None:
    async def story(site: Site) -> None:
        for _ in range(20):
            assert await site.told_in(WANTED / 2) >= 1
        assert site.watchdog.wrong is None

    at_the_site(story)


def test_where_no_word_is_wanted_none_is_told() -> None:
    async def story(site: Site) -> None:
        assert await site.told_in(1000) == 0
        assert "READY=1" in site.manager.told

    at_the_site(story, wanted=None)


def test_a_wedged_event_loop_is_not_said_to_live() -> None:
    async def story(site: Site) -> None:
        site.clock.each = LATE + 1
        await anyio.sleep(10)
        assert await site.told_in(WANTED) == 0
        assert "event loop" in str(site.watchdog.wrong)
        site.clock.each = 0.0
        await anyio.sleep(10)
        assert await site.told_in(WANTED) >= 3

    at_the_site(story)


def test_one_late_look_is_forgiven() -> None:
    async def story(site: Site) -> None:
        site.clock.held += 100.0  # the gateway slept
        assert await site.told_in(WANTED) >= 2

    at_the_site(story)


def test_a_store_that_does_not_answer_is_not_said_to_live() -> None:
    async def story(site: Site) -> None:
        site.ask = anyio.sleep_forever
        await anyio.sleep(10 + PATIENCE + 10)
        assert await site.told_in(WANTED) == 0
        assert "has not answered" in str(site.watchdog.wrong)

    at_the_site(story)


def test_a_store_that_fails_is_not_said_to_live_and_one_without_room_is() -> None:
    async def story(site: Site) -> None:
        found: list[StoreError] = [StoreError("disk I/O error")]

        async def fails() -> None:
            raise found[0]

        site.ask = fails
        await anyio.sleep(20)
        assert await site.told_in(WANTED) == 0
        found[0] = StoreFull("no room")  # which a restart would not make
        await anyio.sleep(20)
        assert await site.told_in(WANTED) >= 3

    at_the_site(story)


def test_a_radio_that_does_not_begin_to_scan_again_is_not_said_to_live() -> None:
    async def story(site: Site) -> None:
        site.adapters = {"hci0": DEAF_ONE}
        assert await site.told_in(DEAF - 10) >= 5  # it mends itself
        await anyio.sleep(20)
        assert await site.told_in(WANTED) == 0
        assert "no adapter has listened" in str(site.watchdog.wrong)
        site.adapters = {"hci0": GOOD}
        await anyio.sleep(10)
        assert await site.told_in(WANTED) >= 3
        site.adapters = {"hci0": DEAF_ONE}  # and has as long again
        assert await site.told_in(DEAF - 10) >= 5

    at_the_site(story)


@pytest.mark.parametrize(
    "adapters",
    [
        {"hci0": replace(GOOD, last_advertisement_age=None)},  # nobody is in the air
        {"hci0": replace(DEAF_ONE, links=1)},  # in use
        {"hci0": replace(GOOD, usable=False)},  # switched off, or pulled out
        {},
        {"hci0": DEAF_ONE, "hci1": GOOD},
    ],
)
def test_what_a_restart_would_not_mend_is_no_reason_for_one(
    adapters: dict[str, AdapterAir],
) -> None:
    async def story(site: Site) -> None:
        site.adapters = adapters
        for _ in range(20):
            assert await site.told_in(WANTED / 2) >= 1

    at_the_site(story)


def test_a_fault_in_looking_ends_no_daemon() -> None:
    class Broken(Readiness):
        def parts(self) -> dict[str, Part]:
            raise ValueError("a fault of ours")

    async def main() -> None:
        manager = ToldManager()
        broken = Broken(watched(LoopClock(), TinyShelf()))
        watchdog = Watchdog(LoopClock(), manager, broken, wanted=WANTED)
        watchdog.listens()
        with anyio.move_on_after(100):
            await watchdog.run()
        assert manager.told.count("READY=1") == 1
        assert manager.told.count("WATCHDOG=1") > 10

    virtual_time.run(main)


# -- how it is


def test_how_it_is_is_told_when_it_changes() -> None:
    async def story(site: Site) -> None:
        await anyio.sleep(100)
        site.adapters = {}
        await anyio.sleep(100)
        assert site.statuses() == ["STATUS=ready", "STATUS=doors stay shut: radio"]

    at_the_site(story)


def test_what_is_only_to_be_looked_at_is_said_beside() -> None:
    wrong = (Trouble(code="x", detail="", advice=""),)
    parts = {"radio": Part(shuts=True), "cloud": Part(wrong=wrong), "clock": Part(wrong=wrong)}
    assert status_of(parts) == "ready; to look at: cloud, clock"
    parts["radio"] = Part(shuts=True, wrong=wrong)
    assert status_of(parts) == "doors stay shut: radio; to look at: cloud, clock"
