"""Listening over the real bleak, a real D-Bus and a scripted bluetoothd."""

from __future__ import annotations

import asyncio
import itertools
from functools import partial

import anyio
import pytest
from dbus_fast import Variant

from bleagent.adapters.bluez import BluezBluetooth
from bleagent.adapters.bluez import heard as heard_module
from bleagent.adapters.bluez import scan as scan_module
from bleagent.adapters.bluez.faults import (
    AdapterOff,
    BluetoothdMissing,
    BluetoothdSilent,
    BusDenied,
    BusUnreachable,
    NoAdapter,
)
from bleagent.errors import LinkError, RadioBusy, RadioUnavailable
from bleagent.model import Sighting
from protocol.gatt import ADVERTISED_UUIDS

from .bluez_discovery import device_properties
from .conversation import KEYS
from .doors import ADDRESS, OTHER, door, hear, scanning, until
from .scripted_bluez import HANG, Fail, Hang, ScriptedBluez
from .scripted_lock import ScriptedLock

pytestmark = pytest.mark.anyio

ADAPTER, DEVICE = "org.bluez.Adapter1", "org.bluez.Device1"
HCI0 = "/org/bluez/hci0"


def stranger(bluez: ScriptedBluez, scripted: ScriptedLock, last: int = 9) -> str:
    """A device in range that advertises one of our UUIDs' neighbours."""
    address = f"11:22:33:44:55:{last:02X}"
    path = f"{HCI0}/dev_{address.replace(':', '_')}"
    properties = device_properties(scripted, path) | {
        "Address": Variant("s", address),
        "UUIDs": Variant("as", ["0000180f-0000-1000-8000-00805f9b34fb"]),
        "ServiceData": Variant("a{sv}", {}),
        "ManufacturerData": Variant("a{qv}", {76: Variant("ay", b"\x10\x05\x03")}),
    }
    bluez.add(path, DEVICE, properties)
    return path


async def test_a_lock_is_heard_whole_and_again_and_again(
    bluez: ScriptedBluez, bluetooth: BluezBluetooth
) -> None:
    scripted = door(bluez)
    async with scanning(bluetooth, ADDRESS) as heard:
        scripted.rssi = -71
        await until(lambda: heard[-1].rssi == -71)
        seen = len(heard)
        await until(lambda: len(heard) > seen + 3)
    last = heard[-1]
    assert (last.adapter, last.address) == ("hci0", ADDRESS)
    assert last.advertisement.verify(KEYS)
    assert all(one.at <= two.at for one, two in itertools.pairwise(heard))
    # Duplicates are asked for, and strangers are kept off the bus.
    (filters,) = bluez.filters.values()
    assert filters == {} or filters["DuplicateData"].value is True  # emptied at the end
    asked = bluez.asked("SetDiscoveryFilter")[0].body[0]
    assert asked["DuplicateData"].value is True
    assert asked["Transport"].value == "le"
    assert set(asked["UUIDs"].value) == set(ADVERTISED_UUIDS)


async def test_what_a_lock_says_newly_is_read_anew(
    bluez: ScriptedBluez, bluetooth: BluezBluetooth
) -> None:
    scripted = door(bluez)
    async with scanning(bluetooth, ADDRESS) as heard:
        assert heard[-1].advertisement.connect_request is False
        scripted.wants_connection = True
        await until(lambda: heard[-1].advertisement.connect_request)


async def test_an_unchanged_advertisement_is_parsed_once(
    bluez: ScriptedBluez, bluetooth: BluezBluetooth
) -> None:
    door(bluez)
    async with scanning(bluetooth, ADDRESS) as heard:
        seen = len(heard)
        await until(lambda: len(heard) > seen + 3)
    assert len({id(one.advertisement) for one in heard}) == 1


async def test_strangers_are_not_told(bluez: ScriptedBluez, bluetooth: BluezBluetooth) -> None:
    scripted = door(bluez)
    async with scanning(bluetooth, ADDRESS) as heard:
        path = stranger(bluez, scripted)
        for rssi in (-50, -51, -52):
            bluez.set(path, DEVICE, RSSI=Variant("n", rssi))
        seen = len(heard)
        await until(lambda: len(heard) > seen + 1)
    assert {one.address for one in heard} == {ADDRESS}


async def test_a_connection_that_begins_or_ends_is_no_advertisement(
    bluez: ScriptedBluez, bluetooth: BluezBluetooth
) -> None:
    scripted = door(bluez)
    async with scanning(bluetooth, ADDRESS) as heard:
        async with bluetooth.connect("hci0", ADDRESS, within=5):
            seen = len(heard)
            await hear_other(bluez, heard)
            scripted.in_range = False
        # Connected and ServicesResolved have changed six times by now.
        await hear_other(bluez, heard)
        assert [one.address for one in heard[seen:]].count(ADDRESS) == 0


async def hear_other(bluez: ScriptedBluez, heard: list[Sighting]) -> None:
    """Something that is certainly heard after everything before it."""
    if not any(one.address == OTHER for one in bluez.locks):
        door(bluez, address=OTHER)
    seen = len(heard)
    await until(lambda: any(one.address == OTHER for one in heard[seen:]))


async def test_the_tables_are_bounded(
    bluez: ScriptedBluez, bluetooth: BluezBluetooth, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heard_module, "MAX_LOCKS", 2)
    monkeypatch.setattr(heard_module, "MAX_STRANGERS", 3)
    first = door(bluez)
    async with scanning(bluetooth, ADDRESS):
        first.in_range = False
        for number in range(5):
            stranger(bluez, first, number)
        table = bluetooth._table("hci0")
        for number in range(3):
            address = f"DC:23:51:00:01:{number:02}"
            door(bluez, address=address)
            await until(partial(table.device, address))
        assert len(table._locks) == 2
        assert len(table._strangers) == 3
        assert table.device(ADDRESS) is None


# -- it cannot begin


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("org.bluez.Error.InProgress", "Operation already in progress", RadioBusy),
        ("org.bluez.Error.NotReady", "Resource Not Ready", AdapterOff),
        ("org.bluez.Error.Failed", "Not Powered", AdapterOff),
        ("org.freedesktop.DBus.Error.AccessDenied", "rules", BusDenied),
        ("org.freedesktop.DBus.Error.NoReply", "", BluetoothdSilent),
        ("org.freedesktop.DBus.Error.UnknownObject", "", NoAdapter),
    ],
)
async def test_a_scan_that_cannot_begin_says_why_and_the_next_may(
    bluez: ScriptedBluez,
    bluetooth: BluezBluetooth,
    name: str,
    text: str,
    expected: type[LinkError],
) -> None:
    door(bluez)
    bluez.script("StartDiscovery", Fail(name, text))
    with pytest.raises(expected) as caught:
        await hear(bluetooth, ADDRESS)
    assert type(caught.value) is expected
    await hear(bluetooth, ADDRESS)


@pytest.mark.parametrize("how", ["cancelled", "too slow"])
async def test_a_start_that_was_given_up_leaves_no_discovery_on(
    bluez: ScriptedBluez, bluetooth: BluezBluetooth, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    door(bluez)
    bluez.script("StartDiscovery", Hang(effect=True))
    if how == "too slow":
        monkeypatch.setattr(scan_module, "START_TIMEOUT", 0.2)
        with pytest.raises(BluetoothdSilent):
            await hear(bluetooth, ADDRESS)
    else:
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(hear, bluetooth, ADDRESS)
                await until(lambda: bluez.discovering[HCI0])
                scope.cancel()
    await until(lambda: not bluez.discovering[HCI0])
    await hear(bluetooth, ADDRESS)


async def test_an_adapter_that_is_not_there(bluetooth: BluezBluetooth) -> None:
    with pytest.raises(NoAdapter):
        await hear(bluetooth, ADDRESS, adapter="hci7")


async def test_an_adapter_that_is_off(bluez: ScriptedBluez, bluetooth: BluezBluetooth) -> None:
    bluez.set_powered("hci0", powered=False)
    with pytest.raises(AdapterOff, match="hci0 is switched off") as caught:
        await hear(bluetooth, ADDRESS)
    assert "rfkill" in caught.value.advice


# -- it ends while listening


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("off", AdapterOff),
        ("pulled out", NoAdapter),
        ("bluetoothd dies", BluetoothdMissing),
    ],
)
async def test_a_scan_whose_adapter_goes_away_ends_and_says_why(
    bluez: ScriptedBluez, bluetooth: BluezBluetooth, how: str, expected: type[RadioUnavailable]
) -> None:
    door(bluez)

    async def listen() -> None:
        async with scanning(bluetooth, ADDRESS):
            match how:
                case "off":
                    bluez.set_powered("hci0", powered=False)
                case "pulled out":
                    bluez.remove_adapter("hci0")
                case _:
                    await bluez.die()
            await asyncio.sleep(5)
            pytest.fail("it went on")

    with pytest.raises(expected):
        await listen()
    match how:
        case "off":
            bluez.set_powered("hci0", powered=True)
        case "pulled out":
            bluez.add_adapter("hci0")
        case _:
            await bluez.revive()
    await hear(bluetooth, ADDRESS)


async def test_what_the_body_raises_comes_out_as_it_is(
    bluez: ScriptedBluez, bluetooth: BluezBluetooth
) -> None:
    with pytest.raises(ZeroDivisionError):
        async with bluetooth.scan("hci0", lambda _: None):
            raise ZeroDivisionError
    assert not bluez.discovering[HCI0]


async def test_a_deaf_bluetoothd_does_not_keep_a_scan_from_ending(
    bluez: ScriptedBluez, bluetooth: BluezBluetooth, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scan_module, "STOP_TIMEOUT", 0.1)
    async with bluetooth.scan("hci0", lambda _: None):
        bluez.script("StopDiscovery", HANG)


async def test_the_bus_itself_ends(bluez: ScriptedBluez, bluetooth: BluezBluetooth) -> None:
    async def listen() -> None:
        async with scanning(bluetooth, ADDRESS):
            bluetooth._stack._bus._bus.disconnect()  # type: ignore[attr-defined]
            await asyncio.sleep(5)

    door(bluez)
    with pytest.raises((BusUnreachable, BluetoothdMissing)):
        await listen()
    await hear(bluetooth, ADDRESS)  # a new connection to the bus was made
