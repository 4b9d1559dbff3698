"""The first words with a cloud: whether it answers to these keys, and what it knows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from bleagent.cloud.account import AccountClient
from bleagent.cloud.errors import CloudError
from bleagent.cloud.models import DeviceFacts

from .faults import InitError, of_cloud
from .locks import is_lock

BATCH = 20
"""Devices that are asked about at once."""
ASK = 30.0
"""Seconds for all of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What it answered. ``skew``: its seconds minus ours."""

    skew: float
    devices: dict[str, DeviceFacts]
    """Locks, by id, and whatever was asked for; keys included."""
    unlisted: InitError | None = None
    """Why it did not tell which there are: only those that were asked for are known then."""


async def look(
    client: AccountClient,
    ids: Sequence[str],
    *,
    where: str,
    deadline: float,
    unix: Callable[[], float],
) -> Account:
    """Ask for the time, the list of devices, and the keys of its locks and of ``ids``.

    Raises:
        InitError: it does not answer, or not to these keys.
    """
    listed: dict[str, DeviceFacts] = {}
    unlisted = None
    try:
        skew = await client.unix_time(deadline=deadline) - unix()
        try:
            listed = {
                one.device_id: one
                for one in await client.list_devices(deadline=deadline)
                if is_lock(one)
            }
        except CloudError as error:
            if not error.refusal or not ids:
                raise
            unlisted = of_cloud(error, where)
        wanted = list(dict.fromkeys([*ids, *listed]))
        known: dict[str, DeviceFacts] = {}
        for start in range(0, len(wanted), BATCH):
            facts = await client.lock_facts(wanted[start : start + BATCH], deadline=deadline)
            known |= {one.device_id: one for one in facts if one.device_id in wanted}
    except CloudError as error:
        raise of_cloud(error, where) from None
    for device_id, one in known.items():
        if not one.name and device_id in listed:
            known[device_id] = replace(one, name=listed[device_id].name)
    return Account(skew=skew, devices=known, unlisted=unlisted)
