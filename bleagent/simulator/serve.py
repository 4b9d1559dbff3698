"""A virtual lock for rehearsals at a desk: on a loopback port, or on a real radio.

    bleagent simulate lock --port 8581 --check-code 0005:52777950
    bleagent simulate lock --radio usb:0 --profile v4-244

Prints a line for whatever happens: ``up``, ``down``, ``> HEX`` (a write), ``< HEX`` (a
notification), ``opened``, ``closed``. Runs until it is interrupted.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

import anyio

from bleagent.clock import SystemClock

from .advertising import PRODUCT_ID, advertisement
from .profiles import profile_name
from .socket_lock import SocketLock
from .stdio import UNUSABLE, arguments, build
from .tap import lines
from .virtual_lock import VirtualLock

NO_LAB = (
    "--radio needs bumble, which drives the Bluetooth controller, and it is not installed here "
    "({error}). It comes with the extra `lab`: `pip install 'bleagent[lab]'`; without it a lock "
    "can be served with --port."
)


def main(given: Sequence[str] | None = None) -> None:
    """Serve. A mistake in the options, or a radio that cannot be used, ends with 2 (SystemExit)."""
    parser = _parser()
    options = parser.parse_args(given)
    if options.wants_connection and options.radio is None:
        parser.error("--wants-connection is advertised, so it needs --radio")
    try:
        lock = build(options)
        if options.radio is not None:
            advertisement(lock, product_id=options.product_id or PRODUCT_ID).to_bytes()
    except UNUSABLE as error:
        parser.error(str(error))
    if options.radio is not None:
        _on_radio(options, lock)
    try:
        anyio.run(serve, lock, options.port or 0, _say)
    except OSError as error:
        parser.error(f"port {options.port} cannot be used: {error.strerror}")


def _parser() -> argparse.ArgumentParser:
    parser = arguments("bleagent simulate lock")
    parser.description = (
        "A virtual lock on a loopback port, for [radio] socket of a daemon, or with --radio on a "
        "Bluetooth controller, for anything that can connect to a lock."
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--port", type=int, help="default: any free one")
    where.add_argument("--radio", metavar="TRANSPORT",
        help="a controller of its own, in bumble's words: usb:0, hci-socket:0, "
        "serial:/dev/ttyACM0, tcp-client:HOST:PORT")  # fmt: skip
    parser.add_argument("--wants-connection", action="store_true",
        help="advertise that it asks to be connected to (with --radio)")  # fmt: skip
    return parser


async def serve(lock: VirtualLock, port: int, say: Callable[[str], None]) -> None:
    """Serve one lock on a port until cancelled."""
    door = SocketLock(lock, SystemClock(), att_payload=lock.att_payload, tap=lines(say))
    async with door.serve(port) as bound:
        say(f'socket = "127.0.0.1:{bound}"')
        await anyio.sleep_forever()


def _on_radio(options: argparse.Namespace, lock: VirtualLock) -> NoReturn:
    try:
        from .peripheral import PeripheralLock, RadioUnusable, open_radio  # noqa: PLC0415 - extra
    except ImportError as error:
        _unusable(NO_LAB.format(error=error))

    async def serve_radio() -> None:
        async with open_radio(options.radio) as transport:
            door = PeripheralLock(
                lock, SystemClock(), transport,
                product_id=options.product_id or PRODUCT_ID,
                wants_connection=options.wants_connection, tap=lines(_say),
            )  # fmt: skip
            async with door.serve() as address:
                bound = "bound" if lock.bound else "bound to nobody"
                name = profile_name(lock.firmware)
                _say(f"advertises {address}, uuid {lock.keys.uuid}, profile {name}, {bound}")
                await anyio.sleep_forever()

    try:
        anyio.run(serve_radio)
    except* RadioUnusable as group:
        _unusable(str(group.exceptions[0]))
    raise SystemExit(0)


def _unusable(why: str) -> NoReturn:
    sys.stderr.write(f"bleagent simulate lock: {why}\n")
    raise SystemExit(2)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
