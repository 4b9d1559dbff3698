"""Listening on one adapter."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from enum import Enum
from typing import Any

import anyio
import structlog
from bleak import BleakScanner
from bleak.args.bluez import BlueZScannerArgs, OrPattern
from bleak.assigned_numbers import AdvertisementDataType
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData

from bleagent.errors import LinkError
from bleagent.model import Sighting
from protocol.advertised_fields import AdvertisementFormat
from protocol.advertisement import Advertisement
from protocol.gatt import ADVERTISED_A201, ADVERTISED_FD50, ADVERTISED_UUIDS

from . import manager
from .bounds import in_bounds
from .faults import RAISED, About, translate
from .heard import Heard
from .stack import Stack

log = structlog.get_logger()

START_TIMEOUT = 10.0
"""Seconds for bluetoothd to begin."""
STOP_TIMEOUT = 5.0
"""Seconds for it to stop."""


class Mode(Enum):
    """Whether locks are asked for their scan responses."""

    ACTIVE = "active"
    """Always. Everything that a lock advertises is heard each time it does; costs it an answer."""
    PASSIVE_FIRST = "passive-first"
    """Passively where bluetoothd can, until a lock is heard whose scan response is needed.

    Not for finding a lock quickly: bluetoothd signals a device that is listened to so only when
    something of it changes (seen on 5.66), so that a lock in range may stay unheard for long.
    """


# Each form names its UUID in a list in the advertising data proper. No more than these four:
# bluetoothd 5.66 aborts ("free(): invalid next size") when a monitor has eleven patterns.
_OR_PATTERNS = [
    OrPattern(0, kind, int(uuid[4:8], 16).to_bytes(2, "little"))
    for kind in (
        AdvertisementDataType.INCOMPLETE_LIST_SERVICE_UUID16,
        AdvertisementDataType.COMPLETE_LIST_SERVICE_UUID16,
    )
    for uuid in (ADVERTISED_A201, ADVERTISED_FD50)
]


class Scan:
    """One time of listening."""

    def __init__(
        self, adapter: str, heard: Heard, tell: Callable[[Sighting], None], *, passive: bool
    ) -> None:
        self._adapter = adapter
        self._heard = heard
        self._tell = tell
        self._passive = passive
        self._scanner: BleakScanner | None = None
        self._switching: asyncio.Task[None] | None = None
        self._scope = anyio.CancelScope()
        self._fault: LinkError | None = None

    @asynccontextmanager
    async def listening(self, stack: Stack) -> AsyncIterator[None]:
        """As long as the context lasts.

        Raises:
            RadioBusy: a scan is in progress already.
            RadioUnavailable: there is no adapter, or it went away while listening.
        """
        with self._scope:
            watch = await stack.watch(self._adapter, self._give_up)
            try:
                await self._start()
                yield
            finally:
                watch.remove()
                with anyio.CancelScope(shield=True):
                    await self._stop()
        if self._fault is not None:
            raise self._fault

    def _give_up(self, fault: LinkError) -> None:
        self._fault = self._fault or fault
        self._scope.cancel()

    async def _start(self) -> None:
        if self._passive:
            try:
                await self._begin("passive", {"or_patterns": list(_OR_PATTERNS)})
            except LinkError as error:
                log.info("bluez.no_passive_scan", adapter=self._adapter, error=str(error))
                self._passive = False
            else:
                return
        filters: Any = {"UUIDs": list(ADVERTISED_UUIDS), "DuplicateData": True}
        await self._begin("active", {"filters": filters})

    async def _begin(self, mode: Any, options: BlueZScannerArgs) -> None:
        scanner = BleakScanner(
            self._on_report,
            scanning_mode=mode,
            bluez={"adapter": self._adapter, **options},
        )
        try:
            await in_bounds(scanner.start(), START_TIMEOUT, grace=1.0)
        except BaseException as error:
            await manager.stop_discovery(self._adapter)
            if isinstance(error, RAISED):
                raise translate(error, f"scanning on {self._adapter}", About.ADAPTER) from error
            raise
        self._scanner = scanner

    async def _stop(self) -> None:
        if self._switching is not None:
            self._switching.cancel()
            await asyncio.wait({self._switching}, timeout=STOP_TIMEOUT)
        await self._end()

    async def _end(self) -> None:
        scanner, self._scanner = self._scanner, None
        if scanner is None:
            return
        try:
            await in_bounds(scanner.stop(), STOP_TIMEOUT, grace=1.0)
        except RAISED as error:
            # Not powered, no bluetoothd: it does not scan either way.
            log.debug("bluez.scan_not_stopped", adapter=self._adapter, error=str(error))

    # -- what is heard

    def _on_report(self, device: BLEDevice, data: AdvertisementData) -> None:
        sighting = self._heard.take(device, data)
        if sighting is None:
            return
        if self._passive and _is_half(sighting.advertisement):
            self._passive = False
            self._switching = asyncio.create_task(self._switch())
        self._tell(sighting)

    async def _switch(self) -> None:
        """From passive to active."""
        await self._end()
        try:
            await self._start()
        except LinkError as error:
            self._give_up(error)


def _is_half(advertisement: Advertisement) -> bool:
    """Whether it takes the scan response to tell this lock from others of its kind."""
    if advertisement.identity is not None:
        return False
    return not (advertisement.format is AdvertisementFormat.V4 and advertisement.bound)
