"""The vendor's APIs as typed methods, grouped as people think of them.

    apis = Apis.of(client, secret)
    await apis.passwords.create(device_id, pin=pin, begins=now, ends=later, name="Jane")

What has no method here has one in ``CloudClient`` (openings over Bluetooth, records page by page,
names of credentials, sharing), and everything has ``CloudClient.call``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from bleagent.cloud.catalogue import LockKind
from bleagent.cloud.named_calls import Caller
from protocol import Secret

from .devices import Bluetooth, Devices, Panel, VideoDoor
from .members import Opmodes, Users
from .passwords import Passwords
from .records import Media, Records
from .remote import Remote

__all__ = ["Apis"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Apis:
    """All groups over one client, for one kind of lock."""

    records: Records
    passwords: Passwords
    users: Users
    opmodes: Opmodes
    remote: Remote
    bluetooth: Bluetooth
    devices: Devices
    media: Media
    panel: Panel
    video_door: VideoDoor

    @classmethod
    def of(cls, client: Caller, secret: Secret, lock: LockKind = LockKind.BLUETOOTH) -> Self:
        """Over a client; ``secret`` is the project's, which opens tickets."""
        return cls(
            records=Records(client, lock),
            passwords=Passwords(client, lock, secret),
            users=Users(client, lock),
            opmodes=Opmodes(client, lock),
            remote=Remote(client, lock, secret),
            bluetooth=Bluetooth(client, lock),
            devices=Devices(client, lock),
            media=Media(client, lock),
            panel=Panel(client, lock),
            video_door=VideoDoor(client, lock),
        )
