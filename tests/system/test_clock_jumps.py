"""The clocks of a running daemon jump by hours: nothing opens twice, late, or too early.

The date (``wall``) may be set by anybody to anything; the time since boot (``boot``) goes on while
the machine is suspended, and deadlines count it (safety A2, A8, E1, E2).
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

import anyio
import httpx
import pytest

from bleagent.simulator.cloud_faults import Fault, FaultKind
from tests.often import some
from tests.system.daemon import Site, unlock, unlock_when_rested
from tests.system.telling_door import (
    BLUETOOTH,
    Happened,
    finger,
    fingers,
    opened,
    require_told,
    settled,
    site_with_records,
    until,
)

pytestmark = pytest.mark.anyio
JUMPING = Path(__file__).with_name("jumping_daemon.py")
HOURS = 3600.0
NOBODY = Fault(FaultKind.HTTP_ERROR, status=503)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Jumping:
    """A site whose daemon's clocks are in our hands."""

    def __init__(self, folder: Path, site: Site | None = None) -> None:
        self.site = Site(folder) if site is None else site
        self._file = folder / "clocks"
        self.jump()

    def jump(self, **shifts: object) -> None:
        """From here on the clocks are so far off."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(json.dumps(shifts))
        fresh.rename(self._file)  # it is read at any moment

    @asynccontextmanager
    async def daemon(self) -> AsyncIterator[httpx.AsyncClient]:
        """The daemon on those clocks."""
        async with self.site.daemon(by=[str(JUMPING), str(self._file)]) as (client, _):
            yield client

    async def trusted(self) -> None:
        """The cloud has told the time, and its maximum is stored."""
        path = self.site.folder / "state" / "operations.db"
        with anyio.fail_after(10):
            while True:
                with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
                    if database.execute("SELECT highest FROM trusted_time").fetchone():
                        return
                await anyio.sleep(0.02)

    def cut_the_link_when_it_opens(self) -> None:
        """The lock opens, and nobody hears of it."""
        door, tap = self.site.door, self.site.door._tap

        def cut(mark: str, what: bytes) -> None:
            tap(mark, what)
            stream = door._central
            if mark == "!" and stream is not None:
                door._gone("out of range")
                closing.append(asyncio.get_running_loop().create_task(stream.aclose()))

        closing: list[asyncio.Task[None]] = []
        door._tap = cut

    def mend(self) -> None:
        """The link holds again."""
        self.site.door._tap = self.site._tap


def _unix(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


@pytest.mark.parametrize("wall", [5 * HOURS, -5 * HOURS])
async def test_a_date_that_is_set_while_the_cloud_is_asked_changes_nothing(
    tmp_path: Path, wall: float
) -> None:
    world = Jumping(tmp_path)
    site = world.site
    async with site.up(), world.daemon() as client:
        await world.trusted()
        slow = Fault(FaultKind.SLOW, seconds=0.6)
        site.cloud.faults.next_calls("doorLock.bleOpenInstruction", slow)
        answers: list[httpx.Response] = []

        async def ask() -> None:
            answers.append(await unlock(client, "one", deadline_ms=4000))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            while not site.cloud.calls["doorLock.bleOpenInstruction"]:
                await anyio.sleep(0.02)
            world.jump(wall=wall)
        body = answers[0].json()
        assert (body["outcome"], body["late"], site.opened) == ("confirmed", False, 1)
        for name in ("requested_at", "finished_at"):
            assert abs(_unix(body[name]) - time.time()) < 60, "the trusted date does not jump"
        again = await unlock(client, "one", deadline_ms=4000)
        assert (again.json(), site.opened) == (body, 1)
        # The rest of two seconds is by the other clock too.
        assert (await unlock(client, "two")).json()["code"] == "lock-busy"
        assert (await unlock_when_rested(client, "two")).json()["outcome"] == "confirmed"
        assert site.opened == 2


@pytest.mark.parametrize("where", ["while the cloud seals", "behind the commit to disk"])
async def test_a_suspended_machine_does_not_open_when_it_wakes(tmp_path: Path, where: str) -> None:
    world = Jumping(tmp_path)
    site = world.site
    slept = {"boot": 2 * HOURS, "wall": 2 * HOURS}
    async with site.up(), world.daemon() as client:
        await world.trusted()
        if where == "behind the commit to disk":
            world.jump(at_sending=slept)
        slow = Fault(FaultKind.SLOW, seconds=0.6)
        site.cloud.faults.next_calls("doorLock.bleOpenInstruction", slow)
        answers: list[httpx.Response] = []

        async def ask() -> None:
            answers.append(await unlock(client, "one", deadline_ms=30_000))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            while not site.cloud.calls["doorLock.bleOpenInstruction"]:
                await anyio.sleep(0.02)
            if where == "while the cloud seals":
                world.jump(**slept)
        body = answers[0].json()
        assert (body["outcome"], body["code"]) == ("unreached", "too-late")
        assert site.opened == 0
        assert (await unlock(client, "one", deadline_ms=30_000)).json() == body
        assert (await unlock_when_rested(client, "two")).json()["outcome"] == "confirmed"
        assert site.opened == 1


@pytest.mark.parametrize(
    ("trusted", "wall"),
    some(
        [(True, 5 * HOURS), (False, -5 * HOURS), (False, 0.0), (True, 0.0), (True, -5 * HOURS),
         (False, 5 * HOURS)],
        3,
    ),
)  # fmt: skip
async def test_after_silence_the_door_stays_closed_to_a_new_key_for_a_real_minute(
    tmp_path: Path, wall: float, trusted: bool
) -> None:
    world = Jumping(tmp_path)
    site = world.site
    if not trusted:
        site.cloud.faults.always("timer.currentTime", NOBODY)
    async with site.up(), world.daemon() as client:
        if trusted:
            await world.trusted()
        world.cut_the_link_when_it_opens()
        body = (await unlock(client, "one")).json()
        assert (body["outcome"], site.opened) == ("unconfirmed", 1)
        world.mend()
        world.jump(wall=wall, boot=50.0)
        answer = await unlock_when_rested(client, "two")  # the agent waits for a record first
        assert answer.json()["code"] == "unresolved-operation"
        world.jump(wall=wall, boot=61.0)
        assert (await unlock_when_rested(client, "two")).json()["outcome"] == "confirmed"
        assert site.opened == 2


@pytest.mark.parametrize("wall", [5 * HOURS, -5 * HOURS])
async def test_the_minute_goes_on_over_a_restart_whatever_the_date_says(
    tmp_path: Path, wall: float
) -> None:
    world = Jumping(tmp_path)
    site = world.site
    site.cloud.faults.always("timer.currentTime", NOBODY)
    async with site.up():
        async with site.daemon(dies="after the last fragment") as (client, process):
            with pytest.raises(httpx.HTTPError):
                await unlock(client, "one")
            await process.wait()
        world.jump(wall=wall)
        async with world.daemon() as client:  # it closes what was left open
            body = (await unlock(client, "one")).json()
            assert body["outcome"] == "unconfirmed"
        world.jump(wall=-wall, boot=50.0)
        async with world.daemon() as client:
            assert (await unlock(client, "two")).json()["code"] == "unresolved-operation"
            world.jump(wall=wall, boot=62.0)
            assert (await unlock_when_rested(client, "two")).json()["outcome"] == "confirmed"
        assert site.opened == 2


@pytest.mark.parametrize(
    ("signer", "wall"),
    some(
        [("faas", 5 * HOURS), ("openapi", -5 * HOURS), ("faas", -5 * HOURS),
         ("openapi", 5 * HOURS)],
        2,
    ),
)  # fmt: skip
async def test_a_cloud_that_does_not_believe_our_date_is_asked_again_with_its_own(
    tmp_path: Path, wall: float, signer: str
) -> None:
    world = Jumping(tmp_path, Site(tmp_path, signer=signer))
    site = world.site
    world.jump(wall=wall)
    async with site.up(), world.daemon() as client:
        await world.trusted()
        body = (await unlock(client, "one")).json()
        assert body["outcome"] == "confirmed", body
        assert abs(_unix(body["requested_at"]) - time.time()) < 60
        assert [call.ending for call in site.cloud.log].count("1013") == 1
        # From there on nothing of ours but the time since boot counts.
        world.jump(wall=-wall)
        assert (await unlock_when_rested(client, "two")).json()["outcome"] == "confirmed"
        assert [call.ending for call in site.cloud.log].count("1013") == 1
        site.cloud.tokens.kill()
        assert (await unlock_when_rested(client, "three")).json()["outcome"] == "confirmed"
        assert site.opened == 3


async def test_trusted_time_does_not_go_back_over_a_restart(tmp_path: Path) -> None:
    world = Jumping(tmp_path)
    site = world.site
    async with site.up():
        async with world.daemon():
            await world.trusted()
        # A cloud that is hours behind, and a machine that agrees with it.
        site.cloud_ahead = -5 * HOURS
        world.jump(wall=-5 * HOURS)
        async with world.daemon() as client:
            await anyio.sleep(0.5)
            opened = await unlock(client, "one")
            assert opened.json()["outcome"] == "confirmed", opened.text
        path = site.folder / "state" / "operations.db"
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
            (highest,) = database.execute("SELECT highest FROM trusted_time").fetchone()
        assert abs(highest - time.time()) < 60


async def test_records_that_come_while_the_date_jumps_arrive_once_and_at_their_time(
    tmp_path: Path,
) -> None:
    world = Jumping(tmp_path, site_with_records(tmp_path, connection="warm"))
    site = world.site
    happened = fingers(site, 4)

    async def told() -> None:
        await until(lambda: len(site.cloud.records.stored) >= len(happened))

    async with site.up(), world.daemon() as client:
        await world.trusted()
        await opened(client, "one")
        happened.append(Happened(BLUETOOTH, 1, time.time()))
        world.jump(wall=HOURS)  # while the lock is asked for what it remembers
        await told()
        for value, wall in ((11, -HOURS), (12, HOURS), (13, 0.0)):
            happened.append(await finger(site, value))
            world.jump(wall=wall)  # while it is on its way
            happened.append(await finger(site, 10 * value))
            await told()
        assert (await settled(client))["oldest_waiting_s"] is None
    require_told(site, happened)
    assert not site.cloud.records.repeated
