"""What systemd is told, by its notification socket (sd_notify(3))."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping


class SystemdManager:
    """Implements ``ports.ServiceManager``.

    Without ``NOTIFY_SOCKET`` in the environment, as outside of a unit of ``Type=notify``, it
    does nothing. One datagram per call; telling never fails, whatever becomes of it: a daemon
    must not stumble over a service manager that does not listen.
    """

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        place = (os.environ if environ is None else environ).get("NOTIFY_SOCKET", "")
        # A leading @ stands for the zero byte of the abstract name space; systemd also knows
        # vsock addresses, which are for virtual machines and not for us.
        self._address = f"\0{place[1:]}" if place.startswith("@") else place
        if not place.startswith(("/", "@")):
            self._address = ""
        self._watchdog = _watchdog(os.environ if environ is None else environ)

    @property
    def listening(self) -> bool:
        """Whether anybody wants to be told."""
        return bool(self._address)

    @property
    def watchdog(self) -> float | None:
        """Seconds within which it wants ``WATCHDOG=1`` again and again; ``None``: never."""
        return self._watchdog

    def reloading(self) -> None:
        """The configuration is being read again, which the next ``READY=1`` ends."""
        self.notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def notify(self, state: str) -> None:
        """Tell it ``NAME=value`` lines, such as ``READY=1`` or ``STATUS=...``; never raises."""
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as telling:
                # A full queue must not hold the daemon up.
                telling.sendto(state.encode(), socket.MSG_DONTWAIT, self._address)
        except OSError:
            return


def _watchdog(environ: Mapping[str, str]) -> float | None:
    """As sd_watchdog_enabled(3): meant for this process, if it says for which."""
    microseconds, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if not microseconds.isdecimal() or not int(microseconds) or pid not in ("", str(os.getpid())):
        return None
    return int(microseconds) / 1e6
