"""The files of ``systemd/``: what systemd itself says of them, and what else must hold."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from bleagent.doctor.check import Level
from bleagent.doctor.machine import POLICY, Machine, Stack, connection_interval, gatt_cache, restart

UNITS = Path(__file__).resolve().parents[2] / "systemd"
EXPOSURE = 13
"""Tenths, at most."""

ANALYZE = shutil.which("systemd-analyze")
needs_systemd = pytest.mark.skipif(
    ANALYZE is None and not os.environ.get("BLEAGENT_NEEDS_SYSTEMD"),
    reason="no systemd-analyze (Debian: systemd)",
)


def text(name: str) -> str:
    return (UNITS / name).read_text()


def settings(name: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for key, value in re.findall(r"(?m)^([A-Z][A-Za-z]+)=(.*)$", text(name)):
        found.setdefault(key, []).append(value)
    return found


def analyze(*arguments: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    environ = dict(os.environ)
    if folder is not None:
        environ["SYSTEMD_UNIT_PATH"] = f"{folder}:"
    return subprocess.run(  # noqa: S603 - a command of ours
        [ANALYZE or "systemd-analyze", *arguments],
        capture_output=True, text=True, timeout=60, check=False, env=environ,
    )  # fmt: skip


@needs_systemd
def test_the_service_is_as_shut_as_it_is_said_to_be() -> None:
    unit = str(UNITS / "bleagent.service")
    said = analyze("security", "--offline=true", f"--threshold={EXPOSURE}", unit)
    assert said.returncode == 0, said.stdout + said.stderr
    # It is a test only if it can fail.
    assert analyze("security", "--offline=true", "--threshold=5", unit).returncode != 0


@needs_systemd
def test_systemd_understands_every_line(tmp_path: Path) -> None:
    program = tmp_path / "bleagent"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    service = text("bleagent.service").replace("/opt/bleagent/bin/bleagent", str(program))
    (tmp_path / "bleagent.service").write_text(service)
    (tmp_path / "bleagent.service.d").mkdir()
    (tmp_path / "bleagent.service.d/credentials.conf").write_text(text("credentials.conf"))
    (tmp_path / "bleagent.socket").write_text(text("bleagent.socket"))
    (tmp_path / "bluetooth.service").write_text("[Service]\nExecStart=/bin/true\n")
    (tmp_path / "bluetooth.service.d").mkdir()
    (tmp_path / "bluetooth.service.d/restart.conf").write_text(text("bluetooth-restart.conf"))
    units = [str(tmp_path / f"{one}") for one in ("bleagent.service", "bleagent.socket")]
    said = analyze("verify", "--man=no", *units, folder=tmp_path)
    assert (said.returncode, said.stderr) == (0, "")


def test_callers_at_the_socket_are_who_they_are() -> None:
    service, socket = settings("bleagent.service"), settings("bleagent.socket")
    assert "PrivateUsers" not in service
    assert socket["ListenStream"] == ["/run/bleagent/http.sock"]
    assert (socket["SocketMode"], socket["SocketGroup"]) == (["0660"], ["bleagent"])
    # It would take the socket away when the service stops.
    assert "RuntimeDirectory" not in service


def test_a_process_with_keys_leaves_nothing_on_the_disk() -> None:
    service = settings("bleagent.service")
    assert service["LimitCORE"] == ["0"]
    assert service["MemorySwapMax"] == ["0"]
    assert service["WatchdogSignal"] == ["SIGKILL"]
    assert service["UMask"] == ["0077"]


def test_every_secret_of_the_example_is_handed_over() -> None:
    def named(value: object) -> set[str]:
        if isinstance(value, dict):
            ours = {value["credential"]} if set(value) == {"credential"} else set()
            return ours.union(*map(named, value.values()))
        return set().union(*map(named, value)) if isinstance(value, list) else set()

    wanted = named(tomllib.loads(text("config.example.toml")))
    handed = settings("credentials.conf")["LoadCredentialEncrypted"]
    assert {one.partition(":")[0] for one in handed} == wanted
    plain = re.findall(r"(?m)^#LoadCredential=([^:]+):", text("credentials.conf"))
    assert set(plain) == wanted


def test_the_user_of_the_unit_is_the_one_that_is_made_and_let_in() -> None:
    (user,) = settings("bleagent.service")["User"]
    assert re.search(rf"(?m)^u {user} ", text("bleagent.sysusers"))
    assert text("bleagent-bluetooth.conf") == POLICY.format(user=user)


def test_the_doctor_is_content_with_what_the_files_say() -> None:
    files = {
        "/etc/bluetooth/main.conf": text("bluetooth-main.conf"),
        "/lib/systemd/system/bluetooth.service": "[Service]\n",
        "/etc/systemd/system/bluetooth.service.d/restart.conf": text("bluetooth-restart.conf"),
    }
    machine = Machine(
        stack=Stack(), user="bleagent", read=files.get, run=lambda _: None,
        names=lambda folder: ["restart.conf"] if folder.endswith("service.d") else [],
    )  # fmt: skip
    checks = [one for check in (connection_interval, gatt_cache, restart) for one in check(machine)]
    assert [one.level for one in checks] == [Level.OK] * 3


def test_a_bluetoothd_that_dies_again_and_again_is_started_again_and_again() -> None:
    """With systemd's limit it was left dead after five times in 10 s, and all doors shut."""
    found = settings("bluetooth-restart.conf")
    assert (found["Restart"], found["StartLimitIntervalSec"]) == (["on-failure"], ["0"])
