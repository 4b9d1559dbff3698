"""Every API of the vendor's documents, one entry each, and everything else is driven by them.

43 actions of the mini program, 20 of the app's panels (one of them in two versions), 2 of the
video door. The client's ``call``, the command line, the virtual cloud and the table in the
README are made from it.
"""

from __future__ import annotations

from .devices import BLUETOOTH, DEVICES
from .entry import Api, Family, Field, Form, Group, Kind, LockKind, Path, Repeat
from .panel import PANEL
from .passwords import PASSWORDS
from .records import RECORDS
from .remote import REMOTE, SHARING, VIDEO_DOOR
from .users import CREDENTIAL_CODES, USERS

__all__ = [
    "CATALOGUE",
    "CREDENTIAL_CODES",
    "Api",
    "Family",
    "Field",
    "Form",
    "Group",
    "Kind",
    "LockKind",
    "Path",
    "Repeat",
    "find",
]

_ENTRIES = (
    *RECORDS, *PASSWORDS, *USERS, *REMOTE, *SHARING, *BLUETOOTH, *DEVICES, *PANEL, *VIDEO_DOOR
)  # fmt: skip
CATALOGUE: tuple[Api, ...] = tuple(sorted(_ENTRIES, key=lambda api: list(Group).index(api.group)))
"""All of them, group by group."""

_BY_KEY = {api.key: api for api in CATALOGUE}
_NEWEST = {api.name: api for api in sorted(CATALOGUE, key=lambda api: api.version)}
_BY_PATH = {path.path: api for api in VIDEO_DOOR for path in api.paths}
"""The documents name these by nothing else."""


def find(name: str, version: str | None = None) -> Api | None:
    """An entry by its name, its newest version where none is said; ``None`` where there is none."""
    if version is not None:
        return _BY_KEY.get(f"{name}@{version}")
    return _BY_KEY.get(name) or _NEWEST.get(name) or _BY_PATH.get(name)
