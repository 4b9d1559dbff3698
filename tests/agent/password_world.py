"""Temporary passwords from a virtual cloud to a virtual lock, in virtual time."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import anyio

from bleagent.adapters.sinks.in_time import IN_TIME
from bleagent.doors import Doors
from bleagent.errors import CloudError, StoreError
from bleagent.records.beside import CallsBeside
from bleagent.records.record import Happening
from bleagent.records.standard_codes import STANDARD_CODES
from bleagent.simulator.cloud_passwords import CloudPassword
from bleagent.simulator.cloud_passwords import PasswordDesk as CloudDesk
from bleagent.simulator.cloud_records import ReportedRecord
from bleagent.simulator.lock_app.lock_application import LockApplication
from bleagent.sync.password_desk import PasswordDesk
from bleagent.sync.password_look import PasswordLooks
from bleagent.sync.passwords import Held, Item, State
from protocol import Secret
from protocol.credentials import Method
from protocol.records import RecordKind
from tests.agent.world import DOOR, World, supervise

DEVICE = "virtual-door"
HOUR = 3600
DAY = 24 * HOUR


@dataclass(slots=True)
class MemoryPasswords:
    """Implements ``password_desk.PasswordBook`` in memory."""

    rows: dict[tuple[str, str], Item] = field(default_factory=dict)
    fails: bool = False
    hangs: bool = False
    takes: float = 0.0
    """Seconds of a commit."""
    kept: int = 0
    then: Callable[[int], None] = lambda _: None
    """Called with the number of each commit, when it is done."""

    async def items(self, lock: str) -> tuple[Item, ...]:
        await self._commit()
        return tuple(one for (of, _), one in self.rows.items() if of == lock)

    async def keep(self, lock: str, item: Item) -> None:
        await self._commit()
        self.rows[lock, item.password_id] = item
        self.kept += 1
        self.then(self.kept)

    async def forget(self, lock: str, password_id: str) -> None:
        await self._commit()
        self.rows.pop((lock, password_id), None)

    async def _commit(self) -> None:
        await anyio.sleep(self.takes)
        if self.hangs:
            await anyio.sleep_forever()
        if self.fails:
            raise StoreError("the disk is broken")


@dataclass(slots=True)
class CloudSide:
    """Implements ``sync.password_look.PasswordSource`` over a virtual cloud's passwords."""

    desk: CloudDesk
    without_digits: bool = False
    down: bool = False
    looks: int = 0

    async def held(self, lock: str) -> tuple[Held, ...]:
        assert lock == DOOR
        self.looks += 1
        await anyio.sleep(0.05)
        if self.down:
            raise CloudError("the cloud is down")
        return tuple(map(self._held, self.desk.passwords.values()))

    def _held(self, one: CloudPassword) -> Held:
        sn = one.more.get("sn")
        return Held(
            password_id=str(one.password_id), phase=int(one.phase), begins=one.effective_time,
            ends=one.invalid_time, once=one.more.get("type") == 1,
            scheduled=bool(one.more.get("schedule_list")),
            sn=sn if isinstance(sn, int) else None,
            digits=None if self.without_digits else one.pin,
        )  # fmt: skip


class Passwords:
    """What a story needs beside the world."""

    def __init__(self, world: World, book: MemoryPasswords | None = None) -> None:
        self.world = world
        self.book = book or MemoryPasswords()
        self.cloud = CloudSide(CloudDesk(lambda _: True, world.clock.unix))
        self.faults: list[Exception] = []
        self.visits = 0
        self.start()

    def start(self) -> None:
        """An agent begins, over the store that there is."""
        world = self.world
        calls = CallsBeside(world.tasks, "passwords")
        self.desk = PasswordDesk(DOOR, self.book, calls, world.clock)
        doors = dict(world.doors._doors)
        links = replace(world.doors._supervisor._owners[DOOR]._ports, passwords=lambda _: self.desk)
        supervisor = supervise(doors, links, world.tasks)
        world.doors = Doors(doors, world.doors._ports, supervisor, world.tasks)
        self.looks = PasswordLooks(
            {DOOR: self.desk}, self.cloud, world.clock, self._visit,
            lambda _, error: self.faults.append(error),
        )  # fmt: skip

    def _visit(self, lock: str) -> None:
        self.visits += 1
        self.world.doors._supervisor.called(lock)

    # -- the cloud's people

    def create(self, pin: str, *, begins: int = -HOUR, ends: int = DAY, **more: Any) -> str:
        """Somebody makes a password; times from now on."""
        now, made = int(self.world.clock.unix()), len(self.cloud.desk.passwords) + 1
        self.cloud.desk.passwords[made] = CloudPassword(
            password_id=made, device_id=DEVICE, pin=Secret(pin), effective_time=now + begins,
            invalid_time=now + ends, more=more, made_at=now,
        )  # fmt: skip
        return str(made)

    def change(self, password_id: str, **more: Any) -> None:
        """Its times, or its phase."""
        known = self.cloud.desk.passwords[int(password_id)]
        self.cloud.desk.passwords[int(password_id)] = replace(known, **more)

    def delete(self, password_id: str) -> None:
        """As ``deleteTemporaryPassword`` does it."""
        self.cloud.desk._delete({"device_id": DEVICE, "password_id": password_id})

    def carry(self) -> None:
        """The work of a sink of the cloud: what is on its way comes there, as sinks write it."""
        for report in self.world.book.reports:
            for one in report.happenings:
                is_late = self.world.clock.unix() - one.at > IN_TIME
                if not (is_late and one.kind is RecordKind.ADD_TEMPORARY_PASSWORD):
                    self._hear(one)
        self.world.book.reports.clear()

    def _hear(self, one: Happening) -> None:
        code, value = STANDARD_CODES[one.kind], b64encode(one.data.reveal()).decode()
        time_ms = round(one.at * 1000)
        self.cloud.desk.heard(
            ReportedRecord(device_id=DEVICE, code=code, value=value, time_ms=time_ms)
        )

    # -- the agent

    async def look(self) -> None:
        """The cloud is asked, and what follows from it comes to its end."""
        await self.looks.look(DOOR)
        await self.quiet()

    async def quiet(self) -> None:
        """Nothing goes on at the lock any more."""
        await anyio.sleep(0.1)
        for _ in range(200):
            if not self.world.lock.is_connected and not self._owner._runs:
                break
            await anyio.sleep(1)
        await anyio.sleep(61)  # a lock is not visited more often

    @property
    def _owner(self) -> Any:
        return self.world.doors._supervisor.owner(DOOR)

    def states(self) -> dict[str, State]:
        """What is kept of each."""
        return {name: one.state for (_, name), one in self.book.rows.items()}

    # -- the lock

    @property
    def app(self) -> LockApplication:
        """The lock's application."""
        app = self.world.lock.app
        assert isinstance(app, LockApplication)
        return app

    def at_lock(self) -> list[str]:
        """The digits of the temporary passwords that the lock has."""
        found = self.app.flash.credentials.values()
        temporary = [one for one in found if one.method == Method.TEMPORARY_PASSWORD]
        return sorted("".join(map(str, one.digits)) for one in temporary)

    def opens(self, pin: str) -> bool:
        """Whether it opens at the keypad now; a use of it is not counted."""
        flash = self.app.flash
        before = {number: replace(one) for number, one in flash.credentials.items()}
        unix = int(self.app.clock.read(self.world.clock.now()))
        try:
            typed = bytes(int(digit) for digit in pin)
            return self.app.credentials.type_temporary(typed, unix) is not None
        finally:
            flash.credentials.clear()
            flash.credentials.update(before)
