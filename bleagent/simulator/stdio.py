"""A virtual lock that anybody's central can drive over stdin and stdout.

    python -m bleagent.simulator.stdio --profile v3.0 --check-code 0005:52777950

One command a line: ``connect``, ``disconnect``, ``w HEX`` (one GATT write), ``tick SECONDS``
(virtual time passes), ``local JSON`` (a ``local`` or ``power`` event of the capture format),
``dump`` (one line of JSON). Each is answered, flushed line by line, with what it brought about:
``n HEX`` (one notification), ``disconnect``, ``opened``, ``closed``, and then ``ok``; or with
``error TEXT``, and then nothing has changed. The end of input ends it.
"""

from __future__ import annotations

import argparse
import json
import math
import secrets
import sys
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TextIO

from protocol import Firmware, LocalProtocolError, LockKeys, Secret, firmware
from protocol.capture import CaptureError, Header, parse_header

from .actions import Action, Closed, HungUp, Notification, Opened
from .application import LocalEventError
from .profiles import PROFILE_NAMES, profile
from .virtual_lock import DEFAULT_CLOCK, AppName, VirtualLock

TEST_KEYS = {
    "local_key": "8f7d54a1c2e3b690",
    "sec_key": "s3cK3yOfTheTests",
    "auth_key": "aUthK3yOfTheTestsWith32Character",
    "uuid": "tuya35a717ae4ca8",
    "device_id": "bftest0virtual0lock000",
}
"""Whose lock it is where no option says otherwise. Published here, and used nowhere else."""
TEST_PRODUCT_ID = "vanjlsr8"


class Driver:
    """The commands of one session; ``now`` is virtual and moves with ``tick`` only."""

    def __init__(self, lock: VirtualLock) -> None:
        self.lock = lock
        self.now = 0.0
        self._commands: dict[str, Callable[[str], list[str]]] = {
            "connect": self._connect,
            "disconnect": self._disconnect,
            "w": self._write,
            "tick": self._tick,
            "local": self._local,
            "dump": self._dump,
        }

    def answer(self, line: str) -> list[str]:
        """Everything that one line is answered with."""
        word, _, rest = line.strip().partition(" ")
        try:
            return [*self._commands.get(word, self._unknown)(rest.strip()), "ok"]
        except LocalEventError as error:
            return [f"error {error}"]

    def _unknown(self, rest: str) -> list[str]:  # noqa: ARG002
        raise LocalEventError(f"no such command, there are {', '.join(self._commands)}")

    def _connect(self, rest: str) -> list[str]:
        _nothing("connect", rest)
        return self._lines(self.lock.connected(self.now))

    def _disconnect(self, rest: str) -> list[str]:
        _nothing("disconnect", rest)
        return self._lines(self.lock.disconnected(self.now))

    def _write(self, rest: str) -> list[str]:
        try:
            value = bytes.fromhex(rest)
        except ValueError:
            raise LocalEventError("w takes hex digits") from None
        if not value:
            raise LocalEventError("w takes hex digits, at least two")
        return self._lines(self.lock.write(value, self.now))

    def _tick(self, rest: str) -> list[str]:
        try:
            seconds = float(rest)
        except ValueError:
            seconds = math.nan
        if not 0 <= seconds < math.inf:
            raise LocalEventError("tick takes seconds, 0 or more")
        # Rounded, so that ten ticks of 0.1 are a second.
        self.now = round(self.now + seconds, 6)
        return self._lines(self.lock.tick(self.now))

    def _local(self, rest: str) -> list[str]:
        try:
            event = json.loads(rest)
        except (ValueError, RecursionError):
            raise LocalEventError("local takes an event as JSON") from None
        if not isinstance(event, dict):
            raise LocalEventError("local takes an event as a JSON object")
        return self._lines(self.lock.local(event, self.now))

    def _dump(self, rest: str) -> list[str]:
        _nothing("dump", rest)
        return [json.dumps(self.lock.dump())]

    def _lines(self, actions: Iterable[Action]) -> list[str]:
        return [self._line(action) for action in actions]

    def _line(self, action: Action) -> str:
        match action:
            case Notification(value=value):
                self.lock.delivered(action, self.now)
                return f"n {value.hex()}"
            case HungUp():
                return "disconnect"
            case Opened():
                return "opened"
            case Closed():
                return "closed"


def _nothing(word: str, rest: str) -> None:
    if rest:
        raise LocalEventError(f"{word} takes nothing behind it")


def run(driver: Driver, lines: Iterable[str], out: TextIO) -> None:
    """Answer every line."""
    for line in lines:
        for answer in driver.answer(line):
            out.write(answer + "\n")
            out.flush()


# -- options


def arguments(prog: str = "python -m bleagent.simulator.stdio") -> argparse.ArgumentParser:
    """The options that describe a lock."""
    parser = argparse.ArgumentParser(
        prog=prog,
        description="A virtual lock, driven by lines on stdin: connect, disconnect, w HEX, "
        "tick SECONDS, local JSON, dump.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--capture", type=Path, metavar="FILE", help="profile, keys and bound state of its header")
    add("--profile", choices=PROFILE_NAMES, help="default v3.0, or the capture's")
    add("--local-key", metavar="K", help="16 characters")
    add("--sec-key", metavar="S", help="16 characters, security V2 only")
    add("--auth-key", metavar="A", help="32 characters")
    add("--uuid", metavar="U", help="16 or 20 characters")
    add("--device-id", metavar="D", help="up to 22 characters")
    add(
        "--product-id",
        metavar="P",
        help="advertised while it belongs to nobody: 8 or 16 characters",
    )
    add("--unbound", action="store_true", help="belongs to nobody")
    add("--check-code", type=check_code, metavar="PERIPHERAL:CODE",
        help="check code of the app, already set: id in hex, eight characters")  # fmt: skip
    add("--app", type=AppName, choices=tuple(AppName),
        help="default lock; echo for a capture of another protocol than 3.0")  # fmt: skip
    add("--srand", type=_srands, metavar="HEX,HEX,...", default=[],
        help="random of each device information in turn; then random ones")  # fmt: skip
    add("--clock", type=_unix_time, metavar="UNIX", default=DEFAULT_CLOCK,
        help="time at power-up of a security V2 lock, which is never told it")  # fmt: skip
    return parser


def check_code(text: str) -> tuple[int, bytes]:
    """``PERIPHERAL:CODE`` of an option."""
    peripheral, colon, code = text.partition(":")
    try:
        number = int(peripheral, 16)
    except ValueError:
        number = -1
    if not colon or not 0 <= number <= 0xFFFF or not (code.isascii() and len(code) == 8):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not PERIPHERAL:CODE, up to four hex digits and eight characters"
        )
    return number, code.encode()


def _srands(text: str) -> list[bytes]:
    try:
        found = [bytes.fromhex(part) for part in text.split(",")] if text else []
    except ValueError:
        found = [b""]
    if any(len(one) != 6 for one in found):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of 12 hex digits each")
    return found


def _unix_time(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) < 2**32):
        raise argparse.ArgumentTypeError(f"{text!r} is not unix seconds in 32 bits")
    return int(text)


def _read_header(path: Path) -> Header:
    with path.open(encoding="utf-8") as file:
        return parse_header(file.readline())


def _keys(options: argparse.Namespace, header: Header | None) -> LockKeys:
    """What the options say, else the capture, else the test keys."""

    def given(name: str) -> str | None:
        text: str | None = getattr(options, name)
        return text if text is not None or header is not None else TEST_KEYS[name]

    def secret(name: str) -> Secret | None:
        text = given(name)
        if text is not None:
            return Secret(text)
        found: Secret | None = getattr(header.keys, name) if header is not None else None
        return found

    uuid, device_id = given("uuid"), given("device_id")
    if header is not None:
        uuid = header.keys.uuid if uuid is None else uuid
        device_id = header.keys.virtual_id if device_id is None else device_id
    return LockKeys(
        uuid=uuid or "", virtual_id=device_id or "", local_key=secret("local_key"),
        sec_key=secret("sec_key"), auth_key=secret("auth_key"),
    )  # fmt: skip


def _firmware(options: argparse.Namespace, header: Header | None) -> Firmware:
    if options.profile is not None or header is None:
        return profile(options.profile or PROFILE_NAMES[0])
    return firmware(header.protocol, att_payload=header.att_payload)


UNUSABLE = (CaptureError, LocalProtocolError, LocalEventError, OSError, UnicodeDecodeError)


def build(options: argparse.Namespace) -> VirtualLock:
    """The lock that the options describe.

    Raises:
        CaptureError, LocalProtocolError, LocalEventError, OSError, UnicodeDecodeError: there is
            no such lock, or no such file.
    """
    header = None if options.capture is None else _read_header(options.capture)
    chosen = _firmware(options, header)
    echoes = header is not None and chosen.name != "3.0"
    srands = deque(options.srand)
    lock = VirtualLock(
        _keys(options, header),
        chosen,
        bound=not options.unbound and (header is None or header.bound),
        app=options.app or (AppName.ECHO if echoes else AppName.LOCK),
        clock=options.clock,
        new_srand=lambda: srands.popleft() if srands else secrets.token_bytes(6),
    )
    if options.check_code is not None:
        lock.preset_check_code(*options.check_code)
    return lock


def main(
    given: Sequence[str] | None = None,
    lines: Iterable[str] | None = None,
    out: TextIO | None = None,
) -> int:
    """Run until the input ends; 0. A mistake in the options ends with 2 (SystemExit)."""
    parser = arguments()
    options = parser.parse_args(given)
    try:
        lock = build(options)
    except UNUSABLE as error:
        parser.error(str(error))
    run(Driver(lock), sys.stdin if lines is None else lines, sys.stdout if out is None else out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
