"""The lock's own word about one operation: matched field by field, or not at all.

Success is what the lock reported about this very command. A command ack, a bolt that moves,
a record, somebody else's opening, a stale or a sealed frame of an earlier visit are evidence
and never the answer (reference: safety C1-C4; captures ``lock-open-method``, ``lock-close``).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from .datapoint import Datapoint
from .errors import PayloadError
from .lock import METHOD_MEMBER, OpenOperation, OpenReply, OpenRequest, OpenResult
from .reports import Report


class Ruling(StrEnum):
    """What the lock said."""

    CONFIRMED = "confirmed"
    REFUSED = "refused"


class Moved(StrEnum):
    """Whether the motor may have moved although the lock refused."""

    NO = "no"
    POSSIBLE = "possible"


@dataclass(frozen=True, slots=True)
class Verdict:
    """``code`` is the lock's result: 0 confirmed; ``moved`` speaks only of a refusal.

    ``structural`` marks a refusal of the command's form, before any of its content counted.
    """

    ruling: Ruling
    code: int = 0
    moved: Moved = Moved.NO
    structural: bool = False


CONFIRMED = Verdict(Ruling.CONFIRMED, 0, Moved.POSSIBLE)


@dataclass(frozen=True, slots=True)
class OpenQuestion:
    """Waits for the reply to one ``OpenRequest`` with the operation *open*.

    Confirmed or refused by the first untimed report of the reply's datapoint whose ids, code,
    operation, timestamp and method are those of our request; under another method than 0 the
    lock answers as ``record_dp_id``.
    """

    request: OpenRequest
    dp_id: int
    record_dp_id: int | None = None

    def judge(self, report: Report) -> Verdict | None:
        """The verdict of an untimed report, ``None`` where it is about something else."""
        for datapoint in report.datapoints:
            if self._is_reply(datapoint):
                result = datapoint.data[-1]
                if result == OpenResult.OK:
                    return CONFIRMED
                moved = Moved.POSSIBLE if result not in _BEFORE_THE_MOTOR else Moved.NO
                return Verdict(Ruling.REFUSED, result, moved)
        return None

    def _is_reply(self, datapoint: Datapoint) -> bool:
        ids = {self.dp_id}
        if self.request.method != METHOD_MEMBER and self.record_dp_id is not None:
            ids.add(self.record_dp_id)
        if datapoint.id not in ids:
            return False
        try:
            reply = OpenReply.from_bytes(datapoint.data)
        except PayloadError:
            return False
        request = self.request
        return (
            request.operation == OpenOperation.OPEN
            and reply.central == request.central
            and reply.peripheral == request.peripheral
            and reply.code == request.code
            and reply.operation == request.operation
            and reply.timestamp == request.timestamp
            and reply.method == request.method
        )


@dataclass(frozen=True, slots=True)
class LockQuestion:
    """Waits for the bolt to be reported closed after a locking command.

    The reply to a close echoes our own byte and the echo of the manual lock says only that it
    was taken (C3). ``bolt_dp_id`` is ``None`` where the product does not report its bolt: then
    nothing ever confirms, and whoever asks must be told beforehand.
    """

    bolt_dp_id: int | None

    def judge(self, report: Report) -> Verdict | None:
        """The verdict of an untimed report, ``None`` where it is about something else."""
        for datapoint in report.datapoints:
            if datapoint.id == self.bolt_dp_id and datapoint.data == b"\0":
                return CONFIRMED
        return None


Question = OpenQuestion | LockQuestion

_BEFORE_THE_MOTOR = frozenset(
    {
        OpenResult.UNKNOWN_CENTRAL,
        OpenResult.WRONG_PERIPHERAL,
        OpenResult.WRONG_CODE,
        OpenResult.BAD_OPERATION,
    }
)
