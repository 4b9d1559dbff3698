"""What becomes of operations, told to whoever subscribed: in order, each until it was taken.

One follower for each subscription. They know nothing of each other, nor of doors: they read what
the ledger committed anyway, and no opening waits for them. All that is kept is how far each has
come, in a file of its own: a receiver that is away for a week costs one number.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Protocol

import anyio
import structlog

from . import logs
from .errors import AgentError, StoreError
from .events import Bell, EventSource, Mark, OperationEvent
from .health.watches import Trouble
from .ports import Clock
from .records.outbox import FAULT_WAIT, IDLE, STORE_WAIT, back_off
from .records.record import Receipt, ReceiptKind

log = structlog.get_logger()

REFUSALS = 10
"""Times a receiver may refuse one event (400, 422 ...), over four to nine minutes by the back-off.

Then it is given up: what is behind it must not wait for ever. Counted anew by each start.
"""
PAGE = 16
"""Events in memory of one subscription."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """Events that cannot be told any more: ``count`` (None: nobody knows), all before ``at``."""

    id: str
    count: int | None
    at: float
    """Unix seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a subscription is."""

    mark: Mark
    """The last event that was taken, given up, or is none of its."""
    delivered: int = 0
    given_up: int = 0
    lost: Lost | None = None
    """What has to be said first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookState:
    """One subscription, as it is shown. ``waiting``: events behind its place, of all locks."""

    name: str
    waiting: int | None
    """None: not known yet."""
    delivered: int
    given_up: int
    trouble: Trouble | None


class WebhookBook(Protocol):
    """Keeps how far each subscription is. All raise StoreError."""

    @property
    def damaged(self) -> bool:
        """Whether one before it had to be moved aside, so that places are not known any more."""
        ...

    async def progress(self, name: str) -> Progress | None:
        """None: it has not begun."""
        ...

    async def keep(self, name: str, progress: Progress) -> None:
        """On disk when this returns."""
        ...


Tell = Callable[[str, OperationEvent | Lost], Awaitable[Receipt]]
"""Sends an event under its id, and says what the receiver made of it."""


def event_id(event: OperationEvent) -> str:
    """The operation's id, or that and the number of the evidence in it: the same for ever."""
    if event.evidence is None or event.record.ending is None:
        return event.record.id
    return f"{event.record.id}-{len(event.record.ending.evidence)}"


class Follower:
    """Tells one receiver.

    Args:
        name: the operator's name for the subscription.
        wants: whether it is about an event.
        events: where they are read.
        book: where its place is kept.
        tell: reaches the receiver.
        bell: rung when there may be something new.
        clock: for the waiting.
        chance: 0 .. 1, the jitter.
    """

    def __init__(
        self,
        name: str,
        *,
        wants: Callable[[OperationEvent], bool],
        events: EventSource[OperationEvent],
        book: WebhookBook,
        tell: Tell,
        bell: Bell,
        clock: Clock,
        chance: Callable[[], float],
    ) -> None:
        self.name = name
        self._wants = wants
        self._events = events
        self._book = book
        self._tell = tell
        self._bell = bell
        self._clock = clock
        self._chance = chance
        self._progress: Progress | None = None
        self._kept: Progress | None = None
        """What of it is on disk: until all is, nothing more is told, or it would be told twice."""
        self._until = -math.inf
        self._failures = 0
        self._refusals = 0
        """Of the event whose turn it is."""
        self._rest = 0.0
        self._stopped = False
        self._failing: Trouble | None = None
        self._stuck: Trouble | None = None

    def state(self, newest: Mark | None) -> WebhookState:
        """As it is now; ``newest`` is the end of the source."""
        found, waiting = self._progress, None
        if found is not None and newest is not None:
            waiting = max(0, newest.seq - found.mark.seq)
        return WebhookState(
            name=self.name,
            waiting=waiting,
            delivered=0 if found is None else found.delivered,
            given_up=0 if found is None else found.given_up,
            trouble=self._stuck or self._failing,
        )

    async def run(self) -> None:
        """Tell, until cancelled or until the receiver wants no more."""
        while not self._stopped:
            rung = self._bell.next()
            try:
                moved = await self.tell_once()
                self._stuck = None
            except StoreError as error:
                self._store_failed(error)
                await anyio.sleep(STORE_WAIT)
            except Exception as error:  # noqa: BLE001 - a fault of ours; doors open all the same
                self._fault(error)
                await anyio.sleep(FAULT_WAIT)
            else:
                if not moved:
                    await self._wait(rung)

    async def tell_once(self) -> bool:
        """Tell what comes next; whether there was something. Raises StoreError."""
        progress = await self._settled()
        if self._clock.now() < self._until:
            return False
        if progress.lost is not None:
            await self._told(progress.lost.id, progress.lost, replace(progress, lost=None))
            return True
        events = await self._events.after(progress.mark.seq, limit=PAGE)
        for event in events:
            passed = await self._pass(progress, event)
            if passed is None:
                break
            progress = self._progress = passed
        return bool(events)

    async def _settled(self) -> Progress:
        """How far it is, when that is on disk."""
        if self._progress is None:
            self._progress = await self._begin()
        if self._progress != self._kept:
            await self._book.keep(self.name, self._progress)
            self._kept = self._progress
        return self._progress

    async def _begin(self) -> Progress:
        """Where to go on; one that is new is told what happens from now on."""
        found, newest = await self._book.progress(self.name), await self._events.newest()
        if found is None:
            lost = self._lost(newest, None, self._clock.unix()) if self._book.damaged else None
            return Progress(mark=newest, lost=lost)
        self._kept, mark = found, found.mark
        if mark.source == newest.source and mark.seq <= newest.seq:
            return found
        # A store that began anew is told whole; one that was set back has been told before.
        begin = newest if mark.source == newest.source else Mark(newest.source, 0)
        return replace(found, mark=begin, lost=self._lost(mark, None, self._clock.unix()))

    def _lost(self, behind: Mark, count: int | None, at: float) -> Lost:
        log.warning("webhook.lost", webhook=self.name, count=count)
        return Lost(id=f"lost-{behind.source}-{behind.seq}", count=count, at=at)

    async def _pass(self, progress: Progress, event: OperationEvent) -> Progress | None:
        """Tell one, if it is wanted; how far that is, None where the next one has to wait."""
        mark = progress.mark
        if gone := event.seq - mark.seq - 1:  # no number is left out: they were deleted
            record = event.record
            lost = self._lost(mark, gone, record.finished_at or record.requested_at)
            before = Mark(mark.source, event.seq - 1)
            self._progress = replace(progress, mark=before, lost=lost)
            return None
        passed = replace(progress, mark=Mark(mark.source, event.seq))
        return await self._told(event_id(event), event, passed) if self._wants(event) else passed

    async def _told(
        self, name: str, event: OperationEvent | Lost, passed: Progress
    ) -> Progress | None:
        """Send it; how far that is, where it is over."""
        receipt = await self._tell(name, event)
        if receipt.kind is ReceiptKind.DONE:
            self._takes()
            log.info("webhook.delivered", webhook=self.name, id=name)
            return await self._go_on(replace(passed, delivered=passed.delivered + 1))
        if receipt.kind is ReceiptKind.NO_ROUTE:
            self._stop(receipt)
            return None
        self._refusals += receipt.kind is ReceiptKind.POISON
        if self._refusals < REFUSALS:
            self._postpone(receipt)
            return None
        log.error(
            "webhook.given_up", webhook=self.name, id=name, code=receipt.code, times=REFUSALS,
            advice="The receiver refuses what this event says: see its log.",
        )  # fmt: skip
        return await self._go_on(replace(passed, given_up=passed.given_up + 1))

    async def _go_on(self, passed: Progress) -> Progress:
        self._progress = passed
        self._failures = self._refusals = 0
        return await self._settled()

    async def _wait(self, rung: anyio.Event) -> None:
        if (rest := self._until - self._clock.now()) > 0:
            await anyio.sleep(rest)
            return
        with anyio.move_on_after(IDLE):
            await rung.wait()

    # -- how it goes

    def _takes(self) -> None:
        if self._rest:
            log.info("webhook.takes_again", webhook=self.name)
        self._failing, self._rest = None, 0.0

    def _postpone(self, receipt: Receipt) -> None:
        self._failures += 1
        seconds = max(back_off(self._failures, self._chance()), receipt.after)
        self._until = self._clock.now() + seconds
        self._fails(receipt, receipt.advice or "It is tried again by itself.")
        if seconds >= 2 * self._rest:  # told when it begins, and whenever the wait has doubled
            self._rest = seconds
            log.warning(
                "webhook.postponed", webhook=self.name, code=receipt.code, detail=receipt.detail,
                again_in=round(seconds, 1),
                **({"advice": receipt.advice} if receipt.advice else {}),
            )  # fmt: skip

    def _stop(self, receipt: Receipt) -> None:
        self._stopped = True
        advice = "Take its section away; if the receiver is there again, start the agent anew."
        self._fails(receipt, advice)
        log.error(
            "webhook.stopped", webhook=self.name, code=receipt.code, detail=receipt.detail,
            advice=advice,
        )  # fmt: skip

    def _fails(self, receipt: Receipt, advice: str) -> None:
        since = self._clock.now() if self._failing is None else self._failing.since
        self._failing = Trouble(
            code=receipt.code, detail=receipt.detail, advice=advice, since=since, of=self.name
        )

    def _store_failed(self, error: StoreError) -> None:
        if self._stuck is None or self._stuck.code != error.code:
            self._stuck = Trouble.by(error, since=self._clock.now(), of=self.name)
            log.error(
                "webhook.not_kept", webhook=self.name, code=error.code, detail=str(error),
                advice=error.advice,
            )  # fmt: skip

    def _fault(self, error: Exception) -> None:
        log.error(
            "webhook.fault", webhook=self.name, **logs.fault(error),
            advice="This is a fault of bleagent; report it with this line.",
        )  # fmt: skip
        self._stuck = Trouble(
            code="fault", detail=f"a fault of the agent ({type(error).__name__})",
            advice=AgentError.advice, of=self.name,
        )  # fmt: skip
