"""The service before a real BlueZ: unit, D-Bus, bluetoothd, kernel, and a lock on the air."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from tests.bluez.air import Air
from tests.bluez.air_site import AirSite
from tests.bluez.appliance.machine import Machine as BluezMachine
from tests.bluez.appliance.machine import booted
from tests.systemd.booted.gateway import Gateway, OfService
from tests.systemd.booted.machine import UNIT, Machine, until

IMAGE = "BLUEZ_VM_IMAGE"


class AirServiceSite(OfService, AirSite):
    """The door on the air."""

    def __init__(self, folder: Path, machine: Machine, air: Air) -> None:
        super().__init__(folder, air, {})
        self.machine = machine


@contextmanager
def on_air(gateway: Gateway, bluez: BluezMachine, folder: Path) -> Iterator[AirServiceSite]:
    """A door on the air, and the service that looks for it there."""

    @asynccontextmanager
    async def up() -> AsyncIterator[AirServiceSite]:
        air = Air()
        async with bluez.adapter(air):
            site = AirServiceSite(folder, gateway.machine, air)
            async with site.up():
                yield site

    named = (f'Environment="{name}={value}"' for name, value in bluez.environment.items())
    gateway.forget()
    gateway.machine.drop_in("bluez", *named)
    with gateway.portal.wrap_async_context_manager(up()) as site:
        site.set_up()
        yield site
        gateway.machine.run("systemctl", "stop", UNIT)


def test_it_opens_doors_with_bluetoothd_and_lives_without(gateway: Gateway, tmp_path: Path) -> None:
    image = os.environ.get(IMAGE)
    if not image:
        pytest.skip(f"{IMAGE} names no image")
    machine = gateway.machine
    with booted(Path(image), adapters=1) as bluez, on_air(gateway, bluez, tmp_path) as site:
        began = machine.pid
        told = gateway.unlock_when_it_may("by bluetooth", deadline_ms=20_000)
        assert (told["outcome"], told["by"], site.opened) == ("confirmed", "lock", 1), told
        assert machine.shown("StatusText").startswith("ready")

        bluez.run("touch /tmp/no-bluetoothd; killall -9 bluetoothd")
        until(lambda: "doors stay shut: radio" in machine.shown("StatusText"), "it says so")
        told = gateway.unlock_when_it_may("without bluetoothd", deadline_ms=2000)
        assert (told["outcome"], told["code"]) == ("unreached", "radio-unavailable")

        bluez.run("rm /tmp/no-bluetoothd")
        until(lambda: machine.shown("StatusText").startswith("ready"), "it is well again")
        told = gateway.unlock_when_it_may("with bluetoothd again", deadline_ms=20_000)
        assert (told["outcome"], site.opened) == ("confirmed", 2), told
        assert machine.pid == began
