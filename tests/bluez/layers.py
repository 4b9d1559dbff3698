"""What a scenario asks of the world that it is played in, whichever that is.

One is bumble in this process, one a scripted bluetoothd, one a real BlueZ in a machine; above
each are our adapter, our radio and the jobs, as in the daemon.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from bleagent.ports import Bluetooth
from bleagent.simulator.quirks import Quirks
from bleagent.simulator.virtual_lock import VirtualLock

Do = Callable[[], Awaitable[None]]


class Ability(Enum):
    """What not every world can do."""

    BLUETOOTHD = "there is a bluetoothd, which can be killed"
    ADAPTER = "the adapter can be pulled out and put back"
    PROCESS = "other processes can use the same Bluetooth"


@dataclass
class Hooks:
    """What is to happen when the lock gets its n-th write from now, or moves its bolt."""

    _writes_left: int = 0
    _on_write: Do | None = None
    _on_opened: Do | None = None
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def after_writes(self, count: int, do: Do) -> None:
        """Once, when so many more writes have arrived."""
        self._writes_left, self._on_write = count, do

    def when_opened(self, do: Do) -> None:
        """Once, when the bolt is drawn back."""
        self._on_opened = do

    @property
    def waiting(self) -> bool:
        """Whether something is still to happen."""
        return self._on_write is not None or self._on_opened is not None

    def clear(self) -> None:
        """Nothing is to happen any more."""
        self._on_write = self._on_opened = None

    def written(self) -> None:
        """A write arrived."""
        self._writes_left -= 1
        if self._on_write is not None and self._writes_left <= 0:
            do, self._on_write = self._on_write, None
            self._start(do)

    def opened(self) -> None:
        """The bolt was drawn back."""
        if self._on_opened is not None:
            do, self._on_opened = self._on_opened, None
            self._start(do)

    def _start(self, do: Do) -> None:
        async def run() -> None:
            await do()

        self.tasks.append(asyncio.get_running_loop().create_task(run()))

    async def done(self) -> None:
        """What was started has ended; raises what it raised."""
        for task in self.tasks:
            await task


class LockHere(Protocol):
    """One lock in range, and what can be done to it."""

    hooks: Hooks

    @property
    def lock(self) -> VirtualLock:
        """Itself, with its own log of the truth."""
        ...

    @property
    def address(self) -> str:
        """Upper case, with colons."""
        ...

    @property
    def is_connected(self) -> bool:
        """Whether any central is connected."""
        ...

    async def hang_up(self) -> None:
        """The lock ends the connection."""
        ...

    async def power(self, *, on: bool) -> None:
        """Batteries out, batteries in."""
        ...

    async def leave_range(self) -> None:
        """Nobody hears it any more, nor it anybody."""
        ...

    async def come_back(self) -> None:
        """In range again."""
        ...

    async def say(self, value: bytes) -> None:
        """A notification of this value."""
        ...

    def taken(self) -> AbstractAsyncContextManager[None]:
        """Another central holds the connection as long as the context lasts."""
        ...


class Layer(Protocol):
    """A world."""

    abilities: frozenset[Ability]
    adapter: str
    """Name of ours in it."""
    slow: bool
    """Whether connecting takes seconds: fewer rounds will do."""

    @property
    def bluetooth(self) -> Bluetooth:
        """Our own adapter, on it."""
        ...

    @property
    def environment(self) -> dict[str, str]:
        """For another process that is to use the same Bluetooth."""
        ...

    def place(
        self, profile: str, address: str, quirks: Quirks | None
    ) -> AbstractAsyncContextManager[LockHere]:
        """Put a lock in range."""
        ...

    async def kill_bluetoothd(self) -> None:
        """Killed; somebody starts it again."""
        ...

    async def plug_out(self) -> None:
        """The adapter is pulled out."""
        ...

    async def plug_in(self) -> None:
        """And put back; returns when it is powered."""
        ...
