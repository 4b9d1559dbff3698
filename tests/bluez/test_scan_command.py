"""``bleagent scan`` as a process, over the real bleak, a real D-Bus and a scripted bluetoothd."""

from __future__ import annotations

import json
import os
import pty
import signal
import sys
from pathlib import Path

import anyio
import pytest
from anyio.abc import Process

from .conversation import KEYS
from .doors import ADDRESS, OTHER, door, until
from .scripted_bluez import ScriptedBluez

pytestmark = pytest.mark.anyio

COMMAND = [sys.executable, "-m", "bleagent", "scan"]
CONFIG = f"""
[http]
token = {{ credential = "http-token" }}
[cloud]
base_url = "https://cloud.example"
signer = "none"
[[locks]]
name = "front-door"
device_id = "device"
uuid = "{KEYS.uuid}"
local_key = {{ credential = "nowhere" }}
"""


def environment(bluez: ScriptedBluez) -> dict[str, str]:
    return {**os.environ, **bluez.environment, "COLUMNS": "80", "TERM": "xterm"}


async def scanned(bluez: ScriptedBluez, *options: str) -> tuple[int, str, str]:
    done = await anyio.run_process([*COMMAND, *options], check=False, env=environment(bluez))
    return done.returncode, done.stdout.decode(), done.stderr.decode()


async def test_what_is_heard_is_listed(bluez: ScriptedBluez, tmp_path: Path) -> None:
    door(bluez)
    config = tmp_path / "bleagent.toml"
    config.write_text(CONFIG)
    code, out, err = await scanned(bluez, "--json", "--seconds", "2", "--config", str(config))
    assert (code, err) == (0, "")
    (found,) = map(json.loads, out.splitlines())
    assert (found["address"], found["uuid"]) == (ADDRESS, KEYS.uuid)
    assert (found["known_as"], found["bound"]) == (["front-door"], True)


async def test_lines_are_written_for_a_pipe(bluez: ScriptedBluez) -> None:
    door(bluez)
    door(bluez, "v3.0", OTHER)
    code, out, _ = await scanned(bluez, "--seconds", "2", "--adapter", "hci0")
    assert code == 0
    assert {line.split()[0] for line in out.splitlines()} == {ADDRESS, OTHER}


async def test_nothing_heard_is_another_status(bluez: ScriptedBluez) -> None:
    code, out, err = await scanned(bluez, "--seconds", "1")
    assert (code, out) == (1, "")
    assert "wake it at its keypad" in err


async def test_without_an_adapter_it_is_said_what_to_do(bluez: ScriptedBluez) -> None:
    bluez.set_powered("hci0", powered=False)
    code, out, err = await scanned(bluez, "--seconds", "1")
    assert (code, out) == (2, "")
    assert "no Bluetooth adapter is powered; there is hci0" in err
    assert "Traceback" not in err


async def test_without_a_bus_it_is_said_what_to_do(tmp_path: Path) -> None:
    gone = f"unix:path={tmp_path}/nothing"
    done = await anyio.run_process(
        COMMAND, check=False, env={**os.environ, "DBUS_SYSTEM_BUS_ADDRESS": gone}
    )
    assert done.returncode == 2
    assert b"systemctl start dbus.socket" in done.stderr


async def test_a_terminal_gets_a_table_until_ctrl_c(bluez: ScriptedBluez) -> None:
    door(bluez)
    ours, theirs = pty.openpty()
    shown = bytearray()
    os.set_blocking(ours, False)

    def look() -> bool:
        try:
            shown.extend(os.read(ours, 65536))
        except BlockingIOError:
            return False
        return ADDRESS.encode() in shown

    process: Process = await anyio.open_process(
        COMMAND, stdin=theirs, stdout=theirs, stderr=None, env=environment(bluez)
    )
    try:
        await until(look)
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 0
    finally:
        await process.aclose()
        os.close(ours)
        os.close(theirs)
    assert b"Locks around" in shown
