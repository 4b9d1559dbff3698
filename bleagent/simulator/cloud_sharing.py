"""Sharing at the virtual cloud: made, verified, confirmed, cancelled, and what becomes of it.

As the vendor's document has it: a ticket lives for minutes, one that has ended is verified with
an ``expire_time`` of 0, and what it allows is told when it is confirmed. What the document leaves
open is a switch.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from itertools import count
from typing import Any

from .cloud_checks import Failure

Params = Mapping[str, Any]
ILLEGAL = (1109, "param is illegal,please check it")


@dataclass(slots=True, kw_only=True)
class SharedLock:
    """One sharing. ``made``: Unix seconds; ``receiver``: who alone may take it, or has."""

    sharing_id: str
    ticket: str = field(repr=False)
    device_id: str
    detail: dict[str, Any]
    made: float
    receiver: str | None = None
    confirmed: bool = False
    cancelled: bool = False


@dataclass(slots=True)
class SharingDesk:
    """Makes tickets and answers about them.

    ``has`` says which devices are linked, ``unix`` is the cloud's time, ``zone`` that of its
    schedules. ``life``: seconds that a ticket is good for. ``names_lock``: answers have the
    ``device_id`` that the document does not have. ``once``: nothing is said of a ticket any more
    when it is confirmed.
    """

    has: Callable[[str], bool]
    unix: Callable[[], float]
    zone: tzinfo = UTC
    life: int = 300
    names_lock: bool = False
    once: bool = False
    new_ticket: Callable[[], str] = lambda: secrets.token_hex(16)
    shares: dict[str, SharedLock] = field(default_factory=dict)
    """By ticket."""
    _ids: count[int] = field(default_factory=lambda: count(1213089))

    def actions(self) -> dict[str, Callable[[Params], object]]:
        """The actions, by name."""
        return {
            "doorLock.createPermissionSharing": self._create,
            "doorLock.verifyPermissionSharing": self._verify,
            "doorLock.confirmPermissionSharing": self._confirm,
            "doorLock.cancelPermissionSharing": self._cancel,
        }

    def share(self, device_id: str, *, receiver: str | None = None, **detail: Any) -> SharedLock:
        """As the owner of a lock does in the app."""
        kept = SharedLock(
            sharing_id=str(next(self._ids)), ticket=self.new_ticket(), device_id=device_id,
            detail={"biz_type": "unlock_ble", "available_times": -1, **detail},
            made=self.unix(), receiver=receiver,
        )  # fmt: skip
        self.shares[kept.ticket] = kept
        return kept

    # -- one method per action

    def _create(self, params: Params) -> object:
        device_id, detail = params.get("device_id"), params.get("permission_detail")
        if not isinstance(device_id, str) or not self.has(device_id):
            raise Failure(1106, "permission deny")
        if not isinstance(detail, dict) or not {"biz_type", "available_times"} <= detail.keys():
            raise Failure(1102, "permission_detail is null")
        if not params.get("app_schema") or not params.get("sharer"):
            raise Failure(1100, "param is empty")
        return self._told(self.share(device_id, receiver=params.get("receiver"), **detail))

    def _verify(self, params: Params) -> object:
        kept = self._kept(params)
        if self.once and kept.confirmed:
            raise Failure(*ILLEGAL)
        return self._told(kept)

    def _confirm(self, params: Params) -> object:
        kept, receiver = self._kept(params), params.get("receiver")
        if not receiver or not params.get("app_schema"):
            raise Failure(1100, "param is empty")
        if params.get("sharing_id") != kept.sharing_id or self._left(kept) <= 0:
            raise Failure(*ILLEGAL)
        if kept.receiver not in (None, receiver) or (self.once and kept.confirmed):
            raise Failure(1107, "the sharing was taken already")
        kept.confirmed, kept.receiver = True, str(receiver)
        return kept.detail | self._flags(kept.detail) | self._named(kept)

    def _cancel(self, params: Params) -> object:
        kept = self._kept(params)
        if params.get("sharing_id") != kept.sharing_id:
            raise Failure(*ILLEGAL)
        kept.cancelled = True
        return True

    # -- what is told

    def _kept(self, params: Params) -> SharedLock:
        found = self.shares.get(str(params.get("sharing_ticket", "")))
        if found is None or found.cancelled:
            raise Failure(*ILLEGAL)
        return found

    def _left(self, kept: SharedLock) -> int:
        return max(0, int(kept.made + self.life - self.unix()))

    def _told(self, kept: SharedLock) -> dict[str, Any]:
        told = {
            "expire_time": self._left(kept), "sharing_id": kept.sharing_id,
            "sharing_ticket": kept.ticket,
        }  # fmt: skip
        return told | self._named(kept)

    def _named(self, kept: SharedLock) -> dict[str, Any]:
        return {"device_id": kept.device_id} if self.names_lock else {}

    def _flags(self, detail: Mapping[str, Any]) -> dict[str, int]:
        """Written apart from how the agent reads them, on purpose."""
        now = self.unix() * 1000
        flag = 1
        if now >= detail.get("invalid_time", now + 1):
            flag = 0
        elif now < detail.get("effective_time", now):
            flag = 2
        here = datetime.fromtimestamp(self.unix(), self.zone)
        sunday_first = int(here.strftime("%w"))
        minute = here.hour * 60 + here.minute
        first, last = detail.get("schedule_start_time", 0), detail.get("schedule_end_time", 1440)
        runs = detail.get("working_day", 127) & (1 << sunday_first) and first <= minute < last
        return {"effective_flag": flag, "schedule_effective_flag": int(bool(runs and flag == 1))}
