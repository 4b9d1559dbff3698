"""A virtual lock on a loopback port, for ``[radio] socket`` of a daemon: rehearsals at a desk.

    bleagent simulate lock --port 8581 --check-code 0005:52777950

Prints a line for whatever happens: ``up``, ``down``, ``> HEX`` (a write), ``< HEX`` (a
notification), ``opened``, ``closed``. Runs until it is interrupted.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

import anyio

from bleagent.clock import SystemClock

from .socket_lock import SocketLock
from .stdio import UNUSABLE, arguments, build
from .virtual_lock import VirtualLock


def main(given: Sequence[str] | None = None) -> None:
    """Serve. A mistake in the options ends with 2 (SystemExit)."""
    parser = arguments("bleagent simulate lock")
    parser.description = "A virtual lock on a loopback port, for [radio] socket of a daemon."
    parser.add_argument("--port", type=int, default=0, help="default: any free one")
    options = parser.parse_args(given)
    try:
        lock = build(options)
    except UNUSABLE as error:
        parser.error(str(error))
    try:
        anyio.run(serve, lock, options.port, _say)
    except OSError as error:
        parser.error(f"port {options.port} cannot be used: {error.strerror}")


async def serve(lock: VirtualLock, port: int, say: Callable[[str], None]) -> None:
    """Serve one lock until cancelled."""
    up = False

    def tap(mark: str, what: bytes) -> None:
        nonlocal up
        if mark == "|":
            up = not up
            say("up" if up else "down")
        else:
            say(what.decode() if mark == "!" else f"{mark} {what.hex()}")

    door = SocketLock(lock, SystemClock(), att_payload=lock.att_payload, tap=tap)
    async with door.serve(port) as bound:
        say(f'socket = "127.0.0.1:{bound}"')
        await anyio.sleep_forever()


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
