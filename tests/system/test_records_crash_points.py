"""The daemon dies by SIGKILL between the lock's report and the cloud's word, and is started again.

Every record that was in the lock or on our disk is in the cloud once, in order. The hundreds of
seeded runs are in virtual time (``tests/agent/test_records_crashes.py``); these are processes.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import anyio
import httpx
import pytest

from tests.system.crashing_daemon import RECORD_STEPS
from tests.system.telling_door import (
    BLUETOOTH,
    Happened,
    fingers,
    opened,
    require_told,
    settled,
    site_with_records,
    until,
)

pytestmark = pytest.mark.anyio
COUNT = 5
POINTS = {
    # The first report is that of the opening, which exists nowhere else until it is stored.
    "take": ("before take", "after take", "before take#3", "after take#4"),
    "drained": ("before drained", "after drained"),
    "report_property": ("before report_property#2", "after report_property#2"),
    "settle": ("before settle", "after settle"),
}
TOLD_AGAIN = {
    # One batch has them all; what was told of it before the death is told again, and is no news.
    "before report_property#2": 1,
    "after report_property#2": 2,
    "before settle": COUNT + 1,
}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def test_every_step_has_its_points() -> None:
    assert tuple(POINTS) == RECORD_STEPS


async def _dead_at(point: str, folder: Path) -> None:
    site = site_with_records(folder)
    happened = fingers(site, COUNT)
    async with site.up():
        async with site.daemon(dies=point) as (client, process):
            try:
                await opened(client, "one")
            except httpx.HTTPError:
                assert "take" in point
            if point != "before take":
                happened.append(Happened(BLUETOOTH, 1, time.time()))
            with anyio.fail_after(40):
                assert await process.wait() == -9, f"it did not die {point}"
        left = int(site.lock.dump()["records"])
        assert (left > 0) is ("take" in point)
        async with site.daemon() as (client, _):
            if "take" in point or "drained" in point:  # nobody knows yet that this was all
                await opened(client, "two")
                happened.append(Happened(BLUETOOTH, 1, time.time()))
            await until(lambda: len(site.cloud.records.stored) >= len(happened))
            assert (await settled(client))["done"] == len(happened)
    require_told(site, happened)
    repeated = site.cloud.records.repeated
    assert sum(repeated.values()) == TOLD_AGAIN.get(point, 0), repeated
    assert site.lock.dump()["records"] == 0
    assert len(site.lock.log.lost()) == 0


@pytest.mark.parametrize("step", RECORD_STEPS)
async def test_dead_around(step: str, tmp_path: Path) -> None:
    await _all_dead(POINTS[step], tmp_path)


def _made(folder: Path, number: int) -> Path:
    one = folder / str(number)
    one.mkdir()
    return one


async def _all_dead(points: Sequence[str], folder: Path) -> None:
    """One site for each, all at the same time: they do little but wait."""
    async with anyio.create_task_group() as tasks:
        for number, point in enumerate(points):
            tasks.start_soon(_dead_at, point, _made(folder, number))
