"""A lock's upkeep between a virtual cloud and a virtual lock, in virtual time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import anyio

from bleagent.doors import Doors
from bleagent.errors import CloudError, StoreError
from bleagent.records.beside import CallsBeside
from bleagent.simulator.lock_app.flash import Credential
from bleagent.simulator.lock_app.lock_application import LockApplication
from bleagent.simulator.log import Replied
from bleagent.sync.upkeep import Note, Progress, Subject, Wanted
from bleagent.sync.upkeep_desk import UpkeepDesk
from bleagent.sync.upkeep_look import UpkeepLooks
from protocol import Secret
from protocol.credentials import Method, Validity
from protocol.records import RecordKind
from tests.agent.world import DOOR, World, supervise

KEY = Secret("abcdef0123456789")
PAIRED = 1_622_000_424
ASKED, T0 = 54, 64
EVERY_KIND = bytes.fromhex("04f0080506030102")
"""As a real cloud has sent them; recorded locks know five of them."""


@dataclass(slots=True)
class MemoryUpkeep:
    """Implements ``upkeep_desk.UpkeepBook`` in memory."""

    rows: dict[tuple[str, Subject], Note] = field(default_factory=dict)
    fails: bool = False
    hangs: bool = False
    kept: int = 0
    then: Callable[[int], None] = lambda _: None
    """Called with the number of each commit, when it is done."""

    async def notes(self, lock: str) -> tuple[Note, ...]:
        await self._commit()
        return tuple(one for (of, _), one in self.rows.items() if of == lock)

    async def note(self, lock: str, note: Note) -> None:
        await self._commit()
        self.rows[lock, note.subject] = note
        self.kept += 1
        self.then(self.kept)

    async def _commit(self) -> None:
        await anyio.lowlevel.checkpoint()
        if self.hangs:
            await anyio.sleep_forever()
        if self.fails:
            raise StoreError("the disk is broken")


@dataclass(slots=True)
class CloudSide:
    """Implements ``upkeep_look.T0Source``, and says what is wanted of a lock."""

    paired: int | None = PAIRED
    wants: Wanted | None = None
    down: bool = False
    takes: float = 0.05
    wishes: int = 0
    """How often it was asked for them."""

    async def paired_at(self) -> dict[str, int | None]:
        await self._answer()
        return {DOOR: self.paired}

    async def wanted(self) -> Wanted | None:
        self.wishes += 1
        await self._answer()
        return self.wants

    async def _answer(self) -> None:
        await anyio.sleep(self.takes)
        if self.down:
            raise CloudError("the cloud is down")


class Upkept:
    """What a story needs beside the world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.book = MemoryUpkeep()
        self.cloud = CloudSide()
        self.faults: list[Exception] = []
        self.noted: list[tuple[Subject, Progress]] = []
        self.visits = 0
        self.start()

    def start(self) -> None:
        """An agent begins, over the store that there is."""
        world = self.world
        calls = CallsBeside(world.tasks, "passwords")
        self.desk = UpkeepDesk(
            DOOR, KEY, self.book, calls, world.clock, self.cloud.wanted,
            lambda note: self.noted.append((note.subject, note.progress)),
        )  # fmt: skip
        doors = dict(world.doors._doors)
        links = replace(world.doors._supervisor._owners[DOOR]._ports, upkeep=lambda _: self.desk)
        supervisor = supervise(doors, links, world.tasks)
        world.doors = Doors(doors, world.doors._ports, supervisor, world.tasks)
        self.looks = UpkeepLooks(
            {DOOR: self.desk}, self.cloud, world.clock, self._visit,
            lambda _, error: self.faults.append(error),
        )  # fmt: skip

    def _visit(self, lock: str) -> None:
        self.visits += 1
        self.world.doors._supervisor.called(lock)

    # -- the agent

    async def look(self) -> None:
        """The cloud is asked, and what follows from it comes to its end."""
        await self.looks.look()
        await self.quiet()

    async def visit(self) -> None:
        """Somebody is at the lock for another reason."""
        self.world.doors._supervisor.called(DOOR)
        await self.quiet()

    async def quiet(self) -> None:
        """Nothing goes on at the lock any more."""
        await anyio.sleep(0.1)
        for _ in range(300):
            if not self.world.lock.is_connected and not self._owner._runs:
                break
            await anyio.sleep(1)
        await anyio.sleep(61)  # a lock is not visited more often

    @property
    def _owner(self) -> Any:
        return self.world.doors._supervisor.owner(DOOR)

    def progress(self, subject: Subject) -> Progress | None:
        """How far it is, by the disk."""
        note = self.book.rows.get((DOOR, subject))
        return None if note is None else note.progress

    # -- the lock

    @property
    def app(self) -> LockApplication:
        """The lock's application."""
        app = self.world.lock.app
        assert isinstance(app, LockApplication)
        return app

    def enrol(self, method: Method, *numbers: int) -> None:
        """Somebody is given a way to open, at the lock."""
        for number in numbers:
            self.app.flash.credentials[number] = Credential(
                method, 1, 1, Validity.permanent().to_bytes(), 0, b"\1\2\3\4\5\6"
            )

    def replies(self, dp: int) -> list[Replied]:
        """What the lock said about one datapoint."""
        return [one for one in self.world.lock.log if isinstance(one, Replied) and one.dp == dp]

    def reported(self) -> list[list[bytes]]:
        """The lists on their way to the sinks, page by page."""
        return [
            [one.data.reveal() for one in report.happenings]
            for report in self.world.book.reports
            if report.happenings[0].kind is RecordKind.CREDENTIALS
        ]
