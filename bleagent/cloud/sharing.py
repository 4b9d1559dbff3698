"""The calls about sharing a lock: made, verified, confirmed, cancelled.

None of them has a public path; they need the transport ``action``. A ticket is a secret: it is in
no repr, and masked in what the cloud echoes. Source: the vendor's mini program API document;
reference cloud §7 and §8.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bleagent.authority.guests import GuestTerms
from bleagent.authority.shared import Invitation, Permission
from protocol import Secret

from . import codec, fields
from .calls import Call
from .errors import BadAnswer, InvalidArgument
from .settings import CloudSettings

CREATE = "doorLock.createPermissionSharing"
VERIFY = "doorLock.verifyPermissionSharing"
CONFIRM = "doorLock.confirmPermissionSharing"
CANCEL = "doorLock.cancelPermissionSharing"

UNLOCK_BLE = "unlock_ble"
UNLIMITED = -1
"""Openings: as many as needed."""
_DAY = 24 * 60
_A_DATE = 10**9
"""An ``expire_time`` from here on is no number of seconds to wait, but a date."""
_INVALID, _VALID, _LATER = 0, 1, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSharing:
    """A sharing that was made. ``ends_in``: seconds that its ticket is good for."""

    sharing_id: str
    ticket: Secret
    ends_in: float


class SharingCalls(ABC):
    """What ``CloudClient`` knows of sharing. Raises ``CloudError`` and nothing else.

    Implements ``sharing.SharingCloud``.
    """

    _settings: CloudSettings

    @abstractmethod
    async def _ask(self, call: Call, deadline: float | None) -> codec.Answer: ...

    async def create_sharing(
        self,
        device_id: str,
        sharer: str,
        detail: Mapping[str, str | int],
        *,
        receiver: str | None = None,
        deadline: float | None = None,
    ) -> NewSharing:
        """``doorLock.createPermissionSharing``; ``detail`` is its ``permission_detail``."""
        params = {
            "device_id": device_id, "app_schema": self._settings.app_schema, "sharer": sharer,
            "receiver": receiver, "permission_detail": dict(detail),
        }  # fmt: skip
        answer = await self._ask(Call(name=CREATE, params=params, repeatable=False), deadline)
        found = fields.mapping(answer.result, CREATE)
        ticket = fields.identifier(fields.find(found, "sharing_ticket"), "sharing_ticket")
        return NewSharing(
            sharing_id=fields.identifier(fields.find(found, "sharing_id"), "sharing_id"),
            ticket=Secret(ticket),
            ends_in=_ends_in(found, answer.t),
        )

    async def verify_sharing(self, ticket: Secret, *, deadline: float | None = None) -> Invitation:
        """``doorLock.verifyPermissionSharing``: whether it is a ticket, and for how long."""
        params = {"sharing_ticket": _text(ticket)}
        answer = await self._ask(Call(name=VERIFY, params=params, secrets=(ticket,)), deadline)
        return read_invitation(answer.result, ticket, answer.t)

    async def confirm_sharing(
        self,
        sharing_id: str,
        ticket: Secret,
        *,
        receiver: str | None = None,
        deadline: float | None = None,
    ) -> Permission:
        """``doorLock.confirmPermissionSharing``: take it; what that allows.

        Not repeated where it may have been carried out: a ticket may be one that is taken once.
        """
        receiver = receiver or self._settings.uid
        if not receiver:
            raise InvalidArgument(
                "a ticket is confirmed for the UID of its receiver: found none, expected one with "
                "the ticket or as uid under [cloud]"
            )
        params = {
            "sharing_id": sharing_id, "app_schema": self._settings.app_schema,
            "sharing_ticket": _text(ticket), "receiver": receiver,
        }  # fmt: skip
        call = Call(name=CONFIRM, params=params, repeatable=False, secrets=(ticket,))
        return read_permission((await self._ask(call, deadline)).result)

    async def cancel_sharing(
        self, sharing_id: str, ticket: Secret, *, deadline: float | None = None
    ) -> None:
        """``doorLock.cancelPermissionSharing``; returns on the cloud's own *yes* only."""
        params = {"sharing_id": sharing_id, "sharing_ticket": _text(ticket)}
        call = Call(name=CANCEL, params=params, repeatable=False, secrets=(ticket,))
        answer = await self._ask(call, deadline)
        if not fields.boolean(answer.result, "result"):
            raise BadAnswer(f"{CANCEL}: a success without a yes", ambiguous=True)


def read_invitation(result: object, ticket: Secret, unix: float | None) -> Invitation:
    """An answer to ``VERIFY``; ``unix`` is the time of the answer. Raises BadAnswer."""
    found = fields.mapping(result, VERIFY)
    told = fields.find(found, "sharing_ticket")
    if told is not None and Secret(fields.identifier(told, "sharing_ticket")) != ticket:
        raise BadAnswer("the answer is about another sharing_ticket")
    return Invitation(
        sharing_id=fields.identifier(fields.find(found, "sharing_id"), "sharing_id"),
        ends_in=_ends_in(found, unix),
        device_id=_device(found),
    )


def read_permission(result: object) -> Permission:
    """An answer to ``CONFIRM``. Raises BadAnswer, where a part of it cannot be held to."""
    found = fields.mapping(result, CONFIRM)
    state = _whole(found, "effective_flag")
    in_schedule = _whole(found, "schedule_effective_flag")
    if state not in (None, _INVALID, _VALID, _LATER) or in_schedule not in (None, 0, 1):
        raise BadAnswer("effective_flag or schedule_effective_flag is none of those that are known")
    begins, ends = _time(found, "effective_time"), _time(found, "invalid_time")
    return Permission(
        terms=GuestTerms(
            begins=begins, weekdays=_weekdays(found), between=_between(found), times=_times(found)
        ),
        ends=ends,
        opens=fields.identifier(fields.find(found, "biz_type"), "biz_type") == UNLOCK_BLE,
        valid=state != _INVALID,
        now=state != _LATER and in_schedule != 0,
        device_id=_device(found),
    )


def _ends_in(found: Mapping[str, Any], unix: float | None) -> float:
    """Seconds from the answer on."""
    value = fields.number(fields.find(found, "expire_time"), "expire_time")
    if value < _A_DATE:
        return float(value)
    if unix is None:
        raise BadAnswer("expire_time is a date, in an answer without one")
    return fields.seconds(value, "expire_time") - unix


def _device(found: Mapping[str, Any]) -> str | None:
    value = fields.find(found, "device_id", "dev_id")
    return None if value is None else fields.identifier(value, "device_id")


def _whole(found: Mapping[str, Any], name: str) -> int | None:
    """A number; ``None`` where there is none: the vendor writes that as an empty text, too."""
    value = fields.find(found, name)
    return None if value is None or value == "" else fields.number(value, name)


def _time(found: Mapping[str, Any], name: str) -> float | None:
    """Unix seconds."""
    value = _whole(found, name)
    return None if value is None else fields.seconds(value, name)


def _times(found: Mapping[str, Any]) -> int | None:
    value = fields.number(fields.find(found, "available_times"), "available_times")
    if value < UNLIMITED:
        raise BadAnswer("available_times is less than -1")
    return None if value == UNLIMITED else value


def _weekdays(found: Mapping[str, Any]) -> frozenset[int]:
    """0 is Monday; the cloud's lowest bit is Sunday. None at all: every day."""
    bits = _whole(found, "working_day") or 0
    if not 0 <= bits < 1 << 7:
        raise BadAnswer("working_day is not of seven bits")
    return frozenset((bit - 1) % 7 for bit in range(7) if bits >> bit & 1)


def _between(found: Mapping[str, Any]) -> tuple[int, int] | None:
    """Minutes of the day. Hours on no day, or of no length, would be a guess: BadAnswer."""
    first, last = _whole(found, "schedule_start_time"), _whole(found, "schedule_end_time")
    days = _whole(found, "working_day")
    if (first or 0, last or 0, days or 0) == (0, 0, 0) or (first, last) == (None, None):
        return None  # nothing is said of a schedule
    if first is None or last is None or days == 0:
        raise BadAnswer("a schedule with a part that is missing")
    if not 0 <= first < _DAY or not 0 <= last <= _DAY or first == last:
        raise BadAnswer("schedule_start_time and schedule_end_time are no hours of a day")
    return first, last


def _text(ticket: Secret) -> str:
    return ticket.reveal().decode()
