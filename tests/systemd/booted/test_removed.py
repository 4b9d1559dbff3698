"""The package goes: what stays and what does not. Behind all others, who need it."""

from __future__ import annotations

import pytest

from tests.systemd.booted.gateway import CONFIG, CREDENTIALS, STATE, Gateway


def test_removed_it_keeps_what_is_ours_and_purged_it_keeps_no_secret(gateway: Gateway) -> None:
    machine = gateway.machine
    machine.run("dpkg", "--remove", "bleagent")
    with pytest.raises((ConnectionRefusedError, FileNotFoundError)):
        machine.connect(gateway.member)
    assert machine.pid == 0
    assert not machine.path("/opt/bleagent").exists()
    for kept in (f"{STATE}/operations.db", CONFIG, f"{CREDENTIALS}/front.local-key.cred"):
        assert machine.path(kept).exists(), kept
    machine.run("dpkg", "--purge", "bleagent")
    assert not machine.path(CREDENTIALS).exists()
    assert not machine.path(f"{STATE}/vault.key").exists()
