"""What the catalogue says of an API, as values.

Source: the vendor's documents of the mini program's door lock actions, of the app's panel APIs
and of the video door; reference cloud §3.3 (paths), §3.4 and §8 (what they leave open).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

Params = dict[str, Any]


class Family(StrEnum):
    """Where an API is described, which decides how it travels."""

    ACTION = "action"  # mini program: an action, or its OpenAPI path
    PANEL = "panel"  # App: asked by an app that is signed in
    VIDEO_DOOR = "video door"  # an OpenAPI path and nothing else


class Group(StrEnum):
    """What people would look for it under."""

    RECORDS = "records"
    PASSWORDS = "passwords"
    USERS = "users"
    OPMODES = "opmodes"
    REMOTE = "remote"
    SHARING = "sharing"
    BLUETOOTH = "bluetooth"
    DEVICES = "devices"
    MEDIA = "media"
    PANEL = "panel"
    VIDEO_DOOR = "video_door"


class LockKind(StrEnum):
    """Kinds of locks that the documents tell apart."""

    BLUETOOTH = "bluetooth"
    WIFI = "wifi"
    ZIGBEE = "zigbee"
    ACCESS = "wifi-access"  # Wi-Fi access control: one lock, several doors
    STANDARD_WIFI = "wifi-standard"


class Repeat(StrEnum):
    """What asking again does, after an answer that got lost."""

    READ = "read"  # nothing: it changes nothing
    SAME = "same"  # nothing more: asked twice, it ends as asked once
    ONCE = "once"  # it is done again: never repeated unless certain that it was not done


class Kind(StrEnum):
    """What a value is, whatever the document calls its type."""

    TEXT = "text"
    ID = "id"
    NUMBER = "number"
    BOOLEAN = "true or false"
    SECONDS = "a time, sent in seconds"
    MILLISECONDS = "a time, sent in milliseconds"
    MINUTES = "minutes of the day"
    WEEKDAYS = "weekdays, bit 0 is Sunday"
    PAGE = "a page, from 1"
    CODES = "texts with commas between them"
    HEXADECIMAL = "hexadecimal"
    OBJECT = "an object"
    LIST = "a list"
    PAGED = "a page of rows"
    ANY = "any value"


@dataclass(frozen=True, slots=True)
class Field:
    """A parameter, or a part of a result.

    ``least`` and ``most`` bound a number, the length of a text, or the entries of a list.
    """

    name: str
    kind: Kind = Kind.TEXT
    required: bool = True
    note: str = ""
    """What the documents say wrong or leave open; empty where there is nothing to say."""
    default: Any = None
    """Sent where nothing is said; ``None`` sends nothing."""
    choices: tuple[Any, ...] = ()
    """Values that may be sent. In a result another one is kept as it is."""
    least: int | None = None
    most: int | None = None
    fields: tuple[Field, ...] = ()
    """Of an object, or of each entry of a list."""
    of: Kind | None = None
    """What a list has that has no fields."""
    also: tuple[str, ...] = ()
    """Other names of it: taken as arguments, and read in answers."""
    twin: str = ""
    """Another name under which it is sent as well, because the document uses both."""
    secret: bool = False
    as_number: bool = False
    """An id that is sent as a number where it is one."""
    as_text: bool = False
    """A number or a time that is sent as text."""
    required_for: tuple[LockKind, ...] = ()
    not_for: Mapping[LockKind, str] = field(default_factory=dict)
    """Kinds of locks that do not take it, and why."""
    default_for: Mapping[LockKind, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Form:
    """One of several ways to ask an API: what each needs beyond what all need."""

    name: str
    needs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Path:
    """An OpenAPI path; parameters that are not in it go into query or body.

    ``rename`` gives names their other spelling there, ``fixed`` is always sent, ``shape`` is the
    last word where that is not enough.
    """

    method: str
    path: str
    rename: Mapping[str, str] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    shape: Callable[[Params], Params] | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Api:
    """One API. ``locks`` is empty where the document does not say for which locks it is."""

    name: str
    group: Group
    purpose: str
    takes: tuple[Field, ...] = ()
    gives: Field | None = None
    paths: tuple[Path, ...] = ()
    no_path: str = ""
    """Why there is no path."""
    locks: tuple[LockKind, ...] = ()
    repeat: Repeat = Repeat.READ
    family: Family = Family.ACTION
    version: str = ""
    forms: tuple[Form, ...] = ()
    moves: bool = False
    """It may move a bolt: whoever calls it by hand says so twice."""
    note: str = ""

    @property
    def idempotent(self) -> bool:
        """Whether asking twice ends as asking once."""
        return self.repeat is not Repeat.ONCE

    @property
    def key(self) -> str:
        """Name and version, which differ for every entry."""
        return f"{self.name}@{self.version}" if self.version else self.name

    @property
    def ways(self) -> tuple[str, ...]:
        """The transports that it can go through."""
        match self.family:
            case Family.PANEL:
                return ("panel",)
            case Family.VIDEO_DOOR:
                return ("openapi",)
            case Family.ACTION:
                return ("action", "openapi") if self.paths else ("action",)


# -- what many of them have

WIFI_BLE = (LockKind.WIFI, LockKind.BLUETOOTH)
MOST = (LockKind.WIFI, LockKind.ZIGBEE, LockKind.BLUETOOTH)
MOST_AND_ACCESS = (*MOST, LockKind.ACCESS)

DEVICE = Field("device_id", Kind.ID)
PAGE_NO = Field("page_no", Kind.PAGE, default=1)
PAGE_SIZE = Field("page_size", Kind.NUMBER, default=50, least=1, most=100)
DONE = Field("result", Kind.BOOLEAN)

DOOR_LOCK = "/v1.0/devices/{device_id}/door-lock"
SMART_LOCK = "/v1.0/smart-lock/devices/{device_id}"


def result(*fields: Field) -> Field:
    """A result that is one object."""
    return Field("result", Kind.OBJECT, fields=fields)


def results(*fields: Field) -> Field:
    """A result that is a list of objects."""
    return Field("result", Kind.LIST, fields=fields)


def paged(*fields: Field, name: str = "records") -> Field:
    """A result that is one page of rows; documents show the rows alone."""
    return Field(name, Kind.PAGED, fields=fields)
