"""What the package does when it comes, is replaced, goes: its scripts, before commands that only
tell how they were called, on a machine that is a folder."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "systemd/debian"
UNITS = ("bleagent.socket", "bleagent.service")
START_SOCKET = "systemctl start bleagent.socket"
RESTART = "systemctl --no-block restart bleagent.service"

pytestmark = pytest.mark.skipif(shutil.which("sh") is None, reason="no shell")


@dataclass
class Machine:
    """``refused`` are beginnings of calls that fail."""

    root: Path
    commands: Path
    refused: list[str] = field(default_factory=list)
    said: str = ""

    def __post_init__(self) -> None:
        self.commands.mkdir()
        (self.root / "run/systemd/system").mkdir(parents=True)
        (self.root / "etc/bleagent").mkdir(parents=True)
        for name in ("systemctl", "deb-systemd-helper", "systemd-sysusers", "systemd-tmpfiles"):
            self.command(self.commands / name)

    def command(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            f'#!/bin/sh\ncall="{path.name} $*"\necho "$call" >> {self.commands}/calls\n'
            f'while read -r refused; do case "$call" in "$refused"*) exit 101 ;; esac; '
            f"done < {self.commands}/refused\n"
        )
        path.chmod(0o755)

    def configure(self) -> None:
        (self.root / "etc/bleagent/config.toml").touch()

    def run(self, script: str, *arguments: str) -> list[str]:
        """What it called, in this order. It ends well, and says nothing of its own mistakes."""
        (self.commands / "calls").write_text("")
        (self.commands / "refused").write_text("".join(f"{one}\n" for one in self.refused))
        ended = subprocess.run(  # noqa: S603 - a script of ours
            ["/bin/sh", SCRIPTS / script, *arguments],
            capture_output=True, text=True, check=False, timeout=20,
            env={"PATH": f"{self.commands}:/usr/bin:/bin", "DPKG_ROOT": str(self.root)},
        )  # fmt: skip
        assert ended.returncode == 0, ended.stderr
        self.said = ended.stdout + ended.stderr
        return (self.commands / "calls").read_text().splitlines()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "root", tmp_path / "commands")


def test_without_a_configuration_nothing_is_started_and_the_next_step_is_told(
    machine: Machine,
) -> None:
    calls = machine.run("postinst", "configure", "")
    assert calls == [
        f"systemd-sysusers --root={machine.root} bleagent.conf",
        f"systemd-tmpfiles --root={machine.root} --create bleagent.conf",
        *(f"deb-systemd-helper update-state {unit}" for unit in UNITS),
        "systemctl daemon-reload",
    ]
    assert "bleagent init" in machine.said


@pytest.mark.parametrize("before", ["", "0.0.9"])
def test_with_a_configuration_the_service_runs_and_the_socket_is_never_closed(
    machine: Machine, before: str
) -> None:
    machine.configure()
    calls = machine.run("postinst", "configure", before)
    assert [f"deb-systemd-helper enable {unit}" in calls for unit in UNITS] == [True, True]
    does = [one for one in calls if one.startswith("systemctl") and "is-enabled" not in one]
    # The new units are read before anything is started by them.
    assert does == ["systemctl daemon-reload", START_SOCKET, RESTART]
    assert machine.said == ""


@pytest.mark.parametrize("unit", UNITS)
def test_what_was_disabled_stays_so(machine: Machine, unit: str) -> None:
    machine.configure()
    machine.refused = [
        f"deb-systemd-helper --quiet was-enabled {unit}",
        f"systemctl --quiet is-enabled {unit}",
    ]
    calls = machine.run("postinst", "configure", "0.0.9")
    assert f"deb-systemd-helper enable {unit}" not in calls
    assert (START_SOCKET in calls, RESTART in calls) == (unit != UNITS[0], unit != UNITS[1])


def test_a_machine_that_forbids_that_packages_start_services_is_obeyed(machine: Machine) -> None:
    machine.configure()
    machine.command(machine.root / "usr/sbin/policy-rc.d")
    assert RESTART in machine.run("postinst", "configure", "")
    machine.refused = ["policy-rc.d"]
    calls = machine.run("postinst", "configure", "")
    assert not {START_SOCKET, RESTART} & set(calls)


def test_a_service_that_does_not_start_leaves_an_installed_package(machine: Machine) -> None:
    machine.configure()
    machine.refused = [START_SOCKET, RESTART]
    machine.run("postinst", "configure", "0.0.9")
    assert [f"{unit} did not start" in machine.said for unit in UNITS] == [True, True]


def test_in_an_image_that_is_not_running_systemd_is_not_asked(machine: Machine) -> None:
    (machine.root / "run/systemd/system").rmdir()
    machine.configure()
    machine.refused = ["systemd-tmpfiles"]  # it wants /proc
    for script, *arguments in (
        ("postinst", "configure", ""), ("prerm", "remove"), ("postrm", "remove"),
        ("postrm", "purge"),
    ):  # fmt: skip
        calls = machine.run(script, *arguments)
        assert not [one for one in calls if one.startswith("systemctl")], script


@pytest.mark.parametrize("how", ["upgrade", "failed-upgrade", "deconfigure"])
def test_until_the_new_one_takes_over_the_old_one_works(machine: Machine, how: str) -> None:
    assert machine.run("prerm", how, "0.1.1") == []


def test_what_is_removed_is_stopped_before(machine: Machine) -> None:
    # Both at once: a socket that stays open would start the service again.
    assert machine.run("prerm", "remove") == ["systemctl stop bleagent.socket bleagent.service"]


def test_a_removal_that_failed_starts_it_again(machine: Machine) -> None:
    machine.configure()
    assert RESTART in machine.run("postinst", "abort-remove")
    assert machine.run("postinst", "triggered", "x") == []


SECRET = (
    "etc/bleagent/config.toml",
    "etc/bleagent/credentials/cloud-secret.cred",
    "etc/credstore/bleagent.cloud-secret",
    "etc/credstore.encrypted/bleagent.cloud-secret",
    "etc/systemd/system/bleagent.service.d/credentials.conf",
    "var/lib/bleagent/vault.key",
    "var/lib/bleagent/state.sqlite",
)
OTHERS = (
    "etc/credstore/bleagents-choir",
    "etc/credstore/borg",
    "etc/credstore.encrypted/borg",
    "etc/systemd/system/bluetooth.service.d/restart.conf",
    "var/lib/bluetooth/settings",
)


def files(root: Path) -> set[str]:
    return {one.relative_to(root).as_posix() for one in root.rglob("*") if one.is_file()}


@pytest.mark.parametrize("how", ["remove", "upgrade", "failed-upgrade", "disappear"])
def test_what_is_not_purged_keeps_everything(machine: Machine, how: str) -> None:
    for one in (*SECRET, *OTHERS):
        machine.command(machine.root / one)
    assert machine.run("postrm", how) == ["systemctl daemon-reload"]
    assert files(machine.root) == {*SECRET, *OTHERS}


def test_a_purge_takes_every_secret_and_nothing_of_others(machine: Machine) -> None:
    for one in (*SECRET, *OTHERS):
        machine.command(machine.root / one)
    for _ in range(2):  # and may be said again
        calls = machine.run("postrm", "purge")
        assert "deb-systemd-helper purge bleagent.socket bleagent.service" in calls
        assert files(machine.root) == set(OTHERS)


def test_a_purge_goes_on_where_something_cannot_be_removed(machine: Machine) -> None:
    """A disk of its own at /var/lib/bleagent: what comes behind it holds secrets, too."""
    for one in (*SECRET, *OTHERS):
        machine.command(machine.root / one)
    busy = machine.root / "var/lib/bleagent"
    (machine.commands / "rm").write_text(
        f"""#!/bin/sh
        case "$*" in *{busy}) /bin/rm -rf {busy}/*; exit 1 ;; esac
        exec /bin/rm "$@"
        """
    )
    (machine.commands / "rm").chmod(0o755)
    machine.run("postrm", "purge")
    assert files(machine.root) == set(OTHERS)
    assert f"{busy} is emptied and stays" in machine.said


def test_what_a_link_leads_to_is_named_and_stays(machine: Machine) -> None:
    disk = machine.root / "mnt/disk"
    machine.command(disk / "vault.key")
    (machine.root / "var/lib").mkdir(parents=True)
    (machine.root / "var/lib/bleagent").symlink_to(disk)
    machine.run("postrm", "purge")
    assert (disk / "vault.key").exists()
    assert not (machine.root / "var/lib/bleagent").is_symlink()
    assert str(disk) in machine.said


@pytest.mark.parametrize(
    ("script", "how"),
    [("prerm", "remove"), ("postrm", "remove"), ("postrm", "purge"), ("postinst", "configure")],
)
def test_a_systemd_that_says_no_keeps_no_package_half(
    machine: Machine, script: str, how: str
) -> None:
    """With a unit that is lost, it could be neither removed nor installed anew."""
    machine.refused = ["systemctl stop", "systemctl daemon-reload"]
    assert machine.run(script, how)
