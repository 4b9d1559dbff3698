"""A virtual lock on a radio: a Bluetooth peripheral that any phone, gateway or dongle can reach.

The radio is whatever bumble can drive (``usb:0``, ``hci-socket:0``, ``serial:...``,
``tcp-client:...``), or a virtual controller in a test. Needs the extra ``lab``.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
from bumble import hci
from bumble.att import ATT_READ_NOT_PERMITTED_ERROR, ATT_Error
from bumble.core import UUID
from bumble.device import Connection, Device, DeviceConfiguration
from bumble.gatt import Characteristic, CharacteristicValue, Service
from bumble.transport import open_transport
from bumble.transport.common import Transport, TransportSpecError

from bleagent.ports import Clock
from protocol.advertisement import Advertisement
from protocol.gatt import PROFILES, build_read_value, expand_uuid

from .actions import Action, Closed, HungUp, Notification, Opened
from .advertising import LOCAL_NAMES, PRODUCT_ID, advertisement
from .application import LocalEventError
from .tap import Tap, no_tap
from .virtual_lock import VirtualLock

ATT_HEADER = 3
"""Bytes of an ATT packet that are not payload."""
ADVERTISING_INTERVAL = 100.0
"""Milliseconds."""
ANSWER_TIMEOUT = 10.0
"""Seconds in which a controller must have answered the first commands."""
PARTING_TIMEOUT = 2.0
"""Seconds for ending a connection, or for cleaning up."""
TRANSPORTS = "usb:0, hci-socket:0, serial:/dev/ttyACM0, tcp-client:HOST:PORT"


class RadioUnusable(Exception):
    """There is no controller to be driven; says what was found, what is expected, what to do."""


@dataclass(frozen=True, slots=True)
class _Advertise:
    """Begin to advertise, or advertise something new."""


_Work = Notification | HungUp | Opened | Closed | _Advertise
ADVERTISE = _Advertise()


@asynccontextmanager
async def open_radio(name: str) -> AsyncIterator[Transport]:
    """Open one of bumble's transports.

    Raises:
        RadioUnusable: there is no such transport, or it cannot be opened.
    """
    try:
        transport = await open_transport(name)
    except TransportSpecError as error:
        raise RadioUnusable(
            f"{name!r} is no transport ({error}); expected is one such as {TRANSPORTS}"
        ) from error
    except Exception as error:
        raise RadioUnusable(
            f"the radio {name!r} cannot be opened: {str(error) or type(error).__name__}. Expected "
            f"is a Bluetooth controller that nothing else is using, such as {TRANSPORTS}. A USB "
            "dongle must be yours to read and write and not in the hands of the kernel; "
            "hci-socket needs root and an adapter that is down (`hciconfig hci0 down`)."
        ) from error
    try:
        yield transport
    finally:
        with anyio.move_on_after(PARTING_TIMEOUT, shield=True):
            await transport.close()


class PeripheralLock:
    """Serves one lock; one central at a time, as a lock does.

    Args:
        lock: whose GATT table, advertisement and ATT_MTU follow from its firmware.
        clock: drives the lock's timers.
        transport: HCI to a controller of its own, which is reset.
        product_id: advertised while the lock belongs to nobody.
        wants_connection: advertise the bit that asks to be connected to.
        interval: milliseconds between advertisements.
        tap: is told each packet, connections and the motor.
    """

    def __init__(
        self,
        lock: VirtualLock,
        clock: Clock,
        transport: Transport,
        *,
        product_id: str = PRODUCT_ID,
        wants_connection: bool = False,
        interval: float = ADVERTISING_INTERVAL,
        tap: Tap = no_tap,
    ) -> None:
        self.lock = lock
        self.address = ""
        """Of the controller, upper case with colons, once it is served."""
        self._clock = clock
        self._product_id = product_id
        self._wants_connection = wants_connection
        self._interval = interval
        self._tap = tap
        self._todo: deque[_Work] = deque()
        self._early: list[Notification] = []
        """What the lock said before anybody could hear it: kept for the subscription."""
        self._changed = anyio.Event()
        self._connection: Connection | None = None
        self._subscribed = False
        self._transport = transport
        config = DeviceConfiguration(
            name=_name(lock), address=hci.Address.generate_static_address()
        )
        self._device = Device.from_config_with_hci(config, transport.source, transport.sink)
        self._device.gatt_server.max_mtu = lock.att_payload + ATT_HEADER
        self._device.on(Device.EVENT_CONNECTION, self._on_connection)
        self._notify = self._add_service()

    def _add_service(self) -> Characteristic[bytes]:
        profile = PROFILES[self.lock.firmware.gatt]
        kind = Characteristic.Properties
        write: Characteristic[bytes] = Characteristic(
            _uuid(profile.write), kind.WRITE_WITHOUT_RESPONSE | kind.WRITE,
            Characteristic.WRITEABLE,
            CharacteristicValue(read=_not_readable, write=self._on_write),
        )  # fmt: skip
        notify: Characteristic[bytes] = Characteristic(
            _uuid(profile.notify),
            kind.NOTIFY,
            Characteristic.READABLE,
            CharacteristicValue(read=_not_readable),
        )
        notify.on(Characteristic.EVENT_SUBSCRIPTION, self._on_subscription)
        table = [write, notify]
        if profile.read is not None:
            table.append(
                Characteristic(
                    _uuid(profile.read), kind.READ,
                    Characteristic.READABLE, CharacteristicValue(read=self._on_read),
                )
            )  # fmt: skip
        self._device.add_service(Service(_uuid(profile.service), table))
        return notify

    # -- what is done with it

    @property
    def advertisement(self) -> Advertisement:
        """What it advertises, or would if nobody were connected.

        Raises:
            LocalProtocolError: a key that the lock needs for it is absent.
        """
        return advertisement(
            self.lock, product_id=self._product_id, wants_connection=self._wants_connection
        )

    @property
    def is_connected(self) -> bool:
        """Whether a central is there."""
        return self._connection is not None

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[str]:
        """Advertise and serve; gives the address.

        Raises:
            RadioUnusable: the controller does not answer, or is gone.
            LocalProtocolError: the lock has nothing to advertise (``advertisement``).
        """
        self.advertisement.to_bytes()
        try:
            with anyio.fail_after(ANSWER_TIMEOUT):
                await self._device.power_on()
        except (TimeoutError, hci.HCI_Error) as error:
            raise RadioUnusable(
                "the radio could be opened, but no Bluetooth controller answers on it "
                f"({str(error) or 'silence'}). Expected is HCI; see that nothing else drives the "
                "controller and plug it in anew."
            ) from error
        self.address = self._own_address.to_string(with_type_qualifier=False)
        self._todo.append(ADVERTISE)
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._run)
                tasks.start_soon(self._watch_transport)
                yield self.address
                tasks.cancel_scope.cancel()
        finally:
            with anyio.move_on_after(PARTING_TIMEOUT, shield=True):
                await self._leave()

    async def act(self, event: Mapping[str, Any]) -> None:
        """Something happens at the lock (an event of the capture format).

        Losing power ends a connection without a word: its central notices by the silence.

        Raises:
            LocalEventError: it makes no sense now.
        """
        actions = self.lock.local(event, self._clock.now())
        if event.get("power") in ("off", "restart"):
            await self._fall_silent()
            actions = [one for one in actions if not isinstance(one, HungUp)]
        self._todo.append(ADVERTISE)
        self._do(actions)

    def want_connection(self, wants: bool) -> None:  # noqa: FBT001 - a bit on the air
        """Set or clear the bit that asks to be connected to."""
        self._wants_connection = wants
        self._todo.append(ADVERTISE)
        self._changed.set()

    async def hang_up(self) -> None:
        """End the connection as a lock does that has had enough."""
        self._do([HungUp("told to")])

    # -- what the radio says

    def _on_connection(self, connection: Connection) -> None:
        self._connection = connection
        self._subscribed = False
        connection.on(Connection.EVENT_DISCONNECTION, lambda _: self._gone(connection))
        self._tap("|", b"")
        try:
            said: list[Action] = self.lock.connected(self._clock.now())
        except LocalEventError as error:
            said = [HungUp(str(error))]  # it lost power a moment ago
        self._early = [one for one in said if isinstance(one, Notification)]
        self._do([one for one in said if not isinstance(one, Notification)])

    def _gone(self, connection: Connection) -> None:
        if self._connection is not connection:
            return
        self._connection = None
        self._tap("|", b"")
        self._todo.append(ADVERTISE)
        self._do(self.lock.disconnected(self._clock.now()))

    def _on_subscription(self, connection: Connection, notify: bool, _: bool) -> None:  # noqa: FBT001
        if connection is not self._connection:
            return
        self._subscribed = notify
        if notify:
            early, self._early = self._early, []
            self._do([*early])

    def _on_write(self, connection: Connection, value: bytes) -> None:
        if connection is self._connection:
            self._tap(">", bytes(value))
            self._do(self.lock.write(bytes(value), self._clock.now()))

    def _on_read(self, _: Connection) -> bytes:
        return build_read_value(*self.advertisement.to_bytes())

    # -- what is told to the radio, in order

    def _do(self, actions: list[Action]) -> None:
        self._todo.extend(actions)
        self._changed.set()

    async def _run(self) -> None:
        """Carry out what is to be done, and let the lock's own time pass."""
        while True:
            self._changed = anyio.Event()
            while self._todo:
                await self._carry_out(self._todo.popleft())
            due = self.lock.next_timer()
            left = None if due is None else max(due - self._clock.now(), 0.001)
            with anyio.move_on_after(left):
                await self._changed.wait()
            self._todo.extend(self.lock.tick(self._clock.now()))

    async def _carry_out(self, work: _Work) -> None:
        match work:
            case Notification():
                await self._send(work)
            case HungUp():
                await self._disconnect()
            case Opened():
                self._tap("!", b"opened")
            case Closed():
                self._tap("!", b"closed")
            case _Advertise():
                await self._advertise()

    async def _send(self, notification: Notification) -> None:
        connection = self._connection
        if connection is None or not self._subscribed:
            return  # nobody hears it
        if notification.connection != self.lock.connection:
            return
        self._tap("<", notification.value)
        await self._device.notify_subscriber(connection, self._notify, notification.value)
        self.lock.delivered(notification, self._clock.now())

    async def _disconnect(self) -> None:
        connection = self._connection
        if connection is None:
            return
        with anyio.move_on_after(PARTING_TIMEOUT):
            await connection.drain()
            await connection.disconnect(hci.HCI_REMOTE_USER_TERMINATED_CONNECTION_ERROR)
        self._gone(connection)

    async def _advertise(self) -> None:
        if self._connection is not None or not self.lock.powered:
            return
        data, answer = self.advertisement.to_bytes()
        await self._device.start_advertising(
            own_address_type=(
                hci.OwnAddressType.PUBLIC
                if self._own_address.is_public
                else hci.OwnAddressType.RANDOM
            ),
            advertising_data=data,
            scan_response_data=answer,
            advertising_interval_min=self._interval,
            advertising_interval_max=self._interval,
        )

    @property
    def _own_address(self) -> hci.Address:
        """The controller's, or the random one that was made for it where it has none."""
        device = self._device
        has_one = device.public_address != hci.Address.ANY
        return device.public_address if has_one else device.random_address

    async def _fall_silent(self) -> None:
        """A reset cuts a controller's connections without a word."""
        await self._device.stop_advertising()
        await self._device.power_off()
        await self._device.power_on()

    async def _leave(self) -> None:
        await self._disconnect()
        await self._device.stop_advertising()

    async def _watch_transport(self) -> None:
        await asyncio.wait([self._transport.source.terminated])
        raise RadioUnusable("the radio is gone: its transport has ended; plug it in again")


def _not_readable(_: Connection) -> bytes:
    raise ATT_Error(ATT_READ_NOT_PERMITTED_ERROR)


def _name(lock: VirtualLock) -> str:
    """Generic access has the name that is advertised."""
    return LOCAL_NAMES[lock.firmware.name].rstrip("\0")


def _uuid(full: str) -> UUID:
    """In its short form on the air where it has one."""
    short = int(full[4:8], 16)
    return UUID.from_16_bits(short) if full == expand_uuid(short) else UUID(full)
