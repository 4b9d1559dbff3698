"""An air, an adapter, or a scripted bluetoothd, for each test."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bleagent.adapters.bluez import BluezBluetooth
from bleagent.clock import SystemClock

from . import bleak_bumble
from .air import Air
from .bleak_bumble import Adapter
from .private_bus import dbus_daemon
from .scripted_bluez import ScriptedBluez, scripted_bluez

# What needs a real BlueZ is collected where there is an image of one: `make test-bluez`.
collect_ignore = [] if os.environ.get("BLUEZ_VM_IMAGE") else ["vm"]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def air() -> Air:
    """The radio medium."""
    return Air()


@pytest.fixture
async def adapter(air: Air, monkeypatch: pytest.MonkeyPatch) -> Adapter:
    """This machine's adapter on the air, and bleak on it."""
    found = Adapter(air)
    bleak_bumble.install(monkeypatch, found)
    return found


@pytest.fixture
async def bluez(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ScriptedBluez]:
    """A scripted bluetoothd with one adapter, in the place of the system's."""
    if dbus_daemon() is None:
        pytest.skip("dbus-daemon is not installed (Debian: dbus-daemon)")
    async with scripted_bluez(tmp_path) as found:
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", found.address)
        found.add_adapter("hci0")
        yield found


@pytest.fixture
async def bluetooth(bluez: ScriptedBluez) -> AsyncIterator[BluezBluetooth]:
    """Our adapter on the scripted bluetoothd."""
    del bluez  # must be there first
    async with BluezBluetooth(SystemClock()) as found:
        yield found


@pytest.fixture
def records_come_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing is slow, an agent need not stay three seconds for a record."""
    monkeypatch.setattr("bleagent.unlock.RECORD_LINGER", 0.3)
