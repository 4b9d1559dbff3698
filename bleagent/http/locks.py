"""``GET /v1/locks``, ``/v1/locks/NAME``: locks as they are known here. None is asked for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI

from bleagent.doors import Doors
from bleagent.health.lock_states import LockStates, Told
from bleagent.ports import Clock
from bleagent.radio.airtime import DAY, LockAir, RadioAir
from bleagent.sync.password_desk import SyncState
from bleagent.sync.upkeep import Note
from bleagent.sync.upkeep_desk import UpkeepState

from .record_views import iso
from .requests import Reader

LATELY = 60.0
"""Seconds: a lock that was heard since then can be reached, as far as one can know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LockParts:
    """What is known of locks; nobody who asks waits for a lock or a disk.

    ``air``: ``None`` for a virtual lock. ``offline``: until when locks open without the cloud, by
    name, Unix seconds.
    """

    doors: Doors
    clock: Clock
    states: LockStates
    offline: Callable[[], Mapping[str, float]]
    air: Callable[[], RadioAir | None]
    syncs: Callable[[], Mapping[str, SyncState]]
    upkeeps: Callable[[], Mapping[str, UpkeepState]]


def add_locks(app: FastAPI, parts: LockParts) -> None:
    """Add the routes."""

    @app.get("/v1/locks")
    async def locks(_caller: Reader) -> dict[str, Any]:
        air = parts.air()
        return {"locks": [_view(parts, name, air) for name in parts.doors.names]}

    @app.get("/v1/locks/{lock}")
    async def lock(_caller: Reader, lock: str) -> dict[str, Any]:
        return _view(parts, lock, parts.air())


def _view(parts: LockParts, name: str, air: RadioAir | None) -> dict[str, Any]:
    doors, now = parts.doors, parts.clock.now()
    door = doors.door(name)
    heard = None if air is None else air.locks.get(name)
    view: dict[str, Any] = {
        "name": name,
        "busy": doors.busy(name),
        "connection": door.policy.connection,
        "connected": doors.connected(name),
        "reachable": _reachable(heard, connected=doors.connected(name)),
        "lock_via": door.policy.lock_via,
        "offline": door.policy.offline,
        "offline_until": _offline_until(parts, name),
        "state": {key: _told_view(told, now) for key, told in parts.states.of(name).items()},
    }
    if (sync := parts.syncs().get(name)) is not None:
        view["sync"] = _sync_view(sync)
    if (upkeep := parts.upkeeps().get(name)) is not None:
        view["upkeep"] = _upkeep_view(upkeep)
    if heard is not None:
        view["radio"] = _air_view(heard, today=int(parts.clock.unix() // DAY))
    return view


def _reachable(heard: LockAir | None, *, connected: bool) -> bool | None:
    """``None``: nobody can know."""
    if connected:
        return True
    if heard is None:
        return None
    return heard.last_heard_age is not None and heard.last_heard_age < LATELY


def _offline_until(parts: LockParts, name: str) -> str | None:
    until = parts.offline().get(name)
    if until is None or not parts.clock.trusted or until < parts.clock.unix():
        return None
    return iso(until)


def _told_view(told: Told, now: float) -> Mapping[str, Any]:
    return {"value": told.value, "told_s_ago": round(now - told.at, 1)}


def _sync_view(sync: SyncState) -> dict[str, Any]:
    return {
        "passwords": dict(sync.passwords),
        "asked_at": None if sync.asked_at is None else iso(sync.asked_at),
        "last_error": sync.last_error,
    }


def _upkeep_view(upkeep: UpkeepState) -> dict[str, Any]:
    told_at, asked_at, listed = upkeep.clock_told_at, upkeep.asked_at, upkeep.listed
    return {
        "clock_told_at": None if told_at is None else iso(told_at),
        "t0": _note_view(upkeep.t0),
        "credentials": _note_view(upkeep.credentials),
        "listed": None if listed is None else dict(listed),
        "asked_at": None if asked_at is None else iso(asked_at),
        "last_error": upkeep.last_error,
    }


def _note_view(note: Note | None) -> dict[str, Any] | None:
    return None if note is None else {"progress": note.progress, "at": iso(note.at)}


def _air_view(air: LockAir, today: int) -> dict[str, Any]:
    """``today``: the UTC day (days since 1970)."""
    return {
        "adapter": air.adapter,
        "rssi": None if air.rssi is None else round(air.rssi),
        "heard_s_ago": None if air.last_heard_age is None else round(air.last_heard_age, 1),
        "attempts": air.attempts,
        "connections": air.connections,
        "failures": dict(air.failures),
        "connected_s_today": round(air.connected_s.get(today, 0.0), 1),
    }
