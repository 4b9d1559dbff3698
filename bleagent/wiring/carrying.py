"""The composition root's part for records: the configured sinks, and those who carry to them."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Self

import anyio
import structlog
from anyio.abc import TaskGroup

from bleagent.adapters.sinks.file import ADVICE, FileSink
from bleagent.adapters.sinks.in_time import InTime
from bleagent.adapters.sinks.openapi import OpenApiSink
from bleagent.adapters.sinks.own_addresses import own_addresses
from bleagent.adapters.sinks.signed_post import SignedPost, WebhookSettings
from bleagent.adapters.sinks.webhook import WebhookSink
from bleagent.adapters.sqlite_store import SqliteStore
from bleagent.audit.audited import AuditedBook
from bleagent.audit.chain import Audit
from bleagent.clock import SystemClock
from bleagent.cloud.client import CloudClient
from bleagent.config.file import Config
from bleagent.config.secrets import Secrets
from bleagent.config.sinks import SinkConfig, SinkType
from bleagent.errors import ConfigError, StoreError, UnknownLock
from bleagent.everyone import everyone
from bleagent.health.watches import RecordWatch
from bleagent.http.problems import RequestUnusable
from bleagent.http.records import RecordParts
from bleagent.issued import known_or_asked
from bleagent.ports import LockMemory
from bleagent.records.beside import BookBeside
from bleagent.records.log import RecordLog
from bleagent.records.names import Names
from bleagent.records.outbox import FAULT_WAIT, CarriageListener, Carrier, release_overdue
from bleagent.records.ports import RecordSink
from bleagent.records.readback import CloudRecord
from bleagent.records.standard_codes import code_of, harmless, value_of
from bleagent.records.taking import RecordListener, RecordPorts
from bleagent.records.verify import Verification, verify
from protocol import DpMap

log = structlog.get_logger()

WEEK = 7 * 24 * 3600.0
_WITH_NAMES = (SinkType.FILE, SinkType.WEBHOOK)
"""Sinks that are told who it was."""
LOOK_FOR_OLD = 24 * 3600.0
"""Seconds between two looks for records that need not be kept any more."""
SETTLED_AFTER = 60.0
"""Seconds after the start before the first such look: there is more urgent work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One record as the cloud calls it. ``at``: Unix seconds; no ``value`` where it is raw."""

    code: str
    value: object
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A ``Verification`` in the words of the HTTP interface (``http.record_views.Verified``)."""

    agree: int
    lacking: tuple[Compared, ...]
    twice: tuple[Compared, ...]
    unknown: tuple[Compared, ...]
    complete: bool

    @classmethod
    def of(cls, found: Verification, codes: Mapping[int, str]) -> Self:
        """``codes``: the product's own. What is there without its sink's knowledge agrees, too."""
        return cls(
            agree=found.agree + len(found.unconfirmed),
            lacking=tuple(
                Compared(code=code_of(one, codes), value=harmless(value_of(one)), at=one.at)
                for one in found.lacks
            ),
            twice=tuple(map(_compared, found.twice)),
            unknown=tuple(map(_compared, found.strange)),
            complete=not (found.cut or found.unread or found.not_compared),
        )


def _compared(record: CloudRecord) -> Compared:
    return Compared(code=record.code, value=harmless(record.value), at=record.time)


class Carrying:
    """What happens to records: taken, carried, shown, and forgotten one day.

    ``watch`` is told what is in the way, beside the log, ``audit`` what has to be remembered;
    ``taken`` is called when there is one more.

    Raises ConfigError: a sink needs a package that is not there.
    """

    def __init__(
        self,
        config: Config,
        found: Secrets,
        store: SqliteStore,
        cloud: CloudClient,
        clock: SystemClock,
        watch: RecordWatch | None = None,
        audit: Audit | None = None,
        taken: Callable[[], None] = lambda: None,
    ) -> None:
        for sink in config.sinks:
            # Before anything is listened to: a daemon that is ready does not end by it.
            if sink.type is SinkType.TUYALINK and find_spec("aiomqtt") is None:
                raise ConfigError(
                    f"sinks.{sink.named}: found tuyalink, expected the package aiomqtt with it: "
                    "pip install 'bleagent[mqtt]'"
                )
        self._config = config
        self._found = found
        self._store = store
        self._cloud = cloud
        self._clock = clock
        self._audit = audit or Audit()
        self._told = RecordLog(self.wake, taken)
        self._watch = watch or RecordWatch(clock.now)
        self._codes = {
            lock.name: {int(number): code for number, code in lock.codes.items()}
            for lock in config.locks
        }
        self._names = Names(cloud, clock, codes=self._codes)
        self._open_sinks = AsyncExitStack()
        devices = {lock.name: lock.device_id for lock in config.locks}
        told = everyone(CarriageListener, self._told, self._watch)
        # Now, before anybody is told that the agent is ready: what is wrong with one is said first.
        self._carriers = [
            Carrier(sink, store.records, clock, random.random, told, devices)
            for sink in map(self._sink, config.sinks)
        ]

    def ports(self, memory: LockMemory, tasks: TaskGroup) -> RecordPorts:
        """What taking them off the locks needs; ``tasks`` outlive every connection."""
        return RecordPorts(
            book=BookBeside(AuditedBook(self._audit, self._store.records), tasks),
            config=lambda facts: known_or_asked(facts, self._cloud, memory),
            listener=everyone(RecordListener, self._told, self._watch),
        )

    def shown(self) -> RecordParts | None:
        """What the HTTP interface needs; None where no records are kept."""
        if self._store.without_records is not None:
            return None
        return RecordParts(
            shelf=self._store.records,
            last_seq=self._store.records.last_seq,
            locks=tuple(lock.name for lock in self._config.locks),
            clock=self._clock,
            decided=self.try_now,
            name_of=self._names.name_of,
            is_duress=self._names.is_duress,
            verify=self._verify if self._vendors else None,
            audit=self._audit,
        )

    async def _verify(
        self, lock: str, since: float | None, until: float | None, sink: str | None
    ) -> Comparison:
        """What the cloud has of a lock's records; of the last week, where nobody says otherwise."""
        configured = self._config.lock(lock)
        if configured is None:
            raise UnknownLock(f"no lock {lock!r}")
        if sink not in (None, *self._vendors):
            raise RequestUnusable(
                f"{sink!r} carries nothing to the vendor's cloud; what does: "
                + ", ".join(self._vendors)
            )
        end = self._clock.unix() if until is None else until
        found = await verify(
            self._store.records, self._cloud, lock=lock, device_id=configured.device_id,
            sink=sink or self._vendors[0], since=end - WEEK if since is None else since, until=end,
            codes=self._codes[lock],
        )  # fmt: skip
        return Comparison.of(found, self._codes[lock])

    @property
    def _vendors(self) -> tuple[str, ...]:
        """The sinks whose records the vendor's cloud should have."""
        kinds = (SinkType.OPENAPI, SinkType.TUYALINK)
        return tuple(one.named for one in self._config.sinks if one.type in kinds)

    def wake(self) -> None:
        """Something was released."""
        for carrier in self._carriers:
            carrier.wake()

    def try_now(self) -> None:
        """Somebody decided about parked records, or mended a sink."""
        for carrier in self._carriers:
            carrier.try_now()

    async def run(self) -> None:
        """Carry, until cancelled; nothing where no records are kept."""
        if self._store.without_records is not None:
            return
        await self._adopt()
        async with self._open_sinks, anyio.create_task_group() as tasks:
            for carrier in self._carriers:
                tasks.start_soon(carrier.run)
            if any(one.type in _WITH_NAMES for one in self._config.sinks):
                self._names.expect(lock.device_id for lock in self._config.locks)
            for duty in (self._names.run, self._release, self._forget_old):
                tasks.start_soon(self._faithfully, duty)
            if not self._config.sinks:
                log.warning(
                    "records.no_sink",
                    advice="Records are kept here only; name a [[sinks]] to carry them on.",
                )

    async def _faithfully(self, duty: Callable[[], Awaitable[None]]) -> None:
        """A duty that goes on after a fault of ours: doors open all the same."""
        while True:
            try:
                await duty()
            except Exception as error:  # noqa: BLE001 - whatever it is
                self._told.failed(error)
            await anyio.sleep(FAULT_WAIT)

    def _sink(self, sink: SinkConfig) -> RecordSink:
        match sink.type:
            case SinkType.OPENAPI:
                openapi = OpenApiSink(sink.named, self._cloud, self._clock, codes=self._codes)
                return InTime(openapi, self._clock)
            case SinkType.WEBHOOK:
                settings = WebhookSettings(
                    url=sink.url or "", secret=self._found.sinks[sink.named],
                    allow_private=sink.allow_private, own=own_addresses(),
                )  # fmt: skip
                post = SignedPost(settings, self._clock)
                self._open_sinks.push_async_callback(post.aclose)
                return WebhookSink(sink.named, post, self._names)
            case SinkType.FILE:
                assert sink.path is not None  # noqa: S101 - the configuration insists on it
                file = FileSink(
                    sink.named, sink.path, max_bytes=sink.max_bytes, keep=sink.keep,
                    people=self._names,
                )  # fmt: skip
                if (wrong := file.wrong()) is not None:
                    log.warning("sink.cannot_write", sink=file.name, detail=wrong, advice=ADVICE)
                return file
            case SinkType.TUYALINK:
                return self._tuyalink(sink)

    def _tuyalink(self, sink: SinkConfig) -> RecordSink:
        # Only here: without such a sink nobody needs an MQTT library.
        from bleagent.adapters.sinks.tuyalink import TuyaLinkSettings, TuyaLinkSink  # noqa: PLC0415

        host, port = sink.broker_at
        settings = TuyaLinkSettings(
            host=host, port=port, gateway_id=sink.gateway_id or "",
            secret=self._found.sinks[sink.named], tls=sink.tls, ca_file=sink.ca_file,
        )  # fmt: skip
        return InTime(TuyaLinkSink(sink.named, settings, self._codes, self._clock), self._clock)

    async def _adopt(self) -> None:
        """What an older agent took, and did not read."""
        locks = self._config.locks
        dps: Mapping[str, DpMap] = {lock.name: lock.dpmap() for lock in locks}
        ids = {lock.name: lock.device_id for lock in locks}
        try:
            adopted = await self._store.records.adopt(ids, dps)
        except StoreError as error:
            self._told.store_failed(error)
            return
        except Exception as error:  # noqa: BLE001 - a fault of ours; they stay as they are
            self._told.failed(error)
            return
        if adopted.records or adopted.left:
            log.info("records.adopted", records=adopted.records, left=adopted.left)

    async def _release(self) -> None:
        held_for = 60.0 * self._config.records.hold_minutes
        await release_overdue(
            self._store.records, self._clock, self.wake, self._told, held_for=held_for
        )

    async def _forget_old(self) -> None:
        keep_for = 24 * 3600.0 * self._config.records.keep_days
        await anyio.sleep(SETTLED_AFTER)
        while True:
            if self._clock.trusted:  # by a wrong date everything would be old
                try:
                    gone = await self._store.records.prune(self._clock.unix(), keep_for)
                except StoreError as error:
                    self._told.store_failed(error)
                else:
                    if gone:
                        log.info("records.forgotten", count=gone)
            await anyio.sleep(LOOK_FOR_OLD)
