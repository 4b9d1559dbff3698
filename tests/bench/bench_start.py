"""What starting the daemon costs, library by library, and how much of it is ours.

``bench_start.py [--quick] [--json FILE]``. One interpreter imports what the daemon stands on, in
the daemon's order, and says what each added; another runs ``bleagent run`` until it is ready. They
take turns, so that a busy machine slows both; the ratio between them is what can be compared.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:  # started as a script
    sys.path.insert(0, str(ROOT))

import anyio  # noqa: E402 - after the path

from tests.system.daemon import Site  # noqa: E402

LIBRARIES = (
    "asyncio", "structlog", "anyio", "pydantic", "fastapi", "uvicorn", "httpx", "sqlite3",
    "Crypto.Cipher.AES", "protocol", "bleagent.app",
)  # fmt: skip
OURS = ("protocol", "bleagent.app")
FULL, QUICK = 10, 1

_IMPORT = """
import gc, json, sys, time
gc.disable()
def resident():
    return int(open("/proc/self/status").read().partition("VmRSS:")[2].split()[0]) / 1024
from contextlib import ExitStack  # noqa: E402
from bleagent.start import leave_out, models_built_when_used  # noqa: E402
leave_out()
found = []
with ExitStack() as stack:
    for name in sys.argv[1:]:
        began, before = time.perf_counter(), resident()
        if name == "pydantic":
            stack.enter_context(models_built_when_used())
        __import__(name)
        found.append((name, time.perf_counter() - began, resident() - before))
print(json.dumps(found))
"""


@dataclass(frozen=True, slots=True)
class Import:
    """Seconds and MiB that a library adds to those above it; ``whole``: of the interpreter."""

    name: str
    seconds: float
    resident: float


@dataclass(frozen=True, slots=True)
class Start:
    """Seconds and MiB; ``libraries``: an interpreter that imports all but ours and ends."""

    ready: float
    resident: float
    libraries: float

    @property
    def ratio(self) -> float:
        """What a start takes, over what its libraries alone take."""
        return self.ready / self.libraries


def _import(*names: str) -> tuple[list[Import], float]:
    began = time.perf_counter()
    done = subprocess.run(  # noqa: S603 - our own line
        [sys.executable, "-c", _IMPORT, *names], capture_output=True, check=True, cwd=ROOT
    )
    took = time.perf_counter() - began
    return [Import(*row) for row in json.loads(done.stdout)], took


async def _ready() -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as folder:
        site = Site(Path(folder))
        async with site.up():
            began = time.perf_counter()
            async with site.daemon("warning", cold=True) as (_, process):
                took = time.perf_counter() - began
                return took, _resident(process.pid)


def _resident(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def measure(runs: int) -> tuple[list[Import], Start]:
    """Both in turns, medians."""
    imports: list[list[Import]] = []
    libraries, ready, resident = [], [], []
    others = tuple(name for name in LIBRARIES if name not in OURS)
    for _ in range(runs):
        imports.append(_import(*LIBRARIES)[0])
        libraries.append(_import(*others)[1])
        took, size = anyio.run(_ready)
        ready.append(took)
        resident.append(size)
    rows = [
        Import(
            column[0].name,
            median(one.seconds for one in column),
            median(one.resident for one in column),
        )
        for column in zip(*imports, strict=True)
    ]
    return rows, Start(median(ready), median(resident), median(libraries))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="what starting the daemon costs")
    parser.add_argument("--quick", action="store_true", help="numbers that mean nothing, fast")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers there")
    options = parser.parse_args(arguments)
    rows, start = measure(QUICK if options.quick else FULL)
    print(f"\nwhat an import adds ({platform.machine()}, Python {platform.python_version()})")
    print("   library                  ms      MiB")
    for row in rows:
        print(f"   {row.name:18}{1000 * row.seconds:9.1f}{row.resident:9.1f}")
    print(
        f"bleagent run: ready in {start.ready:.2f} s, {start.ratio:.2f} times an interpreter that "
        f"imports its libraries; resident {start.resident:.1f} MiB"
    )
    if options.json is not None:
        text = {
            "imports": [asdict(row) for row in rows],
            "start": asdict(start) | {"ratio": start.ratio},
        }
        options.json.write_text(json.dumps(text, indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
