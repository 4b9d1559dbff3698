"""Carrying records to the sinks: each until the sink's own word, ascending, never in the way.

One carrier for each sink; they know nothing of each other, nor of doors. A record that a sink will
never take is parked and the next one goes; a lock that a sink refuses as such closes that route,
and its records stay waiting (reference: safety D4, D5).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import anyio

from bleagent.errors import StoreError
from bleagent.ports import Clock

from .ports import Outbox, RecordSink
from .record import Receipt, ReceiptKind, StoredRecord

FIRST_REST = 1.0
"""Seconds before a lock's records are tried again, doubled each time."""
LONGEST_REST = 600.0
ROUTE_AGAIN = 6 * 3600.0
"""Seconds before a closed route is tried again: somebody may have linked the device."""
IDLE = 60.0
"""Seconds before a carrier looks again by itself."""
STORE_WAIT = 5.0
"""Seconds before a store that failed is asked again."""
FAULT_WAIT = 60.0
"""Seconds after a fault of ours."""
HELD_FOR = 3600.0
"""Seconds that records wait for the end of a drain (safety D4)."""
LOOK_FOR_HELD = 30.0
"""Seconds between two looks for what has been held long enough."""


def back_off(failures: int, chance: float) -> float:
    """Seconds to wait after so many failures; ``chance``, 0 .. 1, takes up to half of them."""
    return min(FIRST_REST * 2.0 ** min(failures - 1, 32), LONGEST_REST) * (0.5 + 0.5 * chance)


class CarriageListener:
    """Is told how the carrying goes; does nothing by itself."""

    def delivered(self, sink: str, lock: str, count: int) -> None:
        """A sink has taken records."""

    def parked(self, sink: str, record: StoredRecord, receipt: Receipt) -> None:
        """A sink will never take this one; somebody has to decide."""

    def postponed(self, sink: str, lock: str, receipt: Receipt, seconds: float) -> None:
        """Not now; tried again in so many seconds."""

    def route_closed(self, sink: str, lock: str, receipt: Receipt) -> None:
        """A sink refuses a lock as such."""

    def route_opened(self, sink: str, lock: str) -> None:
        """It takes it again."""

    def released_late(self, count: int) -> None:
        """Records are carried although older ones may still come."""

    def store_failed(self, error: StoreError) -> None:
        """The outbox cannot be read or written at the moment."""

    def sink_failed(self, sink: str, error: Exception) -> None:
        """A fault of ours in a sink."""


@dataclass(slots=True)
class _Rest:
    """Until when nothing is tried, and how often it was in vain."""

    until: float = -math.inf
    failures: int = 0


class Carrier:
    """Carries what waits for one sink.

    ``chance`` gives 0 .. 1, the jitter. ``devices`` are the cloud's ids of the configured locks:
    a record of a pairing before that one is parked where its device is refused, and does not
    close the route of the lock that hangs there now.
    """

    def __init__(
        self,
        sink: RecordSink,
        outbox: Outbox,
        clock: Clock,
        chance: Callable[[], float],
        listener: CarriageListener | None = None,
        devices: Mapping[str, str] | None = None,
    ) -> None:
        self._devices = devices or {}
        self._sink = sink
        self._outbox = outbox
        self._clock = clock
        self._chance = chance
        self._listener = listener or CarriageListener()
        self._locks: dict[str, _Rest] = {}
        self._all = _Rest()
        self._closed: set[str] | None = None
        """Locks whose route was closed before; None until it was looked up."""
        self._unsettled: list[tuple[StoredRecord, Receipt]] = []
        """The sink's word about records, not on disk yet."""
        self._woken = anyio.Event()

    def wake(self) -> None:
        """Something may have been released."""
        woken, self._woken = self._woken, anyio.Event()
        woken.set()

    def try_now(self) -> None:
        """Somebody mended something: whatever rests is tried at once."""
        self._locks.clear()
        self._all = _Rest()
        self.wake()

    async def run(self) -> None:
        """Carry, until cancelled."""
        while True:
            woken = self._woken
            try:
                carried = await self.carry_once()
            except StoreError as error:
                self._listener.store_failed(error)
                await anyio.sleep(STORE_WAIT)
                continue
            except Exception as error:  # noqa: BLE001 - a fault of ours; doors open all the same
                self._listener.sink_failed(self._sink.name, error)
                await anyio.sleep(FAULT_WAIT)
                continue
            if not carried:
                with anyio.move_on_after(self._idle_for()):
                    await woken.wait()

    async def carry_once(self) -> bool:
        """One call of the sink; whether there was something to carry. Raises StoreError."""
        if self._closed is None:
            self._closed = set(await self._outbox.routes_closed(self._sink.name))
        await self._settle()
        now = self._clock.now()
        if now < self._all.until:
            return False
        resting = [lock for lock, rest in self._locks.items() if now < rest.until]
        records = await self._outbox.waiting(self._sink.name, limit=self._sink.batch, skip=resting)
        if not records:
            return False
        receipts = await self._delivered(records)
        self._unsettled = list(zip(records, receipts, strict=True))
        await self._settle()
        return True

    async def _settle(self) -> None:
        """Note what the sink said; until that is on disk it is given nothing more, or twice."""
        if not (pairs := self._unsettled):
            return
        await self._outbox.settle(self._sink.name, [(one.seq, word) for one, word in pairs])
        self._unsettled = []
        await self._heed(pairs)

    async def _delivered(self, records: Sequence[StoredRecord]) -> list[Receipt]:
        try:
            receipts = await self._sink.deliver(records)
        except Exception as error:  # noqa: BLE001 - a fault of ours; the other sinks go on
            self._listener.sink_failed(self._sink.name, error)
            receipts = []
        missing = Receipt(kind=ReceiptKind.LATER, code="fault")
        receipts = (receipts + [missing] * len(records))[: len(records)]
        return [self._judged(*pair) for pair in zip(records, receipts, strict=True)]

    def _judged(self, record: StoredRecord, receipt: Receipt) -> Receipt:
        now = self._devices.get(record.lock, record.device_id)
        if receipt.kind is ReceiptKind.NO_ROUTE and record.device_id != now:
            detail = f"of an earlier pairing of the lock: {receipt.detail}"
            return replace(receipt, kind=ReceiptKind.POISON, detail=detail)
        return receipt

    async def _heed(self, pairs: list[tuple[StoredRecord, Receipt]]) -> None:
        name, lock = self._sink.name, pairs[0][0].lock
        done = sum(receipt.kind is ReceiptKind.DONE for _, receipt in pairs)
        if done:
            self._listener.delivered(name, lock, done)
        for record, receipt in pairs:
            if receipt.kind is ReceiptKind.POISON:
                self._listener.parked(name, record, receipt)
        later = [one for _, one in pairs if one.kind is ReceiptKind.LATER]
        refused = [one for _, one in pairs if one.kind is ReceiptKind.NO_ROUTE]
        if refused:
            await self._close_route(lock, refused[0])
        elif done:
            await self._open_route(lock)
        if later and not refused:
            self._rest(lock, later[0], moved=len(later) < len(pairs))
        elif not refused:
            self._locks.pop(lock, None)
            self._all = _Rest()

    async def _close_route(self, lock: str, receipt: Receipt) -> None:
        unix = self._clock.unix()
        await self._outbox.close_route(self._sink.name, lock, receipt.code, unix=unix)
        self._locks[lock] = _Rest(self._clock.now() + ROUTE_AGAIN)
        if self._closed is not None and lock not in self._closed:
            self._closed.add(lock)
            self._listener.route_closed(self._sink.name, lock, receipt)

    async def _open_route(self, lock: str) -> None:
        if self._closed is not None and lock in self._closed:
            await self._outbox.open_route(self._sink.name, lock)
            self._closed.discard(lock)
            self._listener.route_opened(self._sink.name, lock)

    def _rest(self, lock: str, receipt: Receipt, *, moved: bool) -> None:
        """Leave this lock for a while; and the sink, where one lock after the other fails."""
        rest = self._locks.setdefault(lock, _Rest())
        seconds = self._postpone(rest, receipt, failures=1 if moved else rest.failures + 1)
        self._listener.postponed(self._sink.name, lock, receipt, seconds)
        if moved:
            self._all = _Rest()
            return
        failures = self._all.failures + 1
        if failures > 1:
            self._postpone(self._all, receipt, failures=failures)
        self._all.failures = failures

    def _postpone(self, rest: _Rest, receipt: Receipt, *, failures: int) -> float:
        seconds = max(back_off(failures, self._chance()), receipt.after)
        rest.until, rest.failures = self._clock.now() + seconds, failures
        return seconds

    def _idle_for(self) -> float:
        """Seconds until something that rests may be tried again."""
        now = self._clock.now()
        if now < self._all.until:
            return self._all.until - now
        untils = [rest.until for rest in self._locks.values() if rest.until > now]
        return min([*(until - now for until in untils), IDLE])


async def release_overdue(
    outbox: Outbox,
    clock: Clock,
    wake: Callable[[], None],
    listener: CarriageListener,
    *,
    held_for: float = HELD_FOR,
) -> None:
    """Let go of what waited too long for the end of its drain, until cancelled."""
    while True:
        try:
            count = await outbox.release_overdue(unix=clock.unix(), held_for=held_for)
        except StoreError as error:
            listener.store_failed(error)
        else:
            if count:
                listener.released_late(count)
                wake()
        await anyio.sleep(LOOK_FOR_HELD)
