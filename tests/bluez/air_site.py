"""The real daemon in a process of its own, before a lock on the air."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from anyio.abc import Process

from bleagent.clock import SystemClock
from bleagent.simulator.peripheral import PeripheralLock
from tests.system.daemon import Site

from .air import Air, Radio

ADDRESS = "DC:23:51:00:00:42"


class AirSite(Site):
    """A gateway whose lock is reached by Bluetooth.

    ``environment`` leads the daemon to that Bluetooth.
    """

    def __init__(
        self, folder: Path, air: Air, environment: Mapping[str, str], *, firmware: str = "v3.0"
    ) -> None:
        super().__init__(folder, firmware=firmware)
        self._air = air
        self._environment = environment
        self._radio = Radio(air, ADDRESS, "lock")
        self.opened_at = 0.0
        """When the bolt was last drawn back, by ``time.perf_counter``."""
        self.peripheral = PeripheralLock(
            self.lock, SystemClock(), self._radio.transport, interval=30, tap=self._tap
        )

    @asynccontextmanager
    async def up(self) -> AsyncIterator[None]:
        """Lock and cloud."""
        before = {name: os.environ.get(name) for name in self._environment}
        os.environ.update(self._environment)  # what the daemon inherits
        try:
            async with self.cloud.serve() as base_url, self.peripheral.serve():
                self.configure(base_url, "")
                yield
            self._air.plug_out(self._radio)
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value

    def _tap(self, mark: str, packet: bytes) -> None:
        super()._tap(mark, packet)
        if (mark, packet) == ("!", b"opened"):
            self.opened_at = time.perf_counter()

    @property
    def is_connected(self) -> bool:
        """Whether any central is."""
        return self.peripheral.is_connected

    def leave_range(self) -> None:
        """Nobody hears the lock any more, nor it anybody."""
        self._air.silence(self._radio)

    def come_back(self) -> None:
        """In range again."""
        self._air.restore(self._radio)


async def killed(process: Process) -> None:
    """Dead, without a word."""
    process.kill()
    await process.wait()
