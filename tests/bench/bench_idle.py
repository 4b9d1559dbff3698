"""What a gateway costs at whose door nobody is: CPU, memory, and what is written to its card.

``bench_idle.py [--seconds 60] [--rate 10] [--json FILE]``. The real daemon, ready and warmed up,
before a virtual cloud: once with a virtual lock over a socket, and once with Bluetooth (our
scripted bluetoothd on a private D-Bus) and so many advertisements a second from ten locks in
reach, none of which is its own. The kernel counts: CPU of the process, and bytes that it gave to
the disk (``write_bytes``, whole pages). The date is kept once in ten minutes: with less than 600 s
it may be missed. What is told for an hour is what was seen, times as often.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:  # started as a script
    sys.path.insert(0, str(ROOT))

import anyio  # noqa: E402 - after the path

from tests.bench.bench_start import _resident  # noqa: E402
from tests.system.daemon import Site  # noqa: E402

WARM = 15.0
"""Seconds after the start in which things happen once."""
HOUR = 3600.0
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True, kw_only=True)
class Idle:
    """One daemon, idle. CPU and bytes are of an hour as the measured seconds were."""

    name: str
    seconds: float
    ready: float
    """Seconds from its start until it was ready."""
    cpu: float
    """Seconds."""
    written: float
    """Bytes."""
    logged: float
    """Bytes of its log, which are among them here and the journal's on a gateway."""
    resident: float
    """MiB."""
    touched: tuple[str, ...]
    """Files of the state directory that were written to meanwhile."""


def cpu_of(pid: int) -> float:
    """Seconds of user and system time."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def written_by(pid: int) -> int:
    """Bytes that it caused to be sent to a disk."""
    text = Path(f"/proc/{pid}/io").read_text()
    return int(text.partition("\nwrite_bytes:")[2].split()[0])


def changed_in(folder: Path) -> dict[str, int]:
    """When each file was written to last, in nanoseconds."""
    return {one.name: one.stat().st_mtime_ns for one in folder.iterdir() if one.is_file()}


async def measure(name: str, folder: Path, seconds: float, *, bluetooth: bool) -> Idle:
    """Start a daemon, let it come to rest, and watch it doing nothing."""
    site, state = Site(folder), folder / "state"
    async with site.up():
        if bluetooth:
            text = site.config.read_text()
            site.config.write_text(text.replace("[radio]\nsocket", "[radio]\n# socket"))
        began = time.perf_counter()
        async with site.daemon("info", cold=True) as (_, process):
            ready = time.perf_counter() - began
            await anyio.sleep(min(WARM, seconds))
            before = changed_in(state)
            at, cpu, written = time.monotonic(), cpu_of(process.pid), written_by(process.pid)
            logged = site.log.stat().st_size
            await anyio.sleep(seconds)
            often = HOUR / (time.monotonic() - at)
            after = changed_in(state)
            return Idle(
                name=name, seconds=seconds, ready=ready,
                cpu=often * (cpu_of(process.pid) - cpu),
                written=often * (written_by(process.pid) - written),
                logged=often * (site.log.stat().st_size - logged),
                resident=_resident(process.pid),
                touched=tuple(sorted(k for k, v in after.items() if before.get(k) != v)),
            )  # fmt: skip


@contextmanager
def advertising(rate: float) -> Iterator[None]:
    """A scripted bluetoothd in the place of the system's, for processes that are started here."""
    with tempfile.TemporaryDirectory() as folder:
        scan = Path(__file__).with_name("bench_scan.py")
        command = [sys.executable, str(scan), "--serve", folder, "--rate", str(rate)]
        with subprocess.Popen(  # noqa: S603 - ours
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as served:
            assert served.stdout is not None
            before = os.environ.get("DBUS_SYSTEM_BUS_ADDRESS")
            os.environ["DBUS_SYSTEM_BUS_ADDRESS"] = served.stdout.readline().strip()
            try:
                yield
            finally:
                os.environ.pop("DBUS_SYSTEM_BUS_ADDRESS")
                if before is not None:
                    os.environ["DBUS_SYSTEM_BUS_ADDRESS"] = before


def run(seconds: float, rate: float) -> list[Idle]:
    """Both, one after the other."""
    with tempfile.TemporaryDirectory() as folder:
        found = [anyio.run(_virtual, Path(folder), seconds)]
    with tempfile.TemporaryDirectory() as folder, advertising(rate):
        found.append(anyio.run(_bluetooth, Path(folder), seconds))
    return found


async def _virtual(folder: Path, seconds: float) -> Idle:
    return await measure("virtual lock", folder, seconds, bluetooth=False)


async def _bluetooth(folder: Path, seconds: float) -> Idle:
    return await measure("Bluetooth", folder, seconds, bluetooth=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="what an idle gateway costs")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=10.0, help="advertisements a second")
    parser.add_argument("--quick", action="store_true", help="numbers that mean nothing, fast")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers there")
    options = parser.parse_args(arguments)
    found = run(2.0 if options.quick else options.seconds, options.rate)
    print(f"\nan idle hour, by {found[0].seconds:.0f} s of it, {options.rate:.0f} advertisements/s")
    for one in found:
        print(
            f"   {one.name:13} ready {one.ready:.2f} s, CPU {one.cpu:6.1f} s, resident "
            f"{one.resident:.1f} MiB, written {one.written / 1024:.0f} KiB, of these log "
            f"{one.logged / 1024:.1f} KiB; files: {', '.join(one.touched) or 'none'}"
        )
    if options.json is not None:
        options.json.write_text(json.dumps([asdict(one) for one in found], indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
