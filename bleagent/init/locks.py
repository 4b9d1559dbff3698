"""Which devices of the account are locks, which of them are chosen, and what they are called."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bleagent.cloud.models import DeviceFacts
from bleagent.config import Config
from bleagent.printable import printable
from protocol import Secret

from . import text
from .faults import InitError

if TYPE_CHECKING:
    from bleagent.radio.nearby import Nearby

CATEGORIES = frozenset(
    {"bxx", "gyms", "hotelms", "jtmsbh", "jtmspro", "mk", "ms", "photolock", "videolock"}
)
"""The vendor's categories of locks, Wi-Fi and Zigbee ones too: none of them says Bluetooth."""
LONGEST_NAME = 64
"""Signs of a lock's name that are shown."""
_NAME = re.compile(r"[a-z0-9-]{1,32}")
_ID = re.compile(r"[!-~]{1,22}")
_KEY = re.compile(rb"[!-~]{16}")
_UUID = re.compile(r"[!-~]{16}|[A-Za-z0-9]{20}")


def is_lock(device: DeviceFacts) -> bool:
    """By its category."""
    return device.category in CATEGORIES


def is_key(key: Secret | None) -> bool:
    """Whether it can be a lock's: with any other the agent would not start, for no lock."""
    return key is not None and _KEY.fullmatch(key.reveal()) is not None


def shown(device: DeviceFacts) -> str:
    """Its name, in quotes: what somebody calls a lock is not taken for what is said of it."""
    name = printable(device.name[:LONGEST_NAME]).replace('"', "'")
    return f'"{name}"' if name else "without a name"


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A lock of the account. ``name``: what the configuration calls it, or should."""

    device: DeviceFacts
    name: str
    configured: bool = False
    heard: Nearby | None = None

    @property
    def unusable(self) -> str | None:
        """Why the agent cannot have it, as far as the cloud tells."""
        if not _ID.fullmatch(self.device.device_id):
            return "its id is not of 1 to 22 signs"
        if not _UUID.fullmatch(self.device.uuid):
            return "the cloud does not tell its uuid"
        if not is_key(self.device.local_key):
            return "the cloud does not tell a local key of 16 characters"
        return None

    def words(self, *, listened: bool) -> str:
        """Name, id, and how it is reached, for a terminal; of the air only if it was heard."""
        device, heard = self.device, self.heard
        ear = "not heard" if heard is None else f"heard with {heard.rssi} dBm as {heard.address}"
        parts = [
            shown(device),
            printable(device.device_id),
            "online" if device.online else "offline",
            *([ear] if listened else []),
            *([f"cannot be used: {self.unusable}"] if self.unusable else []),
            *([f"in the configuration as {self.name}"] if self.configured else []),
        ]
        return ", ".join(parts)

    def fields(self, secrets: Path | None) -> dict[str, Any]:
        """Its section of the configuration. ``secrets`` as ``text.source`` takes it."""
        device, heard = self.device, self.heard
        found: dict[str, Any] = {
            "name": self.name,
            "device_id": device.device_id,
            "uuid": device.uuid,
        }
        if heard is not None and heard.address:
            found["address"] = heard.address.upper()
        found["local_key"] = text.source(f"{self.name}.local-key", secrets)
        if is_key(device.sec_key):
            found["sec_key"] = text.source(f"{self.name}.sec-key", secrets)
            if heard is not None and heard.security_v2:
                found["security_v2"] = True
        return found


def named_ids(given: Iterable[str]) -> dict[str, str]:
    """Device ids and their names, of `--lock NAME=ID`.

    Raises:
        InitError: one is written differently, or twice.
    """
    found: dict[str, str] = {}
    for one in given:
        name, _, device_id = one.partition("=")
        if not _NAME.fullmatch(name) or not device_id:
            raise InitError(
                f'--lock "{printable(one)}"',
                "NAME=ID, with a name of 1 to 32 of a-z, 0-9 and -",
                "bleagent init --lock front-door=THE-DEVICE-ID",
            )
        if device_id in found or name in found.values():
            raise InitError(f'--lock "{printable(one)}" again', "each once", "leave one out")
        found[device_id] = name
    return found


def candidates(
    devices: Mapping[str, DeviceFacts],
    heard: Mapping[str, Nearby],
    config: Config | None,
    names: Mapping[str, str],
) -> list[Candidate]:
    """Every lock, those of the configuration by the names that they have there.

    Args:
        devices: by id.
        heard: by id.
        config: what is there already.
        names: of ids, as somebody said.

    Raises:
        InitError: a lock has another name already, or its name is another's.
    """
    there = {} if config is None else {lock.device_id: lock.name for lock in config.locks}
    for device_id, name in names.items():
        if there.get(device_id, name) != name or name in (
            set(there.values()) - {there.get(device_id)}
        ):
            known = there.get(device_id)
            raise InitError(
                f"--lock {name} for {device_id}",
                f"its name {known}" if known else f"another name: {name} is taken",
                "what a lock recorded stands under its name; leave the name, or edit the file",
            )
    taken = {*there.values(), *names.values()}
    found = []
    for device_id, device in devices.items():
        name = there.get(device_id) or names.get(device_id) or new_name(device, taken)
        taken.add(name)
        found.append(
            Candidate(
                device=device,
                name=name,
                configured=device_id in there,
                heard=heard.get(device_id),
            )
        )
    return found


def new_name(device: DeviceFacts, taken: Collection[str]) -> str:
    """What the account calls it, as the configuration can: else `lock` and the end of its id."""
    slug = re.sub(r"[^a-z0-9]+", "-", device.name.lower()).strip("-")[:28].strip("-")
    if not slug:
        slug = "lock-" + re.sub(r"[^a-z0-9]", "", device.device_id.lower())[-4:]
    name, number = slug, 1
    while name in taken:
        number += 1
        name = f"{slug}-{number}"
    return name


def require_usable(found: Sequence[Candidate], names: Mapping[str, str]) -> None:
    """Whether the agent can have each lock that somebody named, and any at all.

    Raises:
        InitError: a lock that was named is not known to the cloud, or cannot be used; or there is
            none.
    """
    by_id = {one.device.device_id: one for one in found}
    for device_id, name in names.items():
        one = by_id.get(device_id)
        why = "it is not known to the cloud" if one is None else one.unusable
        if why is not None:
            raise InitError(
                f"--lock {name}: {why}",
                "a Bluetooth lock of an account that the project is linked to",
                "see the id in the project's list of devices, and that its account is linked",
            )
    if all(one.unusable for one in found):
        raise InitError(
            "no lock that can be used in the accounts of this project",
            "at least one",
            "bind the lock in the vendor's app, link that app's account to the project "
            "(Cloud > your project > Devices), and see that its data centre is this one",
        )
