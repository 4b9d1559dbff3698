"""What an application is to the virtual lock that runs it, and what all of them can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from protocol import CommandCode, Frame, Report, ReportTime
from protocol.datapoint import read_datapoints
from protocol.errors import PayloadError
from protocol.reports import NO_ANSWER, REPORT_CODES, SHAPES, ReportAck
from protocol.times import TimeAnswer

from .machine import Machine

RESTART = "restart"
"""Timer of an application that makes the whole lock begin anew."""
_TIME_QUESTIONS = (
    CommandCode.TIME_CLOCK,
    CommandCode.TIME_DATE,
    CommandCode.TIME_LOCAL,
    CommandCode.TIME_SAVING,
)


class LocalEventError(ValueError):
    """Something that cannot be done at this lock; nothing has changed."""


class Application(ABC):
    """The part above the protocol. Everything it does goes through its ``Machine``."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    # -- what the lock tells it

    @abstractmethod
    def command(self, frame: Frame, now: float) -> None:
        """A command was accepted and has had its structural answer."""

    def acked(self, ack: ReportAck, now: float) -> None:  # noqa: B027 - not all listen
        """A report was acknowledged; nobody says which, in 3.x."""

    def time_told(self, code: int, answer: TimeAnswer, now: float) -> None:  # noqa: B027
        """The central answered a question for the time."""

    def timer(self, name: str, now: float) -> None:  # noqa: B027
        """A timer that it started is due."""

    def paired(self, now: float) -> None:  # noqa: B027
        """Pairing succeeded (again)."""

    def link_lost(self, now: float) -> None:  # noqa: B027
        """The connection is over, whoever ended it."""

    def unbound(self, now: float) -> None:  # noqa: B027
        """The lock was told to belong to nobody."""

    def power_on(self, now: float) -> None:  # noqa: B027
        """Power is back, and nothing of what was in RAM."""

    @property
    def stored_records(self) -> int:
        """Records that wait to be fetched."""
        return 0

    # -- what people and things do at the lock

    def local(self, action: Mapping[str, Any], now: float) -> None:  # noqa: ARG002
        """Do what a ``local`` object of the capture format says.

        Raises:
            LocalEventError: an action or a field that makes no sense; nothing has changed.
        """
        match action.get("action"):
            case "report":
                self.local_report(action)
            case "ask_time":
                kind, years = number(action, "kind", 3), number(action, "years", 0xFF, default=1)
                data = bytes((years,)) if kind == 3 else b""
                self.machine.send(_TIME_QUESTIONS[kind], data)
            case "pass_through":
                self.machine.send(CommandCode.PASSTHROUGH, hexadecimal(action, "payload"))
            case _:
                raise LocalEventError(f"no action {action.get('action')!r} at this lock")

    def local_report(self, action: Mapping[str, Any]) -> None:
        """Send the report that the action spells out.

        Raises:
            LocalEventError: a field is missing or makes no sense.
        """
        self.machine.report(_report(action))


def _report(action: Mapping[str, Any]) -> Report:
    code = _code(action)
    if code not in REPORT_CODES:
        raise LocalEventError(f"{code:#06x} is not a report")
    shape = SHAPES[code]
    time = None
    if shape.timed and "time_text" in action:
        text = action["time_text"]
        if not (isinstance(text, str) and text.isascii() and text.isdigit() and len(text) == 13):
            raise LocalEventError('"time_text" is not a string of 13 digits')
        time = ReportTime.text(int(text))
    elif shape.timed:
        time = ReportTime.unix(number(action, "time", 0xFFFFFFFF))
    try:
        datapoints = read_datapoints(hexadecimal(action, "payload"), shape.width)
    except PayloadError as error:
        raise LocalEventError(f'"payload" is no list of datapoints: {error}') from None
    kind = number(action, "type", 0xFF, default=0) if shape.typed else 0
    if shape.typed and action.get("no_answer"):
        kind |= NO_ANSWER
    own_sn = number(action, "sn", (1 << 8 * shape.sn_size) - 1, default=0)
    mode = number(action, "mode", 0xFF, default=0) if shape.sn_size else 0
    return Report(code=code, datapoints=datapoints, time=time, sn=own_sn, mode=mode, type=kind)


def _code(action: Mapping[str, Any]) -> int:
    text = action.get("command")
    try:
        return int(str(text), 16)
    except ValueError:
        raise LocalEventError(f'"command" is {text!r}, where 0x8001 to 0x8007 are known') from None


def number(
    action: Mapping[str, Any], name: str, highest: int, *, default: int | None = None
) -> int:
    """A field from 0 to ``highest``; truth values count as 0 and 1.

    Raises:
        LocalEventError: it is missing or something else.
    """
    found = action.get(name, default)
    if not isinstance(found, int) or not 0 <= found <= highest:
        raise LocalEventError(f'"{name}" is {found!r}, where a number from 0 to {highest} belongs')
    return int(found)


def hexadecimal(action: Mapping[str, Any], name: str) -> bytes:
    """A field of hex digits.

    Raises:
        LocalEventError: it is missing or something else.
    """
    found = action.get(name)
    try:
        if isinstance(found, str):
            return bytes.fromhex(found)
    except ValueError:
        pass
    raise LocalEventError(f'"{name}" is {found!r}, where hex digits belong')
