"""The virtual lock on a radio, met by bleak over bumble's real HCI, L2CAP and ATT."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from bleak import BleakClient, BleakScanner
from bleak.exc import BleakError

from bleagent.errors import LinkError
from bleagent.simulator.profiles import PROFILE_NAMES
from bleagent.simulator.quirks import Quirks
from protocol.advertisement import Advertisement
from protocol.gatt import OLD_PROFILE, PROFILES, parse_read_value

from .air import Air, Radio
from .bleak_bumble import Adapter
from .conversation import KEYS, find, hear, open_door, talk
from .radio_door import ADDRESS, Door

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("adapter")]


@asynccontextmanager
async def door(air: Air, name: str = "v3.0") -> AsyncIterator[Door]:
    served = Door(air, name)
    async with served.serve() as address:
        assert address == ADDRESS
        yield served


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("name", PROFILE_NAMES)
async def test_a_lock_is_heard_and_opened(air: Air, adapter: Adapter, name: str) -> None:
    async with door(air, name) as served:
        heard = await hear(ADDRESS)
        assert heard.verify(KEYS)
        assert heard.uuid == KEYS.uuid
        assert heard.bound
        assert not heard.connect_request
        async with talk(await find(ADDRESS), served.lock) as conversation:
            await open_door(conversation)
        await eventually(lambda: not served.is_connected)
        assert served.lock.dump()["opened"] == 1
        marks = "".join(mark for mark, _ in served.tapped)
        assert marks.startswith("|>")
        assert marks.endswith("|")
        assert ("!", b"opened") in served.tapped
    assert not adapter.clients


@pytest.mark.parametrize("name", PROFILE_NAMES)
async def test_the_table_and_the_size_of_a_write_are_the_firmwares(air: Air, name: str) -> None:
    async with door(air, name) as served, BleakClient(await find(ADDRESS)) as client:
        expected = PROFILES[served.lock.firmware.gatt]
        write = client.services.get_characteristic(expected.write)
        assert write is not None
        assert write.max_write_without_response_size == served.lock.att_payload
        assert write.service_uuid == expected.service
        assert client.services.get_characteristic(expected.notify) is not None
        if expected.read is not None:
            value = bytes(await client.read_gatt_char(expected.read))
            assert Advertisement.parse(parse_read_value(value)).verify(KEYS)


async def test_it_is_silent_while_connected_and_advertises_after(air: Air) -> None:
    async with door(air):
        async with BleakClient(await find(ADDRESS)):
            assert await BleakScanner.find_device_by_address(ADDRESS, timeout=0.2) is None
        await find(ADDRESS)


async def test_it_asks_to_be_connected_to(air: Air) -> None:
    async with door(air) as served:
        served.want_connection(True)
        await eventually(lambda: served.radio.le_legacy_advertiser.enabled)
        async with asyncio.timeout(5):
            while not (await hear(ADDRESS)).connect_request:
                pass


async def test_a_lock_without_an_owner_advertises_its_product(air: Air) -> None:
    served = Door(air, bound=False)
    async with served.serve():
        heard = await hear(ADDRESS)
    assert heard.bound is False
    assert heard.product_id == "vanjlsr8"


async def test_the_lock_hangs_up(air: Air) -> None:
    async with door(air) as served:
        lost = asyncio.Event()
        client = BleakClient(await find(ADDRESS), lambda _: lost.set())
        await client.connect()
        await served.hang_up()
        async with asyncio.timeout(1):
            await lost.wait()
        with pytest.raises(BleakError):
            await client.write_gatt_char(OLD_PROFILE.write, b"x", response=False)
        await eventually(lambda: not served.lock.is_connected)
        await find(ADDRESS)


async def test_power_is_lost_without_a_word_and_comes_back(air: Air) -> None:
    async with door(air) as served:
        lost = asyncio.Event()
        client = BleakClient(await find(ADDRESS), lambda _: lost.set())
        await client.connect()
        begun = asyncio.get_running_loop().time()
        await served.act({"power": "off"})
        async with asyncio.timeout(5):
            await lost.wait()
        assert asyncio.get_running_loop().time() - begun >= air.supervision_timeout * 0.9
        assert await BleakScanner.find_device_by_address(ADDRESS, timeout=0.2) is None
        await served.act({"power": "on"})
        async with talk(await find(ADDRESS), served.lock) as conversation:
            await open_door(conversation)


async def test_out_of_range_is_noticed_and_healed(air: Air) -> None:
    async with door(air) as served:
        lost = asyncio.Event()
        client = BleakClient(await find(ADDRESS), lambda _: lost.set())
        await client.connect()
        air.silence(served.radio)
        async with asyncio.timeout(5):
            await lost.wait()
        await eventually(lambda: not served.is_connected)
        air.restore(served.radio)
        async with talk(await find(ADDRESS), served.lock) as conversation:
            await open_door(conversation)


async def test_a_short_silence_delays_and_loses_nothing(air: Air) -> None:
    air.supervision_timeout = 5
    async with (
        door(air) as served,
        talk(await find(ADDRESS), served.lock) as conversation,
        asyncio.timeout(5),
    ):
        air.silence(served.radio)
        asyncio.get_running_loop().call_later(0.05, air.restore, served.radio)
        await open_door(conversation)
    assert served.lock.dump()["opened"] == 1


async def test_what_it_says_on_connecting_waits_for_the_subscription(air: Air) -> None:
    served = Door(air, quirks=Quirks(pushes_info_on_connect=True))
    async with served.serve(), BleakClient(await find(ADDRESS)) as client:
        heard: asyncio.Queue[bytes] = asyncio.Queue()
        await client.start_notify(
            OLD_PROFILE.notify, lambda _, value: heard.put_nowait(bytes(value))
        )
        async with asyncio.timeout(5):
            assert (await heard.get())[0] == 0


async def test_an_absent_lock_leaves_the_adapter_usable(air: Air) -> None:
    async with door(air) as served:
        device = await find(ADDRESS)
        air.silence(served.radio)
        with pytest.raises((TimeoutError, BleakError)):
            await BleakClient(device, timeout=0.2).connect()
        air.restore(served.radio)
        async with talk(await find(ADDRESS), served.lock) as conversation:
            await open_door(conversation)


async def test_of_two_centrals_at_once_one_is_connected(air: Air, adapter: Adapter) -> None:
    async with door(air) as served:
        other = Radio(air, "00:A0:50:00:00:02", "other")
        # The one that is too late finds nobody any more, and the other must not be.
        mine = BleakClient(await find(ADDRESS), timeout=2.0)
        theirs = Adapter(air, "00:A0:50:00:00:03")
        device = await theirs.ready()
        target = served.radio.public_address
        results = await asyncio.gather(
            mine.connect(), device.connect(target, timeout=2.0), return_exceptions=True
        )
        assert sum(not isinstance(one, BaseException) for one in results) >= 1
        await asyncio.sleep(0.1)
        ends = [radio for radio in (adapter.radio, theirs.radio) if radio.le_connections]
        assert len(ends) == 1
        assert not other.le_connections


async def test_ten_locks_are_opened_at_once(air: Air) -> None:
    addresses = [f"DC:23:51:00:01:{number:02X}" for number in range(10)]
    doors = [Door(air, address=address) for address in addresses]

    async def use(served: Door) -> None:
        async with (
            served.serve() as address,
            talk(await find(address), served.lock) as conversation,
        ):
            await open_door(conversation)

    await asyncio.gather(*map(use, doors))
    assert [served.lock.dump()["opened"] for served in doors] == [1] * 10


async def test_a_lock_that_is_hung_up_on_in_the_middle_is_a_link_error(air: Air) -> None:
    async with door(air) as served, talk(await find(ADDRESS), served.lock) as conversation:
        await served.hang_up()
        with pytest.raises(LinkError):
            await open_door(conversation)
    assert served.lock.dump()["opened"] == 0
