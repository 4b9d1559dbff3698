"""``bleagent doctor`` as a process: with no Bluetooth at all, and with a bluetoothd."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.bluez.private_bus import dbus_daemon
from tests.bluez.scripted_bluez import Fail, ScriptedBluez, scripted_bluez
from tests.system.canary import Canary
from tests.system.daemon import LOCAL_KEY, TOKEN, Site, unlock_when_rested

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def doctor(bus: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    return await anyio.run_process(
        [sys.executable, "-m", "bleagent", "doctor", *arguments],
        env={**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": bus},
        check=False,
    )


def checks(answer: subprocess.CompletedProcess[bytes]) -> dict[str, dict[str, Any]]:
    assert answer.stderr == b""
    found = json.loads(answer.stdout)
    assert answer.returncode == (0 if found["ok"] else 1)
    return {one["name"]: one for one in found["checks"]}


async def test_without_a_bus_it_says_so_and_does_not_fall_over(tmp_path: Path) -> None:
    answer = await doctor(f"unix:path={tmp_path}/nothing")
    assert answer.returncode == 1
    assert answer.stderr == b""
    text = answer.stdout.decode()
    assert "FAIL  bluetoothd" in text
    assert "systemctl start dbus.socket" in text
    assert "\x1b[" not in text  # no colours where no terminal is


@pytest.mark.parametrize("story", ["fine", "no adapter", "off", "denied"])
async def test_with_a_bluetoothd_it_says_what_that_says(tmp_path: Path, story: str) -> None:
    if dbus_daemon() is None:
        pytest.skip("dbus-daemon is not installed (Debian: dbus-daemon)")
    async with scripted_bluez(tmp_path) as bluez:
        tell(bluez, story)
        found = checks(await doctor(bluez.address, "--json"))
    match story:
        case "denied":
            assert found["bluetoothd"]["level"] == "fail"
            assert "<busconfig>" in found["bluetoothd"]["mend"]
        case "no adapter":
            assert found["adapter"]["found"] == "bluetoothd has none"
        case "off":
            assert "power on" in found["adapter"]["mend"]
        case _:
            assert found["bluetoothd"]["level"] == "ok"
            assert found["adapter"]["found"] == "hci0 (B8:27:EB:00:00:01) is on"


def tell(bluez: ScriptedBluez, story: str) -> None:
    if story != "no adapter":
        bluez.add_adapter("hci0", powered=story != "off")
    if story == "denied":
        bluez.script("GetManagedObjects", Fail("org.freedesktop.DBus.Error.AccessDenied", "no"))


async def test_with_a_configuration_it_looks_at_the_agent_too(tmp_path: Path) -> None:
    site = Site(tmp_path)
    bus = f"unix:path={tmp_path}/nothing"
    async with site.up():
        async with site.daemon() as (client, _):
            text = site.config.read_text().replace("port = 0", f"port = {client.base_url.port}")
            site.config.write_text(text)
            assert (await unlock_when_rested(client, "k")).json()["outcome"] == "confirmed"
            told = ("--json", "--config", str(site.config))
            running = checks(await doctor(bus, *told, "--lock", "front", "--lock", "nowhere"))
            assert site.opened == 1
        stopped = checks(await doctor(bus, "--json", "--config", str(site.config)))
        (tmp_path / "state/vault.key").write_bytes(bytes(32))
        (tmp_path / "local").write_text("0123456789abcdef")
        wrong = checks(await doctor(bus, "--json", "--config", str(site.config)))
    # Before a virtual lock this machine's Bluetooth has no part, and fails nobody.
    assert running["Bluetooth"]["found"].startswith("not looked at: the lock is at 127.0.0.1:")
    assert {"adapter", "bluetoothd"}.isdisjoint(running)
    assert len(running) >= 10
    names = ("configuration", "secrets", "state directory", "disk", "vault key", "cloud", "date")
    for name in (*names, "daemon", "cloud's front"):
        assert running[name]["level"] == "ok", running[name]
    assert running["rehearsal of front"]["level"] == "ok", running
    assert "instruction" in running["rehearsal of front"]["found"]
    assert running["rehearsal of nowhere"]["level"] == "fail"
    assert stopped["daemon"]["level"] == "warn"
    assert stopped["vault key"]["found"].startswith("opens the ")
    assert not stopped["vault key"]["found"].startswith("opens the 0 ")
    assert wrong["vault key"]["level"] == "fail"
    assert wrong["cloud's front"]["level"] == "fail"
    assert (
        Canary({"local": LOCAL_KEY.encode(), "token": TOKEN.encode()}).found(
            json.dumps([running, stopped, wrong])
        )
        == []
    )
