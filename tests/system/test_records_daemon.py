"""Records through the real daemon: off the virtual lock, onto the disk, into the virtual cloud."""

from __future__ import annotations

import time
from pathlib import Path
from subprocess import CompletedProcess

import anyio
import httpx
import pytest

from bleagent.simulator.cloud_faults import Fault, FaultKind
from tests.system.daemon import KEYS, Site
from tests.system.records_site import COMMAND
from tests.system.telling_door import (
    BLUETOOTH,
    RING,
    Happened,
    finger,
    fingers,
    in_cloud,
    opened,
    outbox,
    records,
    require_told,
    settled,
    site_with_records,
    until,
)

pytestmark = pytest.mark.anyio
REPORT, TIME = "property.report", "timer.currentTime"
FILLING = Path(__file__).with_name("filling_daemon.py")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def _told(site: Site, count: int) -> None:
    await until(lambda: len(site.cloud.records.stored) >= count)


async def _verified(client: httpx.AsyncClient) -> dict[str, object]:
    return dict((await client.post("/v1/locks/front/records/verify")).json())


async def _command(client: httpx.AsyncClient, site: Site, *words: str) -> CompletedProcess[bytes]:
    where = ["--url", str(client.base_url), "--token-file", str(site.folder / "token")]
    return await anyio.run_process([*COMMAND, *where, *words], check=False)


@pytest.mark.parametrize("count", [5, 70])
async def test_what_happened_while_nobody_was_there_is_in_the_cloud_once(
    tmp_path: Path, count: int
) -> None:
    site = site_with_records(tmp_path)
    happened = fingers(site, count)[-RING:]
    async with site.up(), site.daemon() as (client, _):
        operation = await opened(client, "one")
        happened.append(Happened(BLUETOOTH, 1, time.time()))
        await _told(site, len(happened))
        sink = await settled(client)
        require_told(site, happened)
        assert (sink["done"], sink["parked"], sink["oldest_waiting_s"]) == (len(happened), 0, None)
        shown = (await records(client))[::-1]
        assert [one["id"] for one in shown] == [one.message_id for one in site.cloud.records.stored]
        assert [one["operation"] for one in shown] == [None] * (len(shown) - 1) + [operation]
        assert {one["state"] for each in shown for one in each["deliveries"]} == {"done"}
        (counts,) = (await client.get("/v1/outbox")).json()["locks"]
        assert counts == {"lock": "front", "taken": len(happened), "duplicate": 0, "gaps": 0}
        found = await _verified(client)
        assert found == {
            "lock": "front", "agree": len(happened), "lacking": [], "twice": [], "unknown": [],
            "complete": True,
        }  # fmt: skip
        said = await _command(client, site, "verify", "front")
        assert (said.returncode, said.stdout) == (0, f"{len(happened)} agree\n".encode())
    assert site.lock.dump()["records"] == 0
    assert len(site.lock.log.lost()) == max(0, count - RING)
    assert not site.cloud.records.repeated


async def test_who_did_not_know_the_time_yet_comes_back_when_he_does(tmp_path: Path) -> None:
    site = site_with_records(tmp_path)
    happened = fingers(site, 3)
    site.cloud.faults.always(TIME, Fault(FaultKind.HTTP_ERROR))
    async with site.up(), site.daemon() as (client, _):
        await opened(client, "one")
        happened.append(Happened(BLUETOOTH, 1, time.time()))
        await until(lambda: not site.lock.is_connected)
        assert site.lock.dump()["records"] == 3
        site.cloud.faults.always(TIME, None)  # from here nobody calls or opens
        await _told(site, len(happened))
        await settled(client)
    require_told(site, happened)
    assert site.log.read_text().count("clock-not-trusted") == 1


async def test_the_same_finger_twice_in_one_second_is_two_records(tmp_path: Path) -> None:
    site = site_with_records(tmp_path)
    (one,) = fingers(site, 1)
    (other,) = fingers(site, 1)
    happened = [one, other]
    async with site.up(), site.daemon() as (client, _):
        await opened(client, "one")
        happened.append(Happened(BLUETOOTH, 1, time.time()))
        await _told(site, len(happened))
        await settled(client)
        assert (await _verified(client))["agree"] == len(happened)
    require_told(site, happened)


async def test_a_comparison_says_what_the_cloud_lost_and_has_twice(tmp_path: Path) -> None:
    site = site_with_records(tmp_path)
    fingers(site, 3)
    async with site.up(), site.daemon() as (client, _):
        await opened(client, "one")
        await _told(site, 4)
        await settled(client)
        desk = site.cloud.records
        desk.planted.append(desk.stored[1])
        del desk.stored[0]
        found = await _verified(client)
    assert found["agree"] == 3
    assert [one["value"] for one in found["lacking"]] == [1]  # type: ignore[attr-defined]
    assert [one["code"] for one in found["twice"]] == ["unlock_fingerprint"]  # type: ignore[attr-defined]


async def test_an_answer_that_is_lost_behind_the_storing_makes_no_second_record(
    tmp_path: Path,
) -> None:
    site = site_with_records(tmp_path)
    happened = fingers(site, 3)
    site.cloud.faults.next_calls(REPORT, None, Fault(FaultKind.CUT_AFTER))
    async with site.up(), site.daemon() as (client, _):
        await opened(client, "one")
        happened.append(Happened(BLUETOOTH, 1, time.time()))
        await _told(site, len(happened))
        assert (await settled(client))["done"] == len(happened)
    require_told(site, happened)
    second = site.cloud.records.stored[1].message_id
    assert dict(site.cloud.records.repeated) == {second: 1}


async def test_what_the_cloud_never_takes_waits_for_a_person_and_not_the_others(
    tmp_path: Path,
) -> None:
    site = site_with_records(tmp_path)
    fingers(site, 4)
    site.cloud.records.refuses = lambda record: record.value == 2
    async with site.up(), site.daemon() as (client, _):
        await opened(client, "one")
        await _told(site, 4)
        sink = await settled(client)
        assert (sink["done"], sink["parked"]) == (4, 1)
        (parked,) = await records(client, state="parked")
        assert (parked["value"], parked["deliveries"][0]["code"]) == (2, "1109")
        path = f"/v1/records/{parked['id']}/retry"
        assert (await client.post(path)).json()["changed"] == 1
        await until(lambda: [one.ending for one in site.cloud.log].count("1109") == 2)
        site.cloud.records.refuses = lambda _: False
        while (await client.post(path)).status_code == 409:
            await anyio.sleep(0.02)  # the cloud's word is not on disk yet
        await _told(site, 5)
        sink = await settled(client)
        assert (sink["done"], sink["parked"]) == (5, 0)
        assert (await _verified(client))["agree"] == 5
    assert [value for _, value in in_cloud(site)] == [1, 3, 4, 1, 2]


async def test_a_lock_that_the_cloud_refuses_keeps_its_records_and_opens(tmp_path: Path) -> None:
    site = site_with_records(tmp_path)
    happened = fingers(site, 3)
    site.cloud.records.refused_devices[KEYS.virtual_id] = 1106
    async with site.up():
        async with site.daemon() as (client, _):
            await opened(client, "one")
            happened.append(Happened(BLUETOOTH, 1, time.time()))
            await until(lambda: site.cloud.calls[REPORT] > 0)
            while not (sink := await outbox(client))["routes_closed"]:
                await anyio.sleep(0.02)  # the cloud's word is not on disk yet
            assert (sink["waiting"], sink["done"], sink["parked"]) == (4, 0, 0)
            assert sink["routes_closed"] == {"front": "1106"}
            await opened(client, "two")
            happened.append(Happened(BLUETOOTH, 1, time.time()))
        assert site.opened == 2
        site.cloud.records.refused_devices.clear()  # somebody linked it, and started the agent anew
        async with site.daemon() as (client, _):
            await _told(site, len(happened))
            await settled(client)
            with anyio.fail_after(10):
                while (await outbox(client))["routes_closed"]:
                    await anyio.sleep(0.02)  # the route is opened after its records are settled
    require_told(site, happened)


async def test_a_cloud_that_is_away_for_a_while_gets_everything_when_it_is_back(
    tmp_path: Path,
) -> None:
    site = site_with_records(tmp_path)
    happened = fingers(site, 3)
    site.cloud.faults.always(REPORT, Fault(FaultKind.HTTP_ERROR, status=503))
    async with site.up(), site.daemon() as (client, _):
        await opened(client, "one")
        happened.append(Happened(BLUETOOTH, 1, time.time()))
        await until(lambda: site.cloud.calls[REPORT] >= 2)
        sink = await outbox(client)
        assert (sink["waiting"], sink["done"], sink["parked"]) == (len(happened), 0, 0)
        await opened(client, "two")
        happened.append(Happened(BLUETOOTH, 1, time.time()))
        site.cloud.faults.clear()
        await _told(site, len(happened))
        assert (await settled(client))["done"] == len(happened)
    require_told(site, happened)


@pytest.mark.parametrize("first", ["live", "from the ring"])
async def test_a_full_disk_opens_doors_and_leaves_the_records_at_the_lock(
    tmp_path: Path, first: str
) -> None:
    site = site_with_records(tmp_path)
    happened = fingers(site, 5)
    full = tmp_path / "full"
    async with site.up(), site.daemon(by=[str(FILLING), str(full)]) as (client, _):
        if first == "live":
            full.touch()
        await opened(client, "one")
        happened.append(Happened(BLUETOOTH, 1, time.time()))
        if first == "from the ring":
            while not await records(client):
                await anyio.sleep(0.01)
            full.touch()  # the lock begins a second after it was asked
        await until(lambda: full.read_text().split("\n").count(first) >= 2)
        await opened(client, "two")
        happened.append(Happened(BLUETOOTH, 1, time.time()))
        on_disk = await records(client)
        from_the_ring = [one for one in on_disk if not one["live"]]
        assert len(on_disk) < len(happened)
        acknowledged = 5 - int(site.lock.dump()["records"])
        assert acknowledged <= len(from_the_ring), "the lock forgot what is nowhere else"
        assert not site.cloud.records.stored
        assert site.log.read_text().count("records.not_kept") == 1, "told once, not every second"
        full.unlink()
        await _told(site, len(happened))
        assert (await settled(client))["done"] == len(happened)
    require_told(site, happened)
    assert site.lock.dump()["records"] == 0


async def test_what_happens_while_connected_comes_at_once(tmp_path: Path) -> None:
    site = site_with_records(tmp_path, connection="held")
    async with site.up(), site.daemon() as (client, _):
        await opened(client, "one")
        happened = [Happened(BLUETOOTH, 1, time.time())]
        await _told(site, 1)
        happened += [await finger(site, 7), await finger(site, 7)]  # two, in one second
        await _told(site, 3)
        await settled(client)
        assert [one["live"] for one in await records(client)] == [True] * 3
    require_told(site, happened)
