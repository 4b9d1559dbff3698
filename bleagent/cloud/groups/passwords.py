"""Temporary, dynamic and offline passwords of a lock."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from bleagent.cloud.fields import WEEKDAYS
from bleagent.cloud.passwords import with_ticket
from protocol import Secret

from .base import ApiGroup, Row, moment, needed, number, secret, text

_CREATE = "doorLock.createTemporaryPassword"
_CREATE_WITHOUT_NAME = "doorLock.createTemporaryPasswordWithoutName"
_MODIFY = "doorLock.modifyTemporaryPassword"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hours:
    """When a password is good on some days. ``begins`` and ``ends`` in minutes of the day."""

    begins: int
    ends: int
    weekdays: frozenset[str]
    """Of ``sun``, ``mon``, ... ``sat``."""

    @classmethod
    def read(cls, row: Row) -> Self:
        """Of a row of ``schedule_list``."""
        bits = number(row, "working_day") or 0
        days = frozenset(day for bit, day in enumerate(WEEKDAYS) if bits >> bit & 1)
        begins, ends = number(row, "effective_time"), number(row, "invalid_time")
        return cls(begins=begins or 0, ends=ends or 0, weekdays=days)

    def to_json(self) -> dict[str, Any]:
        """As ``schedule_list`` has it."""
        days = sorted(self.weekdays)
        return {"effective_time": self.begins, "invalid_time": self.ends, "working_day": days}


@dataclass(frozen=True, slots=True, kw_only=True)
class TemporaryPassword:
    """One that the cloud knows; it never tells the digits.

    ``phase`` is a number that means something else for each kind of lock: for Bluetooth locks 0
    deleted, 1 to be sent, 2 sent, 3 to be deleted, 7 failed to send.
    """

    password_id: str
    name: str
    phase: int | None
    begins: datetime | None
    ends: datetime | None
    delivery_status: int | None = None
    phone: str = ""
    time_zone: str = ""
    schedule: tuple[Hours, ...] = ()
    sn: int | None = None
    """Its number in a Bluetooth lock."""

    @classmethod
    def read(cls, row: Row) -> Self:
        """Of a row of the list.

        Raises:
            BadAnswer: it does not say which password it is.
        """
        return cls(
            password_id=needed(row, "password_id", "a password"),
            name=text(row, "name"),
            phase=number(row, "phase"),
            begins=moment(row, "effective_time"),
            ends=moment(row, "invalid_time"),
            delivery_status=number(row, "delivery_status"),
            phone=text(row, "phone"),
            time_zone=text(row, "time_zone"),
            schedule=tuple(map(Hours.read, row.get("schedule_list") or ())),
            sn=number(row, "sn"),
        )


@dataclass(frozen=True, slots=True)
class Passwords(ApiGroup):
    """``secret`` is the project's: a PIN is encrypted with a ticket that it opens."""

    secret: Secret = Secret(b"")  # noqa: RUF009 -- frozen

    async def create(  # noqa: PLR0913 -- what a password has
        self,
        device_id: str,
        *,
        pin: Secret,
        begins: datetime,
        ends: datetime,
        name: str | None = None,
        once: bool | None = None,
        schedule: Iterable[Hours] = (),
        time_zone: str | None = None,
        phone: str | None = None,
        sn: int | None = None,
        deadline: float | None = None,
    ) -> str:
        """Create one and give its id; the lock has it when its phase says so.

        Never repeated: where the answer is lost, the list says whether it is there.

        Args:
            device_id: of the lock.
            pin: as many digits as this kind of lock has.
            begins: from when it is good.
            ends: until when.
            name: for people; some locks take passwords without one.
            once: good for one opening; Zigbee locks have to be told.
            schedule: only at these hours.
            time_zone: of the hours.
            phone: whom the vendor may send it to.
            sn: its number in a Bluetooth lock.
            deadline: of the client's clock.
        """
        sealed = await self._sealed(device_id, pin, deadline)
        made = await self._object(
            _CREATE_WITHOUT_NAME if name is None else _CREATE,
            deadline,
            device_id=device_id,
            effective_time=begins,
            invalid_time=ends,
            type=None if once is None else int(once),
            schedule_list=[one.to_json() for one in schedule] or None,
            time_zone=time_zone,
            phone=phone,
            sn=sn,
            **sealed,
            **({} if name is None else {"name": name}),
        )
        return str(needed(made, "id", _CREATE))

    async def change(
        self,
        device_id: str,
        password_id: str,
        *,
        begins: datetime,
        ends: datetime,
        pin: Secret | None = None,
        schedule: Iterable[Hours] = (),
        deadline: float | None = None,
    ) -> None:
        """Change when it is good, and its digits where the lock can (Bluetooth locks cannot)."""
        sealed = {} if pin is None else await self._sealed(device_id, pin, deadline)
        await self._ask(
            _MODIFY,
            deadline,
            device_id=device_id,
            password_id=password_id,
            effective_time=begins,
            invalid_time=ends,
            schedule_list=[one.to_json() for one in schedule] or None,
            **sealed,
        )

    async def rename(
        self, device_id: str, password_id: str, name: str, *, deadline: float | None = None
    ) -> None:
        """Give it another name; the lock is not asked."""
        await self._ask(_MODIFY, deadline, device_id=device_id, password_id=password_id, name=name)

    async def delete(
        self, device_id: str, password_id: str, *, deadline: float | None = None
    ) -> None:
        """Delete it; it is gone from the lock when its phase says so."""
        name = "doorLock.deleteTemporaryPassword"
        await self._ask(name, deadline, device_id=device_id, password_id=password_id)

    async def list(
        self, device_id: str, *, valid: bool = True, deadline: float | None = None
    ) -> tuple[TemporaryPassword, ...]:
        """Those that are good, or those that are not any more."""
        name = "doorLock.getTemporaryPasswordList"
        rows = await self._rows(name, deadline, device_id=device_id, valid=valid)
        return tuple(map(TemporaryPassword.read, rows))

    async def one(
        self, device_id: str, password_id: str, *, deadline: float | None = None
    ) -> TemporaryPassword:
        """One of them."""
        name = "doorLock.getTemporaryPassword"
        row = await self._object(name, deadline, device_id=device_id, password_id=password_id)
        return TemporaryPassword.read({"password_id": password_id, **row})

    async def remove_invalid(self, device_id: str, *, deadline: float | None = None) -> None:
        """Let the cloud forget those that have ended."""
        await self._ask("doorLock.removalInvalidTempPasswords", deadline, device_id=device_id)

    async def dynamic(self, device_id: str, *, deadline: float | None = None) -> Secret:
        """A password that is good for five minutes, at a lock that knows the time."""
        name = "doorLock.getDynamicPassword"
        found = await self._object(name, deadline, device_id=device_id)
        return secret(found, "dynamic_password", name)

    async def clearing_code(
        self, device_id: str, password_id: str, *, deadline: float | None = None
    ) -> Secret:
        """Digits that delete an offline password when they are entered at the lock."""
        name = "doorLock.deleteOfflinePassword"
        asked = {"device_id": device_id, "password_id": password_id}
        return secret(await self._object(name, deadline, **asked), "offline_temp_password", name)

    async def _sealed(self, device_id: str, pin: Secret, deadline: float | None) -> dict[str, Any]:
        return await with_ticket(
            self.client, self.secret, device_id=device_id, pin=pin, lock=self.lock,
            deadline=deadline,
        )  # fmt: skip
