"""The benchmark under load opens each door once a key; how fast anything is, no test asserts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.bench import bench_load
from tests.bench.bench_load import QUICK, Heard


def test_many_callers_of_a_key_open_its_door_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "bench.json"

    assert bench_load.main(["--quick", "--json", str(file)]) == 0

    found = json.loads(file.read_text(encoding="utf-8"))
    load = found["load"]
    assert (load["requests"], load["opened"], load["twice"]) == (QUICK.requests, QUICK.keys, 0)
    assert load["replayed"] == QUICK.requests - QUICK.keys
    assert 0 < load["p50"] <= load["p99"] <= load["worst"]
    assert load["resident_before"] > 0
    assert found["guard"]["ratio"] > 0
    assert "none twice: yes" in capsys.readouterr().out


def test_a_second_opening_and_a_second_operation_of_a_key_are_noticed() -> None:
    names = ["front", "door-1"]
    heard = Heard(ids={0: {"a"}, 1: {"b"}, 2: {"c"}})
    assert bench_load._twice(heard, {"front": 2, "door-1": 1}, names) == 0
    assert bench_load._twice(heard, {"front": 3, "door-1": 1}, names) == 1
    heard.ids[1].add("d")
    assert bench_load._twice(heard, {"front": 2, "door-1": 1}, names) == 1


def test_what_does_not_divide_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        bench_load.main(["--requests", "7", "--keys", "3"])
    assert "keys must divide" in capsys.readouterr().err
