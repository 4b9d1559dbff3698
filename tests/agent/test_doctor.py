"""The doctor: what it says of machines that are well, and of those that are not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bleagent.doctor import machine as doctor
from bleagent.doctor import machine_look
from bleagent.doctor.check import Check, Level, to_lines
from bleagent.doctor.machine import Machine, Stack, examine
from bleagent.errors import RadioUnavailable
from bleagent.model import AdapterInfo

HCI0 = AdapterInfo(name="hci0", address="B8:27:EB:00:00:01", powered=True)
HCI1_OFF = AdapterInfo(name="hci1", address="B8:27:EB:00:00:02", powered=False)
HCI0_OFF = AdapterInfo(name="hci0", address="B8:27:EB:00:00:01", powered=False)
UNIT = "/usr/lib/systemd/system/bluetooth.service"
FAST = "[LE]\nMinConnectionInterval=6\nMaxConnectionInterval=12\n"


@dataclass
class Told:
    """A machine, as a test tells of it; well unless changed."""

    stack: Stack = field(default_factory=lambda: Stack(adapters=(HCI0,), version=(5, 66)))
    files: dict[str, str] = field(
        default_factory=lambda: {
            "/sys/class/bluetooth/hci0/x": "",
            "/sys/class/rfkill/rfkill0/type": "bluetooth\n",
            "/sys/class/rfkill/rfkill0/name": "hci0\n",
            "/sys/class/rfkill/rfkill0/soft": "0\n",
            "/sys/class/rfkill/rfkill0/hard": "0\n",
            doctor.MAIN_CONF: FAST,
            UNIT: "[Service]\nRestart=on-failure\n",
            doctor.SYNCHRONIZED: "",
        }
    )
    programs: dict[str, str] = field(default_factory=dict)

    def machine(self) -> Machine:
        return Machine(
            stack=self.stack,
            user="bleagent",
            read=self.files.get,
            names=self._names,
            run=lambda command: self.programs.get(command[0]),
        )

    def _names(self, folder: str) -> list[str]:
        below = [path for path in self.files if path.startswith(f"{folder}/")]
        return sorted({path.removeprefix(f"{folder}/").split("/")[0] for path in below})

    def checks(self, name: str) -> list[Check]:
        return [one for one in examine(self.machine()).checks if one.name == name]

    def check(self, name: str) -> Check:
        (found,) = self.checks(name)
        return found


def test_a_machine_that_is_well() -> None:
    report = examine(Told().machine())
    assert [one.level for one in report.checks] == [Level.OK] * len(report.checks)
    assert len(report.checks) == 11
    assert report.ok
    assert not any(one.mend for one in report.checks)


def test_each_check_that_is_not_well_says_what_mends_it() -> None:
    told = Told(stack=Stack(fault=RadioUnavailable("no bus")), files={})
    report = examine(told.machine())
    assert not report.ok
    assert all(
        one.mend and one.found and one.expected for one in report.checks if one.level != "ok"
    )
    assert [one.name for one in report.checks if one.level == "fail"] == [
        "kernel", "bluetoothd", "BlueZ version",
    ]  # fmt: skip


def test_no_adapter_in_the_kernel() -> None:
    told = Told()
    del told.files["/sys/class/bluetooth/hci0/x"]
    told.files["/sys/class/bluetooth/hci0:1/x"] = ""  # a connection, not an adapter
    assert told.check("kernel").level == "fail"


@pytest.mark.parametrize(
    ("switch", "value", "mend"),
    [("soft", "1", "rfkill unblock"), ("hard", "1", "switch it on")],
)
def test_a_blocked_radio(switch: str, value: str, mend: str) -> None:
    told = Told()
    told.files[f"/sys/class/rfkill/rfkill0/{switch}"] = f"{value}\n"
    check = told.check("rfkill")
    assert check.level == "fail"
    assert mend in check.mend


def test_a_switch_of_another_radio_does_not_matter() -> None:
    told = Told()
    told.files["/sys/class/rfkill/rfkill0/type"] = "wlan\n"
    told.files["/sys/class/rfkill/rfkill0/soft"] = "1\n"
    assert told.checks("rfkill") == []


def test_no_bluetoothd() -> None:
    fault = RadioUnavailable("nobody owns org.bluez")
    told = Told(stack=Stack(fault=fault))
    told.programs[doctor.DAEMONS[0]] = "5.66\n"
    check = told.check("bluetoothd")
    assert (check.level, check.found, check.mend) == ("fail", str(fault), fault.advice)
    assert told.check("BlueZ version").found == "5.66"
    assert told.checks("adapter") == []  # one fault is told once


def test_d_bus_that_does_not_let_us_is_told_with_the_file_that_would() -> None:
    told = Told(stack=Stack(fault=RadioUnavailable("rejected"), denied=True))
    check = told.check("bluetoothd")
    assert check.level == "fail"
    assert doctor.POLICY_FILE in check.mend
    assert '<policy user="bleagent">' in check.mend
    assert '<allow send_destination="org.bluez"/>' in check.mend


@pytest.mark.parametrize(
    ("version", "level"),
    [((5, 54), "fail"), ((4, 101), "fail"), ((5, 55), "ok"), ((5, 82), "ok"), ((6, 0), "ok")],
)
def test_the_version_by_its_id(version: tuple[int, int], level: str) -> None:
    told = Told(stack=Stack(adapters=(HCI0,), version=version))
    assert told.check("BlueZ version").level == level


def test_the_version_by_the_program_where_the_id_has_none() -> None:
    told = Told(stack=Stack(adapters=(HCI0,)))
    assert told.check("BlueZ version").level == "warn"
    told.programs[doctor.DAEMONS[2]] = "bluetoothd: 5.50\n"
    assert told.check("BlueZ version").level == "fail"


@pytest.mark.parametrize(
    ("adapters", "levels"),
    [
        ((), ["fail"]),
        ((HCI0,), ["ok"]),
        ((HCI0_OFF,), ["fail"]),
        ((HCI0, HCI1_OFF), ["ok", "warn"]),
        ((HCI0_OFF, HCI1_OFF), ["fail", "fail"]),
    ],
)
def test_adapters(adapters: tuple[AdapterInfo, ...], levels: list[str]) -> None:
    told = Told(stack=Stack(adapters=adapters, version=(5, 66)))
    assert [one.level for one in told.checks("adapter")] == levels


def test_the_kernels_own_intervals_count_where_they_can_be_read() -> None:
    told = Told()
    folder = "/sys/kernel/debug/bluetooth/hci0"
    told.files |= {f"{folder}/conn_min_interval": "24\n", f"{folder}/conn_max_interval": "40\n"}
    check = told.check("connection interval")
    assert (check.level, check.found) == ("warn", "hci0 asks for 30 to 50 ms")
    assert "MinConnectionInterval=6" in check.mend


@pytest.mark.parametrize(
    ("text", "level"),
    [
        (FAST, "ok"),
        ("[LE]\n# MinConnectionInterval=6\n#MaxConnectionInterval=12\n", "warn"),
        ("[LE]\nMinConnectionInterval=24\nMaxConnectionInterval=40\n", "warn"),
        ("[LE]\nMinConnectionInterval=x\nMaxConnectionInterval=\n", "warn"),
        ("[LE]\nMinConnectionInterval\n", "warn"),
        ("no section\n", "warn"),
        ("", "warn"),
    ],
)
def test_the_configured_intervals_otherwise(text: str, level: str) -> None:
    told = Told()
    told.files[doctor.MAIN_CONF] = text
    assert told.check("connection interval").level == level


@pytest.mark.parametrize(
    ("mode", "level"), [("le", "ok"), ("dual", "ok"), ("BREDR", "fail"), (None, "ok")]
)
def test_the_controller_mode(mode: str | None, level: str) -> None:
    told = Told()
    line = "" if mode is None else f"ControllerMode = {mode}\n"
    told.files[doctor.MAIN_CONF] = f"[General]\n{line}{FAST}"
    assert told.check("ControllerMode").level == level


@pytest.mark.parametrize(("cache", "level"), [("always", "ok"), ("yes", "warn"), ("no", "warn")])
def test_the_cache(cache: str, level: str) -> None:
    told = Told()
    told.files[doctor.MAIN_CONF] = f"{FAST}[GATT]\nCache = {cache}\n"
    assert told.check("[GATT] Cache").level == level


@pytest.mark.parametrize(
    ("unit", "drop_in", "level"),
    [
        ("[Service]\n#Restart=on-failure\n", None, "warn"),
        ("[Service]\nRestart=always\n", None, "ok"),
        ("[Service]\n#Restart=on-failure\n", "[Service]\nRestart=on-failure\n", "ok"),
        ("[Service]\nRestart=always\n", "[Service]\nRestart=no\n", "warn"),
        ("[Service]\nRestart=always\n", "[Service]\nRestart=\n", "warn"),
    ],
)
def test_who_starts_bluetoothd_again(unit: str, drop_in: str | None, level: str) -> None:
    told = Told()
    told.files[UNIT] = unit
    if drop_in is not None:
        told.files[f"{doctor.DROP_INS}/10-restart.conf"] = drop_in
        told.files[f"{doctor.DROP_INS}/notes.txt"] = "[Service]\nRestart=always\n"
    assert told.check("bluetooth.service").level == level


@pytest.mark.parametrize(
    ("own", "level"), [(None, "ok"), ("", "warn"), ("[Service]\nRestart=no\n", "warn")]
)
def test_the_drop_in_of_the_package_counts_unless_the_machine_has_its_own(
    own: str | None, level: str
) -> None:
    told = Told()
    told.files[UNIT] = "[Service]\n"
    told.files[f"{doctor.PACKAGED_DROP_INS}/bleagent.conf"] = "[Service]\nRestart=on-failure\n"
    if own is not None:
        told.files[f"{doctor.DROP_INS}/bleagent.conf"] = own
    assert told.check("bluetooth.service").level == level


@pytest.mark.parametrize(
    ("said", "level"), [("yes\n", "ok"), ("no\n", "warn"), ("", "warn"), (None, "warn")]
)
def test_the_clock_without_timesyncd(said: str | None, level: str) -> None:
    told = Told()
    del told.files[doctor.SYNCHRONIZED]
    if said is not None:
        told.programs["timedatectl"] = said
    assert told.check("clock").level == level


def test_what_is_well_takes_one_line_and_what_is_not_says_more() -> None:
    good = Check(name="clock", level=Level.OK, found="fine", expected="fine")
    assert list(to_lines(good)) == ["clock: fine"]
    bad = Check(name="x", level=Level.FAIL, found="a", expected="b", mend="one\ntwo")
    assert list(to_lines(bad)) == [
        "x: a",
        "    expected  b",
        "    do        one",
        "              two",
    ]


def test_two_mistakes_are_two_lines_and_not_one_with_a_sign_between() -> None:
    good = Check(name="x", level=Level.OK, found="a\nb", expected="c")
    assert list(to_lines(good)) == ["x: a", "    b"]


def test_who_cannot_set_the_date_yet_is_told_what_is_missing() -> None:
    told = Told()
    del told.files[doctor.SYNCHRONIZED]
    assert "apt install systemd-timesyncd" in told.check("clock").mend


def test_programs_that_hold_the_adapter_are_named_with_what_ends_them() -> None:
    told = Told()
    told.files |= {
        "/proc/41/comm": "bash\n",
        "/proc/420/comm": "hass\n",
        "/proc/7/comm": "btmgmt\n",
    }
    found = told.check("other programs")
    assert found.level is Level.WARN
    assert found.found.startswith("btmgmt (pid 7), hass (pid 420): ")
    assert found.mend.endswith("kill 7 420")


def test_a_machine_whose_clock_stops_with_the_power_is_told_of() -> None:
    told = Told()
    del told.files[doctor.SYNCHRONIZED]
    assert told.check("clock").found.endswith("(no RTC)")
    told.files["/sys/class/rtc/rtc0/name"] = ""
    assert told.check("clock").found.endswith("until it is")


# -- this machine


@pytest.mark.parametrize(
    ("look", "missing"),
    [
        (lambda path: machine_look._read(str(path)), None),
        (lambda path: machine_look._names(str(path)), []),
        (lambda path: machine_look.run((str(path), "--version")), None),
    ],
    ids=["read", "names", "run"],
)
def test_what_is_not_there_is_no_fault(
    look: Callable[[Path], object], missing: object, tmp_path: Path
) -> None:
    assert look(tmp_path / "nothing") == missing


def test_a_program_that_fails_says_nothing() -> None:
    assert machine_look.run(("false",)) is None
    assert machine_look.run(("echo", "5.66")) == "5.66\n"
    assert machine_look.run(("printf", r"a\377b")) == "a\N{REPLACEMENT CHARACTER}b"
