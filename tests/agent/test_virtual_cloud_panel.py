"""What an app's panel does is remembered, and told to lock programs as well."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from bleagent.cloud.errors import CloudRefused
from bleagent.simulator.cloud_passwords import Phase
from bleagent.simulator.cloud_records import ReportedRecord
from protocol import Secret
from tests.agent.api_world import MEMBER, World, world
from tests.agent.cloud_world import DEVICE, UNIX

pytestmark = pytest.mark.anyio

NOW = int(UNIX)
OLD_TIMES: Mapping[str, Any] = {"effectiveTime": NOW, "invalidTime": NOW + 3600}
NEW: Mapping[str, Any] = {"name": "Jane", "password": "123456", **OLD_TIMES}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def panel(there: World, name: str, /, **given: Any) -> Any:
    return await there.client.call(f"tuya.m.{name}", for_lock=None, devId=DEVICE, **given)


async def phases(there: World) -> dict[str, int]:
    """As lock programs are told them."""
    rows = await there.client.call("doorLock.getTemporaryPasswordList", device_id=DEVICE)
    return {row["name"]: row["phase"] for row in rows}


async def listed(there: World, **given: Any) -> list[tuple[str, int]]:
    """As the older panel is told them."""
    rows = await panel(there, "zigbee.lock.temppwd.list", **given)
    return [(row["name"], row["phase"]) for row in rows]


async def test_a_password_of_the_new_panel_is_one_of_the_lock() -> None:
    async with world() as there:
        made = await panel(there, "device.zigbee.newTempPwd.create", **NEW, oneTime=1)
        assert (made["name"], made["operate"], made["oneTime"]) == ("Jane", 124, True)
        known = there.cloud.passwords.passwords[int(made["id"])]
        assert (known.pin, known.invalid_time) == (Secret("123456"), NOW + 3600)
        assert await phases(there) == {"Jane": Phase.TO_BE_SENT}
        page = await panel(there, "device.lock.temppwd.pagelist")
        assert [row["id"] for row in page["datas"]] == [made["id"]]

        renamed = {"pwdId": made["id"], "name": "Jill"}
        await panel(there, "device.lock.temppwd.name.update", version="1.0", **renamed)
        assert await phases(there) == {"Jill": Phase.TO_BE_SENT}
        there.cloud.passwords.sent(known.password_id)
        changed = {**NEW, "id": made["id"], "name": "Jack", "invalidTime": NOW + 7200}
        told = await panel(there, "device.zigbee.newTempPwd.update", **changed, operate=126)
        assert (told["name"], told["operate"]) == ("Jack", 126)
        assert await phases(there) == {"Jack": Phase.TO_BE_SENT}
        assert there.cloud.passwords.passwords[known.password_id].invalid_time == NOW + 7200
        there.cloud.passwords.sent(known.password_id)
        await panel(there, "device.zigbee.newTempPwd.update", **changed, operate=125)
        assert await phases(there) == {"Jack": Phase.TO_BE_DELETED}


async def test_a_password_of_the_old_panel_is_frozen_and_deleted() -> None:
    async with world() as there:
        await panel(there, "zigbee.lock.temppwd.create", **NEW, createLimit=1)
        again = {**NEW, "name": "Jack"}
        with pytest.raises(CloudRefused) as told:
            await panel(there, "zigbee.lock.temppwd.create", **again, createLimit=1)
        assert told.value.cloud_code == 2303
        assert await listed(there) == [("Jane", 2)]
        (made,) = there.cloud.passwords.passwords
        update = {**NEW, "id": made, "phone": "1"}
        for operate, phase, opens in ((127, 3, False), (128, 2, True)):
            await panel(there, "zigbee.lock.temppwd.update", **update, operate=operate)
            assert await listed(there) == [("Jane", phase)]
            assert there.cloud.passwords.opens(DEVICE, Secret("123456")) is opens
        await panel(there, "zigbee.lock.temppwd.update", **update, operate=125)
        assert await listed(there) == []
        assert await listed(there, useful=False) == [("Jane", 4)]
        await panel(there, "device.lock.zigbee.temppwdList.remove")
        assert await listed(there, useful=False) == []
        with pytest.raises(CloudRefused) as told:
            await panel(there, "zigbee.lock.temppwd.update", **update, operate=125)
        assert told.value.cloud_code == 1000


async def test_how_long_a_password_is_good_for_is_told() -> None:
    async with world() as there:
        for name, begins, ends in (("soon", 60, 120), ("ending", 0, 60), ("good", 0, 10**6)):
            times = {"effectiveTime": NOW + begins, "invalidTime": NOW + ends}
            await panel(there, "zigbee.lock.temppwd.create", **{**NEW, **times, "name": name})
        rows = await panel(there, "zigbee.lock.temppwd.list")
        assert {row["name"]: row["effective"] for row in rows} == {
            "soon": 1, "ending": 3, "good": 2
        }  # fmt: skip
        there.clock.pass_time(121)
        rows = await panel(there, "zigbee.lock.temppwd.list", useful=False)
        assert {row["effective"] for row in rows} == {4}


async def test_a_duress_mark_of_the_panel_shows_in_alarms() -> None:
    async with world() as there:
        opened = ReportedRecord(
            device_id=DEVICE, code="unlock_fingerprint", value=2, time_ms=NOW * 1000
        )
        there.cloud.records.planted.append(opened)

        async def alarms() -> int:
            found = await there.client.call("doorLock.alarmLogs", device_id=DEVICE, codes="hijack")
            return len(found["records"])

        for value in ("2", "12-2"):
            await panel(there, "scale.hijacking.add.config", dpId="12", dpValue=value)
            assert await alarms() == 1
            await panel(there, "scale.hijacking.remove.config", dpId="12", dpValue=value)
            assert await alarms() == 0
        with pytest.raises(CloudRefused):
            await panel(there, "scale.hijacking.add.config", dpId="12", dpValue="3")


async def test_a_card_is_given_to_a_member_and_renamed() -> None:
    async with world() as there:
        given = {"userId": MEMBER, "unlockId": "15-7", "unlockName": "Spare"}
        made = await panel(there, "device.member.opmode.add", **given)
        renamed = {"pwdId": made["opModeId"], "name": "Blue"}
        await panel(there, "device.lock.temppwd.name.update", version="2.0", **renamed)
        found = await there.client.call(
            "doorLock.listUserOpmodes", device_id=DEVICE, user_id=MEMBER
        )
        assert "Blue" in [row["unlock_name"] for row in found["records"]]
        with pytest.raises(CloudRefused):
            await panel(there, "device.member.opmode.add", **given)
        with pytest.raises(CloudRefused):
            await panel(there, "device.lock.temppwd.name.update", version="2.0", pwdId=1, name="x")


async def test_openings_and_alarms_are_told_by_their_datapoints() -> None:
    async with world() as there:
        for code, value, at in (
            ("unlock_fingerprint", 2, 3), ("unlock_card", 9, 2), ("alarm_lock", "low_battery", 1)
        ):  # fmt: skip
            record = ReportedRecord(
                device_id=DEVICE, code=code, value=value, time_ms=(NOW + at) * 1000
            )
            there.cloud.records.planted.append(record)
        page = await panel(there, "scale.history.list", dpIds=[12, 15], limit=1)
        (row,) = page["datas"]
        assert (row["dps"], row["userName"]) == ([{"12": "2"}], "James")
        assert (page["has_more"], page["total"]) == (True, 2)
        page = await panel(there, "scale.history.list", dpIds=[12, 15], offset=1)
        assert [one["dps"] for one in page["datas"]] == [[{"15": "9"}]]
        since = {"startTime": (NOW + 3) * 1000}
        page = await panel(there, "scale.history.list", dpIds=[12, 15, 99], **since)
        assert page["total"] == 1
        page = await panel(there, "device.lock.alarm.list", dpIds=[21])
        assert [one["dps"] for one in page["datas"]] == [[{"21": "low_battery"}]]


async def test_five_wrong_gestures_are_too_many() -> None:
    async with world() as there:

        async def tried(password: str) -> tuple[bool, int]:
            told = await panel(there, "device.lock.gesturepwd.validate", password=password)
            return told["checkResult"], told["spareTime"]

        await panel(there, "device.lock.gesturepwd.set", open=True, password="1470")
        assert await tried("1") == (False, 4)
        assert await tried("1470") == (True, 5)
        for left in (4, 3, 2, 1, 0):
            assert await tried("1") == (False, left)
        assert await tried("1470") == (False, 0)
        await panel(there, "device.lock.gesturepwd.set", open=True)
        assert await tried("1470") == (True, 5)
        await panel(there, "device.lock.gesturepwd.set", open=False)
        assert (await tried("1470"))[0] is False


async def test_a_code_that_was_sent_is_the_documents() -> None:
    async with world() as there:

        async def ask(name: str, **given: Any) -> Any:
            return await there.client.call(
                f"tuya.m.device.user.verifycode.{name}", account="a@b.example", **given
            )

        await ask("send")
        with pytest.raises(CloudRefused) as told:
            await ask("check", code="1")
        assert told.value.cloud_code == 1109
        assert await ask("check", code="123456") is True
