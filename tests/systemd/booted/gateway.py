"""The package on a gateway, before a virtual cloud and a virtual door of this machine."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from select import select
from threading import Event, Thread
from typing import Any

from anyio.from_thread import BlockingPortal, start_blocking_portal

from bleagent.simulator.cloud_faults import Fault, FaultKind
from tests.system.daemon import KEYS, Site
from tests.systemd.booted.machine import (
    UNIT,
    Caller,
    HungUp,
    Machine,
    answer,
    exchange,
    request,
    until,
)

MEMBER, STRANGER, OUTSIDER = ("anna", 2001), ("ben", 2002), ("carl", 2003)
"""Users and their uids: named in the configuration; in the group only; in neither."""
OPEN = "doorLock.bleOpenInstruction"
CONFIG = "/etc/bleagent/config.toml"
CREDENTIALS = "/etc/bleagent/credentials"
STATE = "/var/lib/bleagent"
HIDDEN = "/run/hidden"
COMMAND = re.compile(r"(?m)^  ((?:usermod|systemctl) [^#\n]*)")
"""What `bleagent init` says in the end is to be done."""


class OfService(Site):
    """Configures the service of a machine, and not a daemon beside the tests."""

    machine: Machine
    place: tuple[str, str]
    """The cloud's URL; what the configuration says of the radio."""

    def configure(self, base_url: str, radio: str) -> None:
        self.place = base_url, radio

    def set_up(self) -> None:
        """As a person does: `bleagent init`, and what that says is to be done."""
        base_url, radio = self.place
        secret = self.cloud.secret.reveal().decode()
        self.machine.write(HIDDEN, secret, 0o600)
        there = ("--virtual-lock", radio.split('"')[1]) if radio else ()
        told = self.machine.run(
            "bleagent", "init", "--yes", "--data-centre", base_url, "--listen", "0",
            "--client-id", self.cloud.client_id, "--secret-file", HIDDEN,
            "--lock", f"front={KEYS.virtual_id}", "--user", MEMBER[0], *there,
        )  # fmt: skip
        assert secret not in told
        for command in COMMAND.findall(told):
            self.machine.run("sh", "-ec", command)


class ServiceSite(OfService):
    """The door at a socket of this machine."""

    def __init__(self, folder: Path, machine: Machine) -> None:
        super().__init__(folder)
        self.machine = machine
        self.at_opening: Callable[[], None] | None = None
        """Called when the bolt is drawn back, before the lock says so."""

    def _tap(self, mark: str, packet: bytes) -> None:
        super()._tap(mark, packet)
        if (mark, packet) == ("!", b"opened") and self.at_opening is not None:
            self.at_opening()
            self.at_opening = None


class Gateway:
    """A machine with the package on it, and what is around it."""

    def __init__(self, machine: Machine, site: ServiceSite, portal: BlockingPortal) -> None:
        self.machine = machine
        self.site = site
        self.portal = portal
        group = machine.run("getent", "group", "bleagent").split(":")
        self.group = int(group[2])
        self.member = Caller(MEMBER[1], self.group)
        self.stranger = Caller(STRANGER[1], self.group)
        self.outsider = Caller(OUTSIDER[1], OUTSIDER[1])

    @contextmanager
    def up(self) -> Iterator[None]:
        """Lock and cloud are there, and the service before them."""
        with self.portal.wrap_async_context_manager(self.site.up()):
            self.site.set_up()
            yield

    def unlock(self, key: str, **body: object) -> tuple[int, dict[str, Any]]:
        """As the member. Raises OSError, HungUp."""
        return self.machine.ask(self.member, "POST /v1/locks/front/unlock", key=key, **body)

    def unlock_when_it_may(self, key: str, **body: object) -> dict[str, Any]:
        """Ask again where nothing was begun: while it starts, and while the lock rests."""

        def asked() -> dict[str, Any] | None:
            try:
                _, told = self.unlock(key, **body)
            except HungUp:
                return None
            if told.get("code") in ("lock-busy", "too-late") and "id" not in told:
                time.sleep(0.2)
                return None
            return told

        found = until(asked, f"an answer about {key}")
        assert found is not None
        return found

    def hung_up_on(self, key: str) -> None:
        """Ask until the other side goes without an answer."""

        def gone() -> bool:
            try:
                self.unlock(key)
            except HungUp:
                return True
            time.sleep(0.2)  # the lock rests
            return False

        until(gone, f"nobody answers about {key}")

    @contextmanager
    def asking(self, key: str, *, waits: float = 60.0) -> Iterator[socket.socket]:
        """An opening in mid-operation: it waits so many seconds for the cloud's word. Who asked."""
        cloud = self.site.cloud
        before = cloud.calls[OPEN]
        cloud.faults.always(OPEN, Fault(FaultKind.SLOW, seconds=waits))
        with ExitStack() as stack:
            stack.callback(cloud.faults.clear)

            def asked() -> socket.socket | None:
                one = stack.enter_context(self.machine.connect(self.member))
                one.sendall(request("POST /v1/locks/front/unlock", key=key))
                # An answer that comes at once says that the lock rests.
                while not select([one], [], [], 0.05)[0]:
                    if cloud.calls[OPEN] > before:
                        return one
                return None

            found = until(asked, "the cloud was asked")
            assert found is not None
            yield found

    @contextmanager
    def without(self, name: str) -> Iterator[None]:
        """A file is not there meanwhile."""
        path = self.machine.path(name)
        kept = path.rename(path.with_suffix(".kept"))
        try:
            yield
        finally:
            kept.rename(path)

    @contextmanager
    def configured(self, old: str, new: str) -> Iterator[None]:
        """The configuration says something else meanwhile."""
        text = self.machine.path(CONFIG).read_text()
        assert old in text
        self.machine.write(CONFIG, text.replace(old, new))
        try:
            yield
        finally:
            self.machine.write(CONFIG, text)

    @contextmanager
    def crowd(self, callers: int = 2) -> Iterator[Crowd]:
        """Callers that ask one after the other, as long as this lasts."""
        found = Crowd(self)
        threads = [Thread(target=found.run, daemon=True) for _ in range(callers)]
        for one in threads:
            one.start()
        try:
            yield found
        finally:
            found.stopped.set()
            for one in threads:
                one.join()

    @contextmanager
    def queued(self, key: str) -> Iterator[Callable[[], bool]]:
        """An opening that somebody asks for while nobody reads; whether it was hung up on."""
        with self.machine.connect(self.member) as one:
            one.sendall(request("POST /v1/locks/front/unlock", key=key))

            def hung_up() -> bool:
                try:
                    told = answer(one)
                except HungUp:
                    return True
                raise AssertionError(f"it was answered: {told}")

            yield hung_up

    def hand_over(self, name: str, secret: str) -> None:
        """Another secret at a credential's place, from the next start on."""
        self.machine.write(HIDDEN, secret, 0o600)
        place = f"{CREDENTIALS}/{name}.cred"
        self.machine.run("systemd-creds", "encrypt", f"--name={name}", HIDDEN, place)

    def forget(self) -> None:
        """Stop the service, and take its configuration away."""
        self.machine.run("systemctl", "stop", UNIT)
        self.machine.run("rm", "-r", CONFIG, CREDENTIALS)
        self.machine.drop_in("credentials")

    def wait_until_up(self) -> None:
        """The service is ready."""
        until(self.machine.is_up, "the service is up")


class Crowd:
    """Who asks all the time. ``refused`` is who could not even connect."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self.stopped = Event()
        self.answered = self.hung_up = 0
        self.refused: list[OSError] = []

    def run(self) -> None:
        """Until they are told to stop."""
        machine = self._gateway.machine
        # As root: who it is, is set for the whole process.
        while not self.stopped.is_set():
            try:
                with machine.connect(Caller(0, 0)) as one:
                    exchange(one, request("GET /livez"))
                    self.answered += 1
            except HungUp:
                self.hung_up += 1
            except OSError as error:
                self.refused.append(error)


@contextmanager
def gateway_with(machine: Machine, folder: Path, package: Path) -> Iterator[Gateway]:
    """Install the package, configure it, and start it before its door."""
    for name, uid in (MEMBER, STRANGER, OUTSIDER):
        machine.run("useradd", f"--uid={uid}", name)
    install(machine, package)
    show_boot(machine)
    with start_blocking_portal() as portal:
        found = Gateway(machine, ServiceSite(folder, machine), portal)
        with found.up():
            yield found


def show_boot(machine: Machine) -> None:
    """To the unit too: what a container has for the id of its boot lies over its /proc, and the
    unit has a /proc of its own (ProtectProc=, ProtectKernelTunables=)."""
    real, copy = "/proc/sys/kernel/random/boot_id", "/run/boot-id"
    machine.write("/etc/tmpfiles.d/boot-id.conf", f"C {copy} - - - - {real}\n")
    machine.run("systemd-tmpfiles", "--create", "boot-id.conf")
    machine.drop_in("boot-id", f"BindReadOnlyPaths={copy}:{real}")


def install(machine: Machine, package: Path) -> None:
    """As a person does with a file that came from elsewhere."""
    machine.path("/run/package.deb").write_bytes(package.read_bytes())
    machine.run("dpkg", "--install", "/run/package.deb")
