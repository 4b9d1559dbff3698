"""One machine for the whole run; an air and a fresh adapter for each test.

    make test-bluez

builds the image and runs these; the folder is not collected otherwise.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path

import pytest

from bleagent.adapters.bluez import BluezBluetooth
from bleagent.clock import SystemClock
from tests.bluez.air import Air
from tests.bluez.appliance.machine import Machine, PluggedAdapter, booted
from tests.bluez.appliance.machine_layer import MachineLayer
from tests.bluez.conversation import forget_bleak

IMAGE = "BLUEZ_VM_IMAGE"


@pytest.fixture(scope="session")
def machine() -> Iterator[Machine]:
    """A real BlueZ."""
    image = os.environ.get(IMAGE)
    assert image, f"{IMAGE} names no image: run `make test-bluez`"
    with booted(Path(image)) as found:
        yield found


@pytest.fixture
async def vm_adapter(
    machine: Machine, air: Air, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[PluggedAdapter]:
    """An adapter of the machine, on the air, and bleak of this process on its bus."""
    for name, value in machine.environment.items():
        monkeypatch.setenv(name, value)
    async with machine.adapter(air) as found:
        yield found
        await forget_bleak()


@pytest.fixture
async def layer(air: Air, vm_adapter: PluggedAdapter) -> AsyncIterator[MachineLayer]:
    async with BluezBluetooth(SystemClock()) as bluetooth:
        yield MachineLayer(air, bluetooth, vm_adapter)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What BlueZ and the kernel said goes beside a failure."""
    del call
    report = yield
    machine = getattr(item, "funcargs", {}).get("machine")
    if report.failed and isinstance(machine, Machine):
        try:
            report.sections.append(("bluetoothd", machine.run("tail -c 20000 /tmp/bluetoothd.log")))
            report.sections.append(("kernel", machine.run("dmesg | tail -30")))
        except OSError as error:
            report.sections.append(("machine", f"{error}\n{machine.console()[-4000:]}"))
    return report
