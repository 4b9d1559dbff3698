"""The daemon, made to die by SIGKILL at a named point: ``crashing_daemon.py POINT run ...``.

``POINT`` is a name, or a name and how often it is reached: ``after take#3``. The adapters are
wrapped in this process and the product is left alone: no point of death exists in the code that
is installed at a door.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from bleagent.__main__ import main
from bleagent.adapters.socket_radio import SocketLink
from bleagent.adapters.sqlite_store.audit import SqliteAudit
from bleagent.adapters.sqlite_store.database import Database
from bleagent.adapters.sqlite_store.ledger import SqliteLedger
from bleagent.adapters.sqlite_store.memory import SqliteLockMemory
from bleagent.adapters.sqlite_store.passwords import SqlitePasswords
from bleagent.adapters.sqlite_store.records import SqliteRecords
from bleagent.cloud.client import CloudClient
from protocol import Central

BEFORE_COMMIT = (
    "before begin",
    "after begin",
    "after keep_issued_config",
    "before keep_proven",
    "after keep_proven",
    "before sending",
)
"""Nothing was committed to the disk: asking again is safe."""
AFTER_COMMIT = (
    "after sending",
    "before fragment 1",
    "after fragment 1",
    "before the last fragment",
    "after the last fragment",
    "before finish",
)
"""From here only the lock knows."""
FINISHED = ("after finish", "before take", "after take")
"""The lock tells of its opening a little later than it answers."""
POINTS = (*BEFORE_COMMIT, *AFTER_COMMIT, *FINISHED)
RECORD_STEPS = ("take", "drained", "report_property", "settle")
"""From the lock's report to the cloud's word on disk; a point before and behind each."""


AUDIT_POINTS = (
    "before append", "within append", "before empty_log", "after empty_log", "after append",
)  # fmt: skip
"""``within``: rows are written and the next key is not, in a transaction that is still open."""


class Executioner:
    """Kills this process when it reaches the point."""

    def __init__(self, point: str) -> None:
        self._point, _, times = point.partition("#")
        self._left = int(times or 1)
        self.fragments = 0
        self.committed = False
        self.last = False

    def reached(self, point: str) -> None:
        """Die here, if this is where."""
        if point != self._point:
            return
        self._left -= 1
        if not self._left:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, owner: type[Any], name: str) -> None:
        """Two points: before and after a method."""
        method: Callable[..., Awaitable[Any]] = getattr(owner, name)

        async def wrapped(*args: Any, **options: Any) -> Any:
            self.reached(f"before {name}")
            result = await method(*args, **options)
            if name == "sending":
                self.committed = True
            self.reached(f"after {name}")
            return result

        setattr(owner, name, wrapped)

    def within_append(self) -> None:
        """A point in the transaction of the audit, on the thread of its database."""
        keep = SqliteAudit._keep

        def wrapped(audit: SqliteAudit, *given: Any) -> None:
            self.reached("within append")
            keep(audit, *given)

        setattr(SqliteAudit, "_keep", wrapped)  # noqa: B010 - mypy refuses the assignment

    def around_writes(self) -> None:
        """The fragments of the command, which are those after ``sending``."""
        write, handed_over = SocketLink.write, Central.handed_over

        def watched(central: Central, *args: Any) -> None:
            self.last = self.committed
            handed_over(central, *args)

        async def wrapped(link: SocketLink, value: bytes) -> None:
            if not self.committed:
                await write(link, value)
                return
            self.fragments += 1
            which = "the last fragment" if self.last else f"fragment {self.fragments}"
            self.reached(f"before {which}")
            await write(link, value)
            self.reached(f"after {which}")
            self.committed = not self.last

        setattr(Central, "handed_over", watched)  # noqa: B010 - mypy refuses the assignment
        setattr(SocketLink, "write", wrapped)  # noqa: B010


if __name__ == "__main__":
    executioner = Executioner(sys.argv.pop(1))
    for owner, names in (
        (SqliteLedger, ("begin", "sending", "finish")),
        (SqliteLockMemory, ("keep_issued_config", "keep_proven")),
        (SqliteRecords, ("take", "drained", "settle")),
        (CloudClient, ("report_property",)),
        (SqliteAudit, ("append",)),
        (Database, ("empty_log",)),
        (SqlitePasswords, ("keep",)),
    ):
        for name in names:
            executioner.around(owner, name)
    executioner.within_append()
    executioner.around_writes()
    main()
