"""What the groups share: how they ask, and how a row of an answer becomes a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bleagent.cloud.catalogue import LockKind
from bleagent.cloud.errors import BadAnswer
from bleagent.cloud.fields import find
from bleagent.cloud.named_calls import Caller
from protocol import Secret

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ApiGroup:
    """Some of the APIs. Every method raises ``CloudError`` and nothing else.

    ``client`` asks, for locks of the kind ``lock``. ``deadline``, where a method takes one, is a
    time of the client's clock. Ids are texts, times have an offset.
    """

    client: Caller
    lock: LockKind = LockKind.BLUETOOTH

    async def _ask(self, name: str, deadline: float | None, /, **arguments: Any) -> Any:
        return await self.client.call(name, for_lock=self.lock, deadline=deadline, **arguments)

    async def _rows(self, name: str, deadline: float | None, /, **arguments: Any) -> list[Row]:
        """The rows of a list or of one page; none where nothing was answered."""
        found = await self._ask(name, deadline, **arguments)
        if isinstance(found, dict):
            found = next((one for one in found.values() if isinstance(one, list)), [])
        return found or []

    async def _object(self, name: str, deadline: float | None, /, **arguments: Any) -> Row:
        found = await self._ask(name, deadline, **arguments)
        if not isinstance(found, dict):
            raise BadAnswer(f"{name}: nothing was answered", ambiguous=True)
        return found


def needed(row: Row, name: str, what: str) -> Any:
    """A part of an answer that is worth nothing without it."""
    value = find(row, name)
    if value in (None, ""):
        raise BadAnswer(f"{what}: {name} is missing", ambiguous=True)
    return value


def text(row: Row, name: str) -> str:
    """A text; empty where there is none."""
    value = find(row, name)
    return value if isinstance(value, str) else ""


def number(row: Row, name: str) -> int | None:
    """A number, or None."""
    value = find(row, name)
    return value if isinstance(value, int) else None


def moment(row: Row, name: str) -> datetime | None:
    """A time, or None."""
    value = find(row, name)
    return value if isinstance(value, datetime) else None


def secret(row: Row, name: str, what: str) -> Secret:
    """A secret that has to be there."""
    return Secret(str(needed(row, name, what)))
