"""Daemons out of a process that has loaded their libraries: see ``nursery.py``."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import IO

import anyio
from anyio.abc import Process

NURSERY = Path(__file__).with_name("nursery.py")
ROOT = NURSERY.parents[2]


@cache
def _nursery() -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """Where to ask; one for each process that runs tests. It ends when that process does."""
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with there:
        process = subprocess.Popen(  # noqa: S603 - ours
            [sys.executable, str(NURSERY), str(there.fileno())], cwd=ROOT,
            pass_fds=[there.fileno()], stdin=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
    return here, process


class WarmProcess(Process):
    """A process that the nursery forked: waited for by what the nursery tells of its end."""

    def __init__(self, pid: int, told: int) -> None:
        self._pid = pid
        self._told = told
        self._returncode: int | None = None

    @property
    def pid(self) -> int:
        """The process id."""
        return self._pid

    @property
    def returncode(self) -> int | None:
        """The exit status, negative for a signal; None while it runs."""
        if self._returncode is None:
            try:
                status = os.read(self._told, 32)
            except BlockingIOError:
                return None
            self._returncode = int(status)
            os.close(self._told)
        return self._returncode

    async def wait(self) -> int:
        """Wait for the end; returns the exit status."""
        while (status := self.returncode) is None:
            await anyio.wait_readable(self._told)
        return status

    def send_signal(self, signal: signal.Signals) -> None:
        """Send a signal, if it still runs."""
        if self.returncode is None:
            os.kill(self._pid, signal)

    def terminate(self) -> None:
        """Ask it to stop."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Stop it."""
        self.send_signal(signal.SIGKILL)

    async def aclose(self) -> None:
        """Wait for the end: there are no streams to close."""
        await self.wait()

    stdin = stdout = stderr = None  # to and from a file


async def open_cold(arguments: Sequence[str], output: IO[bytes]) -> Process:
    """Run ``python ARGUMENTS``, printing to ``output``."""
    return await anyio.open_process(
        [sys.executable, *arguments], stdout=output, stderr=output, env=os.environ
    )


async def open_warm(arguments: Sequence[str], output: IO[bytes]) -> Process:
    """The same with everything loaded already."""
    mine, its = os.pipe()
    request = {
        "arguments": list(arguments), "environment": dict(os.environ), "folder": str(Path.cwd()),
    }  # fmt: skip
    nursery, _ = _nursery()
    try:
        socket.send_fds(nursery, [json.dumps(request).encode()], [output.fileno(), its])
    finally:
        os.close(its)
    pid = os.read(mine, 32)
    assert pid, "the nursery has ended: what it printed says why"
    os.set_blocking(mine, False)
    return WarmProcess(int(pid), mine)
