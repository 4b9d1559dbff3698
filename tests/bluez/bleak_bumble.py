"""A backend of bleak on bumble: no D-Bus, no kernel, no hardware, and yet real ATT.

    adapter = Adapter(air)
    install(monkeypatch, adapter)      # BleakScanner() and BleakClient() are on it from now on

Sizes, subscriptions, ATT errors and the reasons of a disconnect are real. What is not here is
BlueZ: its memory of devices, its errors, its slots; ``scripted_bluez`` and the machine in
``vm/`` have those.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Iterable, Iterator
from typing import Any, TypeVar

import bleak
import pytest
from bleak import BleakScanner
from bleak.args import SizedBuffer
from bleak.assigned_numbers import gatt_char_props_to_strs
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.client import BaseBleakClient, NotifyCallback
from bleak.backends.descriptor import BleakGATTDescriptor
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import (
    AdvertisementData,
    AdvertisementDataCallback,
    BaseBleakScanner,
)
from bleak.backends.service import BleakGATTService, BleakGATTServiceCollection
from bleak.exc import BleakDeviceNotFoundError, BleakError, BleakGATTProtocolError
from bleak.uuids import normalize_uuid_str
from bumble import hci
from bumble.att import ATT_Error
from bumble.core import UUID, AdvertisingData
from bumble.core import ConnectionError as BumbleConnectionError
from bumble.device import Advertisement, Connection, Device, DeviceConfiguration, Peer

from .air import Air, Radio

T = TypeVar("T")
MTU = 517
"""What BlueZ asks for."""
HEADER = 3
"""Bytes of an ATT packet that are not payload."""
INVALID_LENGTH = 0x0D
_AD = AdvertisingData.Type
_UUIDS = (
    _AD.INCOMPLETE_LIST_OF_16_BIT_SERVICE_CLASS_UUIDS,
    _AD.COMPLETE_LIST_OF_16_BIT_SERVICE_CLASS_UUIDS,
    _AD.INCOMPLETE_LIST_OF_128_BIT_SERVICE_CLASS_UUIDS,
    _AD.COMPLETE_LIST_OF_128_BIT_SERVICE_CLASS_UUIDS,
)
_SERVICE_DATA = (_AD.SERVICE_DATA_16_BIT_UUID, _AD.SERVICE_DATA_128_BIT_UUID)


class Adapter:
    """This machine's adapter: a radio on the air and bumble's host above it."""

    def __init__(self, air: Air, address: str = "00:A0:50:00:00:01") -> None:
        self.air = air
        self.radio = Radio(air, address, "adapter")
        self.clients: list[BleakClientBumble] = []
        """Those that are connected."""
        transport = self.radio.transport
        self.device = Device.from_config_with_hci(
            DeviceConfiguration(name="adapter", address=hci.Address("F0:F1:F2:F3:F4:F5")),
            transport.source,
            transport.sink,
        )
        self._powering = asyncio.Lock()
        self.connecting = asyncio.Lock()
        """A controller has room for one pending connection."""
        self.scanning = asyncio.Lock()
        """Held while a scan is started or stopped."""

    async def ready(self) -> Device:
        """The host, powered on when first used."""
        async with self._powering:
            if not self.device.powered_on:
                await self.device.power_on()
        return self.device


_adapter: Adapter | None = None


def install(monkeypatch: pytest.MonkeyPatch, adapter: Adapter) -> None:
    """Make bumble the default backend of bleak, on this adapter, until the test ends."""
    monkeypatch.setattr(f"{__name__}._adapter", adapter)
    monkeypatch.setattr(
        bleak, "get_platform_scanner_backend_type", lambda: (BleakScannerBumble, "bumble")
    )
    monkeypatch.setattr(
        bleak, "get_platform_client_backend_type", lambda: (BleakClientBumble, "bumble")
    )


def _current() -> Adapter:
    if _adapter is None:
        raise BleakError("no adapter: install() one first")
    return _adapter


def _uuid(uuid: UUID) -> str:
    return normalize_uuid_str(uuid.to_hex_str("-"))


def _each(data: AdvertisingData, kinds: Iterable[AdvertisingData.Type]) -> Iterator[Any]:
    """Every structure of these kinds; what is in it depends on the kind."""
    for kind in kinds:
        yield from data.get_all(kind)


class BleakScannerBumble(BaseBleakScanner):
    """Scans on the installed adapter; several may share it."""

    def __init__(
        self,
        detection_callback: AdvertisementDataCallback | None,
        service_uuids: list[str] | None,
        scanning_mode: str,
        **kwargs: Any,
    ) -> None:
        del kwargs
        super().__init__(detection_callback, service_uuids)
        self._active = scanning_mode == "active"

    async def start(self) -> None:
        self.seen_devices = {}
        adapter = _current()
        device = await adapter.ready()
        async with adapter.scanning:
            device.on(Device.EVENT_ADVERTISEMENT, self._heard)
            if not device.is_scanning:
                await device.start_scanning(
                    active=self._active, own_address_type=hci.OwnAddressType.PUBLIC
                )

    async def stop(self) -> None:
        adapter = _current()
        device = await adapter.ready()
        async with adapter.scanning:
            device.remove_listener(Device.EVENT_ADVERTISEMENT, self._heard)
            if device.is_scanning and not device.listeners(Device.EVENT_ADVERTISEMENT):
                await device.stop_scanning()

    def _heard(self, advertisement: Advertisement) -> None:
        data = advertisement.data
        uuids = [_uuid(one) for group in _each(data, _UUIDS) for one in group]
        if not self.is_allowed_uuid(uuids):
            return
        name = data.get(_AD.COMPLETE_LOCAL_NAME) or data.get(_AD.SHORTENED_LOCAL_NAME)
        found = AdvertisementData(
            local_name=name,
            manufacturer_data=dict(_each(data, (_AD.MANUFACTURER_SPECIFIC_DATA,))),
            service_data={_uuid(uuid): bytes(value) for uuid, value in _each(data, _SERVICE_DATA)},
            service_uuids=uuids,
            tx_power=None,
            rssi=advertisement.rssi,
            platform_data=(advertisement,),
        )
        address = advertisement.address.to_string(False)
        details = {"address": advertisement.address}
        device = self.create_or_update_device(address, address, name, details, found)
        self.call_detection_callbacks(device, found)


class BleakClientBumble(BaseBleakClient):
    """One connection of the installed adapter."""

    def __init__(
        self,
        address_or_ble_device: BLEDevice | str,
        services: set[str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            address_or_ble_device,
            disconnected_callback=kwargs.get("disconnected_callback"),
            timeout=kwargs.get("timeout", 30.0),
        )
        self._wanted = services
        self._target: hci.Address | None = None
        self._name: str | None = None
        if isinstance(address_or_ble_device, BLEDevice):
            self._target = address_or_ble_device.details["address"]
            self._name = address_or_ble_device.name
        self._adapter = _current()
        self._connection: Connection | None = None
        self._peer: Peer | None = None
        self._subscribers: dict[int, Any] = {}

    @property
    def name(self) -> str:
        return self._name or self.address.replace(":", "-")

    @property
    def is_connected(self) -> bool:
        return self._connection is not None

    @property
    def mtu_size(self) -> int:
        return 23 if self._connection is None else int(self._connection.att_mtu)

    # -- the connection

    async def connect(self, pair: bool, **kwargs: Any) -> None:
        del pair
        if self.is_connected:
            raise BleakError("Client is already connected")
        async with asyncio.timeout(kwargs.get("timeout", self._timeout)):
            device = await self._adapter.ready()
            if self._target is None:
                found = await BleakScanner.find_device_by_address(
                    self.address, backend=BleakScannerBumble
                )
                if found is None:
                    raise BleakDeviceNotFoundError(self.address, f"{self.address} was not found")
                self._target = found.details["address"]
            async with self._adapter.connecting:
                self._connection = connection = await self._connect(device, self._target)
            connection.on(Connection.EVENT_DISCONNECTION, self._ended)
            self._adapter.clients.append(self)
            try:
                self._peer = Peer(connection)
                await self._while_connected(self._discover(self._peer))
            except BaseException:
                await self.disconnect()
                raise

    @staticmethod
    async def _connect(device: Device, target: hci.Address | None) -> Connection:
        assert target is not None
        try:
            return await device.connect(target, own_address_type=hci.OwnAddressType.PUBLIC)
        except BumbleConnectionError as error:
            raise BleakError(f"connection failed: {error}") from error
        except asyncio.CancelledError:
            with contextlib.suppress(Exception):  # bumble leaves it pending in the controller
                await device.send_sync_command(hci.HCI_LE_Create_Connection_Cancel_Command())
            raise

    async def _discover(self, peer: Peer) -> None:
        await peer.request_mtu(MTU)
        await peer.discover_all()  # type: ignore[no-untyped-call]
        table = BleakGATTServiceCollection()
        for one in peer.services:
            service = BleakGATTService(one, one.handle, _uuid(one.uuid))
            if self._wanted and service.uuid not in self._wanted:
                continue
            table.add_service(service)
            for characteristic in one.characteristics:
                found = BleakGATTCharacteristic(
                    characteristic,
                    characteristic.handle,
                    _uuid(characteristic.uuid),
                    list(gatt_char_props_to_strs(int(characteristic.properties))),
                    lambda: self.mtu_size - HEADER,
                    service,
                )
                table.add_characteristic(found)
                for descriptor in characteristic.descriptors:
                    table.add_descriptor(
                        BleakGATTDescriptor(
                            descriptor, descriptor.handle, _uuid(descriptor.type), found
                        )
                    )
        self.services = table

    def _ended(self, *_reason: object) -> None:
        if self._connection is None:
            return
        self._connection = None
        self.services = None
        self._subscribers.clear()
        self._adapter.clients.remove(self)
        if self._disconnected_callback is not None:
            self._disconnected_callback()

    async def disconnect(self) -> None:
        connection = self._connection
        if connection is None:
            return
        with contextlib.suppress(BumbleConnectionError, hci.HCI_Error):
            await connection.disconnect()
        self._ended()

    async def pair(self, *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError("locks do not pair on this level")

    async def unpair(self) -> None:
        raise NotImplementedError("locks do not pair on this level")

    # -- values

    async def _while_connected(self, work: Coroutine[Any, Any, T]) -> T:
        """Fail rather than wait for ever where the connection ends meanwhile."""
        connection = self._connection
        if connection is None:
            work.close()
            raise BleakError("Not connected")
        try:
            return await connection.cancel_on_disconnection(work)
        except ATT_Error as error:
            raise BleakGATTProtocolError(error.error_code) from error
        except asyncio.CancelledError:
            if self._connection is None:
                raise BleakError("disconnected") from None
            raise

    def _live(self) -> Peer:
        if self._connection is None or self._peer is None:
            raise BleakError("Not connected")
        return self._peer

    async def read_gatt_char(
        self, characteristic: BleakGATTCharacteristic, **kwargs: Any
    ) -> bytearray:
        del kwargs
        return bytearray(await self._while_connected(self._live().read_value(characteristic.obj)))

    async def write_gatt_char(
        self, characteristic: BleakGATTCharacteristic, data: SizedBuffer, response: bool
    ) -> None:
        peer = self._live()
        if not response and len(data) > self.mtu_size - HEADER:
            raise BleakGATTProtocolError(INVALID_LENGTH)
        await self._while_connected(
            peer.write_value(characteristic.obj, bytes(data), with_response=response)
        )

    async def read_gatt_descriptor(
        self, descriptor: BleakGATTDescriptor, **kwargs: Any
    ) -> bytearray:
        del kwargs
        return bytearray(await self._while_connected(self._live().read_value(descriptor.obj)))

    async def write_gatt_descriptor(
        self, descriptor: BleakGATTDescriptor, data: SizedBuffer
    ) -> None:
        await self._while_connected(
            self._live().write_value(descriptor.obj, bytes(data), with_response=True)
        )

    async def start_notify(
        self, characteristic: BleakGATTCharacteristic, callback: NotifyCallback, **kwargs: Any
    ) -> None:
        del kwargs

        def subscriber(value: bytes) -> None:
            callback(bytearray(value))

        await self._while_connected(self._live().subscribe(characteristic.obj, subscriber))
        self._subscribers[characteristic.handle] = subscriber

    async def stop_notify(self, characteristic: BleakGATTCharacteristic) -> None:
        peer = self._live()
        subscriber = self._subscribers.pop(characteristic.handle, None)
        await self._while_connected(peer.unsubscribe(characteristic.obj, subscriber))


def connected_addresses() -> Iterator[str]:
    """What the installed adapter is connected to."""
    for client in _current().clients:
        yield client.address
