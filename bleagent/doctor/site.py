"""What the doctor says of this agent: its files, its store, its daemon, its cloud, its locks.

As ``doctor``: each check is a function from what was found to ``Check``s. They come in the order
in which a person would look, and what depends on something that failed is not told as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeGuard

from bleagent.errors import AgentError

from .check import SET_THE_DATE, Check, fail, ok, warn

DAY = 86_400.0
ENDS_SOON = 14 * DAY
"""Seconds before its end from which on a certificate is warned about."""
LITTLE, TOO_LITTLE = 200 << 20, 20 << 20
"""Bytes free on the disk of the state directory."""
SKEW = 60.0
"""Seconds between our clock and the cloud's: requests are signed with the date."""
MODE = 0o660


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The state directory. ``free`` bytes; ``moved`` are databases that were put aside."""

    path: str
    there: bool
    writable: bool
    free: int | None = None
    moved: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Daemon:
    """The running one, as it answers; ``unasked`` is why it could not be asked."""

    unasked: AgentError | None = None
    ready: bool = False
    shut_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketFile:
    """The Unix socket, as it lies there."""

    path: str
    group: str
    mode: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudSaid:
    """What the cloud answered. ``skew``: its seconds minus ours."""

    host: str
    url: str = ""
    fault: AgentError | None = None
    skew: float | None = None
    devices_fault: AgentError | None = None
    known: Mapping[str, bool | None] = field(default_factory=dict)
    """By lock: whether its local key there is ours; ``None`` if the cloud does not tell. A lock
    that is not in here is not known there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What was found. ``None`` is what could not be looked at, or is not there to be."""

    path: str
    fault: AgentError | None = None
    """Of the configuration; nothing else is known then."""
    locks: tuple[str, ...] = ()
    virtual: str | None = None
    """Where a virtual lock is; then this machine's Bluetooth has no part in it."""
    strangers: tuple[str, ...] = ()
    """Users and groups of the configuration that this machine does not have."""
    secrets: Mapping[str, AgentError | None] = field(default_factory=dict)
    """By their place in the configuration."""
    handed: tuple[str, ...] = ()
    """Those that systemd hands over while the service runs, which it does not."""
    certificate: float | AgentError | None = None
    """Seconds to its end."""
    state: State | None = None
    vault: AgentError | str | None = None
    """Why it does not open the store, or in words why it does."""
    daemon: Daemon | None = None
    socket: SocketFile | None = None
    group: str | None = None
    """Whom the socket is to belong to."""
    heard: Mapping[str, str] | None = None
    """By lock, in words; who is missing was not heard."""
    cloud: CloudSaid | None = None


def examine(site: Site) -> tuple[list[Check], list[Check]]:
    """What comes before a look at Bluetooth, and what after it."""
    return _all(_BEFORE, site), _all(_AFTER, site)


def _all(checks: Iterable[Callable[[Site], list[Check]]], site: Site) -> list[Check]:
    return [found for check in checks for found in check(site)]


# -- before


def configuration(site: Site) -> list[Check]:
    """Whether the file can be read, and is right."""
    expected = "a configuration without a mistake"
    if site.fault is None and site.strangers:
        told = f"left out, for this machine has none: {', '.join(site.strangers)}"
        mend = f"editor {site.path}   (or adduser, then: systemctl reload bleagent)"
        return [warn("configuration", told, "users of this machine in [[http.users]]", mend)]
    if site.fault is None:
        return [ok("configuration", f"{site.path}, {len(site.locks)} locks", expected)]
    mend = f"{site.fault.advice}\neditor {site.path}"
    return [fail("configuration", str(site.fault), expected, mend)]


def virtual(site: Site) -> Check:
    """In place of what is looked at of Bluetooth."""
    told = f"not looked at: the lock is at {site.virtual}, by [radio] socket"
    return ok("Bluetooth", told, "locks that are there")


def secrets(site: Site) -> list[Check]:
    """Whether each can be read, by nobody else."""
    if site.fault is not None:
        return []
    expected = "each can be read, and by nobody else"
    wrong = {name: fault for name, fault in site.secrets.items() if fault is not None}
    if not wrong and site.handed:
        told = f"{len(site.handed)} not looked at: systemd hands them over while the service runs"
        return [ok("secrets", told, expected)]
    if not wrong:
        return [ok("secrets", f"{len(site.secrets)} can be read", expected)]
    return [
        fail("secrets", f"{name}: {fault}", expected, fault.advice) for name, fault in wrong.items()
    ]


def certificate(site: Site) -> list[Check]:
    """Whether it can be used, and how long."""
    found = site.certificate
    expected = f"a certificate with its key, good for {ENDS_SOON / DAY:.0f} days at least"
    mend = "get a new one, then: systemctl reload bleagent (a key that is a credential: restart)"
    match found:
        case None:
            return []
        case AgentError():
            return [fail("certificate", str(found), expected, found.advice)]
    if found < 0:
        return [fail("certificate", f"ended {-found / DAY:.0f} days ago", expected, mend)]
    told = f"ends in {found / DAY:.0f} days"
    if found < ENDS_SOON:
        return [warn("certificate", told, expected, mend)]
    return [ok("certificate", told, expected)]


def state_directory(site: Site) -> list[Check]:
    """Whether there is one that can be written."""
    state = site.state
    if state is None:
        return []
    name, expected = "state directory", "there, and to be written by this user"
    if not state.there:
        mend = (
            "nothing where systemd runs the agent: its first start makes it. Without systemd,\n"
            f"as root: install -d -m 700 -o bleagent -g bleagent {state.path}"
        )
        return [warn(name, f"{state.path} is not there yet", expected, mend)]
    if not state.writable:
        mend = (
            "run this as the daemon's user: cd / && runuser -u bleagent -- bleagent doctor ...\n"
            f"if it is so for him, too: chown -R bleagent: {state.path}"
        )
        return [fail(name, f"{state.path} cannot be written", expected, mend)]
    checks = [ok(name, state.path, expected)]
    if state.moved:
        mend = "keep it; when nobody needs it any more: " + "\n".join(
            f"mv {one} /var/backups/" for one in state.moved
        )
        checks.append(warn("databases", f"damaged: {', '.join(state.moved)}", "none", mend))
    return checks


def free_space(site: Site) -> list[Check]:
    """Whether there is room for what comes."""
    if site.state is None or site.state.free is None:
        return []
    name, free = "disk", site.state.free
    expected, found = f"{LITTLE >> 20} MiB free", f"{free >> 20} MiB free"
    mend = f"df -h {site.state.path}; journalctl --vacuum-size=100M; apt-get clean"
    if free < TOO_LITTLE:
        return [fail(name, found, expected, mend)]
    return [warn(name, found, expected, mend) if free < LITTLE else ok(name, found, expected)]


def vault_key(site: Site) -> list[Check]:
    """Whether what is sealed in the store can be opened."""
    expected = "the key that sealed what is in the store"
    if site.vault is None:
        return []
    if isinstance(site.vault, AgentError):
        return [fail("vault key", str(site.vault), expected, site.vault.advice)]
    return [ok("vault key", site.vault, expected)]


def daemon(site: Site) -> list[Check]:
    """Whether it runs, and says that doors can be opened."""
    found, expected = site.daemon, "it runs, and is ready"
    if found is None:
        return []
    if found.unasked is not None:
        mend = f"{found.unasked.advice}\nsystemctl status bleagent"
        return [warn("daemon", str(found.unasked).splitlines()[0], expected, mend)]
    if not found.ready:
        told = f"it runs, and doors stay shut: {', '.join(found.shut_by)}"
        return [fail("daemon", told, expected, f"bleagent status --config {site.path}")]
    return [ok("daemon", expected, expected)]


def socket(site: Site) -> list[Check]:
    """Whether the programs that are to ask at it may."""
    found = site.socket
    if found is None:
        return []
    wanted = site.group or found.group
    expected = f"mode {MODE:04o}, group {wanted}"
    told = f"{found.path} has mode {found.mode:04o}, group {found.group}"
    if (found.mode, found.group) == (MODE, wanted):
        return [ok("socket", told, expected)]
    mend = "systemctl restart bleagent.socket bleagent   (or set socket_group below [http])"
    bad = fail if found.mode & 0o007 else warn
    return [bad("socket", told, expected, mend)]


# -- after


def in_the_air(site: Site) -> list[Check]:
    """Whether each lock is heard."""
    if site.heard is None:
        return []
    expected = "heard a moment ago"
    checks = []
    for lock in site.locks:
        if (told := site.heard.get(lock)) is not None:
            checks.append(ok(f"lock {lock}", told, expected))
            continue
        mend = "wake it at its keypad, come closer, end the phone's connection to it; then:\n"
        mend += f"bleagent scan --config {site.path}"
        checks.append(warn(f"lock {lock}", "not heard", expected, mend))
    return checks


def cloud(site: Site) -> list[Check]:
    """Whether it answers us, with the time, and to our keys."""
    said, expected = site.cloud, "it answers to our keys"
    if said is None:
        return []
    if said.fault is not None:
        mend = f"{said.fault.advice}\ncurl -sSI {said.url}"
        return [fail("cloud", f"{said.host}: {said.fault}", expected, mend)]
    checks = [ok("cloud", f"{said.host} answers", expected)]
    if said.skew is not None:
        found, expected = f"{abs(said.skew):.0f} s from the cloud's", f"within {SKEW:.0f} s"
        good = abs(said.skew) <= SKEW
        name = "date"
        checks.append(
            ok(name, found, expected) if good else fail(name, found, expected, SET_THE_DATE)
        )
    return checks


def devices(site: Site) -> list[Check]:
    """Whether the cloud knows each lock, with the key that we have."""
    said = site.cloud
    if said is None or said.fault is not None:
        return []
    name, expected = "cloud's locks", "the cloud knows each lock, with our local key"
    if said.devices_fault is not None:
        fault = said.devices_fault
        return [warn(name, f"it does not say: {fault}", expected, fault.advice)]
    return [_device(site, said, lock, expected) for lock in site.locks]


def _device(site: Site, said: CloudSaid, lock: str, expected: str) -> Check:
    name = f"cloud's {lock}"
    if lock not in said.known:
        mend = f"see device_id of {lock} in {site.path}; link its account to the cloud project"
        return fail(name, "not known there", expected, mend)
    if said.known[lock] is False:
        mend = (
            "it was bound anew: sudo bleagent init, which fetches its new key (or put that where\n"
            f"local_key of {lock} is in {site.path}),\n"
            "then: systemctl restart bleagent"
        )
        return fail(name, "its local key there is another one", expected, mend)
    same = ", with our local key" if said.known[lock] else "; its key is not told"
    return ok(name, f"known there{same}", expected)


def rehearsal(lock: str, said: Mapping[str, object] | AgentError) -> Check:
    """What an opening would meet before its write."""
    name, expected = f"rehearsal of {lock}", "everything up to the write, in time"
    if isinstance(said, AgentError):
        return fail(name, str(said).splitlines()[0], expected, said.advice or "bleagent status")
    steps = said.get("steps")
    told = [f"{step} {took} s" for step, took in dict(steps).items()] if _is_table(steps) else []
    came = ", ".join(told) or "no step"
    if said.get("ready") is not True:
        mend = str(said.get("advice") or f"docs/problems.md has {said.get('code')}")
        return fail(name, f"{came}; then {said.get('detail') or said.get('code')}", expected, mend)
    if said.get("gives_code"):
        came += "; an opening gives it the cloud's check code first"
    return ok(name, came, expected)


def _is_table(value: object) -> TypeGuard[Mapping[str, object]]:
    return isinstance(value, Mapping)


_BEFORE = (
    configuration,
    secrets,
    certificate,
    state_directory,
    free_space,
    vault_key,
    daemon,
    socket,
)
_AFTER = (in_the_air, cloud, devices)
