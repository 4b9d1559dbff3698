"""A virtual lock as BlueZ sees one: what it advertises, and one connection at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dbus_fast import Variant

from bleagent.clock import SystemClock
from bleagent.ports import Clock
from bleagent.simulator.actions import Action, HungUp, Notification
from bleagent.simulator.advertising import PRODUCT_ID, advertisement
from bleagent.simulator.virtual_lock import VirtualLock
from protocol import GattProfile
from protocol.gatt import PROFILES, build_read_value

HEADER = 3
"""Bytes of an ATT packet that are not payload."""


@dataclass(kw_only=True, eq=False)
class ScriptedLock:
    """One lock and how it is heard. All fields may be changed at any time."""

    lock: VirtualLock
    address: str
    """Upper case, with colons."""
    clock: Clock = field(default_factory=SystemClock)
    product_id: str = PRODUCT_ID
    rssi: int = -60
    wants_connection: bool = False
    in_range: bool = True
    """False: it is not heard, and connecting to it takes until BlueZ gives up."""
    heard_by: set[str] | None = None
    """Adapters (``hci0``) that it is in range of; None: all."""
    missing: set[str] = field(default_factory=set)
    """Characteristics (full UUIDs) that BlueZ's memory of its table lacks, until it is removed."""
    writes: list[bytes] = field(default_factory=list)
    """Every value that was written, in order."""
    connections: int = 0
    """How often somebody connected."""
    on_write: Callable[[], None] = lambda: None
    """Is told of each write, after the lock has dealt with it."""
    _notify: Callable[[bytes], bool] | None = field(default=None, init=False)
    _hang_up: Callable[[], None] | None = field(default=None, init=False)
    _timer: asyncio.TimerHandle | None = field(default=None, init=False)

    @property
    def profile(self) -> GattProfile:
        """Its characteristics."""
        return PROFILES[self.lock.firmware.gatt]

    @property
    def mtu(self) -> int:
        """ATT_MTU of a connection to it."""
        return self.lock.att_payload + HEADER

    @property
    def is_connected(self) -> bool:
        """Whether somebody is connected, whoever it is."""
        return self._hang_up is not None

    def is_heard_by(self, adapter: str) -> bool:
        """Whether it is near enough and advertises or could be connected to."""
        near = self.heard_by is None or adapter in self.heard_by
        return self.in_range and near and self.lock.powered

    def advertised(self) -> dict[str, Variant]:
        """The properties of ``org.bluez.Device1`` that its advertisement gives."""
        heard = advertisement(
            self.lock, product_id=self.product_id, wants_connection=self.wants_connection
        )
        data = {heard.service_uuid: Variant("ay", heard.service_data())}
        maker: dict[int, Variant] = {}
        if heard.company_id is not None:
            maker[heard.company_id] = Variant("ay", heard.manufacturer_data())
        name = (heard.local_name or "").rstrip("\0")
        return {
            "Name": Variant("s", name),
            "Alias": Variant("s", name),
            "UUIDs": Variant("as", [heard.service_uuid]),
            "ServiceData": Variant("a{sv}", data),
            "ManufacturerData": Variant("a{qv}", maker),
            "RSSI": Variant("n", self.rssi),
        }

    def read_value(self) -> bytes:
        """What its read characteristic gives (new generation)."""
        return build_read_value(*advertisement(self.lock, product_id=self.product_id).to_bytes())

    # -- the connection

    def connect(self, notify: Callable[[bytes], bool], hang_up: Callable[[], None]) -> None:
        """Somebody connects. ``notify`` says whether anybody was subscribed."""
        self.connections += 1
        self._notify, self._hang_up = notify, hang_up
        self._pass_on(self.lock.connected(self.clock.now()))

    def disconnect(self, reason: str = "the central left") -> None:
        """The connection ends, from the other side or by losing it."""
        if self._hang_up is None:
            return
        self._notify = self._hang_up = None
        self._pass_on(self.lock.disconnected(self.clock.now(), reason))

    def write(self, value: bytes) -> None:
        """One write without response."""
        self.writes.append(value)
        self._pass_on(self.lock.write(value, self.clock.now()))
        self.on_write()

    def act(self, event: Mapping[str, Any]) -> None:
        """Something happens at the lock (an event of the capture format)."""
        self._pass_on(self.lock.local(event, self.clock.now()))

    def hang_up(self) -> None:
        """The lock ends the connection of its own accord."""
        hang_up = self._hang_up
        self.disconnect("the lock hung up")
        if hang_up is not None:
            hang_up()

    def lose_power(self) -> None:
        """No word any more; BlueZ notices after the supervision timeout, here at once."""
        self.act({"power": "off"})

    def notify(self, value: bytes) -> None:
        """A notification that no lock sent."""
        if self._notify is not None:
            self._notify(value)

    def _pass_on(self, actions: list[Action]) -> None:
        for action in actions:
            if isinstance(action, Notification):
                if self._notify is not None and self._notify(action.value):
                    self.lock.delivered(action, self.clock.now())
            elif isinstance(action, HungUp):
                self.hang_up()
        self._wind_up()

    def _wind_up(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self.lock.next_timer()
        if due is not None:
            left = max(due - self.clock.now(), 0.001)
            self._timer = asyncio.get_running_loop().call_later(left, self._tick)

    def _tick(self) -> None:
        self._pass_on(self.lock.tick(self.clock.now()))

    def stop(self) -> None:
        """No timer of it runs any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
