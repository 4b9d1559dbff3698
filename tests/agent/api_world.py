"""A virtual cloud with one lock, and a client that can go all ways to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import anyio.from_thread

from bleagent.adapters.httpx_transport import HttpxTransport
from bleagent.cloud.catalogue import Api, Field, Kind
from bleagent.cloud.client import CloudClient
from bleagent.simulator.cloud_records import CloudCredential, CloudUser
from bleagent.simulator.virtual_cloud import VirtualCloud
from tests.agent.cloud_world import CODE, DEVICE, UNIX, StillClock, lock, settings_for

MEMBER = "2887"
THUMB = CloudCredential(dp_code="unlock_fingerprint", unlock_sn=2, unlock_name="Thumb", dp_id=12)
CARD = CloudCredential(dp_code="unlock_card", unlock_sn=7, unlock_name="Card", dp_id=15)
ENCRYPTED = "8F8AD3F0CFD6ECA192126E4AD28A73F2"


@dataclass(frozen=True, slots=True)
class World:
    """The cloud, its client, and the time of both."""

    cloud: VirtualCloud
    client: CloudClient
    clock: StillClock


@asynccontextmanager
async def world(settings: dict[str, Any] | None = None, **options: Any) -> AsyncIterator[World]:
    clock = StillClock()
    cloud = VirtualCloud(unix=clock.unix, **options)
    furnish(cloud)
    async with cloud.serve() as base_url, HttpxTransport() as http:
        chosen = settings_for(base_url, panel_url=f"{base_url}/panel", **(settings or {}))
        yield World(cloud, CloudClient(chosen, http, clock, sleep=clock.sleep), clock)


@contextmanager
def served(**options: Any) -> Iterator[VirtualCloud]:
    """A virtual cloud for whoever has a loop of their own, or none."""
    cloud = VirtualCloud(**options)
    furnish(cloud)
    with (
        anyio.from_thread.start_blocking_portal() as portal,
        portal.wrap_async_context_manager(cloud.serve()),
    ):
        yield cloud


def furnish(cloud: VirtualCloud) -> None:
    """One lock with a member, and a card that nobody owns."""
    cloud.register(lock())
    james = CloudUser(user_id=MEMBER, nick_name="James", credentials=(THUMB,))
    cloud.records.users[DEVICE] = [james]
    cloud.members.unallocated[DEVICE] = [CARD]


def arguments_for(api: Api) -> dict[str, Any]:
    """Arguments that an API takes, one of each kind."""
    formed = api.forms[-1].needs if api.forms else ()
    needed = {one.name: _value(one) for one in api.takes if one.name in formed}
    return (
        _object(api.takes)
        | needed
        | {
            name: value
            for name, value in _SPECIAL.items()
            if name in {one.name for one in api.takes}
        }
    )


_SPECIAL: dict[str, Any] = {
    "device_id": DEVICE,
    "device_ids": DEVICE,
    "user_id": MEMBER,
    "bluetooth_sn": 33,
    "device_random": CODE.reveal().decode(),
    "remote_unlock_type": "remoteUnlockWithoutPwd",
    "code": "123456",
}


def _object(fields: Iterable[Field]) -> dict[str, Any]:
    return {one.name: _value(one) for one in fields if one.required and one.default is None}


def _value(field: Field) -> Any:
    if field.choices:
        return field.choices[0]
    match field.kind:
        case Kind.NUMBER | Kind.PAGE:
            return max(field.least or 0, 1)
        case Kind.BOOLEAN:
            return True
        case Kind.SECONDS | Kind.MILLISECONDS:
            return int(UNIX) + 60
        case Kind.HEXADECIMAL:
            return ENCRYPTED
        case Kind.OBJECT:
            return _object(field.fields)
        case Kind.LIST:
            return [_value(Field("x", field.of)) if field.of else _object(field.fields)]
        case _:
            return "1"
