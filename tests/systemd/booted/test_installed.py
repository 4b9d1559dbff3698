"""The service under a real systemd, in the order in which a gateway meets it.

One machine and one installation serve all of them, so each leaves the service running.
"""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.system.daemon import LOCAL_KEY
from tests.systemd.booted.gateway import (
    CREDENTIALS,
    MEMBER,
    STATE,
    STRANGER,
    Gateway,
    install,
)
from tests.systemd.booted.machine import UNIT, Caller, answer, until
from tests.systemd.booted.package import OLDER

WATCHDOG = 8
"""Seconds, so that nobody waits for the thirty of the unit."""


def test_a_door_opens_for_whom_it_may(gateway: Gateway) -> None:
    machine = gateway.machine
    assert machine.run("systemctl", "is-system-running") == "running"
    assert machine.shown("StatusText").startswith("ready")
    assert machine.privileges == ("bleagent", "0000000000000000", "1")
    status, told = gateway.unlock("first")
    assert (status, told["outcome"], gateway.site.opened) == (200, "confirmed", 1)
    machine.run("journalctl", "--sync")
    fields = ("BLEAGENT_LOCK=front", "BLEAGENT_OUTCOME=confirmed", "PRIORITY=6")
    assert told["id"] in machine.run("journalctl", f"--unit={UNIT}", "--output=cat", *fields)

    unlock = "POST /v1/locks/front/unlock"
    status, told = machine.ask(gateway.stranger, unlock, key="strange")
    assert status == 401, told
    with pytest.raises(PermissionError):
        machine.connect(gateway.outsider)
    status, told = machine.ask(Caller(0, 0), unlock, key="root")
    assert status == 401, told
    assert gateway.site.opened == 1


def test_what_was_asked_while_nobody_was_there_opens_nothing(gateway: Gateway) -> None:
    machine, before = gateway.machine, gateway.site.opened
    machine.run("systemctl", "stop", UNIT)
    machine.drop_in("watchdog", f"WatchdogSec={WATCHDOG}")
    with machine.journal() as said:
        with gateway.queued("while it was down") as hung_up:  # and this is what starts it
            assert hung_up()
        gateway.wait_until_up()
        assert "listener.queue_closed" in said()
    with machine.journal() as said:
        stuck = machine.pid
        machine.signal(signal.SIGSTOP)
        with gateway.queued("while it was stuck") as hung_up:
            assert hung_up()
        assert f"Watchdog timeout (limit {WATCHDOG}s)" in said()
        gateway.wait_until_up()
        assert machine.pid not in (0, stuck)
    assert gateway.site.opened == before
    assert gateway.unlock_when_it_may("while it was stuck")["outcome"] == "confirmed"
    assert gateway.site.opened == before + 1


def test_killed_when_the_bolt_was_drawn_it_opens_nothing_twice(gateway: Gateway) -> None:
    machine, site = gateway.machine, gateway.site
    before, killed = site.opened, machine.pid
    site.at_opening = lambda: machine.signal(signal.SIGKILL)
    gateway.hung_up_on("killed")
    until(lambda: machine.pid not in (0, killed), "it is started again, by nobody's asking")
    told = gateway.unlock_when_it_may("killed")
    assert (told["outcome"], site.opened) == ("unconfirmed", before + 1), told
    other = gateway.unlock_when_it_may("another key")
    assert (other["code"], other["operation"]) == ("unresolved-operation", told["id"])
    assert site.opened == before + 1
    told = gateway.unlock_when_it_may("somebody has looked", after=told["id"])
    assert (told["outcome"], site.opened) == ("confirmed", before + 2)


def test_a_cut_of_the_power_in_mid_operation_opens_nothing(gateway: Gateway) -> None:
    machine, site = gateway.machine, gateway.site
    before = site.opened
    with gateway.asking("cut"):
        machine.cut_power()
    machine.boot()
    assert machine.run("systemctl", "is-system-running") == "running"
    # Another boot: a cheap card may have lost what was committed, so nothing is sure (A7).
    told = gateway.unlock_when_it_may("cut")
    assert (told["outcome"], site.opened) == ("unconfirmed", before)
    told = gateway.unlock_when_it_may("after the cut", after=told["id"])
    assert (told["outcome"], site.opened) == ("confirmed", before + 1)


def test_the_unit_says_which_secret_is_wrong(gateway: Gateway) -> None:
    machine = gateway.machine
    with gateway.without(f"{CREDENTIALS}/front.local-key.cred"), machine.journal() as said:
        machine.run("systemctl", "restart", UNIT, check=False)
        # systemd does not come as far as the agent, and names its step and not the secret.
        assert machine.shown("ExecMainStatus") == "243", said()
        assert "Failed at step CREDENTIALS" in said()
    readable = "/etc/bleagent/local-key"
    machine.write(readable, LOCAL_KEY)
    with gateway.configured('{ credential = "front.local-key" }', f'{{ file = "{readable}" }}'):
        with machine.journal() as said:
            machine.run("systemctl", "restart", UNIT, check=False)
            assert f"{readable} has mode 0644, so others can use it: chmod 0600" in said()
            assert LOCAL_KEY not in said()
        machine.path(readable).unlink()
    gateway.hand_over("cloud-secret", "another project's secret")
    with machine.journal() as said:
        machine.run("systemctl", "restart", UNIT)
        until(lambda: "to look at: cloud" in machine.shown("StatusText"), "the status says so")
        assert "Check client id, secret, signer and data centre." in said()
        assert "another project" not in said()
    gateway.hand_over("cloud-secret", gateway.site.cloud.secret.reveal().decode())
    machine.run("systemctl", "restart", UNIT)
    assert gateway.unlock_when_it_may("with all secrets")["outcome"] == "confirmed"


def test_on_a_full_disk_doors_open_and_what_grows_says_so(gateway: Gateway) -> None:
    machine, before = gateway.machine, gateway.site.opened
    machine.run("systemctl", "stop", UNIT)
    machine.run("mount", "-t", "tmpfs", "-o", "size=40M,mode=0700", "tmpfs", STATE)
    machine.run("systemctl", "start", UNIT)
    until(machine.path(f"{STATE}/reserve").exists, "room is kept for openings")
    machine.run("dd", "if=/dev/zero", f"of={STATE}/ballast", "bs=4k", check=False)
    assert gateway.unlock_when_it_may("full")["outcome"] == "confirmed"
    assert gateway.unlock_when_it_may("full again")["outcome"] == "confirmed"
    assert gateway.site.opened == before + 2
    until(lambda: "to look at: records" in machine.shown("StatusText"), "the status says so")
    _, told = machine.ask(gateway.member, "GET /readyz")
    assert told["ready"]
    for grows in ("records", "audit"):
        assert told["parts"][grows]["wrong"][0]["code"] == "store-full"
    machine.path(f"{STATE}/ballast").unlink()
    machine.run("systemctl", "stop", UNIT)
    machine.run("umount", STATE)
    machine.run("systemctl", "start", UNIT)


def test_a_reload_takes_what_is_good_and_hurts_no_running_operation(gateway: Gateway) -> None:
    machine, site = gateway.machine, gateway.site
    before, pid = site.opened, machine.pid

    def is_known() -> bool:
        """The stranger."""
        return machine.ask(gateway.stranger, "GET /v1/locks")[0] == 200

    member = f'[[http.users]]\nuser = "{MEMBER[0]}"\n'
    assert not is_known()
    with gateway.configured(member, f"{member}[[http.users]]\nuid = {STRANGER[1]}\n"):
        with gateway.asking("while it is reloaded", waits=2) as caller:
            machine.run("systemctl", "reload", UNIT)
            until(is_known, "who is new in the configuration")
            assert site.opened == before
            _, told = answer(caller)
        assert (told["outcome"], site.opened) == ("confirmed", before + 1), told
        with gateway.configured("base_url", "base_uri"), machine.journal() as said:
            machine.run("systemctl", "reload", UNIT)
            until(lambda: "config.not_read" in said(), "the log says so")
            until(lambda: "to look at: config" in machine.shown("StatusText"), "so does the status")
        assert is_known()  # what was there before goes on
        assert (machine.pid, machine.shown("ActiveState")) == (pid, "active")
    machine.run("systemctl", "reload", UNIT)
    until(lambda: not is_known(), "who is not in it any more")
    until(lambda: machine.shown("StatusText") == "ready", "it is well again")


def test_an_upgrade_refuses_nobody(gateway: Gateway, package: Path) -> None:
    machine, site = gateway.machine, gateway.site
    assert machine.run("dpkg-query", "--show", "--showformat=${Version}", "bleagent") == OLDER
    told = gateway.unlock_when_it_may("before the upgrade")
    before, replaced = site.opened, machine.pid
    with gateway.crowd() as crowd:
        until(lambda: crowd.answered, "the old one answers")
        install(machine, package)
        until(lambda: machine.pid not in (0, replaced), "the new one is started")
        gateway.wait_until_up()
        seen = crowd.answered
        until(lambda: crowd.answered > seen, "the new one answers")
    assert crowd.refused == []
    assert machine.pid not in (0, replaced)
    assert machine.run("dpkg-query", "--show", "--showformat=${Version}", "bleagent") != OLDER
    again = gateway.unlock_when_it_may("before the upgrade")  # it knows what was done before
    assert (again["id"], site.opened) == (told["id"], before)
    assert gateway.unlock_when_it_may("after the upgrade")["outcome"] == "confirmed"
