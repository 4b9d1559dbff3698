"""The members of a lock, and what each opens it with."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

from bleagent.cloud import record_models
from bleagent.cloud.catalogue import CREDENTIAL_CODES
from bleagent.records.readback import MEMBER, CredentialName
from protocol import Secret

from .base import ApiGroup, Row, needed, number, text

CURRENT_USER = "0"


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A member. ``kind`` as the cloud numbers it: 10 administrator, 20 member, 50 owner."""

    user_id: str
    name: str
    kind: int | None
    lock_user_id: int | None
    """The lock's own number of them; 0 where it has none."""
    contact: str = ""
    credentials: tuple[CredentialName, ...] = ()

    @classmethod
    def read(cls, row: Row) -> Self:
        """Of a row.

        Raises:
            BadAnswer: it does not say whom it is about.
        """
        named = record_models.read_users([row])
        return cls(
            user_id=needed(row, "user_id", "a member"),
            name=text(row, "nick_name"),
            kind=number(row, "user_type"),
            lock_user_id=number(row, "lock_user_id"),
            contact=text(row, "user_contact"),
            credentials=tuple(one for one in named if one.code != MEMBER),
        )


@dataclass(frozen=True, slots=True)
class Users(ApiGroup):
    """Members of locks."""

    async def one(
        self, device_id: str, user_id: str = CURRENT_USER, *, deadline: float | None = None
    ) -> User:
        """One of them; the current user where none is named."""
        name = "doorLock.getUser"
        row = await self._object(name, deadline, device_id=device_id, user_id=user_id)
        return User.read(row)

    async def list(
        self, device_id: str, *, page: int = 1, size: int = 50, deadline: float | None = None
    ) -> tuple[User, ...]:
        """One page of them, each with what it opens the lock with."""
        rows = await self._rows(
            "doorLock.listUsers", deadline, device_id=device_id, page_no=page, page_size=size
        )
        return tuple(map(User.read, rows))


@dataclass(frozen=True, slots=True, kw_only=True)
class Syncable:
    """Whether a lock should be asked now what it knows, and with which datapoint."""

    due: bool
    dp_id: int | None
    command: Secret | None


@dataclass(frozen=True, slots=True)
class Opmodes(ApiGroup):
    """What locks are opened with: fingerprints, cards, passwords, faces."""

    async def of_user(
        self, device_id: str, user_id: str, *, page: int = 1, deadline: float | None = None
    ) -> tuple[CredentialName, ...]:
        """One page of what a member opens a lock with."""
        rows = await self._rows(
            "doorLock.listUserOpmodes",
            deadline,
            device_id=device_id,
            user_id=user_id,
            page_no=page,
        )
        return record_models.read_opmodes(rows)

    async def unallocated(
        self, device_id: str, *, page: int = 1, deadline: float | None = None
    ) -> tuple[CredentialName, ...]:
        """One page of what opens a lock and belongs to nobody."""
        rows = await self._rows(
            "doorLock.listUnallocatedOpmodes", deadline, device_id=device_id, page_no=page
        )
        inside = [
            {"dp_code": row.get("standard_dp"), "opmode": row.get("opmode"), **one}
            for row in rows
            for one in row.get("unlock_info") or [row]
        ]
        return record_models.read_opmodes(inside)

    async def allocate(
        self,
        device_id: str,
        user_id: str,
        credentials: Iterable[tuple[str, int]],
        *,
        deadline: float | None = None,
    ) -> None:
        """Give credentials (standard code and number) to a member."""
        several = [{"dp_code": code, "unlock_sn": sn} for code, sn in credentials]
        await self._ask(
            "doorLock.allocateOpmode",
            deadline,
            device_id=device_id,
            user_id=user_id,
            unlock_list=several,
        )

    async def deallocate(
        self, device_id: str, user_id: str, code: str, sn: int, *, deadline: float | None = None
    ) -> None:
        """Take one away again; it opens the lock all the same."""
        asked: dict[str, Any] = {"device_id": device_id, "user_id": user_id}
        name = "doorLock.deallocateOpmode"
        await self._ask(name, deadline, **asked, dp_code=code, unlock_sn=sn)

    async def set_duress(
        self, device_id: str, code: str, sn: int, *, on: bool, deadline: float | None = None
    ) -> None:
        """Whether opening with it raises a silent alarm."""
        name = "doorLock.setHijack" if on else "doorLock.removeHijack"
        await self._ask(name, deadline, device_id=device_id, unlock_type=code, unlock_no=sn)

    async def syncable(
        self,
        device_id: str,
        codes: Iterable[str] = CREDENTIAL_CODES,
        *,
        deadline: float | None = None,
    ) -> Syncable:
        """Whether a Bluetooth lock is to be asked; at most every five seconds it is."""
        name = "doorLock.getSyncableOpmodeTypes"
        wanted = ",".join(codes)
        row = await self._object(
            name, deadline, device_id=device_id, target_standard_dp_codes=wanted
        )
        command = row.get("ins")
        return Syncable(
            due=row.get("distributed") is True,
            dp_id=number(row, "dp_id"),
            command=Secret(bytes.fromhex(command)) if command else None,
        )
