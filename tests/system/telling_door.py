"""What happened at the site's door, and what the cloud was told of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import httpx

from bleagent.clock import SystemClock
from tests.system.daemon import KEYS, Site, unlock_when_rested

FINGERPRINT_DP, FINGERPRINT, BLUETOOTH = 12, "unlock_fingerprint", "unlock_ble"
RING = 64
APART = 3.0
"""Seconds between two things that happened before anybody came."""
AGED = 600.0
CLOCKS = 2.0
"""Seconds by which the lock's whole ones may differ from ours."""
OPENAPI = '[[sinks]]\ntype = "openapi"\n'
PATIENCE = 40.0


@dataclass(frozen=True)
class Happened:
    """What somebody did at the door, in the cloud's words; ``at`` is Unix seconds."""

    code: str
    value: object
    at: float


def site_with_records(folder: Path, sinks: str = OPENAPI, **options: Any) -> Site:
    """A site whose records are carried to the cloud."""
    return Site(folder, more={"": sinks}, aged=AGED, **options)


def fingers(site: Site, count: int) -> list[Happened]:
    """So many fingers opened while nobody was connected; call it before ``up``."""
    now, unix, done = SystemClock().now(), time.time(), []
    for number in range(1, count + 1):
        ago = APART * (count - number + 1)
        event = {"action": "record", "dp": FINGERPRINT_DP, "value": number}
        site.lock.local({"local": event}, now - ago)
        done.append(Happened(FINGERPRINT, number, unix - ago))
    return done


async def finger(site: Site, value: int) -> Happened:
    """One opens now, whoever is connected."""
    await site.door.act({"local": {"action": "record", "dp": FINGERPRINT_DP, "value": value}})
    return Happened(FINGERPRINT, value, time.time())


async def until(true: Callable[[], bool], within: float = PATIENCE) -> None:
    """Wait until something is so, in another process."""
    with anyio.fail_after(within):
        while not true():
            await anyio.sleep(0.02)


async def opened(client: httpx.AsyncClient, key: str) -> str:
    """Open; the operation's id."""
    body = (await unlock_when_rested(client, key)).json()
    assert body["outcome"] == "confirmed", body
    return str(body["id"])


def in_cloud(site: Site) -> list[tuple[str, object]]:
    """Codes and values, in the order in which they were stored."""
    return [(one.code, one.value) for one in site.cloud.records.stored]


def require_told(site: Site, happened: list[Happened]) -> None:
    """The cloud has this, each once and in this order, and nothing else."""
    stored = site.cloud.records.stored
    found, expected = in_cloud(site), [(one.code, one.value) for one in happened]
    assert found == expected, f"{found} and not {expected}"
    assert {one.device_id for one in stored} == {KEYS.virtual_id}
    assert len({one.message_id for one in stored}) == len(stored)
    times = [one.time_ms / 1000 for one in stored]
    assert times == sorted(times)
    for at, one in zip(times, happened, strict=True):
        assert abs(at - one.at) <= CLOCKS, one


async def outbox(client: httpx.AsyncClient, sink: str = "openapi") -> dict[str, Any]:
    """What waits for a sink."""
    sinks = (await client.get("/v1/outbox")).json()["sinks"]
    return next(dict(one) for one in sinks if one["sink"] == sink)


async def settled(client: httpx.AsyncClient, sink: str = "openapi") -> dict[str, Any]:
    """The same, as soon as nothing waits."""
    with anyio.fail_after(PATIENCE):
        while (found := await outbox(client, sink))["waiting"]:
            await anyio.sleep(0.05)
    return found


async def records(client: httpx.AsyncClient, **query: str) -> list[dict[str, Any]]:
    """What the daemon shows, newest first."""
    answer = await client.get("/v1/records", params={"limit": "500", **query})
    return list(answer.json()["records"])
