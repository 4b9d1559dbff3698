"""The composition root's part for temporary passwords: their desks, and who asks the cloud."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import structlog
from anyio.abc import TaskGroup

from .adapters.sqlite_store import SqliteStore
from .audit import Audit
from .beside import CallsBeside
from .cloud.client import CloudClient
from .config.file import Config
from .password_desk import PasswordDesk, SyncState
from .passwords import Item
from .policy import PasswordDelivery
from .ports import Clock
from .sync_look import PasswordLooks

log = structlog.get_logger()


def brings_passwords(config: Config) -> bool:
    """Whether any lock's passwords are brought to it."""
    return any(lock.strategies.passwords is PasswordDelivery.DELIVER for lock in config.locks)


class Syncing:
    """A desk for each lock whose passwords are brought; ``tasks`` outlive every connection."""

    def __init__(
        self,
        config: Config,
        store: SqliteStore,
        cloud: CloudClient,
        clock: Clock,
        tasks: TaskGroup,
        audit: Audit,
    ) -> None:
        devices = {
            lock.name: lock.device_id
            for lock in config.locks
            if lock.strategies.passwords is PasswordDelivery.DELIVER
        }
        calls = CallsBeside(tasks, "passwords")
        self._desks = {
            name: PasswordDesk(device_id, store.passwords, calls, clock, partial(self._ended, name))
            for name, device_id in devices.items()
        }
        self._audit = audit
        self._cloud = cloud
        self._devices = devices
        self._relayed = config.cloud.panel_url is not None
        self._clock = clock

    def desk(self, lock: str) -> PasswordDesk | None:
        """A lock's; None: nothing is brought to it."""
        return self._desks.get(lock)

    def _ended(self, lock: str, item: Item) -> None:
        """The cloud knows it by its id, the lock by its number; nothing here knows its digits."""
        event, why = f"password.{item.state}", None if item.why is None else item.why.value
        password, number, result = item.password_id, item.hardid, item.result
        log.info(event, lock=lock, password=password, number=number, result=result, why=why)
        self._audit.tell(event, lock=lock, password=password, number=number, result=result, why=why)

    def states(self) -> Mapping[str, SyncState]:
        """How each stands."""
        return {name: desk.state() for name, desk in self._desks.items()}

    async def run(
        self, visit: Callable[[str], object], fault: Callable[[str, Exception], None]
    ) -> None:
        """Look what the cloud holds, until cancelled; nothing where none are brought."""
        if not self._desks:
            return
        # Only here: most gateways bring none, and do without the typed calls.
        from .cloud.held_passwords import CloudPasswords  # noqa: PLC0415

        source = CloudPasswords(self._cloud, self._devices, relayed=self._relayed)
        await PasswordLooks(self._desks, source, self._clock, visit, fault).run()
