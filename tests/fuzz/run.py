"""Fuzzing of every parser under atheris, one process each.

``run.py [--target NAME] [--runs N] [--seconds S] [--jobs J] [--seed N]``

Each target gets a process of its own, in which atheris watches the codec's branches. Ends
non-zero where a promise was broken, and shows the input as hex. ``README.md`` says more.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:  # started as a script
    sys.path.insert(0, str(ROOT))

DEFAULT_RUNS = 20_000
SLOWEST = 10  # seconds that one input may take
MEMORY = 1024  # MiB
_EXECUTED = re.compile(r"stat::number_of_executed_units:\s+(\d+)")
_FEATURES = re.compile(r"\bft: (\d+)")
_LAST_LINES = 30


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one target. ``finding`` is the input that broke a promise."""

    target: str
    executions: int
    seconds: float
    features: int
    finding: bytes | None
    exit_code: int
    log: str

    @property
    def failed(self) -> bool:
        return self.exit_code != 0

    def row(self) -> str:
        found = "none" if not self.failed else "1" if self.finding is not None else "crashed"
        rate = self.executions / self.seconds if self.seconds else 0.0
        return (
            f"{self.target:<20} {self.executions:>12,} {rate:>10,.0f} {self.seconds:>8,.0f} "
            f"{self.features:>9,} {found:>9}"
        )


def main(arguments: Sequence[str] | None = None) -> int:
    options, rest = _options(arguments)
    if options.child:
        return _child(options.target, rest)
    return _parent(options)


def _options(arguments: Sequence[str] | None) -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(description="fuzz the codec's parsers with atheris")
    parser.add_argument("--target", default="all", help="one of TARGETS in targets.py, or all")
    parser.add_argument(
        "--runs", type=int,
        help="inputs for a slow target, a quicker one gets its share times as many; "
        f"{DEFAULT_RUNS} where neither this nor --seconds is given",
    )  # fmt: skip
    parser.add_argument("--seconds", type=int, default=0, help="most for one target; 0: no limit")
    parser.add_argument("--jobs", type=int, default=1, help="targets at the same time")
    parser.add_argument("--seed", type=int, default=1, help="of the fuzzer's randomness")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_known_args(arguments)


def _parent(options: argparse.Namespace) -> int:
    from tests.fuzz.targets import TARGETS  # noqa: PLC0415 - the child must not have it yet

    if options.target != "all" and options.target not in TARGETS:
        print(f"no target {options.target}; there are {', '.join(TARGETS)}", file=sys.stderr)
        return 2
    names = list(TARGETS) if options.target == "all" else [options.target]
    print(f"{'target':<20} {'executions':>12} {'per s':>10} {'seconds':>8} "
          f"{'features':>9} {'findings':>9}", flush=True)  # fmt: skip
    begun = time.monotonic()
    results: list[Result] = []
    with ThreadPoolExecutor(options.jobs) as pool:
        for result in pool.map(lambda name: _fuzz(name, options), names):
            print(result.row(), flush=True)
            results.append(result)
    total, failed = sum(result.executions for result in results), [r for r in results if r.failed]
    print(f"{'total':<20} {total:>12,} {'':>10} {time.monotonic() - begun:>8,.0f}", flush=True)
    for result in failed:
        print(_explain(result))
    return 1 if failed else 0


def _fuzz(name: str, options: argparse.Namespace) -> Result:
    from tests.fuzz.seeds import seeds  # noqa: PLC0415 - as above
    from tests.fuzz.targets import TARGETS  # noqa: PLC0415

    target = TARGETS[name]
    runs = options.runs or (DEFAULT_RUNS if not options.seconds else 0)
    with tempfile.TemporaryDirectory(prefix=f"fuzz-{name}-") as scratch:
        corpus, found = Path(scratch, "corpus"), Path(scratch, "found")
        corpus.mkdir()
        found.mkdir()
        for number, seed in enumerate(seeds(name)):
            (corpus / f"{number:04}").write_bytes(seed)
        command = [
            sys.executable, str(Path(__file__)), "--child", "--target", name,
            str(corpus), f"-artifact_prefix={found}/", f"-runs={runs * target.share or -1}",
            f"-max_total_time={options.seconds}", f"-seed={options.seed}",
            f"-max_len={target.size}", f"-timeout={SLOWEST}", f"-rss_limit_mb={MEMORY}",
            "-print_final_stats=1",
        ]  # fmt: skip
        begun = time.monotonic()
        done = subprocess.run(  # noqa: S603 - ourselves
            command, cwd=ROOT, capture_output=True, text=True, errors="replace", check=False
        )
        log = done.stdout + done.stderr
        artifacts = sorted(found.iterdir())
        return Result(
            target=name,
            executions=int(_last(_EXECUTED, log)),
            seconds=time.monotonic() - begun,
            features=int(_last(_FEATURES, log)),
            finding=artifacts[0].read_bytes() if artifacts else None,
            exit_code=done.returncode,
            log=log,
        )


def _last(pattern: re.Pattern[str], log: str) -> str:
    found = pattern.findall(log)
    return found[-1] if found else "0"


def _explain(result: Result) -> str:
    last = "\n".join(result.log.splitlines()[-_LAST_LINES:])
    if result.finding is None:
        return f"\n{result.target} ended with {result.exit_code} and left no input:\n{last}"
    trace = result.log[result.log.find(" === ") :] if " === " in result.log else last
    trace = "\n".join(trace.splitlines()[:_LAST_LINES])
    return (
        f"\nFINDING in {result.target}:\n{trace}\n\n"
        f"As a test, for FINDINGS in tests/fuzz/test_findings.py:\n"
        f'    "what went wrong": ("{result.target}", bytes.fromhex("{result.finding.hex()}")),\n'
    )


def _child(name: str, rest: list[str]) -> int:
    """Fuzz one target; libFuzzer ends the process itself."""
    import atheris  # noqa: PLC0415 - only here, so that everything else works without it

    with atheris.instrument_imports(include=["protocol"]):
        from tests.fuzz.targets import TARGETS  # noqa: PLC0415 - instrumented
    atheris.Setup([sys.argv[0], *rest], TARGETS[name].one)
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
