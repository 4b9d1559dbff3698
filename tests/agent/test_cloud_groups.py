"""The typed methods, against the virtual cloud: what each gives, and that none is missing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bleagent.cloud import groups
from bleagent.cloud.catalogue import CATALOGUE, Family, Group, LockKind
from bleagent.cloud.errors import BadAnswer, InvalidArgument, NotSupported
from bleagent.cloud.groups import Apis
from bleagent.cloud.groups.devices import PairingKey
from bleagent.cloud.groups.members import Syncable, User
from bleagent.cloud.groups.passwords import Hours, TemporaryPassword
from bleagent.cloud.groups.records import Alarm, LogEntry, LogPage, Shown
from bleagent.cloud.groups.remote import WITHOUT_PASSWORD, Refusal
from bleagent.cloud.settings import Transport
from bleagent.records.readback import CredentialName
from bleagent.simulator.cloud_passwords import Phase
from bleagent.simulator.cloud_records import ReportedRecord
from bleagent.simulator.virtual_cloud import CLIENT_SECRET
from protocol import Secret
from tests.agent.api_world import MEMBER, World, world
from tests.agent.cloud_world import DEVICE, UNIX

pytestmark = pytest.mark.anyio

NOW = datetime.fromtimestamp(UNIX, UTC)
LATER = NOW + timedelta(hours=1)
PIN = Secret("123456")
OFFICE = Hours(begins=480, ends=1080, weekdays=frozenset({"mon", "fri"}))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@asynccontextmanager
async def apis(
    lock: LockKind = LockKind.BLUETOOTH, settings: dict[str, Any] | None = None
) -> AsyncIterator[tuple[Apis, World]]:
    async with world(settings) as there:
        yield Apis.of(there.client, CLIENT_SECRET, lock), there


OVER_PATHS = {"transport": Transport.OPENAPI}


@pytest.mark.parametrize("settings", [None, OVER_PATHS], ids=["action", "openapi"])
async def test_a_password_is_made_read_renamed_moved_and_deleted(
    settings: dict[str, Any] | None,
) -> None:
    async with apis(settings=settings) as (on, there):
        made = await on.passwords.create(
            DEVICE, pin=PIN, begins=NOW, ends=LATER, name="Jane", schedule=[OFFICE], sn=4,
            time_zone="+08:00", phone="123", once=True,
        )  # fmt: skip
        whole = TemporaryPassword(
            password_id=made, name="Jane", phase=Phase.TO_BE_SENT, begins=NOW, ends=LATER,
            delivery_status=1, phone="123", time_zone="+08:00", schedule=(OFFICE,), sn=4,
        )  # fmt: skip
        assert await on.passwords.list(DEVICE) == (whole,)
        assert await on.passwords.one(DEVICE, made) == whole
        assert there.cloud.passwords.passwords[int(made)].pin == PIN
        there.cloud.passwords.sent(int(made))
        await on.passwords.rename(DEVICE, made, "Jack")
        assert [(one.name, one.phase) for one in await on.passwords.list(DEVICE)] == [("Jack", 2)]
        await on.passwords.change(DEVICE, made, begins=NOW, ends=LATER + timedelta(hours=1))
        assert (await on.passwords.one(DEVICE, made)).ends == LATER + timedelta(hours=1)
        await on.passwords.delete(DEVICE, made)
        assert await on.passwords.list(DEVICE) == ()


async def test_a_password_may_have_no_name() -> None:
    async with apis() as (on, there):
        await on.passwords.create(DEVICE, pin=PIN, begins=NOW, ends=LATER)
        assert [one.name for one in await on.passwords.list(DEVICE)] == [""]
        assert there.cloud.calls["doorLock.createTemporaryPasswordWithoutName"] == 1


async def test_what_a_bluetooth_lock_cannot_is_said_before_anything_is_sent() -> None:
    async with apis() as (on, there):
        with pytest.raises(InvalidArgument, match="PIN: found 7 digits"):
            await on.passwords.create(DEVICE, pin=Secret("1234567"), begins=NOW, ends=LATER)
        assert not there.cloud.calls
        with pytest.raises(NotSupported, match="Bluetooth locks cannot change"):
            await on.passwords.change(DEVICE, "1", begins=NOW, ends=LATER, pin=PIN)
        with pytest.raises(NotSupported, match="zigbee only"):
            await on.remote.open_with(DEVICE, PIN)
        with pytest.raises(NotSupported, match="wifi only"):
            await on.remote.turn_down(DEVICE)
        with pytest.raises(NotSupported, match="wifi only"):
            await on.media.last(DEVICE, Shown.ALARM)


async def test_passwords_that_are_no_temporary_ones() -> None:
    async with apis() as (on, _):
        dynamic = await on.passwords.dynamic(DEVICE)
        clearing = await on.passwords.clearing_code(DEVICE, "7")
        for one in (dynamic, clearing):
            assert len(one.reveal()) == 8
            assert one.reveal().decode() not in repr(one)
        await on.passwords.remove_invalid(DEVICE)


JAMES = User(
    user_id=MEMBER,
    name="James",
    kind=20,
    lock_user_id=1,
    credentials=(
        CredentialName(
            code="unlock_fingerprint", sn=2, user_id=MEMBER, user_name="James",
            unlock_name="Thumb",
        ),
    ),
)  # fmt: skip


async def test_members_and_what_they_open_with() -> None:
    async with apis() as (on, there):
        assert await on.users.list(DEVICE) == (JAMES,)
        assert (await on.users.one(DEVICE)).user_id == MEMBER
        (card,) = await on.opmodes.unallocated(DEVICE)
        assert (card.code, card.sn, card.dp, card.unlock_name) == ("unlock_card", 7, 15, "Card")
        await on.opmodes.allocate(DEVICE, MEMBER, [(card.code, card.sn)])
        await on.opmodes.set_duress(DEVICE, "unlock_card", 7, on=True)
        marked = {one.code: one.duress for one in await on.opmodes.of_user(DEVICE, MEMBER)}
        assert marked == {"unlock_fingerprint": False, "unlock_card": True}
        there.cloud.records.planted.append(
            ReportedRecord(device_id=DEVICE, code="unlock_card", value=7, time_ms=int(UNIX) * 1000)
        )
        assert await on.records.alarms(DEVICE) == (
            Alarm(code="hijack", value="unlock_card-07", time=NOW),
        )
        await on.opmodes.set_duress(DEVICE, "unlock_card", 7, on=False)
        await on.opmodes.deallocate(DEVICE, MEMBER, "unlock_card", 7)
        assert await on.opmodes.unallocated(DEVICE) == (card,)


async def test_a_lock_is_asked_what_it_knows_when_it_is_due() -> None:
    async with apis() as (on, _):
        first, second = [await on.opmodes.syncable(DEVICE) for _ in range(2)]
        assert first == Syncable(
            due=True, dp_id=54, command=Secret(bytes.fromhex("04f0080506030102"))
        )
        assert not second.due


async def test_openings_from_afar() -> None:
    async with apis() as (on, there):
        await on.remote.open(DEVICE)
        assert there.cloud.members.opened == [DEVICE]
        await on.remote.switch(DEVICE, WITHOUT_PASSWORD, on=False)
        assert await on.remote.switches(DEVICE) == {
            WITHOUT_PASSWORD: False,
            "remoteUnlockWithPwd": True,
        }
    async with apis(LockKind.WIFI) as (on, there):
        await on.remote.turn_down(DEVICE, Refusal.CANCELLED)
    async with apis(LockKind.ZIGBEE) as (on, there):
        with pytest.raises(NotSupported) as told:
            await on.remote.open_with(DEVICE, PIN)
        assert told.value.cloud_code == 2004  # the virtual lock is a Bluetooth lock


async def test_what_happened_as_the_documents_have_it() -> None:
    async with apis() as (on, _):
        assert await on.records.log(DEVICE) == LogPage(
            entries=(
                LogEntry(
                    log_id="34679xxx", category="alarm_record", kind="doorbell", user_id="0",
                    time=datetime.fromtimestamp(1654849301, UTC),
                ),
            )
        )  # fmt: skip
        assert await on.records.latest(DEVICE) == LogEntry(
            log_id="123345", category="operate_log", kind="dev_bind", time=None,
            user_id="123", user_name="User 1",
        )  # fmt: skip
        assert await on.records.codes(DEVICE) == {12: "unlock_password", 13: "unlock_fingerprint"}


async def test_devices_pictures_keys_panels_and_video_doors() -> None:
    async with apis() as (on, there):
        assert (await on.devices.status(DEVICE))["bright_value_v2"] == 370
        await on.devices.control(DEVICE, {"x": True})
        assert there.cloud.members.commands == [(DEVICE, [{"code": "x", "value": True}])]
        key = await on.bluetooth.pairing_key("25761214", "u", "ay1")
        assert key == PairingKey(encrypted=Secret("456789056789"), random=Secret("6783456789"))
        assert await on.video_door.open("v", "p") == "1212581947449081****"
        await on.video_door.call("v", ["p"], sn="1", event=1, room="01-01")
        assert await on.panel.ask("scale.hijacking.add.config", devId="d", dpId=1, dpValue="1-1")
    async with apis(LockKind.WIFI) as (on, _):
        picture = await on.media.last(DEVICE, Shown.REMOTE_OPENING)
        assert (picture.key, picture.path) == (Secret("u8kstrtjm7qun83q"), "/3039e1-30532026.jpg")
        assert picture.url not in repr(picture)


class Answers:
    """A client that answers the same whatever it is asked."""

    def __init__(self, found: Any) -> None:
        self.found = found

    async def call(self, _name: str, /, **_arguments: Any) -> Any:
        return self.found


async def test_a_log_goes_on_with_its_key() -> None:
    for told, key in (
        ({"hasMore": True, "lastRowKey": "k"}, "k"),
        ({"has_more": True, "last_row_key": "k"}, "k"),
        ({"hasMore": False, "lastRowKey": "k"}, ""),
        ({}, ""),
    ):
        found = await Apis.of(Answers(told), PIN).records.log(DEVICE)
        assert (found.entries, found.next_key) == ((), key)


@pytest.mark.parametrize("told", [None, {}, True, []])
async def test_an_answer_without_what_it_is_for_is_none(told: Any) -> None:
    on = Apis.of(Answers(told), CLIENT_SECRET)
    asked = (
        on.passwords.dynamic(DEVICE),
        on.passwords.clearing_code(DEVICE, "1"),
        on.users.one(DEVICE),
        on.video_door.open("v", "p"),
        on.bluetooth.pairing_key("h", "u", "i"),
        on.media.last(DEVICE, Shown.ALARM),
    )
    for one in asked:
        with pytest.raises(BadAnswer) as error:
            await one
        assert error.value.ambiguous


async def test_nothing_listed_is_an_empty_list() -> None:
    on = Apis.of(Answers(None), PIN)
    assert await on.passwords.list(DEVICE) == ()
    assert await on.users.list(DEVICE) == ()
    assert await on.remote.switches(DEVICE) == {}


ELSEWHERE = {
    # Methods of the client itself.
    "doorLock.listRecords",
    "doorLock.openingLogs",
    "doorLock.getIssuedConfig",
    "doorLock.bleOpenInstruction",
    "doorLock.unlockInstruction",
    "device.getListByIds",
    "timer.currentTime",
}


def test_every_api_has_a_method() -> None:
    folder = Path(str(groups.__file__)).parent
    written = "".join(one.read_text(encoding="utf-8") for one in folder.glob("*.py"))
    without = {
        api.name
        for api in CATALOGUE
        if f'"{api.name}"' not in written
        and api.family is not Family.PANEL
        and api.group is not Group.SHARING
    }
    assert without - {"doorLock.passwordTicket"} == ELSEWHERE
