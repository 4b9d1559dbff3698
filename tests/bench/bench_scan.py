"""What listening costs: CPU of one process at 100 advertisements a second, over a real D-Bus.

    python tests/bench/bench_scan.py [--seconds 10] [--rate 100]

A process of its own is bluetoothd (scripted, on a private bus) and signals each advertisement as
BlueZ does with DuplicateData: manufacturer data, service data and signal strength, every time.
The share of one core is compared with bleak alone, with a callback that does nothing: what is
between the two is ours. The process runs in the tests' environment; nothing else should.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

import os  # noqa: E402

from bleak import BleakScanner  # noqa: E402
from dbus_fast import Variant  # noqa: E402

from bleagent.adapters.bluez import BluezBluetooth  # noqa: E402
from bleagent.clock import SystemClock  # noqa: E402
from tests.bluez import bluez_names as names  # noqa: E402
from tests.bluez.bluez_discovery import device_properties  # noqa: E402
from tests.bluez.doors import door  # noqa: E402
from tests.bluez.scripted_bluez import ScriptedBluez, scripted_bluez  # noqa: E402

LOCKS = 10
TARGET = 3.0
"""Percent of one core."""


def _advertiser(bluez: ScriptedBluez, index: int, *, stranger: bool) -> str:
    scripted = door(bluez, address=f"DC:23:51:00:00:{index:02X}")
    scripted.in_range = False  # it is us who signal, at a steady rate
    path = bluez.path_of(scripted)
    properties = device_properties(scripted, path)
    if stranger:
        properties["UUIDs"] = Variant("as", [])
        properties["ServiceData"] = Variant("a{sv}", {})
        properties["ManufacturerData"] = Variant("a{qv}", {76: Variant("ay", bytes(23))})
    bluez.add(path, names.DEVICE, properties)
    return path


async def serve(folder: Path, rate: float, *, stranger: bool) -> None:
    """Be bluetoothd until standard input ends; the bus's address goes to standard output."""
    async with scripted_bluez(folder) as bluez:
        bluez.add_adapter("hci0")
        paths = [_advertiser(bluez, index, stranger=stranger) for index in range(LOCKS)]
        print(bluez.address, flush=True)
        over = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
        began, sent = time.monotonic(), 0
        while not over.done():
            while sent < (time.monotonic() - began) * rate:
                path = paths[sent % LOCKS]
                held = bluez.objects[path][names.DEVICE]
                bluez.set(
                    path,
                    names.DEVICE,
                    RSSI=Variant("n", -60 - sent % 7),
                    ManufacturerData=held["ManufacturerData"],
                    ServiceData=held["ServiceData"],
                )
                sent += 1
            await asyncio.sleep(1 / rate)


@asynccontextmanager
async def ours(count: Callable[[], None]) -> AsyncIterator[None]:
    async with (
        BluezBluetooth(SystemClock()) as bluetooth,
        bluetooth.scan("hci0", lambda _: count()),
    ):
        yield


@asynccontextmanager
async def bare(count: Callable[[], None]) -> AsyncIterator[None]:
    async with BleakScanner(lambda _device, _data: count()):
        yield


async def measure(
    listen: Callable[[Callable[[], None]], AbstractAsyncContextManager[None]], seconds: float
) -> tuple[float, float]:
    """Percent of one core, and advertisements told per second."""
    heard = 0

    def count() -> None:
        nonlocal heard
        heard += 1

    async with listen(count):
        await asyncio.sleep(min(seconds, 1))  # what happens once has happened
        heard, cpu, began = 0, time.process_time(), time.monotonic()
        await asyncio.sleep(seconds)
        took = time.monotonic() - began
        return 100 * (time.process_time() - cpu) / took, heard / took


def run(seconds: float, rate: float) -> list[tuple[str, float, float]]:
    """Name, percent of one core, advertisements told per second."""
    cases: list[tuple[str, bool, Callable[..., AbstractAsyncContextManager[None]]]] = [
        ("bleak alone", False, bare),
        ("locks", False, ours),
        ("strangers", True, ours),
    ]
    found = []
    for name, stranger, listen in cases:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, __file__, "--serve", folder, "--rate", str(rate)]
            with subprocess.Popen(  # noqa: S603 - this file
                [*command, *(["--strangers"] if stranger else [])],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            ) as served:
                assert served.stdout is not None
                os.environ["DBUS_SYSTEM_BUS_ADDRESS"] = served.stdout.readline().strip()
                cost, told = asyncio.run(measure(listen, seconds))
        found.append((name, cost, told))
    return found


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rate", type=float, default=100.0)
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--strangers", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.serve is not None:
        asyncio.run(serve(options.serve, options.rate, stranger=options.strangers))
        return 0
    print(f"{options.rate:.0f} advertisements a second from {LOCKS} devices:")
    found = run(options.seconds, options.rate)
    for name, cost, told in found:
        print(f"  {name:12} {cost:5.2f} % of one core   {told:5.1f} told a second")
    return 0 if found[1][1] <= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
