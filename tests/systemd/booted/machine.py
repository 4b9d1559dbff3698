"""A gateway with a real systemd: Debian 12 in a container, on a disk that is in memory.

The loopback is this machine's, so the daemon in it reaches a virtual cloud and a virtual lock of
the tests; its sockets and files are reached through ``/proc``, as it sees them.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

T = TypeVar("T")

PLACE = Path(__file__).with_name("place.sh")
PATIENCE = 60.0
"""Seconds for whatever is waited for; on an idle machine it takes one to ten."""
UNIT = "bleagent.service"
NO_LINES = "-- No entries --"


class MachineError(Exception):
    """It does not do what it should; says what it was asked and what it said."""


def until(look: Callable[[], T], what: str, *, within: float = PATIENCE) -> T:
    """Look again and again until it is true; then what was seen. Raises MachineError."""
    deadline = time.monotonic() + within
    while not (seen := look()):
        if time.monotonic() > deadline:
            raise MachineError(f"not within {within:.0f} s: {what}")
        time.sleep(0.02)
    return seen


def lacking() -> str | None:
    """Why none can be booted here."""
    if os.geteuid() != 0:
        return "only root may boot a systemd in a container"
    for command in ("systemd-nspawn", "unshare", "nsenter"):
        if shutil.which(command) is None:
            return f"there is no {command} (Debian: systemd-container, util-linux)"
    return None


@dataclass(frozen=True)
class Caller:
    """Who asks at the socket."""

    uid: int
    gid: int


class Machine:
    """One gateway. ``console`` is a file for what its systemd prints."""

    def __init__(self, root: Path, console: Path) -> None:
        self.console = console
        self._leader = 0
        self._place = subprocess.Popen(  # noqa: S603 - ours
            [PLACE, root, console], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            start_new_session=True,  # it ends by the end of its input, not by a Ctrl-C
        )  # fmt: skip
        assert self._place.stdout is not None
        self._group = Path(self._place.stdout.readline().decode().strip()) / "payload"

    # -- its life

    def boot(self) -> None:
        """Power on, and wait until every unit has started that is to. Raises MachineError."""
        assert self._place.stdin is not None
        try:
            self._place.stdin.write(b"on\n")
            self._place.stdin.flush()
            self._leader = until(self._first_process, "a first process")
            until(self.path("/run/systemd/private").exists, "a systemd")
        except (MachineError, OSError) as error:
            raise MachineError(f"it did not boot: {error}\n{self._said()}") from error
        self.run("systemctl", "is-system-running", "--wait", check=False)

    def _first_process(self) -> int:
        group = self._group / "init.scope/cgroup.procs"
        found = group.read_text().split() if group.exists() else []
        return int(found[0]) if found else 0

    def cut_power(self) -> None:
        """Off, in the middle of whatever it does; its disk stays."""
        os.kill(self._leader, signal.SIGKILL)
        until(lambda: not Path(f"/proc/{self._leader}").exists(), "a dead machine")

    def stop(self) -> None:
        """Off, and gone with its disk."""
        assert self._place.stdin is not None
        assert self._place.stdout is not None
        self._place.stdin.close()
        self._place.wait(PATIENCE)
        self._place.stdout.close()

    def _said(self) -> str:
        return self.console.read_text(errors="replace") if self.console.exists() else ""

    # -- inside

    def path(self, name: str) -> Path:
        """A file of it."""
        return Path(f"/proc/{self._leader}/root{name}")

    def start(self, *command: str) -> subprocess.Popen[str]:
        """A command as root, beside everything else."""
        inside = ["nsenter", f"--target={self._leader}", *("-m", "-p", "-u", "-i"), "--"]
        environ = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive"}
        return subprocess.Popen(  # noqa: S603 - ours
            [*inside, *command], text=True, env=environ,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def run(self, *command: str, check: bool = True, within: float = PATIENCE) -> str:
        """A command as root; what it says. Raises MachineError where it fails."""
        with self.start(*command) as process:
            said, _ = process.communicate(timeout=within)
        if check and process.returncode:
            raise MachineError(f"{' '.join(command)}: {process.returncode}\n{said}")
        return said.strip()

    def write(self, name: str, text: str, mode: int = 0o644) -> None:
        """A file of root."""
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        path.chmod(mode)
        path.write_text(text)

    def drop_in(self, name: str, *lines: str) -> None:
        """Lines for the service, of its next start; none takes them back."""
        place = f"/etc/systemd/system/{UNIT}.d/{name}.conf"
        if lines:
            self.write(place, "\n".join(("[Service]", *lines, "")))
        else:
            self.path(place).unlink()
        self.run("systemctl", "daemon-reload")

    def shown(self, name: str, unit: str = UNIT) -> str:
        """A property of a unit."""
        return self.run("systemctl", "show", "--value", f"--property={name}", unit)

    @property
    def pid(self) -> int:
        """The daemon's, as this machine counts them; 0 while there is none."""
        try:
            found = (self._group / f"system.slice/{UNIT}/cgroup.procs").read_text().split()
        except OSError:
            return 0
        return int(found[0]) if found else 0

    @property
    def privileges(self) -> tuple[str, str, str]:
        """Of the daemon: its user, its capabilities, whether it can get no new ones."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        found = {name: value.split() for name, _, value in (one.partition(":") for one in lines)}
        user = self.run("id", "--user", "--name", found["Uid"][1])
        return user, found["CapEff"][0], found["NoNewPrivs"][0]

    def is_up(self) -> bool:
        """Whether the daemon is ready."""
        return self.shown("ActiveState") == "active"

    def signal(self, number: signal.Signals) -> None:
        """To the daemon."""
        os.kill(self.pid, number)

    @contextmanager
    def journal(self, unit: str = UNIT) -> Iterator[Callable[[], str]]:
        """What a unit says, or systemd of it, from here on."""
        cursor = self.run("journalctl", "--lines=0", "--show-cursor").rpartition(" ")[2]

        def said() -> str:
            since = ("journalctl", f"--unit={unit}", f"--after-cursor={cursor}", "--output=cat")
            self.run("journalctl", "--sync")
            return self.run(*since).replace(NO_LINES, "")

        yield said

    # -- at its socket

    def connect(self, caller: Caller, *, within: float = PATIENCE) -> socket.socket:
        """As a program of that user, to whom the kernel says who it is. Raises OSError."""
        one = socket.socket(socket.AF_UNIX)
        one.settimeout(within)
        try:
            with _being(caller, self.path("/run/bleagent")) as folder:
                one.connect(f"{folder}/http.sock")
        except OSError:
            one.close()
            raise
        return one

    def ask(
        self, caller: Caller, what: str, *, key: str | None = None, **body: object
    ) -> tuple[int, dict[str, Any]]:
        """Ask, as ``ask(user, "GET /v1/locks")``: status and body. Raises OSError, HungUp."""
        with self.connect(caller) as one:
            return exchange(one, request(what, key=key, **body))


_ONE_AT_A_TIME = Lock()


@contextmanager
def _being(caller: Caller, folder: Path) -> Iterator[str]:
    """As that user, which a process is as a whole; a name under which it finds the folder."""
    with _ONE_AT_A_TIME:
        number = os.open(folder, os.O_PATH)
        try:
            os.setegid(caller.gid)
            os.seteuid(caller.uid)
            yield f"/proc/self/fd/{number}"
        finally:
            os.seteuid(0)
            os.setegid(0)
            os.close(number)


class HungUp(Exception):
    """The other side did, without an answer."""


def request(what: str, *, key: str | None = None, **body: object) -> bytes:
    """The bytes of a request."""
    method, _, path = what.partition(" ")
    told = json.dumps(body).encode() if method == "POST" else b""
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    if method == "POST":
        head += f"Content-Type: application/json\r\nContent-Length: {len(told)}\r\n"
    if key is not None:
        head += f"Idempotency-Key: {key}\r\n"
    return f"{head}\r\n".encode() + told


def exchange(one: socket.socket, what: bytes) -> tuple[int, dict[str, Any]]:
    """What a request is answered. Raises HungUp."""
    with suppress(ConnectionError):  # which the answer will not come by either
        one.sendall(what)
    return answer(one)


def answer(one: socket.socket) -> tuple[int, dict[str, Any]]:
    """Status and body. Raises HungUp where there is none."""
    said = b""
    with suppress(ConnectionError):
        while part := one.recv(65536):
            said += part
    if not said:
        raise HungUp
    head, _, body = said.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body) if body else {}
