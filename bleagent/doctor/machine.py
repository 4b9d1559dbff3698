"""``bleagent doctor``: what of this machine keeps a lock from being reached, and what mends it.

Each check is a small function from what was found on the machine to a ``Check``; the machine is
looked at through ``Machine``, a handful of functions, so that any machine can be told of in a
test. Nothing here changes anything.
"""

from __future__ import annotations

import configparser
import re
from collections.abc import Callable
from dataclasses import dataclass

from bleagent.errors import RadioUnavailable
from bleagent.model import AdapterInfo

from .check import SET_THE_DATE, Check, Report, fail, ok, warn

OLDEST_BLUEZ = (5, 55)
"""What bleak needs."""
FAST_MIN, FAST_MAX = 6, 12
"""Connection intervals to ask a lock for, in units of 1.25 ms: 7.5 to 15 ms."""
SLOW = 24
"""1.25 ms each; at 30 ms and more an opening takes half a second longer."""
MAIN_CONF = "/etc/bluetooth/main.conf"
RFKILL = "/sys/class/rfkill"
DAEMONS = (
    "/usr/libexec/bluetooth/bluetoothd",
    "/usr/lib/bluetooth/bluetoothd",
    "/usr/sbin/bluetoothd",
)
"""Where distributions put it."""
UNITS = (
    "/etc/systemd/system/bluetooth.service",
    "/usr/lib/systemd/system/bluetooth.service",
    "/lib/systemd/system/bluetooth.service",
)
"""The first that is there counts."""
PACKAGED_DROP_INS = "/usr/lib/systemd/system/bluetooth.service.d"
"""Our Debian package has one. Of two with the same name the one in ``DROP_INS`` counts."""
DROP_INS = "/etc/systemd/system/bluetooth.service.d"
RIVALS = frozenset(
    {"bluetoothctl", "btmgmt", "gatttool", "hass", "hcidump", "hcitool", "theengs-gateway"}
)
"""Names of processes; those of Python programs are not to be known by them."""
SYNCHRONIZED = "/run/systemd/timesync/synchronized"

POLICY_FILE = "/etc/dbus-1/system.d/bleagent-bluetooth.conf"
POLICY = """\
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <policy user="{user}">
    <allow send_destination="org.bluez"/>
  </policy>
</busconfig>
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """What bluetoothd said, or why it said nothing.

    ``version``: as its own id has it. ``denied``: D-Bus is there and does not let us.
    """

    adapters: tuple[AdapterInfo, ...] = ()
    version: tuple[int, int] | None = None
    fault: RadioUnavailable | None = None
    denied: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """How the machine is looked at. None of these raises."""

    stack: Stack
    user: str
    read: Callable[[str], str | None]
    """A file's text; ``None`` if it is not there or not to be read."""
    names: Callable[[str], list[str]]
    """What is in a folder; empty if it is not there."""
    run: Callable[[tuple[str, ...]], str | None]
    """What a program printed; ``None`` if there is none or it failed."""


def examine(machine: Machine) -> Report:
    """Look at everything."""
    report = Report()
    for check in _CHECKS:
        report.checks += check(machine)
    return report


# -- the stack


def kernel_adapter(machine: Machine) -> list[Check]:
    """Whether the kernel has an adapter, whoever runs above it."""
    found = [
        name for name in machine.names("/sys/class/bluetooth") if re.fullmatch(r"hci\d+", name)
    ]
    expected = "an adapter, such as hci0"
    if found:
        return [ok("kernel", ", ".join(sorted(found)), expected)]
    mend = "dmesg | grep -i -e bluetooth -e firmware; on a Raspberry Pi: systemctl status hciuart"
    return [fail("kernel", "no Bluetooth adapter", expected, mend)]


def radio_switch(machine: Machine) -> list[Check]:
    """Whether a switch, of software or hardware, keeps the radio off."""
    checks = []
    for name in sorted(machine.names(RFKILL)):
        folder = f"{RFKILL}/{name}"
        if _line(machine, f"{folder}/type") != "bluetooth":
            continue
        what = _line(machine, f"{folder}/name") or name
        expected = f"{what} is not blocked"
        if _line(machine, f"{folder}/hard") == "1":
            mend = "switch it on: a key or switch of the machine, or its firmware settings"
            checks.append(fail("rfkill", f"{what} is blocked in hardware", expected, mend))
        elif _line(machine, f"{folder}/soft") == "1":
            mend = "rfkill unblock bluetooth"
            checks.append(fail("rfkill", f"{what} is blocked", expected, mend))
        else:
            checks.append(ok("rfkill", expected, expected))
    return checks


def bluetoothd(machine: Machine) -> list[Check]:
    """Whether bluetoothd answers us over D-Bus."""
    stack = machine.stack
    expected = f"bluetoothd answers {machine.user} over D-Bus"
    if stack.denied:
        policy = POLICY.format(user=machine.user)
        mend = f"save this as {POLICY_FILE}, then: systemctl reload dbus\n{policy}"
        return [fail("bluetoothd", "D-Bus does not let us talk to it", expected, mend)]
    if stack.fault is not None:
        return [fail("bluetoothd", str(stack.fault), expected, stack.fault.advice)]
    return [ok("bluetoothd", "answers", expected)]


def version(machine: Machine) -> list[Check]:
    """Whether bluetoothd is new enough."""
    found = machine.stack.version or _printed_version(machine)
    expected = f"{_dotted(OLDEST_BLUEZ)} or newer"
    if found is None:
        mend = "apt install bluez"
        if machine.stack.fault is None:  # it answers; only its version is not to be had
            return [warn("BlueZ version", "not known", expected, "bluetoothctl --version")]
        return [fail("BlueZ version", "bluetoothd is not installed", expected, mend)]
    if found < OLDEST_BLUEZ:
        mend = "upgrade BlueZ; Debian 11 and Raspberry Pi OS 11 have 5.55"
        return [fail("BlueZ version", _dotted(found), expected, mend)]
    return [ok("BlueZ version", _dotted(found), expected)]


def adapters(machine: Machine) -> list[Check]:
    """Whether bluetoothd has an adapter, and each is on."""
    stack = machine.stack
    if stack.fault is not None:
        return []  # told already
    expected = "an adapter, powered"
    if not stack.adapters:
        mend = "plug one in; then: bluetoothctl list"
        return [fail("adapter", "bluetoothd has none", expected, mend)]
    checks = []
    anyone = any(one.powered for one in stack.adapters)
    for one in stack.adapters:
        what = f"{one.name} ({one.address})"
        if one.powered:
            checks.append(ok("adapter", f"{what} is on", expected))
            continue
        mend = f"bluetoothctl select {one.address} && bluetoothctl power on"
        # One that is on is enough; another may be off on purpose.
        bad = warn if anyone else fail
        checks.append(bad("adapter", f"{what} is off", expected, mend))
    return checks


def others(machine: Machine) -> list[Check]:
    """Whether programs run that connect to locks, or stop the scan of others."""
    name, expected = "other programs", "none that uses the adapter beside us"
    found = []
    for pid in sorted((one for one in machine.names("/proc") if one.isdecimal()), key=int):
        command = _line(machine, f"/proc/{pid}/comm")
        if command in RIVALS:
            found.append((command, pid))
    if not found:
        return [ok(name, expected, expected)]
    told = ", ".join(f"{command} (pid {pid})" for command, pid in found)
    mend = f"stop it, or give each an adapter of its own: kill {' '.join(pid for _, pid in found)}"
    return [warn(name, f"{told}: it can hold a lock, or end our scan", expected, mend)]


# -- how fast, how sturdy


def connection_interval(machine: Machine) -> list[Check]:
    """Whether connections are made with intervals that make an opening quick."""
    expected = f"{_ms(FAST_MIN)} to {_ms(FAST_MAX)} ms"
    mend = (
        f"in {MAIN_CONF}, below [LE]:\n"
        f"MinConnectionInterval={FAST_MIN}\nMaxConnectionInterval={FAST_MAX}\n"
        "then: systemctl restart bluetooth"
    )
    name = "connection interval"
    checks = []
    for adapter in [one.name for one in machine.stack.adapters]:
        folder = f"/sys/kernel/debug/bluetooth/{adapter}"
        low = _number(_line(machine, f"{folder}/conn_min_interval"))
        high = _number(_line(machine, f"{folder}/conn_max_interval"))
        if low is None or high is None:
            continue  # only root may look
        found = f"{adapter} asks for {_ms(low)} to {_ms(high)} ms"
        good = high <= SLOW
        checks.append(ok(name, found, expected) if good else warn(name, found, expected, mend))
    if checks:
        return checks
    low = _number(_setting(machine, "LE", "MinConnectionInterval"))
    high = _number(_setting(machine, "LE", "MaxConnectionInterval"))
    if low is None or high is None:
        return [warn(name, "left to the kernel: 30 to 50 ms", expected, mend)]
    found = f"{MAIN_CONF} asks for {_ms(low)} to {_ms(high)} ms"
    return [ok(name, found, expected) if high <= SLOW else warn(name, found, expected, mend)]


def controller_mode(machine: Machine) -> list[Check]:
    """Whether the adapter may speak Low Energy at all."""
    found = (_setting(machine, "General", "ControllerMode") or "dual").lower()
    expected = "le or dual"
    if found == "bredr":
        mend = f"in {MAIN_CONF}: ControllerMode=le; then: systemctl restart bluetooth"
        return [fail("ControllerMode", found, expected, mend)]
    return [ok("ControllerMode", found, expected)]


def gatt_cache(machine: Machine) -> list[Check]:
    """Whether BlueZ remembers a lock's table, which saves 10 to 15 round trips."""
    found = (_setting(machine, "GATT", "Cache") or "always").lower()
    expected = "always (yes is for paired devices only, and locks are not paired)"
    if found == "always":
        return [ok("[GATT] Cache", found, expected)]
    mend = f"in {MAIN_CONF}, below [GATT]: Cache=always; then: systemctl restart bluetooth"
    return [warn("[GATT] Cache", f"{found}: a connection takes longer", expected, mend)]


def restart(machine: Machine) -> list[Check]:
    """Whether somebody starts bluetoothd again when it died."""
    name, expected = "bluetooth.service", "Restart=on-failure"
    unit = next((text for path in UNITS if (text := machine.read(path)) is not None), None)
    if unit is None:
        return []  # no systemd, or no BlueZ, which was told already
    drop_ins = {
        one: machine.read(f"{folder}/{one}") or ""
        for folder in (PACKAGED_DROP_INS, DROP_INS)
        for one in machine.names(folder)
        if one.endswith(".conf")
    }
    found = "no"
    for text in (unit, *(drop_ins[one] for one in sorted(drop_ins))):
        for value in re.findall(r"(?m)^\s*Restart\s*=\s*(\S*)\s*$", text):
            found = value or "no"
    if found != "no":
        return [ok(name, f"Restart={found}", expected)]
    mend = (
        f"mkdir -p {DROP_INS}\n"
        "printf '[Unit]\\nStartLimitIntervalSec=0\\n"
        "[Service]\\nRestart=on-failure\\nRestartSec=1\\n' "
        f"> {DROP_INS}/restart.conf\n"
        "systemctl daemon-reload"
    )
    return [warn(name, "nobody starts it again when it dies", expected, mend)]


def clock(machine: Machine) -> list[Check]:
    """Whether the date comes from somewhere; locks are told it, and record by it."""
    expected = "synchronized by NTP"
    if machine.read(SYNCHRONIZED) is not None:
        return [ok("clock", expected, expected)]
    said = machine.run(("timedatectl", "show", "--property=NTPSynchronized", "--value"))
    if said is not None and said.strip() == "yes":
        return [ok("clock", expected, expected)]
    found = "not synchronized; the cloud's time is used until it is"
    if not machine.names("/sys/class/rtc"):
        found += ", and after a cut of the power there is none (no RTC)"
    return [warn("clock", found, expected, SET_THE_DATE)]


_CHECKS: tuple[Callable[[Machine], list[Check]], ...] = (
    kernel_adapter,
    radio_switch,
    bluetoothd,
    version,
    adapters,
    others,
    connection_interval,
    controller_mode,
    gatt_cache,
    restart,
    clock,
)


# -- helpers


def _line(machine: Machine, path: str) -> str | None:
    text = machine.read(path)
    return None if text is None else text.strip()


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and re.fullmatch(r"[0-9]{1,6}", text) else None


def _ms(units: int) -> str:
    return f"{units * 1.25:g}"


def _dotted(numbers: tuple[int, int]) -> str:
    return f"{numbers[0]}.{numbers[1]}"


def _printed_version(machine: Machine) -> tuple[int, int] | None:
    for path in DAEMONS:
        found = re.search(r"(\d+)\.(\d+)", machine.run((path, "--version")) or "")
        if found is not None:
            return int(found[1]), int(found[2])
    return None


def _setting(machine: Machine, section: str, key: str) -> str | None:
    """A value of bluetoothd's configuration; one that cannot be read counts as empty."""
    parser = configparser.ConfigParser(strict=False, interpolation=None, allow_no_value=True)
    try:
        parser.read_string(machine.read(MAIN_CONF) or "")
    except configparser.Error:
        return None
    value = parser.get(section, key, fallback=None)
    return None if value is None else value.strip()
