"""``ports.Bluetooth`` on a Linux machine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Self

import anyio
from bleak_retry_connector import clear_cache

from bleagent.errors import LockNotFound
from bleagent.model import AdapterInfo, Sighting
from bleagent.ports import Clock

from .attempt import Attempt
from .faults import NoAdapter
from .heard import Heard
from .link import BluezLink
from .scan import Mode, Scan
from .stack import BluezStack, Stack

FORGET_TIMEOUT = 6.0
"""Seconds for bleak to drop what it remembers of a device."""


class BluezBluetooth:
    """Implements ``ports.Bluetooth``; an async context that leaves the bus at its end.

    It has no policy: one call, one attempt. Calls for different adapters are independent; of one
    adapter connect one lock at a time.
    """

    def __init__(self, clock: Clock, stack: Stack | None = None, mode: Mode = Mode.ACTIVE) -> None:
        self._clock = clock
        self._stack: Stack = BluezStack() if stack is None else stack
        self._mode = mode
        self._heard: dict[str, Heard] = {}
        self._scanning: dict[str, int] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Leave the bus; whatever is still connected or scanning ends."""
        with anyio.CancelScope(shield=True):
            await self._stack.aclose()

    async def adapters(self) -> list[AdapterInfo]:
        """Those that are there now.

        Raises:
            RadioUnavailable: there is none, or the bus or bluetoothd is missing; each says what
                to do.
        """
        found = await self._stack.adapters()
        if not found:
            raise NoAdapter("bluetoothd has no adapter")
        return [one.info for one in found]

    @asynccontextmanager
    async def scan(self, adapter: str, heard: Callable[[Sighting], None]) -> AsyncIterator[None]:
        """Listen as long as the context lasts; ``heard`` is told of locks only.

        Raises:
            RadioBusy: bluetoothd says that a scan is in progress.
            RadioUnavailable: the adapter or bluetoothd is missing; also out of the context, when
                that happens while listening.
        """
        passive = False
        if self._mode is Mode.PASSIVE_FIRST:
            passive = await self._can_listen_passively(adapter)
        scan = Scan(adapter, self._table(adapter), heard, passive=passive)
        async with scan.listening(self._stack):
            self._scanning[adapter] = self._scanning.get(adapter, 0) + 1
            try:
                yield
            finally:
                self._scanning[adapter] -= 1

    @asynccontextmanager
    async def connect(
        self, adapter: str, address: str, *, within: float, fresh: bool = False,
        linked: Callable[[], None] = lambda: None,
    ) -> AsyncIterator[BluezLink]:  # fmt: skip
        """One attempt; entered when notifications are on. Leaving it disconnects.

        After ``within`` seconds up to 10 more may pass until nothing of the attempt is left.

        Raises:
            LockNotFound: not heard on this adapter, forgotten by bluetoothd, or no answer.
            IncompleteTable: connected, but a characteristic is missing.
            LinkError: anything else.
        """
        began = self._clock.now()
        attempt = await self._prepare(adapter, address, within, linked, fresh=fresh)
        watch = await self._stack.watch(
            adapter, lambda fault: attempt.link.cut(str(fault)), attempt.address
        )
        try:
            left = within - (self._clock.now() - began)
            link = await attempt.connect(left, fresh=fresh)
            try:
                yield link
            finally:
                await attempt.leave()
        finally:
            watch.remove()

    async def forget(self, adapter: str, address: str) -> None:
        """Remove bluetoothd's and bleak's memory of a device. Raises LinkError."""
        self._table(adapter).drop(address)
        with anyio.move_on_after(FORGET_TIMEOUT):
            await clear_cache(address)
        await self._stack.forget(adapter, address)

    async def connected(self, adapter: str) -> list[str]:
        """Addresses that bluetoothd holds connections to. Raises RadioUnavailable."""
        return await self._stack.connected(adapter)

    async def disconnect(self, adapter: str, address: str) -> None:
        """End somebody's connection; returns when it is seen to have ended. Raises LinkError."""
        await self._stack.end(adapter, address)

    async def power_cycle(self, adapter: str) -> None:
        """Off and on again; returns when it is on. Raises RadioUnavailable."""
        try:
            await self._stack.set_power(adapter, on=False)
        finally:
            with anyio.CancelScope(shield=True):  # never left off by a cancellation
                await self._stack.set_power(adapter, on=True)

    # -- inside

    def _table(self, adapter: str) -> Heard:
        if adapter not in self._heard:
            self._heard[adapter] = Heard(adapter, self._clock.now)
        return self._heard[adapter]

    async def _can_listen_passively(self, adapter: str) -> bool:
        details = await self._stack.adapters()
        return any(one.passive_scan for one in details if one.info.name == adapter)

    async def _prepare(
        self, adapter: str, address: str, within: float, linked: Callable[[], None], *, fresh: bool
    ) -> Attempt:
        """Everything before the attempt itself: the device, and nobody else's connection."""
        table = self._table(adapter)
        if table.device(address) is None:
            raise LockNotFound(f"{address} has not been heard on {adapter}")
        with anyio.move_on_after(within) as scope:
            try:
                # A connection that a dead process left: the lock would go on with its numbers.
                if await self._stack.is_connected(adapter, address):
                    await self._stack.end(adapter, address)
            except LockNotFound:
                table.drop(address)
                raise
            if fresh:
                await self.forget(adapter, address)
                await self._hear(adapter, address)
        device = table.device(address)
        if scope.cancelled_caught or device is None:
            raise LockNotFound(f"{address} was not heard on {adapter} within {within:.0f} s")
        return Attempt(self._stack, adapter, device, linked)

    async def _hear(self, adapter: str, address: str) -> None:
        """Until it is heard again, by the scan that runs or by one of our own."""
        if self._scanning.get(adapter):
            await self._table(adapter).again(address)
            return
        async with self.scan(adapter, lambda _: None):
            await self._table(adapter).again(address)
