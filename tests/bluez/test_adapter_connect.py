"""Connections over the real bleak, a real D-Bus and a scripted bluetoothd."""

from __future__ import annotations

import asyncio

import anyio
import pytest

from bleagent.adapters.bluez import BluezBluetooth
from bleagent.adapters.bluez import attempt as attempt_module
from bleagent.adapters.bluez import link as link_module
from bleagent.adapters.bluez.faults import (
    AdapterOff,
    BluetoothdMissing,
    BluetoothdSilent,
    BusDenied,
    Interference,
)
from bleagent.errors import (
    IncompleteTable,
    LinkError,
    LinkLost,
    LockNotFound,
    RadioBusy,
    RadioUnavailable,
)
from bleagent.simulator.profiles import PROFILE_NAMES

from .conversation import open_door
from .doors import ADDRESS, OTHER, conversation, door, hear, scanning, until
from .scripted_bluez import HANG, Fail, Hang, ScriptedBluez, Slow

pytestmark = pytest.mark.anyio

WITHIN = 5.0
FAILED = "org.bluez.Error.Failed"
DEVICE = "org.bluez.Device1"


async def connect_once(bluetooth: BluezBluetooth, within: float = WITHIN) -> None:
    async with bluetooth.connect("hci0", ADDRESS, within=within):
        pass


@pytest.mark.parametrize("name", PROFILE_NAMES)
async def test_a_door_is_opened(bluez: ScriptedBluez, bluetooth: BluezBluetooth, name: str) -> None:
    scripted = door(bluez, name)
    await hear(bluetooth, ADDRESS)
    async with bluetooth.connect("hci0", ADDRESS, within=WITHIN) as link:
        assert link.att_payload == scripted.mtu - 3
        async with conversation(link, scripted.lock) as client:
            await open_door(client)
    assert scripted.lock.dump()["opened"] == 1
    assert not scripted.is_connected


async def test_each_attempt_is_one_connect_and_leaves_by_one_disconnect(
    bluez: ScriptedBluez, bluetooth: BluezBluetooth
) -> None:
    door(bluez)
    await hear(bluetooth, ADDRESS)
    for _ in range(3):
        await connect_once(bluetooth)
    assert len(bluez.asked("Connect")) == len(bluez.asked("Disconnect")) == 3
    assert len(bluez.asked("StartNotify")) == 3


async def test_that_it_is_connected_is_told_before_its_services_are_known(
    bluez: ScriptedBluez, bluetooth: BluezBluetooth
) -> None:
    door(bluez)
    await hear(bluetooth, ADDRESS)
    told: list[int] = []

    def linked() -> None:
        told.append(len(bluez.asked("StartNotify")))

    for turn in range(2):
        async with bluetooth.connect("hci0", ADDRESS, within=WITHIN, linked=linked):
            assert len(bluez.asked("StartNotify")) == turn + 1
    assert told == [0, 1]


# -- a connect that fails

CONNECT_ERRORS = [
    ("org.bluez.Error.InProgress", "In Progress", RadioBusy),
    (FAILED, "Operation already in progress", RadioBusy),
    (FAILED, "br-connection-canceled", RadioBusy),
    (FAILED, "Software caused connection abort", Interference),
    (FAILED, "Input/output error", LinkLost),
    (FAILED, "something new", LinkError),
    ("org.bluez.Error.NotReady", "Resource Not Ready", AdapterOff),
    ("org.freedesktop.DBus.Error.UnknownObject", "no such object", LockNotFound),
    ("org.freedesktop.DBus.Error.AccessDenied", "rules", BusDenied),
    ("org.freedesktop.DBus.Error.NoReply", "", BluetoothdSilent),
]


@pytest.mark.parametrize(("name", "text", "expected"), CONNECT_ERRORS)
async def test_a_failed_connect_is_told_at_once_in_our_words_and_the_next_may_work(
    bluez: ScriptedBluez,
    bluetooth: BluezBluetooth,
    name: str,
    text: str,
    expected: type[LinkError],
) -> None:
    scripted = door(bluez)
    async with scanning(bluetooth, ADDRESS):
        bluez.script("Connect", Fail(name, text))
        began = asyncio.get_running_loop().time()
        with pytest.raises(expected) as caught:
            await connect_once(bluetooth)
        assert type(caught.value) is expected
        assert ADDRESS in str(caught.value)
        # bleak-retry-connector's own back-off would be 0.25 to 4 s, and more attempts.
        assert asyncio.get_running_loop().time() - began < 0.2
        assert len(bluez.asked("Connect")) == 1
        assert not scripted.is_connected
        await connect_once(bluetooth)
    assert scripted.connections == 1


async def test_radio_trouble_while_connecting_is_called_by_its_name(
    bluez: ScriptedBluez, bluetooth: BluezBluetooth
) -> None:
    # bleak tries again on its own behind this error, as long as it may.
    scripted = door(bluez)
    await hear(bluetooth, ADDRESS)
    abort = Fail(FAILED, "le-connection-abort-by-local", effect=True)
    bluez.script("Connect", abort)
    connecting = asyncio.create_task(connect_once(bluetooth, within=0.5))
    await until(lambda: scripted.connections)
    scripted.in_range = False
    scripted.hang_up()
    with pytest.raises(Interference, match="cut off 1 times"):
        await connecting
    assert not bluez.connecting


async def test_a_lock_that_does_not_answer_costs_no_more_than_was_allowed(
    bluez: ScriptedBluez, bluetooth: BluezBluetooth
) -> None:
    scripted = door(bluez)
    await hear(bluetooth, ADDRESS)
    scripted.in_range = False
    with pytest.raises(LockNotFound, match="did not answer hci0"):
        await connect_once(bluetooth, within=0.3)
    # BlueZ would go on trying, and the next attempt would be InProgress.
    assert not bluez.connecting
    scripted.in_range = True
    await connect_once(bluetooth)


@pytest.mark.parametrize("deaf", ["Connect", "StartNotify"])
async def test_cancelled_in_the_middle_it_leaves_nothing_behind(
    bluez: ScriptedBluez, bluetooth: BluezBluetooth, deaf: str
) -> None:
    scripted = door(bluez)
    await hear(bluetooth, ADDRESS)
    if deaf == "Connect":
        scripted.in_range = False
    else:
        bluez.script(deaf, HANG)
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(connect_once, bluetooth)
            await until(lambda: bluez.asked(deaf))
            scope.cancel()
    assert not bluez.connecting
    assert not scripted.is_connected
    scripted.in_range = True
    await connect_once(bluetooth)


async def test_a_connect_that_bluetoothd_never_answers_ends_all_the_same(
    bluez: ScriptedBluez, bluetooth: BluezBluetooth, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt_module, "GRACE", 0.1)
    scripted = door(bluez)
    await hear(bluetooth, ADDRESS)
    bluez.script("Connect", Hang(effect=True))
    bluez.script("Disconnect", HANG)  # bleak's own way out
    with pytest.raises(LockNotFound):
        await connect_once(bluetooth, within=0.3)
    assert not scripted.is_connected
    await connect_once(bluetooth)


async def test_an_unknown_lock_is_not_looked_for(
    bluez: ScriptedBluez, bluetooth: BluezBluetooth
) -> None:
    door(bluez)
    with pytest.raises(LockNotFound, match="has not been heard on hci0"):
        await connect_once(bluetooth)
    assert not bluez.asked("Connect")


async def test_a_lock_that_bluez_forgot_must_be_heard_again(
    bluez: ScriptedBluez, bluetooth: BluezBluetooth
) -> None:
    scripted = door(bluez)
    await hear(bluetooth, ADDRESS)
    bluez.forget_device(scripted)
    with pytest.raises(LockNotFound):
        await connect_once(bluetooth)
    await hear(bluetooth, ADDRESS)
    await connect_once(bluetooth)


async def test_a_connection_that_somebody_left_is_ended_first(
    bluez: ScriptedBluez, bluetooth: BluezBluetooth
) -> None:
    scripted = door(bluez)
    await hear(bluetooth, ADDRESS)
    await bluez.connect_by_another(scripted)
    async with (
        bluetooth.connect("hci0", ADDRESS, within=WITHIN) as link,
        conversation(link, scripted.lock) as client,
    ):
        await open_door(client)
    assert scripted.connections == 2


# -- the table


async def test_a_table_that_comes_late_is_incomplete_and_the_lock_is_free_again(
    bluez: ScriptedBluez, bluetooth: BluezBluetooth
) -> None:
    scripted = door(bluez)
    bluez.objects_late = True
    await hear(bluetooth, ADDRESS)
    with pytest.raises(IncompleteTable, match="0 characteristics"):
        await connect_once(bluetooth)
    assert not scripted.is_connected
    bluez.objects_late = False
    async with bluetooth.connect("hci0", ADDRESS, within=WITHIN, fresh=True) as link:
        assert link.att_payload == scripted.mtu - 3


@pytest.mark.parametrize("scan", [False, True], ids=["idle", "scanning"])
async def test_a_wrong_table_in_bluez_memory_is_cured_by_a_fresh_attempt(
    bluez: ScriptedBluez, bluetooth: BluezBluetooth, scan: bool
) -> None:
    scripted = door(bluez)
    scripted.missing.add(scripted.profile.notify)
    async with anyio.create_task_group() as tasks:
        await hear(bluetooth, ADDRESS)
        if scan:

            async def listen(task_status: anyio.abc.TaskStatus[None]) -> None:
                async with scanning(bluetooth, ADDRESS):
                    task_status.started()
                    await anyio.sleep_forever()

            await tasks.start(listen)
        for _ in range(2):
            with pytest.raises(IncompleteTable):
                await connect_once(bluetooth)
        async with (
            bluetooth.connect("hci0", ADDRESS, within=WITHIN, fresh=True) as link,
            conversation(link, scripted.lock) as client,
        ):
            await open_door(client)
        tasks.cancel_scope.cancel()
    assert scripted.lock.dump()["opened"] == 1


async def test_a_fresh_attempt_at_a_lock_that_is_gone_ends_in_time(
    bluez: ScriptedBluez, bluetooth: BluezBluetooth
) -> None:
    scripted = door(bluez)
    await hear(bluetooth, ADDRESS)
    scripted.in_range = False
    with pytest.raises(LockNotFound):
        async with bluetooth.connect("hci0", ADDRESS, within=0.3, fresh=True):
            pass
    assert not bluez.discovering[bluez.path_of(scripted).rpartition("/")[0]]


async def test_a_lock_that_hangs_up_in_the_middle_of_discovery_is_a_lost_link(
    bluez: ScriptedBluez, bluetooth: BluezBluetooth
) -> None:
    scripted = door(bluez)
    await hear(bluetooth, ADDRESS)
    bluez.resolve_delay = 30
    connecting = asyncio.create_task(connect_once(bluetooth))
    await until(lambda: scripted.is_connected)
    await asyncio.sleep(0)
    scripted.hang_up()
    with pytest.raises(LinkLost):
        await connecting
    bluez.resolve_delay = 0
    await connect_once(bluetooth)


async def test_notifications_that_cannot_be_had_end_the_attempt(
    bluez: ScriptedBluez, bluetooth: BluezBluetooth
) -> None:
    scripted = door(bluez)
    await hear(bluetooth, ADDRESS)
    bluez.script("StartNotify", Fail(FAILED, "Not connected"))
    with pytest.raises(LinkLost):
        await connect_once(bluetooth)
    assert not scripted.is_connected


# -- the link


async def test_a_write_is_repeated_by_bleak_while_one_is_in_progress(
    bluez: ScriptedBluez, bluetooth: BluezBluetooth
) -> None:
    scripted = door(bluez)
    await hear(bluetooth, ADDRESS)
    busy = Fail("org.bluez.Error.InProgress", "In Progress")
    async with bluetooth.connect("hci0", ADDRESS, within=WITHIN) as link:
        bluez.script("WriteValue", busy, busy)
        await link.write(b"\0")
    assert scripted.writes == [b"\0"]


@pytest.mark.parametrize("how", ["in progress for ever", "silence"])
async def test_a_write_that_is_not_taken_ends_the_link(
    bluez: ScriptedBluez, bluetooth: BluezBluetooth, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(link_module, "WRITE_TIMEOUT", 0.1)
    scripted = door(bluez)
    await hear(bluetooth, ADDRESS)
    async with bluetooth.connect("hci0", ADDRESS, within=WITHIN) as link:
        busy = Fail("org.bluez.Error.InProgress", "In Progress")
        bluez.script("WriteValue", *([HANG] if how == "silence" else [busy] * 100))
        with pytest.raises(LinkLost, match="not taken"):
            await link.write(b"\0")
        asked = len(bluez.asked("WriteValue"))
        with pytest.raises(LinkLost):
            await link.write(b"\1")
        with pytest.raises(LinkLost):
            await anext(link.notifications())
        assert len(bluez.asked("WriteValue")) == asked
    assert scripted.writes == []


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        (FAILED, "Not connected", LinkLost),
        ("org.freedesktop.DBus.Error.UnknownObject", "", LinkLost),
        ("org.freedesktop.DBus.Error.NoReply", "", BluetoothdSilent),
        ("org.bluez.Error.NotPermitted", "Write not permitted", LinkError),
    ],
)
async def test_a_write_that_is_refused_is_told_in_our_words(
    bluez: ScriptedBluez,
    bluetooth: BluezBluetooth,
    name: str,
    text: str,
    expected: type[LinkError],
) -> None:
    door(bluez)
    await hear(bluetooth, ADDRESS)
    async with bluetooth.connect("hci0", ADDRESS, within=WITHIN) as link:
        bluez.script("WriteValue", Fail(name, text))
        with pytest.raises(expected) as caught:
            await link.write(b"\0")
        assert type(caught.value) is expected


async def test_leaving_is_bounded_however_deaf_bluetoothd_is(
    bluez: ScriptedBluez, bluetooth: BluezBluetooth, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt_module, "LEAVE_TIMEOUT", 0.2)
    scripted = door(bluez)
    await hear(bluetooth, ADDRESS)
    async with bluetooth.connect("hci0", ADDRESS, within=WITHIN):
        bluez.script("Disconnect", HANG)
    assert not scripted.is_connected  # the second one, ours, was heard
    await connect_once(bluetooth)


async def test_leaving_cannot_be_cancelled_half_way(
    bluez: ScriptedBluez, bluetooth: BluezBluetooth
) -> None:
    scripted = door(bluez)
    await hear(bluetooth, ADDRESS)
    with anyio.CancelScope() as scope:
        async with bluetooth.connect("hci0", ADDRESS, within=WITHIN):
            bluez.script("Disconnect", Slow(0.2))
            scope.cancel()
            await anyio.sleep_forever()
    assert not scripted.is_connected


async def test_what_the_body_raises_comes_out_as_it_is(
    bluez: ScriptedBluez, bluetooth: BluezBluetooth
) -> None:
    scripted = door(bluez)
    await hear(bluetooth, ADDRESS)
    with pytest.raises(ZeroDivisionError):
        async with bluetooth.connect("hci0", ADDRESS, within=WITHIN):
            raise ZeroDivisionError
    assert not scripted.is_connected


# -- bluetoothd ends


async def test_a_dead_bluetoothd_ends_the_link_and_is_told_by_name_until_it_is_back(
    bluez: ScriptedBluez, bluetooth: BluezBluetooth
) -> None:
    scripted = door(bluez)
    await hear(bluetooth, ADDRESS)
    async with bluetooth.connect("hci0", ADDRESS, within=WITHIN) as link:
        await bluez.die()
        with pytest.raises(LinkLost):
            await anext(link.notifications())
        with pytest.raises(LinkLost):
            await link.write(b"\0")
    with pytest.raises(BluetoothdMissing):
        await connect_once(bluetooth)
    await bluez.revive()
    bluez.forget_device(scripted)  # the kernel told of it, because it was connected
    with pytest.raises(LockNotFound):
        await connect_once(bluetooth)
    await hear(bluetooth, ADDRESS)
    async with (
        bluetooth.connect("hci0", ADDRESS, within=WITHIN) as link,
        conversation(link, scripted.lock) as client,
    ):
        await open_door(client)


async def test_bluetoothd_dies_while_connecting(
    bluez: ScriptedBluez, bluetooth: BluezBluetooth
) -> None:
    scripted = door(bluez)
    await hear(bluetooth, ADDRESS)
    scripted.in_range = False
    connecting = asyncio.create_task(connect_once(bluetooth))
    await until(lambda: bluez.connecting)
    began = asyncio.get_running_loop().time()
    await bluez.die()
    with pytest.raises((RadioUnavailable, LinkLost)):
        await connecting
    assert asyncio.get_running_loop().time() - began < 2
    await bluez.revive()
    scripted.in_range = True
    await hear(bluetooth, ADDRESS)
    await connect_once(bluetooth)


async def test_an_adapter_that_is_pulled_out_ends_its_links(
    bluez: ScriptedBluez, bluetooth: BluezBluetooth
) -> None:
    door(bluez)
    await hear(bluetooth, ADDRESS)
    async with bluetooth.connect("hci0", ADDRESS, within=WITHIN) as link:
        bluez.remove_adapter("hci0")
        with pytest.raises(LinkLost):
            await anext(link.notifications())
    with pytest.raises(LinkError):
        await connect_once(bluetooth)


@pytest.mark.parametrize("what", ["device", "adapter"])
async def test_what_vanishes_without_a_word_about_the_connection_ends_it(
    bluez: ScriptedBluez, bluetooth: BluezBluetooth, what: str
) -> None:
    scripted = door(bluez)
    await hear(bluetooth, ADDRESS)
    async with bluetooth.connect("hci0", ADDRESS, within=WITHIN) as link:
        path = bluez.path_of(scripted)
        bluez.remove(path if what == "device" else path.rpartition("/")[0])
        with pytest.raises(LinkLost, match="removed"):
            async with asyncio.timeout(5):
                await anext(link.notifications())
        with pytest.raises(LinkLost):
            await link.write(b"\0")
    assert not bluetooth._stack._watches  # type: ignore[attr-defined]


async def test_an_adapter_that_is_off_is_told_before_anything_is_tried(
    bluez: ScriptedBluez, bluetooth: BluezBluetooth
) -> None:
    door(bluez)
    await hear(bluetooth, ADDRESS)
    bluez.set_powered("hci0", powered=False)
    with pytest.raises(AdapterOff):
        await connect_once(bluetooth)
    assert not bluez.asked("Connect")


async def test_two_locks_at_once_do_not_hear_each_other(
    bluez: ScriptedBluez, bluetooth: BluezBluetooth
) -> None:
    first, second = door(bluez), door(bluez, address=OTHER)
    await hear(bluetooth, ADDRESS, OTHER)
    async with (
        bluetooth.connect("hci0", ADDRESS, within=WITHIN) as one,
        bluetooth.connect("hci0", OTHER, within=WITHIN) as two,
    ):
        first.notify(b"\1")
        second.notify(b"\2")
        assert await anext(one.notifications()) == b"\1"
        assert await anext(two.notifications()) == b"\2"
