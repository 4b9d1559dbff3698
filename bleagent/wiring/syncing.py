"""The composition root's part for what is brought to locks: the desks, and who asks the cloud."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import anyio
import structlog
from anyio.abc import TaskGroup

from bleagent.adapters.sqlite_store import SqliteStore
from bleagent.audit.chain import Audit
from bleagent.cloud.client import CloudClient
from bleagent.config.file import Config
from bleagent.model import LockFacts
from bleagent.policy import PasswordDelivery, Upkeep
from bleagent.ports import Clock
from bleagent.records.beside import CallsBeside
from bleagent.sync.password_desk import PasswordDesk, SyncState
from bleagent.sync.password_look import PasswordLooks
from bleagent.sync.passwords import Item
from bleagent.sync.upkeep import Note, Wanted
from bleagent.sync.upkeep_desk import UpkeepDesk, UpkeepState
from bleagent.sync.upkeep_look import UpkeepLooks
from protocol import Secret

log = structlog.get_logger()


def has_desks(config: Config) -> bool:
    """Whether anything is brought to any lock."""
    return bool(_delivered(config) or _kept_up(config))


def _delivered(config: Config) -> dict[str, str]:
    """Name and device id of the locks whose passwords are brought."""
    return {
        lock.name: lock.device_id
        for lock in config.locks
        if lock.strategies.passwords is PasswordDelivery.DELIVER
    }


def _kept_up(config: Config) -> dict[str, str]:
    """Name and device id of the locks whose upkeep is kept."""
    return {
        lock.name: lock.device_id for lock in config.locks if lock.strategies.upkeep is Upkeep.KEEP
    }


class Syncing:
    """The desks of each lock to which something is brought; ``tasks`` outlive every connection."""

    def __init__(
        self,
        config: Config,
        locks: Mapping[str, LockFacts],
        store: SqliteStore,
        cloud: CloudClient,
        clock: Clock,
        tasks: TaskGroup,
        audit: Audit,
    ) -> None:
        self._devices, self._kept_up = _delivered(config), _kept_up(config)
        calls = CallsBeside(tasks, "passwords")
        self._desks = {
            name: PasswordDesk(device_id, store.passwords, calls, clock, partial(self._ended, name))
            for name, device_id in self._devices.items()
        }
        self._upkeep = {
            name: UpkeepDesk(
                device_id, locks[name].keys.local_key or Secret(""), store.upkeep, calls, clock,
                partial(self._wanted, name), partial(self._noted, name),
            )
            for name, device_id in self._kept_up.items()
        }  # fmt: skip
        self._audit = audit
        self._cloud = cloud
        self._relayed = config.cloud.panel_url is not None
        self._clock = clock

    def desk(self, lock: str) -> PasswordDesk | None:
        """A lock's passwords; None: none are brought to it."""
        return self._desks.get(lock)

    def upkeep(self, lock: str) -> UpkeepDesk | None:
        """A lock's upkeep; None: it is left to others."""
        return self._upkeep.get(lock)

    def _ended(self, lock: str, item: Item) -> None:
        """The cloud knows it by its id, the lock by its number; nothing here knows its digits."""
        event, why = f"password.{item.state}", None if item.why is None else item.why.value
        password, number, result = item.password_id, item.hardid, item.result
        log.info(event, lock=lock, password=password, number=number, result=result, why=why)
        self._audit.tell(event, lock=lock, password=password, number=number, result=result, why=why)

    def _noted(self, lock: str, note: Note) -> None:
        """Which T0, and what is on the list, is in no log."""
        event, progress = f"upkeep.{note.subject}", note.progress.value
        log.info(event, lock=lock, progress=progress)
        self._audit.tell(event, lock=lock, progress=progress)

    def states(self) -> Mapping[str, SyncState]:
        """How the passwords of each stand."""
        return {name: desk.state() for name, desk in self._desks.items()}

    def upkeeps(self) -> Mapping[str, UpkeepState]:
        """How the upkeep of each stands."""
        return {name: desk.state() for name, desk in self._upkeep.items()}

    async def run(
        self, visit: Callable[[str], object], fault: Callable[[str, Exception], None]
    ) -> None:
        """Look what the cloud holds, until cancelled; nothing where nothing is brought."""
        async with anyio.create_task_group() as looks:
            if self._desks:
                looks.start_soon(self._look_for_passwords, visit, fault)
            if self._upkeep:
                looks.start_soon(self._look_for_t0, visit, fault)

    # Only in here: most gateways bring nothing, and do without the typed calls.

    async def _look_for_passwords(
        self, visit: Callable[[str], object], fault: Callable[[str, Exception], None]
    ) -> None:
        from bleagent.cloud.held_passwords import CloudPasswords  # noqa: PLC0415

        source = CloudPasswords(self._cloud, self._devices, relayed=self._relayed)
        await PasswordLooks(self._desks, source, self._clock, visit, fault).run()

    async def _look_for_t0(
        self, visit: Callable[[str], object], fault: Callable[[str, Exception], None]
    ) -> None:
        from bleagent.cloud.upkeep import CloudUpkeep  # noqa: PLC0415

        source = CloudUpkeep(self._cloud, self._kept_up)
        await UpkeepLooks(self._upkeep, source, self._clock, visit, fault).run()

    async def _wanted(self, lock: str) -> Wanted | None:
        from bleagent.cloud.upkeep import CloudUpkeep  # noqa: PLC0415

        return await CloudUpkeep(self._cloud, self._kept_up).wanted(lock)
