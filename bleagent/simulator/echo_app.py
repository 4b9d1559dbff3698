"""The applications that ran above the generic SDKs when those were recorded: they echo.

Protocol 3.3 and 4.4 report every write back as it came. The security V2 stack keeps the last
value of each datapoint of its schema, reports several one by one in reverse, raw ones without
a time and all others with one, and numbers its reports by itself, lost ones included.

Source: captures ``sdk33-*``, ``sdk44-*``, ``secv2-*``; reference protocol §9.4.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from protocol import CommandCode, Datapoint, DpType, Frame, Report, ReportTime
from protocol.commands import DpWrite, DpWriteV4

from .application import Application, LocalEventError, number
from .machine import Machine


class EchoApplication(Application):
    """Protocol 3.3 and 4.4. Queries get no report, unless ``local`` says so."""

    def command(self, frame: Frame, now: float) -> None:  # noqa: ARG002
        """Report a write back."""
        if frame.code == CommandCode.DP_WRITE:
            write = DpWrite.from_bytes(frame.data)
            self.machine.report(Report(code=CommandCode.REPORT, datapoints=write.datapoints))
        elif frame.code == CommandCode.DP_WRITE_V4:
            write_v4 = DpWriteV4.from_bytes(frame.data)
            self.machine.report(
                Report(code=CommandCode.REPORT_V4, datapoints=write_v4.datapoints, sn=write_v4.sn)
            )

    def local(self, action: Mapping[str, Any], now: float) -> None:
        """As every application; also forgetting the account by itself.

        Raises:
            LocalEventError: an action or a field that makes no sense; nothing has changed.
        """
        if action.get("action") not in ("factory_reset", "unbind"):
            super().local(action, now)
            return
        # The generic SDK forgets the virtual id too, when it is reset by its application.
        self.machine.forget_account(reset=action["action"] == "factory_reset")


_SCHEMA = {8: DpType.VALUE, 33: DpType.BOOL, 31: DpType.ENUM, 47: DpType.BOOL, 71: DpType.RAW}
"""The datapoints of the recorded device, in the order in which it keeps them."""
_TAKES = {
    DpType.VALUE: (DpType.VALUE, DpType.BITMAP),
    DpType.BOOL: (DpType.BOOL,),
    DpType.ENUM: (DpType.ENUM,),
    DpType.RAW: (DpType.RAW,),
}
"""Types on the wire that end up as each type of the schema; others are ignored."""
_PASSIVE = 1


class EchoApplicationV2(EchoApplication):
    """Security V2. ``clock`` is its time in unix seconds: it stood still in the recordings."""

    def __init__(self, machine: Machine, clock: int) -> None:
        super().__init__(machine)
        self._clock = clock
        self._report_sn = 0
        self._values = {
            dp_id: _normal(Datapoint(dp_id, kind, bytes(4)))
            for dp_id, kind in _SCHEMA.items()
            if kind is not DpType.RAW
        }

    def command(self, frame: Frame, now: float) -> None:  # noqa: ARG002
        """Keep and report a write; report all states to a query, whatever it asks for."""
        if frame.code == CommandCode.DP_QUERY:
            states = tuple(reversed(self._values.values()))
            self._send(CommandCode.REPORT_V4, states, kind=_PASSIVE)
        elif frame.code == CommandCode.DP_WRITE_V4:
            written = [
                one
                for one in reversed(DpWriteV4.from_bytes(frame.data).datapoints)
                if one.id in _SCHEMA and one.type in _TAKES[_SCHEMA[one.id]] and one.data
            ]
            # Raw ones are handed on as they are found, the others together at the end.
            for one in sorted(written, key=lambda one: one.type != DpType.RAW):
                self._keep_and_report(one)

    def _keep_and_report(self, written: Datapoint) -> None:
        if written.type == DpType.RAW:
            self._send(CommandCode.REPORT_V4, (written,))
            return
        value = _normal(Datapoint(written.id, _SCHEMA[written.id], written.data))
        self._values[written.id] = value
        self._send(CommandCode.REPORT_TIMED_V4, (value,))

    def _send(self, code: CommandCode, datapoints: tuple[Datapoint, ...], kind: int = 0) -> None:
        self._report_sn += 1
        timed = code is CommandCode.REPORT_TIMED_V4
        time = ReportTime.unix(self._clock) if timed else None
        self.machine.report(
            Report(code=code, datapoints=datapoints, time=time, sn=self._report_sn, type=kind)
        )

    def power_on(self, now: float) -> None:  # noqa: ARG002
        """Its reports count from 1 again."""
        self._report_sn = 0

    def local_report(self, action: Mapping[str, Any]) -> None:
        """Report one datapoint of the schema, or what the action spells out.

        Raises:
            LocalEventError: a field is missing or makes no sense.
        """
        if "dp" not in action:
            super().local_report(action)
            return
        dp_id = number(action, "dp", 0xFF)
        kind = _SCHEMA.get(dp_id, DpType.RAW)
        if kind is DpType.RAW:
            raise LocalEventError(f"datapoint {dp_id} has no value here")
        value = number(action, "value", 0xFFFFFFFF)
        size = 4 if kind is DpType.VALUE else 1
        raw = (value & (1 << 8 * size) - 1).to_bytes(size, "big")
        self._keep_and_report(Datapoint(dp_id, kind, raw))


def _normal(datapoint: Datapoint) -> Datapoint:
    """A value as the stack writes it: 4 bytes, or 1."""
    data = datapoint.data
    if datapoint.type == DpType.VALUE:
        return Datapoint(datapoint.id, datapoint.type, data[:4].ljust(4, b"\0"))
    first = bool(data[0]) if datapoint.type == DpType.BOOL else data[0]
    return Datapoint(datapoint.id, datapoint.type, bytes((first,)))
