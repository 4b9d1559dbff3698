"""What the tests of carrying records into the cloud share: records, and a cloud to carry to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from bleagent.adapters.httpx_transport import HttpxTransport
from bleagent.cloud.client import CloudClient
from bleagent.records.record import Carriage, Delivery, RecordQuery, StoredRecord, TimeQuality
from bleagent.simulator.virtual_cloud import VirtualCloud
from protocol import DpType, Secret
from protocol.records import RecordKind
from tests.agent.cloud_world import DEVICE, UNIX, StillClock, lock, settings_for

LOCK = "front-door"
SINK = "tuya"


def stored(
    seq: int = 1,
    kind: RecordKind = RecordKind.FINGERPRINT,
    value: int | None = 3,
    *,
    at: float = UNIX,
    dp: int = 12,
    dp_type: DpType = DpType.VALUE,
    data: bytes = b"\0\0\0\3",
    state: Carriage | None = Carriage.WAITING,
    device_id: str = DEVICE,
) -> StoredRecord:
    """A record on its way to ``SINK``; ``state`` None where the sink knows nothing of it."""
    delivery = () if state is None else (Delivery(sink=SINK, state=state),)
    return StoredRecord(
        seq=seq,
        id=sha256(b"%d" % seq).hexdigest()[:32],
        lock=LOCK,
        device_id=device_id,
        dp=dp,
        type=dp_type,
        kind=kind,
        value=value,
        data=Secret(data),
        wire_time=str(round(at)),
        at=at,
        quality=TimeQuality.LOCK,
        taken_at=at + 60,
        live=False,
        operation=None,
        released_at=at + 61,
        late=False,
        deliveries=delivery,
    )


@dataclass(slots=True)
class Shelf:
    """Records in memory, told as ``ports.RecordShelf.records`` tells them."""

    kept: list[StoredRecord]

    async def records(self, query: RecordQuery) -> list[StoredRecord]:
        found = [
            one
            for one in self.kept
            if one.lock == query.lock
            and (query.since is None or one.at >= query.since)
            and (query.until is None or one.at <= query.until)
            and (query.before is None or (one.at, one.seq) < query.before)
        ]
        return sorted(found, key=lambda one: (one.at, one.seq), reverse=True)[: query.limit]


@dataclass(slots=True)
class Pair:
    """A running virtual cloud with one lock, and a client of it."""

    cloud: VirtualCloud
    client: CloudClient
    clock: StillClock


@asynccontextmanager
async def running(
    *, settings: dict[str, Any] | None = None, **cloud_options: Any
) -> AsyncIterator[Pair]:
    clock = StillClock()
    cloud = VirtualCloud(unix=clock.unix, **cloud_options)
    cloud.register(lock())
    async with cloud.serve() as base_url, HttpxTransport() as transport:
        client = CloudClient(
            settings_for(base_url, **(settings or {})), transport, clock, sleep=clock.sleep
        )
        yield Pair(cloud, client, clock)
