"""Bounds around coroutines that want to tidy up, and what is done to bleak at import."""

from __future__ import annotations

import asyncio

import anyio
import pytest
from bleak.backends.bluezdbus.version import BlueZFeatures

from bleagent.adapters.bluez.bounds import in_bounds

pytestmark = pytest.mark.anyio


class Work:
    """Waits, and needs three turns to tidy up, as bleak does."""

    def __init__(self, tidy: float = 0.0) -> None:
        self.tidied = 0
        self._tidy = tidy

    async def __call__(self) -> str:
        try:
            await asyncio.sleep(60)
        finally:
            for _ in range(3):
                await asyncio.sleep(self._tidy)
                self.tidied += 1
        return "done"


async def test_what_it_returns_and_raises_comes_out() -> None:
    async def fine() -> int:
        return 7

    async def faulty() -> int:
        raise ZeroDivisionError

    assert await in_bounds(fine(), 1, grace=1) == 7
    with pytest.raises(ZeroDivisionError):
        await in_bounds(faulty(), 1, grace=1)


async def test_out_of_time_it_may_tidy_up() -> None:
    work = Work(0.001)
    with pytest.raises(TimeoutError):
        await in_bounds(work(), 0.01, grace=5)
    assert work.tidied == 3


@pytest.mark.parametrize("how", ["scope", "task"])
async def test_cancelled_from_outside_it_may_tidy_up(how: str) -> None:
    work = Work(0.001)
    if how == "scope":  # cancels again at every await that is not shielded
        with anyio.move_on_after(0.01) as scope:
            await in_bounds(work(), 60, grace=5)
        assert scope.cancelled_caught
    else:
        task = asyncio.create_task(in_bounds(work(), 60, grace=5))
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert work.tidied == 3


async def test_what_does_not_end_is_cut_short() -> None:
    work = Work(60)
    with pytest.raises(TimeoutError):
        await in_bounds(work(), 0.01, grace=0.01)
    assert work.tidied == 0


def test_bleak_asks_no_other_program_for_the_version() -> None:
    # If that first connection were cancelled meanwhile, all later ones would wait for ever.
    assert BlueZFeatures.checked_bluez_version
    assert BlueZFeatures.supported_version
