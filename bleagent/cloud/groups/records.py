"""What happened at a lock, and the pictures of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from typing import Any

from bleagent.cloud.fields import find
from protocol import Secret

from .base import ApiGroup, Row, moment, needed, number, secret, text


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """One alarm. ``value`` as the datapoint has it; of duress, which credential it was."""

    code: str
    value: Any
    time: datetime | None
    user_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """One entry of the log of all that was done."""

    log_id: str
    category: str
    kind: str
    time: datetime | None
    user_id: str = ""
    user_name: str = ""
    unlock_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogPage:
    """Some entries, and with what to ask for those before them."""

    entries: tuple[LogEntry, ...]
    next_key: str = ""


@dataclass(frozen=True, slots=True)
class Records(ApiGroup):
    """What happened; ``CloudClient.list_records`` and ``opening_logs`` read all pages."""

    async def alarms(
        self,
        device_id: str,
        codes: Iterable[str] = ("alarm_lock", "hijack"),
        *,
        page: int = 1,
        deadline: float | None = None,
    ) -> tuple[Alarm, ...]:
        """One page of alarms, newest first."""
        rows = await self._rows(
            "doorLock.alarmLogs",
            deadline,
            device_id=device_id,
            codes=",".join(codes),
            page_no=page,
        )
        return tuple(
            Alarm(
                code=text(one, "code"),
                value=one.get("value"),
                time=moment(row, "update_time"),
                user_name=text(row, "nick_name"),
            )
            for row in rows
            for one in row.get("status") or ()
        )

    async def log(self, device_id: str, *, key: str = "", deadline: float | None = None) -> LogPage:
        """What was done at a lock, newest first; ``key`` goes on where a page ended."""
        name = "doorLock.operateRecords"
        found = await self._object(name, deadline, device_id=device_id, lastRowKey=key or None)
        return LogPage(
            entries=tuple(map(_entry, found.get("records") or ())),
            next_key=text(found, "last_row_key") if find(found, "has_more") is True else "",
        )

    async def latest(self, device_id: str, *, deadline: float | None = None) -> LogEntry:
        """The newest entry of the log."""
        return _entry(await self._object("doorLock.loglatest", deadline, device_id=device_id))

    async def codes(self, device_id: str, *, deadline: float | None = None) -> dict[int, str]:
        """Standard codes by the number of their datapoint."""
        name = "doorLock.getAvailableInstructions"
        rows = await self._rows(name, deadline, device_id=device_id)
        found = ((number(row, "dp_id"), text(row, "dp_code")) for row in rows)
        return {dp_id: code for dp_id, code in found if dp_id is not None}


def _entry(row: Row) -> LogEntry:
    return LogEntry(
        log_id=text(row, "log_id"),
        category=text(row, "log_category"),
        kind=text(row, "log_type"),
        time=moment(row, "time"),
        user_id=text(row, "user_id"),
        user_name=text(row, "user_name"),
        unlock_name=text(row, "unlock_name"),
    )


class Shown(IntEnum):
    """Of what there is a picture."""

    REMOTE_OPENING = 1
    ALARM = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """Where a picture is, and what decrypts it. Both are secrets: they are not in the repr."""

    url: str = field(repr=False)
    key: Secret
    path: str = ""


@dataclass(frozen=True, slots=True)
class Media(ApiGroup):
    """Pictures: Wi-Fi locks alone."""

    async def last(self, device_id: str, of: Shown, *, deadline: float | None = None) -> Picture:
        """The cover of the last remote opening or alarm."""
        name = "doorLock.getMediaUrl"
        row = await self._object(name, deadline, device_id=device_id, file_type=int(of))
        return Picture(
            url=needed(row, "file_url", name),
            key=secret(row, "file_key", name),
            path=text(row, "file_path"),
        )
