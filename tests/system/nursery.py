"""A process that has loaded what the daemon loads, and forks one daemon after the other.

Loading is most of what a start costs, and with some three hundred starts it was a third of what
these tests cost. Each daemon is a process of its own all the same. How one starts that has loaded
nothing is tried by ``test_start.py``, by the demo and by a booted systemd.
"""

from __future__ import annotations

import json
import os
import runpy
import selectors
import signal
import socket
import sys
import time
from pathlib import Path
from typing import NamedTuple

from bleagent import start

LONGEST = 1 << 20
"""Bytes of a request at most."""


class Child(NamedTuple):
    """A forked daemon: its process id, what becomes readable when it ends, whom to tell."""

    pid: int
    pidfd: int
    told: int


def load() -> None:
    """What ``start.main`` loads, in the way it does."""
    start.leave_out()
    import anyio  # noqa: F401, PLC0415

    with start.models_built_when_used():
        from bleagent import app, logs  # noqa: F401, PLC0415


def serve(control: socket.socket) -> list[str]:
    """Fork for each request, until nobody can ask any more.

    Returns, in a forked process: the command line it is to run.
    """
    with control, selectors.DefaultSelector() as selector:
        selector.register(control, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.data is not None:
                    selector.unregister(key.data.pidfd)
                    _bury(key.data)
                    continue
                request, fds, _, _ = socket.recv_fds(control, LONGEST, 2)
                children = [k.data for k in selector.get_map().values() if k.data is not None]
                if not request:
                    for child in children:
                        os.kill(child.pid, signal.SIGKILL)
                    sys.exit()
                output, told = fds
                pid = os.fork()
                if pid == 0:
                    for fd in (told, *(fd for child in children for fd in child[1:])):
                        os.close(fd)
                    return _become(json.loads(request), output)
                os.close(output)
                os.write(told, f"{pid}\n".encode())
                born = Child(pid, os.pidfd_open(pid), told)
                selector.register(born.pidfd, selectors.EVENT_READ, born)


def _bury(child: Child) -> None:
    _, status = os.waitpid(child.pid, 0)
    os.write(child.told, f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os.close(child.told)
    os.close(child.pidfd)


def _become(request: dict[str, str | list[str] | dict[str, str]], output: int) -> list[str]:
    """In the forked process: the output, the environment and the folder that were asked for."""
    arguments, environment = request["arguments"], request["environment"]
    assert isinstance(arguments, list)
    assert isinstance(environment, dict)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    os.chdir(str(request["folder"]))
    return arguments


def run(arguments: list[str]) -> None:
    """Do as ``python ARGUMENTS`` does."""
    if arguments[0] == "-m":
        sys.argv = arguments[1:]
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv = arguments
        sys.path[0] = str(Path(arguments[0]).parent)
        runpy.run_path(arguments[0], run_name="__main__")


if __name__ == "__main__":
    load()
    run(serve(socket.socket(fileno=int(sys.argv[1]))))
