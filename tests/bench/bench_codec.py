"""How fast the codec is, beside the bare cost of its cipher and its checksum.

``bench_codec.py [--quick] [--json FILE]``. Everything is measured in one process and one run:
the cases take turns, repetition by repetition, so that whatever slows the machine down slows
all of them. A ratio is the codec's time over that of AES and CRC on the same bytes.
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:  # started as a script
    sys.path.insert(0, str(ROOT))

from Crypto.Cipher import AES  # noqa: E402 - after the path

from protocol.dialect import Dialect  # noqa: E402
from protocol.fragment import Joiner, split  # noqa: E402
from protocol.frame import Frame, crc16  # noqa: E402
from protocol.keys import KeyRing, LockKeys, Secret  # noqa: E402
from protocol.message import close_frame, open_message  # noqa: E402
from protocol.seal import BLOCK  # noqa: E402
from tests.bench.conversation import converse  # noqa: E402

DATA_SIZES = (0, 7, 22, 44, 77, 200, 1000)
"""Nothing, a switch, an opening, a pairing, device information, many datapoints, the most."""
ATT_PAYLOADS = (20, 244)
CRC_SIZES = (12, 64, 256, 1000)
AIM = 2.0
"""Ratio that sealing and opening should not exceed."""
KEYS = LockKeys(uuid="tuya902d3cd868a1", local_key=Secret("NGKZwbmwW2G4yeMA"))
IV = bytes(range(16))
SRAND = bytes.fromhex("d9a52d6fe480")
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Effort:
    """``batch`` is the seconds that one measurement lasts, about."""

    repetitions: int
    batch: float
    starts: int


FULL = Effort(repetitions=40, batch=0.003, starts=10)
QUICK = Effort(repetitions=2, batch=0.0001, starts=1)


@dataclass(slots=True)
class Case:
    """One thing to measure. ``bare`` names the case that its ratio is over."""

    name: str
    size: int
    call: Callable[[], object]
    bare: str | None = None
    number: int = 1
    times: list[float] = field(default_factory=list)

    @property
    def key(self) -> tuple[str, int]:
        return self.name, self.size


@dataclass(frozen=True, slots=True)
class Row:
    """Seconds for one call; ``ratio`` is of the shortest times, ``median_ratio`` of the medians."""

    name: str
    size: int
    shortest: float
    median: float
    per_second: float
    ratio: float | None = None
    median_ratio: float | None = None


# -- measuring


def measure(cases: Sequence[Case], effort: Effort) -> list[Row]:
    """Let the cases take turns, each in batches of about the same time."""
    for case in cases:
        case.call()
        case.number = max(1, round(effort.batch / max(_batch(case.call, 3) / 3, 1e-7)))
    for _ in range(effort.repetitions):
        for case in cases:
            case.times.append(_batch(case.call, case.number) / case.number)
    rows = {case.key: case for case in cases}
    return [_row(case, rows.get((case.bare or "", case.size))) for case in cases]


def _batch(call: Callable[[], object], number: int) -> float:
    turns: Iterable[None] = [None] * number
    gc.collect(0)
    gc.disable()
    try:
        begun = perf_counter()
        for _ in turns:
            call()
        return perf_counter() - begun
    finally:
        gc.enable()


def _row(case: Case, bare: Case | None) -> Row:
    shortest, middle = min(case.times), median(case.times)
    ratio = None if bare is None else shortest / min(bare.times)
    median_ratio = None if bare is None else middle / median(bare.times)
    return Row(case.name, case.size, shortest, middle, 1 / middle, ratio, median_ratio)


# -- what is measured


def codec_cases() -> list[Case]:
    """Frame to message, message to frame, message to packets and back."""
    return [case for size in DATA_SIZES for case in _frame_cases(size)]


def _frame_cases(size: int) -> list[Case]:
    ring = KeyRing(KEYS)
    ring.learn_srand(SRAND)
    dialect = Dialect(4)
    flag = dialect.session_flag
    key, flags = ring.key(flag), dialect.known_flags
    frame = Frame(7, 3, 0x8001, (bytes(range(256)) * 4)[:size])
    plaintext = frame.to_bytes()
    body, short = plaintext[:-2], -len(plaintext) % BLOCK
    padded = plaintext + bytes((short,)) * short
    message = close_frame(frame, flag=flag, ring=ring, iv=IV)
    ciphertext = message[17:]

    def bare_seal() -> None:
        crc16(body)
        AES.new(key, AES.MODE_CBC, IV).encrypt(padded)

    def bare_open() -> None:
        AES.new(key, AES.MODE_CBC, IV).decrypt(ciphertext)
        crc16(body)

    def seal() -> bytes:
        return close_frame(Frame(7, 3, 0x8001, frame.data), flag=flag, ring=ring, iv=IV)

    assert open_message(seal(), ring, known_flags=flags).frame == frame
    return [
        Case("bare seal", size, bare_seal),
        Case("seal", size, seal, bare="bare seal"),
        Case("bare open", size, bare_open),
        Case("open", size, lambda: open_message(message, ring, known_flags=flags), "bare open"),
        *(case for payload in ATT_PAYLOADS for case in _packet_cases(size, message, payload)),
    ]


def _packet_cases(size: int, message: bytes, att_payload: int) -> list[Case]:
    packets = split(message, att_payload=att_payload, major=4)
    joiner = Joiner()

    def join() -> bytes | None:
        whole = None
        for packet in packets:
            whole = joiner.feed(packet)
        return whole

    assert join() == message
    return [
        Case(
            f"split {att_payload}", size, lambda: split(message, att_payload=att_payload, major=4)
        ),
        Case(f"join {att_payload}", size, join),
    ]


def _crc_table() -> tuple[int, ...]:
    return tuple(_shifted(value) for value in range(256))


def _shifted(crc: int) -> int:
    for _ in range(8):
        crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return crc


_CRC_TABLE = _crc_table()


def table_crc16(data: bytes) -> int:
    """The usual walk through a table of 256."""
    crc, table = 0xFFFF, _CRC_TABLE
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 0xFF]
    return crc


def bitwise_crc16(data: bytes) -> int:
    """The definition."""
    crc = 0xFFFF
    for byte in data:
        crc = _shifted(crc ^ byte)
    return crc


def crc_cases() -> list[Case]:
    """Three ways to the same number."""
    cases: list[Case] = []
    for size in CRC_SIZES:
        data = (bytes(range(256)) * 4)[:size]
        assert crc16(data) == table_crc16(data) == bitwise_crc16(data)
        cases += [
            Case("crc16", size, partial(crc16, data)),
            Case("table walk", size, partial(table_crc16, data), bare="crc16"),
            Case("bit by bit", size, partial(bitwise_crc16, data), bare="crc16"),
        ]
    return cases


def conversation_cases() -> list[Case]:
    """Connect, device information, pair, time, unlock: Central against Peripheral."""
    return [
        Case("conversation 3.0", 20, partial(converse, "3.0", 20)),
        Case("conversation 4.4", 20, partial(converse, "4.4", 20)),
        Case("conversation 4.4", 244, partial(converse, "4.4", 244)),
        Case("conversation secv2", 244, partial(converse, "secv2", 244)),
    ]


# -- starting


_START = """
import sys, time
sys.path.insert(0, {root!r})
def resident():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * __import__("resource").getpagesize()
before, begun = resident(), time.perf_counter()
import {module}
print(time.perf_counter() - begun, resident() - before)
"""


@dataclass(frozen=True, slots=True)
class Start:
    """Importing something in a fresh interpreter: seconds and bytes of resident memory."""

    module: str
    shortest: float
    median: float
    resident: float


def starts(effort: Effort) -> list[Start]:
    """The package, and the cipher that it stands on."""
    modules = ("Crypto.Cipher.AES", "protocol")
    found: dict[str, list[tuple[float, float]]] = {module: [] for module in modules}
    for _ in range(effort.starts):
        for module in modules:
            script = _START.format(root=str(ROOT), module=module)
            done = subprocess.run(  # noqa: S603 - ourselves
                [sys.executable, "-c", script], capture_output=True, text=True, check=True
            )
            seconds, resident = map(float, done.stdout.split())
            found[module].append((seconds, resident))
    return [
        Start(module, min(t for t, _ in one), median(t for t, _ in one), median(r for _, r in one))
        for module, one in found.items()
    ]


# -- showing


def show(rows: Sequence[Row], started: Sequence[Start]) -> None:
    """All of it as tables."""
    table = {(row.name, row.size): row for row in rows}
    print(f"Python {platform.python_version()}, {platform.machine()}; us are shortest/median\n")
    for name in ("seal", "open"):
        print(f"{name:<5} data        codec us         bare us  frames/s  ratio (medians)")
        for size in DATA_SIZES:
            row, bare = table[name, size], table[f"bare {name}", size]
            print(
                f"{size:>10} {_us(row):>15} {_us(bare):>15} {row.per_second:>9,.0f}"
                f"  {row.ratio:5.2f} ({row.median_ratio:.2f})"
            )
        print()
    print(" packets data           split us     split/s           join us      join/s")
    for payload in ATT_PAYLOADS:
        for size in DATA_SIZES:
            cut, joined = table[f"split {payload}", size], table[f"join {payload}", size]
            print(
                f"{payload:>8} {size:>4} {_us(cut):>18} {cut.per_second:>11,.0f}"
                f" {_us(joined):>17} {joined.per_second:>11,.0f}"
            )
    print("\n crc bytes        crc16 us      table walk us          bit by bit us")
    for size in CRC_SIZES:
        one, walk, bits = (table[name, size] for name in ("crc16", "table walk", "bit by bit"))
        print(
            f"{size:>10} {_us(one):>15} {_us(walk):>12} x{walk.ratio:<4.1f}"
            f" {_us(bits):>16} x{bits.ratio:<5.1f}"
        )
    print()
    for row in rows:
        if row.name.startswith("conversation"):
            print(f"{row.name}, packets of {row.size}: {row.per_second:,.0f}/s ({_us(row)} us)")
    for start in started:
        print(
            f"import {start.module}: {start.median * 1e3:.1f} ms (shortest "
            f"{start.shortest * 1e3:.1f}), {start.resident / MIB:.1f} MiB"
        )
    worst = max(row.ratio or 0.0 for row in rows if row.name in ("seal", "open"))
    print(f"\nworst ratio {worst:.2f}, aim {AIM:.1f} or less")


def _us(row: Row) -> str:
    return f"{row.shortest * 1e6:.1f}/{row.median * 1e6:.1f}"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="how fast the codec is")
    parser.add_argument("--quick", action="store_true", help="see that it runs; the numbers lie")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers there too")
    options = parser.parse_args(arguments)
    effort = QUICK if options.quick else FULL
    rows = measure([*codec_cases(), *crc_cases(), *conversation_cases()], effort)
    started = starts(effort)
    show(rows, started)
    if options.json is not None:
        found = {
            "python": platform.python_version(),
            "machine": platform.machine(),
            "rows": [asdict(row) for row in rows],
            "starts": [asdict(start) for start in started],
        }
        options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
