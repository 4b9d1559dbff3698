"""The composition root's part for what happens: who is told, what is looked at, what is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import structlog

from bleagent import __version__
from bleagent.adapters.socket_radio import SocketRadio
from bleagent.adapters.sqlite_store import SqliteStore
from bleagent.adapters.sqlite_store.record_rows import LIVE_ONLY_FROM
from bleagent.adapters.systemd import SystemdManager
from bleagent.audit.audited import AuditedDoors
from bleagent.audit.writer import AuditWriter
from bleagent.cloud.client import CloudClient, CloudEvent
from bleagent.config.file import Config
from bleagent.doors import Door, Doors, Listener
from bleagent.events import Bell
from bleagent.everyone import everyone
from bleagent.health.lock_states import LockStates
from bleagent.health.metrics import Tally
from bleagent.health.readiness import Look, Readiness, Watched
from bleagent.health.watchdog import Watchdog
from bleagent.health.watches import CloudWatch, ConfigWatch, RecordWatch
from bleagent.http.events import EventParts
from bleagent.http.metrics import MetricParts
from bleagent.issued import offline_times
from bleagent.model import OperationRecord
from bleagent.operation_log import OperationLog
from bleagent.ports import Clock, LockMemory
from bleagent.radio.airtime import RadioAir
from bleagent.radio.bluetooth_radio import BluetoothRadio
from bleagent.webhooks import WebhookState
from protocol import DpMap
from protocol.events import CentralEvent

log = structlog.get_logger()


class Watching:
    """Made before the parts that it watches: they tell it."""

    def __init__(self, config: Config, store: SqliteStore, clock: Clock) -> None:
        self._capacity = config.records.capacity
        self._store = store
        self._clock = clock
        self.bell = Bell()
        self.log = OperationLog(self.bell.ring)
        self.audit = AuditWriter(store.audit, clock)
        self._audited = AuditedDoors(self.audit)
        self.states = LockStates()
        self.tally = Tally()
        self.cloud = CloudWatch(clock.now)
        self.records = RecordWatch(clock.now)
        self.config = ConfigWatch()
        self.doors = everyone(Listener, self.log, self._audited, self.tally)
        damage = [str(one) for one in store.damage]
        self.audit.tell("agent.started", version=__version__, config=config.digest, damage=damage)

    def recovered(self, record: OperationRecord) -> None:
        """An operation that a crash left open was closed."""
        self.log.recovered(record)
        self._audited.recovered(record)

    def heard(self, lock: str, dps: DpMap, event: CentralEvent) -> None:
        """A lock said something."""
        log.debug("lock.heard", lock=lock, told=type(event).__name__)
        self.states.heard(lock, dps, event, self._clock.now())

    def called(self, event: CloudEvent) -> None:
        """The cloud was asked something."""
        seconds = round(event.seconds, 3)
        log.debug("cloud.called", call=event.call, outcome=event.outcome, seconds=seconds)
        self.tally.called(event)
        self.cloud.heard(event)

    def shown(
        self,
        doors: Doors,
        cloud: CloudClient,
        radio: BluetoothRadio | SocketRadio,
        webhooks: Callable[[], Sequence[WebhookState]],
    ) -> MetricParts:
        """What the HTTP interface needs."""

        def air() -> RadioAir | None:
            return radio.snapshot() if isinstance(radio, BluetoothRadio) else None

        store, clock = self._store, self._clock
        watched = Watched(
            clock=clock,
            store=Look(store.ledger.require_usable, clock),
            damaged=store.damaged is not None,
            without_records=store.without_records,
            shelf=store.records,
            most_waiting=int(self._capacity * LIVE_ONLY_FROM),
            air=air,
            nobody=lambda: radio.fault if isinstance(radio, SocketRadio) else None,
            cloud=self.cloud,
            records=self.records,
            audit=lambda: self.audit.wrong,
            webhooks=webhooks,
            config=self.config,
        )
        return MetricParts(
            tally=self.tally, readiness=Readiness(watched), doors=doors, clock=clock, air=air,
            cloud=cloud.state, version=__version__, webhooks=webhooks,
        )  # fmt: skip

    def offline(self, doors: Iterable[Door], memory: LockMemory) -> Look[dict[str, float]]:
        """Until when each lock opens without the cloud."""
        return Look(
            lambda: offline_times(
                [(one.facts, one.policy) for one in doors], memory, self._clock
            ),
            self._clock,
        )  # fmt: skip

    def watchdog(self, readiness: Readiness) -> Watchdog:
        """Who tells the service manager that we are ready, and live."""
        manager = SystemdManager()
        return Watchdog(self._clock, manager, readiness, wanted=manager.watchdog)

    def events(self) -> EventParts:
        """What can be followed."""
        store = self._store
        records = store.record_events if store.without_records is None else None
        return EventParts(
            operations=store.operation_events, records=records, bell=self.bell, clock=self._clock
        )
