"""The demo's story of what a lock remembered: taken off it, and told in the cloud."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import anyio
import httpx

from bleagent.simulator.cloud_records import CloudCredential, CloudUser, RecordDesk, ReportedRecord

if TYPE_CHECKING:
    from .play import Demo

POWERED_FOR = 3600
"""Seconds for which the lock has been hanging there before the demo begins."""
ALONE = (
    (2400, 12, 21, "a finger opened the door"),
    (1500, 18, 0, "somebody left from inside"),
    (1440, 13, 1, "a password opened the door"),
    (300, 21, 10, "the battery was low"),
)
"""Seconds ago, datapoint, value, and what happened at the door."""
LOOK = 0.1
"""Seconds between two looks."""
OPENINGS = 2
"""Openings over the gateway before this part of the story."""
TOLD_WITHIN = 30.0
"""Seconds, at most, until the cloud knows everything."""


def people() -> list[CloudUser]:
    """Who lives here, as the cloud knows them."""
    finger = CloudCredential(
        dp_code="unlock_fingerprint", unlock_sn=21, unlock_name="right thumb", dp_id=12
    )
    password = CloudCredential(
        dp_code="unlock_password", unlock_sn=1, unlock_name="the family's", dp_id=13
    )
    return [
        CloudUser(user_id="u1", nick_name="Anna", lock_user_id=2, credentials=(finger,)),
        CloudUser(user_id="u2", nick_name="Ben", lock_user_id=3, credentials=(password,)),
        CloudUser(user_id="u3", nick_name="Carla", lock_user_id=1),
    ]


async def remembered(demo: Demo, client: httpx.AsyncClient) -> None:
    """Wait for the cloud to know it all, show it, and check it against the lock's own log."""
    expected = len(ALONE) + OPENINGS
    cloud = demo.cloud.records
    with anyio.move_on_after(TOLD_WITHIN):
        while not await _all_told(client, cloud, expected):
            pass
    records = await _records(client)
    who = {one["id"]: one for one in records}
    demo.story.tell("the cloud has been told what the lock remembered:")
    for one in cloud.stored:
        demo.story.tell(f"   {_line(one, who.get(one.message_id))}")
    left = demo.lock.dump()["records"]
    ids = Counter(one.message_id for one in cloud.stored)
    times = [one.time_ms for one in cloud.stored]
    demo.story.claim(
        "what the lock remembered stands in the cloud, once and in order",
        ok=len(cloud.stored) == expected
        and set(ids) == set(who)
        and max(ids.values(), default=0) == 1
        and all(a <= b for a, b in pairwise(times))
        and [(one.code, one.value) for one in cloud.stored[: len(ALONE)]] == _told_alone()
        and left == 0,
        seen=f"{len(cloud.stored)} records in the cloud, {len(ids)} different ones, "
        f"{left} left at the lock",
    )


def _told_alone() -> list[tuple[str, object]]:
    """What the cloud should call what happened while nobody was there."""
    return [
        ("unlock_fingerprint", 21),
        ("open_inside", False),
        ("unlock_password", 1),
        ("alarm_lock", "low_battery"),
    ]


async def _records(client: httpx.AsyncClient) -> Sequence[dict[str, Any]]:
    answer = await client.get("/v1/records", params={"limit": 100})
    found: Sequence[dict[str, Any]] = answer.json().get("records", [])
    return found


async def _all_told(client: httpx.AsyncClient, cloud: RecordDesk, expected: int) -> bool:
    """Whether the cloud has everything, and everybody whom it knows has a name here."""
    await anyio.sleep(LOOK)
    named = ("fingerprint", "password", "bluetooth")
    nameless = [
        one for one in await _records(client) if one["kind"] in named and one["who"] is None
    ]
    return len(cloud.stored) >= expected and not nameless


def _line(told: ReportedRecord, here: dict[str, Any] | None) -> str:
    """One line of the story: local time, what happened, and who it was."""
    when = datetime.fromtimestamp(told.time_ms / 1000).astimezone()
    if here is None:
        return f"{when:%H:%M:%S %z}  {told.code} {told.value}, of which nobody here knows"
    name = f" ({here['who']})" if here["who"] else ""
    ours = ", asked for over HTTP" if here["operation"] else ""
    return f"{when:%H:%M:%S %z}  {here['title']}{name}{ours}"
