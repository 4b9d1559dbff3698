"""Whether doors can be opened, and what else is not as it should be (safety F6).

Nine parts. ``radio`` and ``store`` keep every door shut when they fail; the others only delay
something, or one opening: the cloud stands outside, and its last word says nothing about the next.

Nobody who asks waits for a disk: stores are looked at in the background, each by a task of its
own, and whoever asks is told what was seen last, or that a store does not answer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

import anyio
import structlog

from bleagent import logs
from bleagent.errors import OutboxFull, RadioBusy, RadioUnavailable, StoreDamaged, StoreError
from bleagent.ports import Clock
from bleagent.radio.airtime import AdapterAir, RadioAir
from bleagent.records.ports import RecordShelf
from bleagent.records.record import SinkState, TakenCounts
from bleagent.records.taking import CLOCK_NOT_TRUSTED
from bleagent.webhooks import WebhookState

from .watches import CloudWatch, ConfigWatch, RecordWatch, Trouble

log = structlog.get_logger()

T = TypeVar("T")

LOOK = 10.0
"""Seconds between two looks at a store."""
PATIENCE = 5.0
"""Seconds after which a store that has not answered is said not to."""
LATELY = 60.0
"""Seconds: an adapter that heard a lock since then works, be its scan paused at the moment."""


class VirtualLockAway(RadioUnavailable):
    """Nobody is where [radio] socket says that a lock is; no adapter has a part in it."""

    advice = "Start `bleagent simulate lock`, or take [radio] socket out and restart the agent."


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """How one part is. ``facts`` are what is known of it beside that, ready to be shown."""

    wrong: tuple[Trouble, ...] = ()
    shuts: bool = False
    """Whether doors stay shut while something is wrong with it."""
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong with it."""
        return not self.wrong


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """What is counted of records, as it was seen last."""

    sinks: Sequence[SinkState]
    counts: Mapping[str, TakenCounts]


class Look(Generic[T]):
    """What a store answered last; ``ask`` raises StoreError."""

    def __init__(self, ask: Callable[[], Awaitable[T]], clock: Clock) -> None:
        self._ask = ask
        self._clock = clock
        self._error: StoreError | None = None
        self.asked_at: float | None = None
        """Since when an answer has been waited for."""
        self.found: T | None = None
        self.found_at = 0.0
        """When it was asked what it answered."""

    async def once(self) -> None:
        """Look."""
        self.asked_at = asked = self._clock.now()
        try:
            self.found = await self._ask()
            self.found_at = asked
            self._error = None
        except StoreError as error:
            self._error = error
        finally:
            self.asked_at = None

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            try:
                await self.once()
            except Exception as error:  # noqa: BLE001 - a fault of ours; doors open all the same
                log.error("readiness.fault", **logs.fault(error))  # noqa: TRY400 - no message
            await anyio.sleep(LOOK)

    @property
    def current(self) -> T | None:
        """What it answered; nothing while something is wrong with it."""
        return None if self.error is not None else self.found

    @property
    def error(self) -> StoreError | None:
        """What is wrong with the store."""
        asked = self.asked_at
        if asked is not None and self._clock.now() - asked > PATIENCE:
            return StoreError(f"it has not answered for {PATIENCE:.0f} s")
        return self._error


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What is looked at."""

    clock: Clock
    store: Look[None]
    """Whether an operation could begin."""
    damaged: bool
    """The operations database was moved aside, at this start or an earlier one."""
    without_records: StoreError | None
    shelf: RecordShelf
    most_waiting: int
    """So many wait for a sink, and no lock's backlog is taken any more."""
    air: Callable[[], RadioAir | None]
    nobody: Callable[[], str | None]
    """Why a virtual lock was not there when it was last looked for."""
    cloud: CloudWatch
    records: RecordWatch
    audit: Callable[[], str | None]
    """The code of what keeps the audit from being written."""
    webhooks: Callable[[], Sequence[WebhookState]] = tuple
    config: ConfigWatch = field(default_factory=ConfigWatch)


class Readiness:
    """All parts, looked at."""

    def __init__(self, watched: Watched) -> None:
        self._of = watched
        self.shelf = Look(self._counted, watched.clock)
        self._since: dict[tuple[str, str, str], float] = {}

    async def run(self) -> None:
        """Look at the stores, and when something began to be wrong, until cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._note)
            tasks.start_soon(self._of.store.run)
            if self._of.without_records is None:
                tasks.start_soon(self.shelf.run)

    @property
    def store_error(self) -> StoreError | None:
        """Why no operation could begin now; not what was moved aside before."""
        return self._of.store.error

    def parts(self) -> dict[str, Part]:
        """Each part as it is now. Waits for nothing."""
        found = {
            "radio": self._radio(),
            "store": self._store(),
            "cloud": self._cloud(),
            "records": self._records(),
            "outbox": self._outbox(),
            "webhooks": self._webhooks(),
            "audit": self._audit(),
            "clock": self._clock(),
            "config": self._config(),
        }
        seen, self._since = self._since, {}
        now = self._of.clock.now()
        for name, part in found.items():
            wrong = []
            for one in part.wrong:
                key = (name, one.code, one.of)
                self._since[key] = seen.get(key, now) if one.since is None else one.since
                wrong.append(replace(one, since=self._since[key]))
            found[name] = replace(part, wrong=tuple(wrong))
        return found

    async def _note(self) -> None:
        while True:
            self.parts()
            await anyio.sleep(LOOK)

    async def _counted(self) -> Shelf:
        return Shelf(sinks=await self._of.shelf.sinks(), counts=await self._of.shelf.counts())

    def _radio(self) -> Part:
        air = self._of.air()
        if air is None:
            wrong = self._of.nobody()
            trouble = () if wrong is None else (Trouble.by(VirtualLockAway(wrong)),)
            return Part(wrong=trouble, shuts=True)
        adapters = air.adapters
        facts = {
            "adapters": {
                name: {
                    "usable": one.usable,
                    "scanning": one.scanning,
                    "heard_s_ago": _rounded(one.last_advertisement_age),
                    "symptoms": list(one.symptoms),
                }
                for name, one in adapters.items()
            }
        }
        usable = [one for one in adapters.values() if one.usable]
        if not usable:
            trouble = (Trouble.by(RadioUnavailable("no usable adapter")),)
        elif not any(map(_works, usable)):
            quiet = f"no adapter listens, nor has heard a lock in {LATELY:.0f} s"
            trouble = (Trouble.by(RadioBusy(quiet)),)
        else:
            trouble = ()
        return Part(wrong=trouble, shuts=True, facts=facts)

    def _store(self) -> Part:
        wrong = []
        if self._of.damaged:
            detail = "operations.db was moved aside: keys used before are not known any more"
            wrong.append(Trouble.by(StoreDamaged(detail)))
        if (error := self._of.store.error) is not None:
            wrong.append(Trouble.by(error))
        return Part(wrong=tuple(wrong), shuts=True)

    def _cloud(self) -> Part:
        seen = self._of.cloud
        facts = {
            "answered_s_ago": self._ago(seen.answered_at),
            "failed_s_ago": self._ago(seen.failed_at),
            "asked": seen.answered_at is not None or seen.failed_at is not None,
        }
        return Part(wrong=() if seen.trouble is None else (seen.trouble,), facts=facts)

    def _records(self) -> Part:
        wrong = self._of.records.of_locks()
        error = self._of.without_records or self.shelf.error
        if error is not None:
            wrong.insert(0, Trouble.by(error))
        return Part(wrong=tuple(wrong))

    def _outbox(self) -> Part:
        shelf, now = self.shelf.found, self._of.clock.unix()
        sinks = () if shelf is None else shelf.sinks
        for one in sinks:
            if not one.waiting:
                self._of.records.nothing_waits(one.sink, self.shelf.found_at)
        facts = {
            one.sink: {
                "waiting": one.waiting,
                "held": one.held,
                "parked": one.parked,
                "oldest_waiting_s": None
                if one.oldest_waiting is None
                else _rounded(max(0.0, now - one.oldest_waiting)),
            }
            for one in sinks
        }
        wrong = [*self._of.records.of_sinks(), *(wrong for one in sinks for wrong in self._in(one))]
        return Part(wrong=tuple(wrong), facts={"sinks": facts})

    def _in(self, sink: SinkState) -> Iterator[Trouble]:
        """What the numbers of a sink say."""
        if not sink.configured and sink.waiting:
            yield Trouble(
                code="sink-not-configured", of=sink.sink,
                detail=f"{sink.waiting} records wait for a sink that is not configured",
                advice=f"Configure it, or `bleagent records forget-sink {sink.sink}`.",
            )  # fmt: skip
        elif sink.waiting >= self._of.most_waiting:
            full = OutboxFull(f"{sink.waiting} records wait; locks keep their backlog")
            yield Trouble.by(full, of=sink.sink)
        for lock, code in sink.routes_closed.items():
            yield Trouble(
                code=f"route-closed-{code}", of=sink.sink, detail=f"it refuses {lock} as such",
                advice="Link the lock to the sink's project; its records wait, and none is lost.",
            )  # fmt: skip

    def _webhooks(self) -> Part:
        states = self._of.webhooks()
        facts = {
            one.name: {
                "waiting": one.waiting,
                "delivered": one.delivered,
                "given_up": one.given_up,
            }
            for one in states
        }
        wrong = tuple(one.trouble for one in states if one.trouble is not None)
        return Part(wrong=wrong, facts={"subscriptions": facts})

    def _audit(self) -> Part:
        code = self._of.audit()
        if code is None:
            return Part()
        trouble = Trouble(
            code=code, detail="what is done is not written down at the moment",
            advice="The log says why (audit.not_kept); 1,000 rows wait, and more are counted.",
        )  # fmt: skip
        return Part(wrong=(trouble,))

    def _clock(self) -> Part:
        if self._of.clock.trusted:
            return Part(facts={"trusted": True})
        trouble = Trouble(
            code=CLOCK_NOT_TRUSTED, detail="nobody has confirmed the date since the start",
            advice="The cloud is asked for it every few seconds: see what is wrong with it.",
        )  # fmt: skip
        return Part(wrong=(trouble,), facts={"trusted": False})

    def _config(self) -> Part:
        trouble = self._of.config.trouble
        return Part(wrong=() if trouble is None else (trouble,))

    def _ago(self, at: float | None) -> float | None:
        return None if at is None else _rounded(self._of.clock.now() - at)


def shut_by(parts: Mapping[str, Part]) -> list[str]:
    """The parts that keep doors shut."""
    return [name for name, part in parts.items() if part.shuts and not part.ok]


def _works(adapter: AdapterAir) -> bool:
    heard = adapter.last_advertisement_age
    return adapter.scanning or adapter.links > 0 or (heard is not None and heard < LATELY)


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)
