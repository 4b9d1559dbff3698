"""Operations are forgotten when no door waits, and by a certain date only; in virtual time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
import pytest
from structlog.testing import capture_logs

from bleagent.errors import StoreFull
from bleagent.retention import EACH, LOOK, PAUSE, forget_operations, keep_room
from bleagent.simulator.fakes import LoopClock
from tests.agent.world import World, rehearse


class Book:
    """So many are old."""

    def __init__(self, clock: LoopClock, old: int = 0) -> None:
        self.clock = clock
        self.old = old
        self.asked: list[float] = []
        self.error: Exception | None = None

    async def prune(self, *, trusted_unix: float) -> int:
        self.asked.append(self.clock.now())
        assert trusted_unix == self.clock.unix()
        if self.error is not None:
            raise self.error
        gone = min(self.old, 10)
        self.old -= gone
        return gone


def forgetting(
    story: Callable[[Book, LoopClock, list[anyio.Event]], Awaitable[None]], old: int = 0
) -> None:
    async def main(world: World) -> None:
        clock = world.clock
        book, waits = Book(clock, old), list[anyio.Event]()

        async def settled() -> None:
            for one in waits:
                await one.wait()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(forget_operations, book, clock, settled)
            await story(book, clock, waits)
            tasks.cancel_scope.cancel()

    rehearse(main)


def test_a_little_at_a_time_and_again_an_hour_later() -> None:
    async def story(book: Book, clock: LoopClock, _: list[anyio.Event]) -> None:
        began = clock.now()
        await anyio.sleep(EACH / 2)
        assert [at - began for at in book.asked] == [0, PAUSE, 2 * PAUSE, 3 * PAUSE]
        assert book.old == 0
        await anyio.sleep(EACH)
        assert len(book.asked) == 5

    forgetting(story, old=25)


def test_nothing_is_forgotten_by_a_date_that_is_not_certain() -> None:
    async def story(book: Book, clock: LoopClock, _: list[anyio.Event]) -> None:
        clock.trusted = False
        book.asked.clear()
        await anyio.sleep(3 * EACH)
        assert book.asked == []
        clock.trusted = True
        await anyio.sleep(2 * PAUSE)
        assert len(book.asked) == 1

    forgetting(story)


def test_an_operation_that_runs_is_waited_for() -> None:
    async def story(book: Book, _: LoopClock, waits: list[anyio.Event]) -> None:
        waits.append(anyio.Event())
        await anyio.sleep(2 * EACH)
        seen = len(book.asked)
        await anyio.sleep(2 * EACH)
        assert len(book.asked) == seen
        waits[0].set()
        await anyio.sleep(1)
        assert len(book.asked) == seen + 1

    forgetting(story)


@pytest.mark.parametrize("error", [StoreFull("full"), RuntimeError("ours")])
def test_what_fails_is_said_and_tried_again(error: Exception) -> None:
    async def story(book: Book, _clock: LoopClock, _: list[anyio.Event]) -> None:
        book.error = error
        await anyio.sleep(1)
        book.asked.clear()
        with capture_logs() as told:
            await anyio.sleep(EACH)
        book.error = None
        await anyio.sleep(EACH)
        assert len(book.asked) == 2
        assert [one["event"].startswith("operations.") for one in told] == [True]

    forgetting(story)


class Space:
    """Taken where there is ``plenty``."""

    def __init__(self) -> None:
        self.held = False
        self.plenty = True

    async def fill(self) -> None:
        self.held = self.held or self.plenty


def test_room_is_taken_again_and_the_log_says_when_there_is_none() -> None:
    space = Space()

    async def main(world: World) -> None:
        del world
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(keep_room, space)
            await anyio.sleep(1)
            assert space.held
            space.held = space.plenty = False  # an opening needed it
            await anyio.sleep(3 * LOOK)
            space.plenty = True
            await anyio.sleep(LOOK)
            assert space.held
            tasks.cancel_scope.cancel()

    with capture_logs() as logs:
        rehearse(main)
    assert [one["event"] for one in logs] == ["reserve.not_held", "reserve.held"]
