"""The benchmark of listening runs and hears what it should; what it costs no test asserts."""

from __future__ import annotations

import os

import pytest

from tests.bench import bench_scan
from tests.bluez.private_bus import dbus_daemon


def test_a_quick_run_hears_locks_and_no_strangers(monkeypatch: pytest.MonkeyPatch) -> None:
    if dbus_daemon() is None:
        pytest.skip("dbus-daemon is not installed (Debian: dbus-daemon)")
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", "")  # what it sets is taken back

    found = {name: told for name, _, told in bench_scan.run(0.5, 50)}

    assert os.environ["DBUS_SYSTEM_BUS_ADDRESS"] != ""
    assert found["bleak alone"] > 0
    assert found["locks"] > 0
    assert found["strangers"] == 0
