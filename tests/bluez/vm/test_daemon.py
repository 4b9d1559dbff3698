"""`bleagent run` as a process, over a real BlueZ, asked over HTTP: the whole of it at once."""

from __future__ import annotations

import os
import time
from pathlib import Path
from statistics import median, quantiles

import anyio
import httpx
import pytest

from bleagent.simulator.cloud_faults import Fault, FaultKind
from bleagent.simulator.profiles import PROFILE_NAMES
from tests.bluez.air import Air, Radio
from tests.bluez.air_site import AirSite, killed
from tests.bluez.appliance.machine import PluggedAdapter
from tests.system.daemon import unlock, unlock_when_rested

pytestmark = pytest.mark.anyio
PATIENCE = 20.0
LONG = bool(os.environ.get("BLEAGENT_LONG"))
ROUNDS = 40 if LONG else 2
PROFILES = PROFILE_NAMES if LONG else ("v3.0", "v4-244", "secv2-244")
"""The others are opened by the scenarios, through all but HTTP."""


def site_of(folder: Path, air: Air, adapter: PluggedAdapter, *, firmware: str = "v3.0") -> AirSite:
    return AirSite(folder, air, adapter.machine.environment, firmware=firmware)


def is_att_request(packet: bytes) -> bool:
    """Whether an L2CAP packet is an ATT request: MTU, finding, reading, or a write with answer."""
    return packet[2:4] == b"\4\0" and packet[4] in (0x02, 0x04, 0x06, 0x08, 0x0A, 0x0C, 0x10, 0x12)


async def radio_of(client: httpx.AsyncClient) -> dict[str, object]:
    """What the daemon knows of the lock's radio."""
    (lock,) = (await client.get("/v1/locks")).json()["locks"]
    radio: dict[str, object] = lock["radio"]
    return radio


@pytest.mark.parametrize("firmware", PROFILES)
async def test_a_request_opens_the_door(
    tmp_path: Path, air: Air, vm_adapter: PluggedAdapter, firmware: str
) -> None:
    site = site_of(tmp_path, air, vm_adapter, firmware=firmware)
    async with site.up(), site.daemon() as (client, process):
        body = (await unlock(client, "one", deadline_ms=20_000)).json()
        assert (body["outcome"], body["by"], site.opened) == ("confirmed", "lock", 1), body
        radio = await radio_of(client)
        assert (radio["adapter"], radio["connections"]) == (vm_adapter.name, 1)
        again = (await unlock_when_rested(client, "two")).json()
        assert again["outcome"] == "confirmed"
        assert "connect" not in again["steps"]  # the connection of the first one lingers
        assert site.opened == 2
        process.terminate()
        assert await process.wait() == 0
        assert not site.is_connected


async def test_ready_says_whether_there_is_an_adapter(
    tmp_path: Path, air: Air, vm_adapter: PluggedAdapter
) -> None:
    site = site_of(tmp_path, air, vm_adapter)
    async with site.up(), site.daemon() as (client, _):

        async def wrong() -> list[str]:
            found: list[str] = (await client.get("/readyz")).json()["wrong"]
            return found

        with anyio.fail_after(PATIENCE):
            while await wrong():
                await anyio.sleep(0.1)
        await vm_adapter.plug_out()
        with anyio.fail_after(PATIENCE):
            while await wrong() != ["radio"]:
                await anyio.sleep(0.1)
        body = (await unlock(client, "one", deadline_ms=2000)).json()
        assert (body["outcome"], body["code"]) == ("unreached", "radio-unavailable")
        assert site.opened == 0


async def test_killed_while_connected_it_finds_the_lock_again(
    tmp_path: Path, air: Air, vm_adapter: PluggedAdapter
) -> None:
    """BlueZ keeps the dead process's connection, and the lock does not advertise (A5)."""
    site = site_of(tmp_path, air, vm_adapter)
    async with site.up():
        async with site.daemon() as (client, process):
            assert (await unlock(client, "one", deadline_ms=20_000)).json()["outcome"] == (
                "confirmed"
            )
            await anyio.sleep(2.5)
            site.cloud.faults.always("doorLock.bleOpenInstruction", Fault(FaultKind.SLOW))
            async with anyio.create_task_group() as tasks:

                async def ask() -> None:
                    with pytest.raises(httpx.HTTPError):
                        await unlock(client, "two", deadline_ms=20_000)

                tasks.start_soon(ask)
                with anyio.fail_after(PATIENCE):
                    while site.cloud.calls["doorLock.bleOpenInstruction"] < 2:
                        await anyio.sleep(0.02)
                assert site.is_connected
                await killed(process)
        site.cloud.faults.clear()
        async with site.daemon() as (client, _):
            body = (await unlock(client, "two", deadline_ms=20_000)).json()
            assert (body["outcome"], site.opened) == ("unreached", 1)
            body = (await unlock_when_rested(client, "three", deadline_ms=20_000)).json()
            assert (body["outcome"], site.opened) == ("confirmed", 2), body


async def test_killed_in_the_middle_of_connecting_it_opens_after_its_restart(
    tmp_path: Path, air: Air, vm_adapter: PluggedAdapter
) -> None:
    """BlueZ is left with a connect that nobody waits for any more."""
    site = site_of(tmp_path, air, vm_adapter)
    async with site.up():
        async with site.daemon() as (client, process):
            with anyio.fail_after(PATIENCE):
                while (await radio_of(client))["heard_s_ago"] is None:
                    await anyio.sleep(0.1)
            site.leave_range()
            async with anyio.create_task_group() as tasks:

                async def ask() -> None:
                    with pytest.raises(httpx.HTTPError):
                        await unlock(client, "one", deadline_ms=20_000)

                tasks.start_soon(ask)
                with anyio.fail_after(PATIENCE):
                    while (await radio_of(client))["attempts"] == 0:
                        await anyio.sleep(0.02)
                await anyio.sleep(2.5)  # bluetoothd is waiting for the lock
                await killed(process)
        site.come_back()
        async with site.daemon() as (client, _):
            body = (await unlock(client, "two", deadline_ms=30_000)).json()
            if body["outcome"] == "unreached":
                # A connection that nobody can end: the lock hangs up by itself after 30 s.
                body = (await unlock(client, "three", deadline_ms=30_000)).json()
            assert (body["outcome"], site.opened) == ("confirmed", 1), body


async def test_bluetoothd_may_die_between_two_openings(
    tmp_path: Path, air: Air, vm_adapter: PluggedAdapter
) -> None:
    site = site_of(tmp_path, air, vm_adapter)
    async with site.up(), site.daemon() as (client, _):
        assert (await unlock(client, "one", deadline_ms=20_000)).json()["outcome"] == "confirmed"
        await vm_adapter.machine.kill_bluetoothd()
        with anyio.fail_after(60):
            while True:
                key = f"after {time.monotonic()}"
                body = (await unlock(client, key, deadline_ms=20_000)).json()
                if body.get("outcome") == "confirmed":
                    break
                assert body.get("outcome", "unreached") == "unreached", body
                await anyio.sleep(2.5)
        assert site.opened == 2


async def test_how_long_a_cold_opening_takes(
    tmp_path: Path, air: Air, vm_adapter: PluggedAdapter, capsys: pytest.CaptureFixture[str]
) -> None:
    """Numbers for the README (``-s``); 40 openings with BLEAGENT_LONG=1, 2 otherwise."""
    answered, opened, steps, requests = [], [], [], []
    site = site_of(tmp_path, air, vm_adapter)
    asked = 0

    def count(sender: Radio, receiver: Radio, packet: bytes) -> bool:
        nonlocal asked
        del receiver
        asked += sender is vm_adapter.radio and is_att_request(packet)
        return False

    air.drop = count
    async with site.up():
        text = site.config.read_text()
        site.config.write_text(text.replace("strategies =", "linger = 0.0\nstrategies ="))
        async with site.daemon("warning") as (client, _):
            for number in range(ROUNDS):
                with anyio.fail_after(PATIENCE):
                    while site.is_connected:
                        await anyio.sleep(0.02)
                await anyio.sleep(2.5)
                asked, began = 0, time.perf_counter()
                answer = await unlock(client, f"key {number}", deadline_ms=20_000)
                answered.append(time.perf_counter() - began)
                assert answer.json()["outcome"] == "confirmed", answer.text
                opened.append(site.opened_at - began)
                steps.append(answer.json()["steps"])
                requests.append(asked)
    assert site.opened == ROUNDS
    with capsys.disabled():
        for name, times in (("POST to opened", opened), ("POST to answer", answered)):
            p95 = quantiles(times, n=20)[-1]
            print(f"\n{name}: p50 {1000 * median(times):.0f} ms, p95 {1000 * p95:.0f} ms", end="")
        for step in ("connect", "device_info", "pair", "ack"):
            print(f"\n   {step} at {1000 * median(one[step] for one in steps):.0f} ms", end="")
        print(
            f"\nATT requests that wait for an answer: {requests[0]} the first time, then "
            f"{median(requests[1:]):.0f}; and 3 exchanges with the lock's application", end=""
        )  # fmt: skip
