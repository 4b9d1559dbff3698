"""The sockets that the trigger listens on: TCP, and a Unix socket in the file system.

Without TLS there is no other TCP than that of loopback, whoever has bound it.

The Unix socket is bound here and not by the server, which would let everybody write to it; what
lies at its path is removed only if it is a dead socket of ours (reference: safety F5).
"""

from __future__ import annotations

import errno
import grp
import ipaddress
import os
import socket
import stat
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog

from bleagent.errors import ListenError

log = structlog.get_logger()

MODE = 0o660
BACKLOG = 128
"""Connections that wait to be accepted."""
FIRST_INHERITED = 3
MOST_QUEUED = 4096
"""As many as a kernel queues by default (net.core.somaxconn)."""
_NOT_HERE = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
"""A name has an IPv6 address too, and this machine has no IPv6."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenSettings:
    """Where to listen; without ``host`` not over TCP, ``secured`` if that is in TLS."""

    host: str | None = "127.0.0.1"
    port: int = 0
    secured: bool = False
    path: Path | None = None
    inherited: int = 0
    """Sockets that systemd hands over (sd_listen_fds(3)), each instead of one of its kind."""
    group: str | None = None
    """Whom the Unix socket belongs to; default: the agent's own group."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listeners:
    """Bound sockets; ``port`` is 0 without TCP, ``names`` are how TCP ones are asked for."""

    sockets: list[socket.socket]
    port: int
    names: frozenset[str]


@contextmanager
def listening(settings: ListenSettings) -> Iterator[Listeners]:
    """Bind them, and take the Unix socket away again in the end.

    Raises:
        ListenError: one of them cannot be had; says which and why.
    """
    with ExitStack() as stack:
        found = _inherited(stack, settings.inherited, secured=settings.secured)
        families = {one.family for one in found}
        if settings.host is not None and families <= {socket.AF_UNIX}:
            found += _tcp(stack, settings.host, settings.port, secured=settings.secured)
        addresses = [one.getsockname() for one in found if one.family != socket.AF_UNIX]
        if settings.path is not None and socket.AF_UNIX not in families:
            found.append(stack.enter_context(_unix(settings.path, settings.group)))
        yield Listeners(
            sockets=found,
            port=addresses[0][1] if addresses else 0,
            names=_names(settings.host or "localhost", *(one[0] for one in addresses)),
        )


def _names(*found: str) -> frozenset[str]:
    """Of these those that say which machine is meant: 0.0.0.0 is no name."""
    return frozenset(one for one in found if one not in ("0.0.0.0", "::"))  # noqa: S104 - left out


def handed_over(environ: Mapping[str, str], pid: int) -> int:
    """How many sockets systemd has handed to this process."""
    count = environ.get("LISTEN_FDS", "")
    mine = environ.get("LISTEN_PID") == str(pid) and count.isdecimal()
    return int(count) if mine else 0


def _inherited(stack: ExitStack, count: int, *, secured: bool) -> list[socket.socket]:
    """Sockets from ``FIRST_INHERITED`` on. Raises ListenError."""
    found: list[socket.socket] = []
    for number in range(FIRST_INHERITED, FIRST_INHERITED + count):
        try:
            one = stack.enter_context(socket.socket(fileno=number))
            listens = one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        except OSError as error:
            raise _error(f"the inherited descriptor {number}", error) from None
        if one.type != socket.SOCK_STREAM or not listens:
            raise ListenError(f"descriptor {number}: expected a listening stream socket")
        if one.family != socket.AF_UNIX and not secured:
            _require_loopback(f"descriptor {number}", one.getsockname()[0])
        os.set_inheritable(number, False)  # noqa: FBT003 - its only way
        _empty(one)
        found.append(one)
    return found


def _require_loopback(what: str, found: str) -> None:
    """Raises ListenError."""
    address = ipaddress.ip_address(found.partition("%")[0])
    if not (getattr(address, "ipv4_mapped", None) or address).is_loopback:
        raise ListenError(f"{what}: found {address}, expected loopback: there is no [http] tls")


def _empty(listener: socket.socket) -> None:
    """Hang up on who asked before we were there: nobody knows how long ago (safety A3)."""
    listener.setblocking(False)  # noqa: FBT003 - its only parameter
    closed = 0
    # Bounded, for somebody may go on connecting.
    while closed < MOST_QUEUED:
        try:
            one, _ = listener.accept()
        except BlockingIOError:
            break
        except ConnectionAbortedError:
            continue
        one.close()
        closed += 1
    if closed:
        log.warning("listener.queue_closed", connections=closed)


def _tcp(stack: ExitStack, host: str, port: int, *, secured: bool) -> list[socket.socket]:
    """One for each address of the name that this machine has. Raises ListenError."""
    bound: list[socket.socket] = []
    missing: OSError | None = None
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise ListenError(f"{host} cannot be looked up: {error.strerror}") from None
    for family, kind, protocol, _, address in found:
        if not secured:
            _require_loopback(host, str(address[0]))
        try:
            one = stack.enter_context(socket.socket(family, kind, protocol))
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            port = port or (bound[0].getsockname()[1] if bound else 0)
            one.bind((address[0], port, *address[2:]))
            one.listen(BACKLOG)
        except OSError as error:
            if error.errno not in _NOT_HERE:
                raise _error(f"{host}:{port}", error) from None
            missing = error
        else:
            bound.append(one)
    if not bound:
        raise _error(f"{host}:{port}", missing)
    return bound


@contextmanager
def _unix(path: Path, group: str | None) -> Iterator[socket.socket]:
    """Raises ListenError."""
    _clear(path)
    one = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # Nobody can connect before group and mode are as they should be.
        before = os.umask(0o177)
        try:
            one.bind(str(path))
        finally:
            os.umask(before)
        if group is not None:
            os.chown(path, -1, grp.getgrnam(group).gr_gid)
        path.chmod(MODE)
        one.listen(BACKLOG)
        ours = path.lstat()
    except KeyError:
        one.close()
        path.unlink(missing_ok=True)
        raise ListenError(f"{path}: there is no group {group!r}") from None
    except OSError as error:
        one.close()
        raise _error(str(path), error) from None
    try:
        yield one
    finally:
        one.close()
        _remove(path, ours)


def _remove(path: Path, ours: os.stat_result) -> None:
    """Take our socket away, and no other one that has come to its place."""
    try:
        there = path.lstat()
        if (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino):
            path.unlink()
    except OSError:
        return


def _clear(path: Path) -> None:
    """Remove a socket that an agent of ours left behind. Raises ListenError."""
    try:
        there = path.lstat()
    except FileNotFoundError:
        return
    except OSError as error:
        raise _error(str(path), error) from None
    if not stat.S_ISSOCK(there.st_mode):
        raise ListenError(f"{path}: found something else there, expected a socket or nothing")
    if there.st_uid != os.geteuid():
        raise ListenError(f"{path}: found a socket of uid {there.st_uid}, expected one of ours")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.setblocking(False)  # noqa: FBT003 - its only parameter
        try:
            asking.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EINPROGRESS):
                raise _error(str(path), error) from None
    raise ListenError(f"{path} cannot be listened on: somebody answers there")


def _error(where: str, error: OSError | None) -> ListenError:
    if error is not None and error.errno == errno.ENOENT:
        return ListenError(f"{where} cannot be listened on: its directory does not exist")
    reason = "no such address" if error is None else os.strerror(error.errno or 0)
    return ListenError(f"{where} cannot be listened on: {reason}")
