"""What is asked of bluetoothd directly, and what is said where it cannot be asked."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import anyio
import pytest
from dbus_fast import Variant

from bleagent.adapters.bluez import BluezBluetooth
from bleagent.adapters.bluez import bus as bus_module
from bleagent.adapters.bluez import stack as stack_module
from bleagent.adapters.bluez.faults import (
    AdapterOff,
    BluetoothdMissing,
    BluetoothdSilent,
    BusDenied,
    BusUnreachable,
    NoAdapter,
)
from bleagent.adapters.bluez.stack import version_of
from bleagent.clock import SystemClock
from bleagent.errors import LinkError, LockNotFound, RadioUnavailable
from bleagent.model import AdapterInfo

from .doors import ADDRESS, OTHER, door, hear, until
from .private_bus import dbus_daemon, private_bus
from .scripted_bluez import HANG, Fail, ScriptedBluez, Slow

pytestmark = pytest.mark.anyio

DEVICE = "org.bluez.Device1"


@pytest.fixture
async def alone() -> AsyncIterator[BluezBluetooth]:
    """With whatever bus the test sets up."""
    async with BluezBluetooth(SystemClock()) as found:
        yield found


# -- adapters


async def test_the_adapters_that_are_there(bluez: ScriptedBluez, bluetooth: BluezBluetooth) -> None:
    bluez.add_adapter("hci1", "b8:27:eb:00:00:02", powered=False)
    assert await bluetooth.adapters() == [
        AdapterInfo(name="hci0", address="B8:27:EB:00:00:01", powered=True),
        AdapterInfo(name="hci1", address="B8:27:EB:00:00:02", powered=False),
    ]
    bluez.remove_adapter("hci1")
    assert [one.name for one in await bluetooth.adapters()] == ["hci0"]


async def test_no_adapter(bluez: ScriptedBluez, bluetooth: BluezBluetooth) -> None:
    bluez.remove_adapter("hci0")
    with pytest.raises(NoAdapter, match="no adapter"):
        await bluetooth.adapters()


async def test_no_bluetoothd(bluez: ScriptedBluez, bluetooth: BluezBluetooth) -> None:
    await bluez.die()
    with pytest.raises(BluetoothdMissing) as caught:
        await bluetooth.adapters()
    assert "bluetooth.service" in caught.value.advice
    await bluez.revive()
    assert await bluetooth.adapters()


async def test_a_bluetoothd_that_does_not_answer(
    bluez: ScriptedBluez, bluetooth: BluezBluetooth, monkeypatch: pytest.MonkeyPatch
) -> None:
    bluez.script("GetManagedObjects", HANG)
    monkeypatch.setattr(bus_module.Bus.call, "__kwdefaults__", {"within": 0.1})
    with pytest.raises(BluetoothdSilent, match="GetManagedObjects"):
        await bluetooth.adapters()
    assert await bluetooth.adapters()


async def test_a_bus_that_does_not_let_us(bluez: ScriptedBluez, bluetooth: BluezBluetooth) -> None:
    bluez.script(
        "GetManagedObjects", Fail("org.freedesktop.DBus.Error.AccessDenied", "Rejected send")
    )
    with pytest.raises(BusDenied) as caught:
        await bluetooth.adapters()
    assert "doctor" in caught.value.advice


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("no socket", "/bus: No such file or directory"),
        ("nobody listens", "/bus: Connection refused"),
        ("nonsense", "the D-Bus system bus at nonsense: "),
    ],
)
async def test_no_bus(
    alone: BluezBluetooth, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, words: str
) -> None:
    path = tmp_path / "bus"
    if what == "nobody listens":
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(path))
    address = "nonsense" if what == "nonsense" else f"unix:path={path}"
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", address)
    with pytest.raises(BusUnreachable) as caught:
        await alone.adapters()
    assert "dbus.socket" in caught.value.advice
    assert caught.value.code == "radio-unavailable"
    assert words in str(caught.value)
    assert "Errno" not in str(caught.value)
    if what != "nonsense":
        assert str(path) in str(caught.value)


@pytest.fixture
def bus_alone(tmp_path: Path) -> Iterator[str]:
    if dbus_daemon() is None:
        pytest.skip("dbus-daemon is not installed (Debian: dbus-daemon)")
    with private_bus(tmp_path) as address:
        yield address


async def test_the_bus_is_restarted(
    alone: BluezBluetooth, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if dbus_daemon() is None:
        pytest.skip("dbus-daemon is not installed (Debian: dbus-daemon)")
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        with private_bus(folder) as address:
            monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", address)
            bluez = ScriptedBluez(address)
            await bluez.revive()
            bluez.add_adapter("hci0")
            door(bluez)
            assert [one.name for one in await alone.adapters()] == ["hci0"]
            await hear(alone, ADDRESS)
            await bluez.stop()
        # Before it is noticed dbus-fast leaves a future behind that nobody asks for its exception.
        await until(lambda: not alone._stack._bus._bus.connected)  # type: ignore[attr-defined]
        with pytest.raises(RadioUnavailable):
            await alone.adapters()


async def test_a_bus_without_bluetoothd(
    alone: BluezBluetooth, bus_alone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bus_alone)
    with pytest.raises(BluetoothdMissing):
        await alone.adapters()


# -- connections of others


async def test_somebodys_connection_is_seen_and_ended(
    bluez: ScriptedBluez, bluetooth: BluezBluetooth
) -> None:
    bluez.add_adapter("hci1", "B8:27:EB:00:00:02")
    scripted, other = door(bluez), door(bluez, address=OTHER)
    await bluez.connect_by_another(scripted)
    await bluez.connect_by_another(other, "hci1")
    assert await bluetooth.connected("hci0") == [ADDRESS]
    assert await bluetooth.connected("hci1") == [OTHER]
    await bluetooth.disconnect("hci0", ADDRESS.lower())
    assert await bluetooth.connected("hci0") == []
    assert not scripted.is_connected
    assert other.is_connected


async def test_disconnecting_what_is_not_connected_or_not_known_is_no_fault(
    bluez: ScriptedBluez, bluetooth: BluezBluetooth
) -> None:
    door(bluez)
    await bluetooth.disconnect("hci0", ADDRESS)
    await hear(bluetooth, ADDRESS)
    await bluetooth.disconnect("hci0", ADDRESS)


async def test_a_connection_that_does_not_end_is_told(
    bluez: ScriptedBluez, bluetooth: BluezBluetooth, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stack_module, "DISCONNECT_TIMEOUT", 0.3)
    scripted = door(bluez)
    path = await bluez.connect_by_another(scripted)
    bluez.script("Disconnect", Fail("org.bluez.Error.NotConnected"))
    await bluetooth.disconnect("hci0", ADDRESS)  # its word is taken
    bluez.script("Disconnect", HANG)
    with pytest.raises(BluetoothdSilent):
        await bluetooth.disconnect("hci0", ADDRESS)
    assert bluez.get(path, DEVICE, "Connected") is True


# -- memory


async def test_a_forgotten_lock_is_forgotten_everywhere(
    bluez: ScriptedBluez, bluetooth: BluezBluetooth
) -> None:
    scripted = door(bluez)
    await hear(bluetooth, ADDRESS)
    async with bluetooth.connect("hci0", ADDRESS, within=5):
        pass
    await bluetooth.forget("hci0", ADDRESS)
    assert bluez.path_of(scripted) not in bluez.objects
    with pytest.raises(LockNotFound, match="has not been heard"):
        async with bluetooth.connect("hci0", ADDRESS, within=5):
            pass
    await bluetooth.forget("hci0", ADDRESS)  # once more is no fault
    await bluetooth.forget("hci0", OTHER)


# -- power


async def test_a_power_cycle(bluez: ScriptedBluez, bluetooth: BluezBluetooth) -> None:
    scripted = door(bluez)
    await bluez.connect_by_another(scripted)
    await bluetooth.power_cycle("hci0")
    assert [call.body[2].value for call in bluez.asked("Set")] == [False, True]
    assert not scripted.is_connected
    assert (await bluetooth.adapters())[0].powered


async def test_an_adapter_that_stays_off(
    bluez: ScriptedBluez, bluetooth: BluezBluetooth, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stack_module, "POWER_TIMEOUT", 0.3)
    bluez.script("Set", None, Fail("org.bluez.Error.Blocked", "Blocked through rfkill"))
    with pytest.raises(AdapterOff, match="rfkill"):
        await bluetooth.power_cycle("hci0")


async def test_a_cancelled_power_cycle_does_not_leave_it_off(
    bluez: ScriptedBluez, bluetooth: BluezBluetooth
) -> None:
    bluez.script("Set", Slow(0.2))
    with anyio.move_on_after(0.05):
        await bluetooth.power_cycle("hci0")
    assert (await bluetooth.adapters())[0].powered


async def test_power_of_an_adapter_that_is_not_there(bluetooth: BluezBluetooth) -> None:
    with pytest.raises(LinkError) as caught:
        await bluetooth.power_cycle("hci7")
    assert isinstance(caught.value, NoAdapter)


# -- what bluetoothd says of itself


@pytest.mark.parametrize(
    ("modalias", "version"),
    [
        ("usb:v1D6Bp0246d0542", (5, 66)),
        ("usb:v1D6Bp0246d0552", (5, 82)),
        ("usb:v1D6Bp0246d0537", (5, 55)),
        ("bluetooth:v004Cp0246d0542", None),
        ("usb:v1D6Bp0246d05", None),
        ("", None),
    ],
)
def test_the_version_is_in_its_id(modalias: str, version: tuple[int, int] | None) -> None:
    assert version_of(modalias) == version


async def test_passive_listening_is_offered_where_bluez_has_monitors(
    bluez: ScriptedBluez, bluetooth: BluezBluetooth
) -> None:
    (before,) = await bluetooth._stack.adapters()
    assert not before.passive_scan
    bluez.objects["/org/bluez/hci0"]["org.bluez.AdvertisementMonitorManager1"] = {
        "SupportedMonitorTypes": Variant("as", ["or_patterns"]),
    }
    (after,) = await bluetooth._stack.adapters()
    assert after.passive_scan
