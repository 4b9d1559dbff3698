"""Everything that moves the bolt over the radio, and the remote key.

Reference: protocol §6.5, §6.6, §9.9, §9.10.
"""

from __future__ import annotations

from dataclasses import replace

from bleagent.simulator.log import Move
from bleagent.simulator.machine import Asked, Machine
from protocol import DpName
from protocol.lock import (
    APP_CENTRAL,
    METHOD_MEMBER,
    OpenOperation,
    OpenResult,
    RemoteOpenResult,
    RemoteOpenSource,
)

from .buffer import ReplyBuffer, Request
from .check_codes import CheckCodes
from .flash import Flash, RemoteKey
from .record_keeper import RecordKeeper

_RESULT_AT = 18
_REPLY_SIZE = 19
_REMOTE_RECORDS: dict[int, DpName] = {
    RemoteOpenSource.PHONE: DpName.RECORD_REMOTE_PHONE,
    RemoteOpenSource.VOICE: DpName.RECORD_REMOTE_VOICE,
}


class Openings:
    """Handlers of the datapoints that open or close. ``sn`` is the command's."""

    def __init__(
        self, machine: Machine, flash: Flash, codes: CheckCodes, recorder: RecordKeeper
    ) -> None:
        self._machine = machine
        self._flash = flash
        self._codes = codes
        self._recorder = recorder
        self._last_timestamp = -1

    # -- by member id

    def open_old(self, request: Request, reply: ReplyBuffer, sn: int, now: float) -> bool:
        """Datapoint ``open_old``."""
        if request.byte(0):
            member = request.byte(1)
            asked = Asked(dp=DpName.OPEN_OLD, sn=sn, member=member)
            opened = self._machine.move(Move.OPEN, asked, now)
            if opened:
                self._recorder.record_later(DpName.RECORD_BLUETOOTH, member, now)
            reply.set(0, opened)
        reply.size = 2
        return True

    def manual_lock(self, request: Request, sn: int, now: float) -> None:
        """Datapoint ``manual_lock``; every other value than one byte 1 is echoed only."""
        if request.data == b"\1":
            asked = Asked(dp=DpName.MANUAL_LOCK, sn=sn)
            self._machine.move(Move.CLOSE, asked, now)

    # -- with a check code

    def open_checked(self, request: Request, reply: ReplyBuffer, sn: int, now: float) -> bool:
        """Datapoint ``open_checked``: any length will do, the timestamp is not looked at."""
        if self._machine.quirks.needs_newer_timestamp and not self._is_newer(request):
            return False
        reply.put(0, request.take(2, 2) + request.take(0, 2))
        result = self._refusal(request)
        if result is None:
            self._recorder.current_central = self._central(request)
            result = self._operate(request, sn, now)
        if result is not None:  # of a close the byte that came with it stays
            reply.set(_RESULT_AT, result)
        reply.size = _REPLY_SIZE
        return True

    def _is_newer(self, request: Request) -> bool:
        newer = request.number(13, 4) > self._last_timestamp
        self._last_timestamp = max(self._last_timestamp, request.number(13, 4))
        return newer

    def _swapped(self, request: Request) -> bool:
        """Whether this lock takes the ids the other way round, and they are."""
        ids = request.number(2, 2), request.number(0, 2)
        swapped = ids == (APP_CENTRAL, self._codes.peripheral)
        return self._machine.quirks.swapped_ids_accepted and swapped

    def _central(self, request: Request) -> int:
        return request.number(2 if self._swapped(request) else 0, 2)

    def _refusal(self, request: Request) -> int | None:
        quirks = self._machine.quirks
        if quirks.refuse_open_with is not None:
            return quirks.refuse_open_with
        if not quirks.no_check_of_code:
            central, peripheral = self._central(request), request.number(2, 2)
            if self._swapped(request):
                peripheral = request.number(0, 2)
            judged = self._codes.judge_opening(central, peripheral, request.take(4, 8))
            if judged is not None:
                return judged
        if request.byte(12) > OpenOperation.OPEN:
            return OpenResult.BAD_OPERATION
        return None

    def _operate(self, request: Request, sn: int, now: float) -> int | None:
        method = request.byte(17)
        asked = Asked(
            dp=DpName.OPEN_CHECKED, sn=sn, central=self._central(request),
            timestamp=request.number(13, 4), method=method,
            member=request.byte(18) if method == METHOD_MEMBER else None,
        )  # fmt: skip
        if request.byte(12) == OpenOperation.CLOSE:
            if not self._machine.quirks.closes_by_open_checked:
                return None
            closed = self._machine.move(Move.CLOSE, asked, now)
            return OpenResult.OK if closed else OpenResult.MOTOR_FAILED
        if not self._machine.move(Move.OPEN, asked, now):
            return OpenResult.MOTOR_FAILED
        if method == METHOD_MEMBER:
            self._recorder.record_later(DpName.RECORD_BLUETOOTH, request.byte(18), now)
        else:
            data = request.take(2, 2) + request.take(0, 2) + request.data[4:]
            self._recorder.record_raw(DpName.OPEN_RECORD, data[: len(request.data)], now)
        return OpenResult.OK

    # -- with the remote key

    def set_remote_key(self, request: Request, reply: ReplyBuffer) -> bool:
        """Datapoint ``set_remote_key``."""
        self._keep(request)
        reply.set(0, RemoteOpenResult.OK)
        reply.size = 3
        return True

    def set_remote_key_checked(self, request: Request, reply: ReplyBuffer) -> bool:
        """Datapoint ``set_remote_key_checked``: the same behind ids and check code."""
        reply.put(0, request.take(2, 2) + request.take(0, 2))
        result = self._codes.judge_app(request)
        if not result:
            self._keep(replace(request, data=request.data[12:]))
        reply.set(15, result)
        reply.size = 16
        return True

    def _keep(self, request: Request) -> None:
        self._flash.remote_key = RemoteKey(
            request.byte(0), request.number(3, 4), request.number(7, 4), request.number(11, 2),
            request.take(13, 8),
        )  # fmt: skip

    def open_remote(
        self, request: Request, reply: ReplyBuffer, *, sn: int, time: int, now: float
    ) -> bool:
        """Datapoint ``remote_open``; ``time`` is the lock's. The operation is not looked at."""
        result = self._remote_refusal(request, time)
        if result is None:
            asked = Asked(dp=DpName.REMOTE_OPEN, sn=sn, member=request.number(1, 2))
            opened = self._machine.move(Move.OPEN, asked, now)
            result = RemoteOpenResult.OK if opened else RemoteOpenResult.FAILED
        if result == RemoteOpenResult.OK and self._flash.remote_key is not None:
            key = self._flash.remote_key
            self._flash.remote_key = replace(key, count=key.count - 1)
            name = _REMOTE_RECORDS.get(request.byte(11))
            if name is not None:
                # The two bytes of the member are stored the other way round (§6.5).
                member = int.from_bytes(request.take(1, 2), "little")
                self._recorder.record_later(name, member, now)
        reply.set(0, result)
        reply.size = 3
        return True

    def _remote_refusal(self, request: Request, time: int) -> RemoteOpenResult | None:
        key = self._flash.remote_key
        if key is None or not key.valid:
            return RemoteOpenResult.NO_KEY
        if not key.count:
            return RemoteOpenResult.USED_UP
        if not key.begin <= time <= key.end:
            return RemoteOpenResult.OUT_OF_TIME
        if request.take(3, 8) != key.key:
            return RemoteOpenResult.WRONG_KEY
        return None
