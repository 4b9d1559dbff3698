"""The benchmark runs and says all it should; how fast anything is, no test asserts."""

from __future__ import annotations

import json
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from tests.bench import (
    bench_codec,
    bench_http,
    bench_idle,
    bench_records,
    bench_start,
    bench_unlock,
)
from tests.bench.bench_codec import ATT_PAYLOADS, CRC_SIZES, DATA_SIZES, Case
from tests.often import LONG


def test_a_quick_run_yields_every_row_with_positive_numbers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "bench.json"

    assert bench_codec.main(["--quick", "--json", str(file)]) == 0

    found = json.loads(file.read_text(encoding="utf-8"))
    packets = [f"{verb} {size}" for verb in ("split", "join") for size in ATT_PAYLOADS]
    codec = ["seal", "open", "bare seal", "bare open", *packets]
    expected = {(name, size) for name in codec for size in DATA_SIZES}
    expected |= {(n, size) for n in ("crc16", "table walk", "bit by bit") for size in CRC_SIZES}
    expected |= {(f"conversation {name}", 20) for name in ("3.0", "4.4")}
    expected |= {(f"conversation {name}", 244) for name in ("4.4", "secv2")}
    assert {(row["name"], row["size"]) for row in found["rows"]} == expected
    for row in found["rows"]:
        assert 0 < row["shortest"] <= row["median"]
        assert row["per_second"] > 0
        if row["name"] in ("seal", "open", "table walk", "bit by bit"):
            assert row["ratio"] > 0
            assert row["median_ratio"] > 0
    assert [start["module"] for start in found["starts"]] == ["Crypto.Cipher.AES", "protocol"]
    assert all(start["median"] > 0 and start["resident"] > 0 for start in found["starts"])
    assert "worst ratio" in capsys.readouterr().out


def test_cases_take_turns() -> None:
    calls: list[str] = []
    cases = [Case(name, 0, partial(calls.append, name)) for name in "ab"]
    effort = bench_codec.Effort(repetitions=3, batch=0.0, starts=0)

    rows = bench_codec.measure(cases, effort)

    assert "".join(calls).endswith("ababab")
    assert [len(case.times) for case in cases] == [3, 3]
    assert [row.name for row in rows] == ["a", "b"]


def test_a_ratio_is_over_the_bare_case_of_the_same_size() -> None:
    bare, other = Case("bare", 7, int), Case("bare", 8, int)
    codec = Case("codec", 7, int, bare="bare")

    rows = bench_codec.measure([bare, other, codec], bench_codec.QUICK)

    assert rows[0].ratio is None
    assert rows[2].ratio == min(codec.times) / min(bare.times)


@pytest.mark.skipif(not LONG, reason="a quarter of a minute: BLEAGENT_LONG=1")
def test_the_unlock_bench_opens_every_door_it_times(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "bench.json"

    assert bench_unlock.main(["--quick", "--json", str(file)]) == 0

    found = json.loads(file.read_text(encoding="utf-8"))
    rows = [(row["store"], row["rtt"], row["warm"]) for row in found["overheads"]]
    assert rows == list(product(("disk", "memory"), (0.0, 0.03, 0.1), (False, True)))
    for row in found["overheads"]:
        assert row["floor"] >= (1 if row["warm"] else 3) * row["rtt"]
        # Next to other work it may come out below nothing: how fast anything is, no test asserts.
        assert row["ours"] == row["unlock"] - row["floor"] - row["lock"]
        assert row["lock"] > 0
    assert found["path"]["ratio"] > 1
    assert [one["locks"] for one in found["daemons"]] == [1, 200]
    assert all(one["ready"] > found["libraries"] / 2 for one in found["daemons"])
    assert all(one["resident_used"] > 20 for one in found["daemons"])
    assert "what must come one after the other" in capsys.readouterr().out


def test_the_http_bench_opens_a_door_for_every_post(tmp_path: Path) -> None:
    file = tmp_path / "bench.json"

    assert bench_http.main(["--quick", "--json", str(file)]) == 0

    rows = json.loads(file.read_text(encoding="utf-8"))
    both = product(("in memory", "on disk"), (False, True))
    assert [(row["store"], row["warm"]) for row in rows] == list(both)
    assert all(0 < row["median"] <= row["p99"] <= row["worst"] for row in rows)


def _start_found(file: Path) -> dict[str, Any]:
    assert bench_start.main(["--quick", "--json", str(file)]) == 0
    return dict(json.loads(file.read_text(encoding="utf-8")))


def test_the_bench_of_a_start_says_what_each_library_adds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def is_sound(found: dict[str, Any]) -> bool:
        imports = sum(row["seconds"] for row in found["imports"])
        start = found["start"]
        return bool(imports < start["ready"] and start["ratio"] > 1)

    # Each takes its turn: other work may fall on one of them, and does not three times.
    runs = (_start_found(tmp_path / f"{number}.json") for number in range(3))
    found = next((one for one in runs if is_sound(one)), None)

    assert found is not None
    assert [row["name"] for row in found["imports"]] == list(bench_start.LIBRARIES)
    assert "resident" in capsys.readouterr().out


@pytest.mark.skipif(not LONG, reason="a quarter of a minute: BLEAGENT_LONG=1")
def test_the_records_bench_takes_and_carries_every_record(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, quick = tmp_path / "bench.json", bench_records.QUICK

    assert bench_records.main(["--quick", "--json", str(file)]) == 0

    found = json.loads(file.read_text(encoding="utf-8"))
    assert [(row["rtt"], row["records"]) for row in found["drains"]] == [
        (0.015, quick.records), (0.2, quick.records),
    ]  # fmt: skip
    # Less than a round trip for each would mean that the lock was not asked for each.
    assert all(row["ratio"] > 0.9 for row in found["drains"])
    assert found["many"]["records"] == quick.locks * quick.records
    assert [(row["queued"], row["batch"]) for row in found["queues"]] == [
        (quick.queued, 1), (quick.queued, 100),
    ]  # fmt: skip
    assert all(row["rate"] > 0 and row["most"] >= row["resident"] > 0 for row in found["queues"])
    assert "round trip each" in capsys.readouterr().out


@pytest.mark.skipif(not LONG, reason="ten seconds: BLEAGENT_LONG=1")
def test_the_idle_bench_watches_both_radios(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "bench.json"

    assert bench_idle.main(["--quick", "--json", str(file)]) == 0

    found = json.loads(file.read_text(encoding="utf-8"))
    assert [one["name"] for one in found] == ["virtual lock", "Bluetooth"]
    assert all(one["resident"] > 10 and one["cpu"] < 3600 for one in found)
    assert "an idle hour" in capsys.readouterr().out
