"""A virtual lock with a check code, on the air of a test."""

from __future__ import annotations

from bleagent.clock import SystemClock
from bleagent.ports import Clock
from bleagent.simulator.peripheral import PeripheralLock
from bleagent.simulator.profiles import profile
from bleagent.simulator.quirks import Quirks
from bleagent.simulator.virtual_lock import VirtualLock
from protocol import GattProfile, LockKeys
from protocol.gatt import PROFILES

from .air import Air, Radio
from .conversation import CODE, KEYS, PERIPHERAL

ADDRESS = "DC:23:51:00:00:01"


class Door(PeripheralLock):
    """A lock on the air of a test, with what its tap was told."""

    def __init__(
        self,
        air: Air,
        name: str = "v3.0",
        *,
        address: str = ADDRESS,
        clock: Clock | None = None,
        quirks: Quirks | None = None,
        bound: bool = True,
        keys: LockKeys = KEYS,
    ) -> None:
        self.radio = Radio(air, address, "lock")
        self.tapped: list[tuple[str, bytes]] = []
        clock = SystemClock() if clock is None else clock
        lock = VirtualLock(keys, profile(name), now=clock.now(), quirks=quirks, bound=bound)
        lock.preset_check_code(PERIPHERAL, CODE)
        super().__init__(
            lock, clock, self.radio.transport, interval=30,
            tap=lambda mark, what: self.tapped.append((mark, what)),
        )  # fmt: skip

    @property
    def profile(self) -> GattProfile:
        """Its characteristics."""
        return PROFILES[self.lock.firmware.gatt]
