"""The composition root's part for how things are: who is told, what is looked at, what is shown."""

from __future__ import annotations

from . import __version__
from .adapters.socket_radio import SocketRadio
from .adapters.sqlite_store import SqliteStore
from .adapters.sqlite_store.record_rows import LIVE_ONLY_FROM
from .audit_writer import AuditWriter
from .cloud.client import CloudClient, CloudEvent
from .config.file import Config
from .doors import Doors
from .http.metrics import MetricParts
from .metrics import Tally
from .ports import Clock
from .radio.airtime import RadioAir
from .radio.bluetooth_radio import BluetoothRadio
from .readiness import Look, Readiness, Watched
from .watches import CloudWatch, RecordWatch


class Watching:
    """Made before the parts that it watches: they tell it."""

    def __init__(
        self, config: Config, store: SqliteStore, clock: Clock, audit: AuditWriter
    ) -> None:
        self._config = config
        self._store = store
        self._clock = clock
        self._audit = audit
        self.tally = Tally()
        self.cloud = CloudWatch(clock.now)
        self.records = RecordWatch(clock.now)

    def called(self, event: CloudEvent) -> None:
        """The cloud was asked something."""
        self.tally.called(event)
        self.cloud.heard(event)

    def shown(
        self, doors: Doors, cloud: CloudClient, radio: BluetoothRadio | SocketRadio
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
            most_waiting=int(self._config.records.capacity * LIVE_ONLY_FROM),
            air=air,
            nobody=lambda: radio.fault if isinstance(radio, SocketRadio) else None,
            cloud=self.cloud,
            records=self.records,
            audit=lambda: self._audit.wrong,
        )
        return MetricParts(
            tally=self.tally, readiness=Readiness(watched), doors=doors, clock=clock, air=air,
            cloud=cloud.state, version=__version__,
        )  # fmt: skip
