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
