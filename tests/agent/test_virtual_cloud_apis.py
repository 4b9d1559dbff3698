"""The virtual cloud answers every API: from the documents' samples, or from what it remembers."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from bleagent.cloud import results
from bleagent.cloud.catalogue import CATALOGUE, Api, Family, Group, LockKind, Repeat
from bleagent.cloud.codec import read_answer
from bleagent.cloud.errors import (
    CloudRefused,
    NotSupported,
    PermissionDenied,
)
from bleagent.cloud.passwords import with_ticket
from bleagent.cloud.settings import Transport
from bleagent.simulator.cloud_passwords import Phase
from bleagent.simulator.cloud_quirks import CloudQuirk
from bleagent.simulator.cloud_records import ReportedRecord
from bleagent.simulator.cloud_samples import sections
from bleagent.simulator.virtual_cloud import CLIENT_SECRET, Envelope
from protocol import Secret
from tests.agent.api_world import MEMBER, World, arguments_for, world
from tests.agent.cloud_world import DEVICE, UNIX, lock
from tests.vendor.samples import answer_of

pytestmark = pytest.mark.anyio

NOW = int(UNIX)
OVER_PATHS: dict[str, Any] = {"transport": Transport.OPENAPI}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def remembers(api: Api) -> bool:
    """Whether the cloud answers from what it keeps, and not from a sample."""
    return api.name in REMEMBERED


REMEMBERED = {
    "doorLock.alarmLogs",
    "doorLock.listRecords",
    "doorLock.openingLogs",
    "doorLock.listUsers",
    "doorLock.listUserOpmodes",
    "doorLock.getUser",
    "doorLock.listUnallocatedOpmodes",
    "doorLock.allocateOpmode",
    "doorLock.deallocateOpmode",
    "doorLock.setHijack",
    "doorLock.removeHijack",
    "doorLock.getSyncableOpmodeTypes",
    "doorLock.passwordTicket",
    "doorLock.getTemporaryPassword",
    "doorLock.getTemporaryPasswordList",
    "doorLock.createTemporaryPassword",
    "doorLock.createTemporaryPasswordWithoutName",
    "doorLock.modifyTemporaryPassword",
    "doorLock.deleteTemporaryPassword",
    "doorLock.removalInvalidTempPasswords",
    "doorLock.getDynamicPassword",
    "doorLock.deleteOfflinePassword",
    "doorLock.remoteUnlocks",
    "doorLock.remoteUnlockConfig",
    "doorLock.passwordFreeOpen",
    "doorLock.openDoor",
    "doorLock.getIssuedConfig",
    "doorLock.bleOpenInstruction",
    "doorLock.unlockInstruction",
    "device.control",
    "device.getListByIds",
    "timer.currentTime",
}


def golden(api: Api) -> Any:
    """The document's sample as the client reads it; ``True`` where there is none."""
    body = answer_of(api)
    if body is None:
        return True
    return results.read(api, read_answer(json.dumps(body).encode()).result)


SAMPLED = [api for api in CATALOGUE if not remembers(api) and api.group is not Group.SHARING]


def test_every_api_has_a_section() -> None:
    assert set(sections()) == {api.key for api in CATALOGUE}
    assert {api.name for api in CATALOGUE} >= REMEMBERED


async def call(there: World, api: Api, **more: Any) -> Any:
    return await there.client.call(
        api.name, version=api.version or None, for_lock=None, **arguments_for(api), **more
    )


@pytest.mark.parametrize("envelope", Envelope)
async def test_every_sample_is_answered_in_every_envelope(envelope: Envelope) -> None:
    async with world(envelope=envelope) as there:
        for api in SAMPLED:
            assert await call(there, api) == golden(api), api.key


@pytest.mark.parametrize("envelope", Envelope)
async def test_what_is_remembered_is_answered_in_every_envelope(envelope: Envelope) -> None:
    # What fails without a password, a ticket, or for Bluetooth locks has its own tests below.
    reads = [api for api in CATALOGUE if remembers(api) and api.name not in NEED_MORE]
    async with world(envelope=envelope) as there:
        for api in reads:
            assert await call(there, api) not in (None, {}), api.key


NEED_MORE = {
    "doorLock.getTemporaryPasswordList",
    "doorLock.getTemporaryPassword",
    "doorLock.createTemporaryPassword",
    "doorLock.createTemporaryPasswordWithoutName",
    "doorLock.modifyTemporaryPassword",
    "doorLock.deleteTemporaryPassword",
    "doorLock.passwordFreeOpen",
    "doorLock.openDoor",
    "doorLock.allocateOpmode",
    "doorLock.deallocateOpmode",
    "doorLock.setHijack",
    "doorLock.removeHijack",
}


async def answers(quirks: tuple[CloudQuirk, ...] = ()) -> dict[str, Any]:
    """What the client makes of every answer that has no secret of its own moment."""
    found = {}
    opened = ReportedRecord(
        device_id=DEVICE, code="unlock_fingerprint", value=2, time_ms=NOW * 1000
    )
    async with world(quirks=quirks) as there:
        there.cloud.records.planted.append(opened)
        found["password"] = await change(there, "get", await create(there))
        for api in CATALOGUE:
            asked = api.repeat is Repeat.READ and api.group is not Group.SHARING
            if asked and api.name not in NOT_COMPARED:
                found[api.key] = await call(there, api)
        found["issued"] = await there.client.issued_config(DEVICE)
        found["records"] = await there.client.list_records(
            DEVICE, since=NOW - 1, until=NOW + 1, codes=["unlock_fingerprint"]
        )
        found["names"] = await there.client.credential_names(DEVICE)
    return found


NOT_COMPARED = {
    "doorLock.getTemporaryPassword",  # it is asked with an id
    "device.status",  # its values are what datapoints have, as they are
    "doorLock.listRecords",  # so are its
    "tuya.m.scale.history.list",
    "tuya.m.device.lock.alarm.list",
    "tuya.m.zigbee.member.list",
}


@pytest.mark.parametrize("quirk", CloudQuirk)
async def test_what_the_documents_contradict_themselves_in_makes_no_difference(
    quirk: CloudQuirk,
) -> None:
    straight, odd = await answers(), await answers((quirk,))
    for key, expected in straight.items():
        found = odd[key]
        if quirk is CloudQuirk.ROWS_ALONE and isinstance(expected, dict):
            assert found == {name: expected[name] for name in found}, key
        else:
            assert found == expected, key


async def test_every_path_leads_to_its_api() -> None:
    async with world(OVER_PATHS) as there:
        for api in CATALOGUE:
            if api.family is Family.ACTION and api.paths:
                with suppress(CloudRefused):
                    await call(there, api)
                assert there.cloud.calls[api.key] == 1, api.key


async def test_panels_and_video_doors_are_no_actions() -> None:
    async with world() as there:
        for name in ("videoDoor.open", "tuya.m.zigbee.member.list@1.0", "doorLock.unheardOf"):
            http = there.client._transport
            body = json.dumps({"action": name, "params": {}}).encode()
            there.cloud.action_auth = there.cloud.action_auth.NONE
            answer = await http.send(
                "POST",
                f"{there.cloud.base_url}/faas",
                headers={"Content-Type": "application/json"},
                content=body,
                time_limit=5,
            )
            assert read_answer(answer.body).code == 1108


async def test_what_a_document_needs_is_needed() -> None:
    async with world() as there:
        http = there.client._transport
        body = json.dumps({"action": "tuya.m.device.user.account.get", "version": "1.0",
                           "params": {}}).encode()  # fmt: skip
        answer = await http.send(
            "POST",
            f"{there.cloud.base_url}/panel",
            headers={"Content-Type": "application/json"},
            content=body,
            time_limit=5,
        )
        found = read_answer(answer.body)
        assert (found.success, found.code, found.msg) == (False, 1102, "devId is null")


async def test_another_projects_lock_is_refused() -> None:
    async with world() as there:
        for name in ("doorLock.loglatest", "doorLock.passwordTicket", "doorLock.remoteUnlocks"):
            with pytest.raises(PermissionDenied):
                await there.client.call(name, device_id="another")


# -- passwords


async def create(there: World, name: str = "Jane", pin: str = "123456", **more: Any) -> int:
    sealed = await with_ticket(there.client, CLIENT_SECRET, device_id=DEVICE, pin=Secret(pin))
    made = await there.client.call(
        "doorLock.createTemporaryPassword",
        **{
            "device_id": DEVICE,
            "name": name,
            "effective_time": NOW,
            "invalid_time": NOW + 3600,
            **sealed,
            **more,
        },
    )
    return int(made["id"])


async def listed(there: World, *, valid: bool = True) -> dict[str, int]:
    found = await there.client.call(
        "doorLock.getTemporaryPasswordList", device_id=DEVICE, valid=valid
    )
    return {row["name"]: row["phase"] for row in found}


async def change(there: World, what: str, password_id: int, **more: Any) -> Any:
    return await there.client.call(
        f"doorLock.{what}TemporaryPassword", device_id=DEVICE, password_id=password_id, **more
    )


@pytest.mark.parametrize("settings", [{}, OVER_PATHS], ids=["action", "openapi"])
async def test_a_password_lives_in_the_phases_of_a_bluetooth_lock(settings: dict[str, Any]) -> None:
    async with world(settings) as there:
        made = await create(there, schedule_list=[
            {"effective_time": "08:00", "invalid_time": "18:00", "working_day": "mon,tue,fri"}
        ])  # fmt: skip
        assert there.cloud.passwords.passwords[made].pin == Secret("123456")
        assert await listed(there) == {"Jane": Phase.TO_BE_SENT}
        there.cloud.passwords.sent(made)
        assert await listed(there) == {"Jane": Phase.SENT}
        told = await change(there, "get", made)
        assert told["schedule_list"] == [
            {"effective_time": 480, "invalid_time": 1080, "working_day": 38}
        ]
        assert told["invalid_time"].timestamp() == NOW + 3600
        assert "pin" not in str(told)

        assert await change(there, "modify", made, name="Jack") is True
        assert await listed(there) == {"Jack": Phase.SENT}  # a name is the cloud's alone
        times: dict[str, Any] = {"effective_time": NOW, "invalid_time": NOW + 7200}
        assert await change(there, "modify", made, **times) is True
        assert await listed(there) == {"Jack": Phase.TO_BE_SENT}

        there.cloud.passwords.sent(made)
        assert await change(there, "delete", made) is True
        assert await listed(there) == {"Jack": Phase.TO_BE_DELETED}
        there.cloud.passwords.removed(made)
        assert await listed(there) == {}
        with pytest.raises(CloudRefused) as told_no:
            await change(there, "get", made)
        assert told_no.value.cloud_code == 1000


async def test_what_never_reached_the_lock_is_deleted_at_once() -> None:
    async with world() as there:
        first, second = await create(there, "a"), await create(there, "b")
        there.cloud.passwords.failed(second)
        assert await listed(there) == {"a": Phase.TO_BE_SENT, "b": Phase.FAILED}
        for one in (first, second):
            await change(there, "delete", one)
        assert await listed(there) == {}


async def test_a_password_ends_and_is_forgotten() -> None:
    async with world() as there:
        await create(there)
        there.clock.pass_time(3600)
        assert await listed(there) == {}
        assert await listed(there, valid=False) == {"Jane": Phase.TO_BE_SENT}
        await there.client.call("doorLock.removalInvalidTempPasswords", device_id=DEVICE)
        assert await listed(there, valid=False) == {}


async def test_a_password_without_a_name_is_told_without_one() -> None:
    async with world() as there:
        sealed = await with_ticket(
            there.client, CLIENT_SECRET, device_id=DEVICE, pin=Secret("123456")
        )
        times: dict[str, Any] = {"effective_time": NOW, "invalid_time": NOW + 60}
        name = "doorLock.createTemporaryPasswordWithoutName"
        await there.client.call(name, device_id=DEVICE, **times, **sealed)
        assert await listed(there) == {"": Phase.TO_BE_SENT}


async def test_a_ticket_is_good_once_and_for_a_while() -> None:
    async with world() as there:
        for wait in (0, 360):
            sealed = await with_ticket(
                there.client, CLIENT_SECRET, device_id=DEVICE, pin=Secret("123456")
            )
            there.clock.pass_time(wait)
            given: dict[str, Any] = {"device_id": DEVICE, "ticket_id": sealed["ticket_id"]}
            if not wait:
                assert await there.client.call("doorLock.passwordFreeOpen", **given) is True
            with pytest.raises(PermissionDenied) as told:
                await there.client.call("doorLock.passwordFreeOpen", **given)
            assert told.value.cloud_code == 2405
        assert there.cloud.members.opened == [DEVICE]


async def test_a_ticket_opens_the_lock_that_it_was_made_for() -> None:
    async with world() as there:
        other = replace(lock(), device_id="another")
        there.cloud.register(other)
        ticket = await there.client.call("doorLock.passwordTicket", device_id="another")
        with pytest.raises(PermissionDenied) as told:
            await there.client.call(
                "doorLock.passwordFreeOpen", device_id=DEVICE, ticket_id=ticket["ticket_id"]
            )
        assert told.value.cloud_code == 2405


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"password": "00" * 16}, 1109),  # not sealed with the ticket's key
        ({"ticket_id": "another"}, 2405),
        ({"invalid_time": NOW}, 2318),
    ],
)
async def test_a_password_that_the_cloud_does_not_take(more: dict[str, Any], code: int) -> None:
    async with world() as there:
        with pytest.raises(CloudRefused) as told:
            await create(there, **more)
        assert told.value.cloud_code == code
        assert there.cloud.passwords.passwords == {}


async def test_two_passwords_have_different_names() -> None:
    async with world() as there:
        await create(there)
        with pytest.raises(CloudRefused) as told:
            await create(there)
        assert told.value.cloud_code == 2316


async def test_seven_digits_are_too_many_for_a_bluetooth_lock() -> None:
    async with world() as there:
        sealed = await with_ticket(
            there.client,
            CLIENT_SECRET,
            device_id=DEVICE,
            pin=Secret("1234567"),
            lock=LockKind.WIFI,
        )
        with pytest.raises(CloudRefused) as told:
            await create(there, **sealed)
        assert told.value.cloud_code == 2314


async def test_the_digits_of_a_password_stay_as_they_are() -> None:
    async with world() as there:
        made = await create(there)
        sealed = await with_ticket(
            there.client, CLIENT_SECRET, device_id=DEVICE, pin=Secret("654321")
        )
        times: dict[str, Any] = {"effective_time": NOW, "invalid_time": NOW + 60}
        with pytest.raises(NotSupported, match="Bluetooth locks cannot change"):
            await change(there, "modify", made, **times, **sealed)
        with pytest.raises(NotSupported) as told:
            await change(there, "modify", made, for_lock=None, **times, **sealed)
        assert told.value.cloud_code == 2004


async def test_a_dynamic_password_is_another_one_after_five_minutes() -> None:
    async with world() as there:

        async def ask() -> str:
            found = await there.client.call("doorLock.getDynamicPassword", device_id=DEVICE)
            return str(found["dynamic_password"])

        first = await ask()
        assert (await ask(), len(first)) == (first, 8)
        there.clock.pass_time(300)
        assert await ask() != first


# -- members


async def owned(there: World) -> dict[str, int]:
    """The codes of the member's credentials, and whether each is under duress."""
    found = await there.client.call("doorLock.listUserOpmodes", device_id=DEVICE, user_id=MEMBER)
    return {row["dp_code"]: row["unlock_attr"] for row in found["records"]}


async def free(there: World) -> list[int]:
    found = await there.client.call("doorLock.listUnallocatedOpmodes", device_id=DEVICE)
    return [one["unlock_sn"] for row in found["records"] for one in row["unlock_info"]]


@pytest.mark.parametrize("settings", [{}, OVER_PATHS], ids=["action", "openapi"])
async def test_a_credential_is_given_to_a_member_and_taken_away(settings: dict[str, Any]) -> None:
    card: dict[str, Any] = {"dp_code": "unlock_card", "unlock_sn": 7}
    ours: dict[str, Any] = {"device_id": DEVICE, "user_id": MEMBER}
    async with world(settings) as there:
        assert (await free(there), await owned(there)) == ([7], {"unlock_fingerprint": 0})
        await there.client.call("doorLock.allocateOpmode", **ours, unlock_list=[card])
        assert await free(there) == []
        assert await owned(there) == {"unlock_fingerprint": 0, "unlock_card": 0}
        with pytest.raises(CloudRefused):
            await there.client.call("doorLock.allocateOpmode", **ours, unlock_list=[card])
        await there.client.call("doorLock.deallocateOpmode", **ours, **card)
        assert (await free(there), await owned(there)) == ([7], {"unlock_fingerprint": 0})
        with pytest.raises(CloudRefused):
            await there.client.call("doorLock.deallocateOpmode", **ours, **card)


@pytest.mark.parametrize("settings", [{}, OVER_PATHS], ids=["action", "openapi"])
async def test_an_opening_under_duress_is_told_as_an_alarm(settings: dict[str, Any]) -> None:
    thumb: dict[str, Any] = {"device_id": DEVICE, "unlock_no": 2, "unlock_type": "fingerprint"}
    opened = ReportedRecord(
        device_id=DEVICE, code="unlock_fingerprint", value=2, time_ms=NOW * 1000
    )
    async with world(settings) as there:
        there.cloud.records.planted.append(opened)

        async def alarms() -> list[Any]:
            found = await there.client.call("doorLock.alarmLogs", device_id=DEVICE, codes="hijack")
            return [row["status"] for row in found["records"]]

        assert await alarms() == []
        await there.client.call("doorLock.setHijack", **thumb)
        assert await owned(there) == {"unlock_fingerprint": 1}
        # As in the document's sample.
        assert await alarms() == [[{"code": "hijack", "value": "unlock_fingerprint-02"}]]
        await there.client.call("doorLock.removeHijack", **thumb)
        assert (await alarms(), await owned(there)) == ([], {"unlock_fingerprint": 0})
        with pytest.raises(CloudRefused):
            await there.client.call("doorLock.setHijack", **(thumb | {"unlock_no": 9}))


async def test_a_user_is_one_member_or_the_first() -> None:
    async with world() as there:
        for user_id in (MEMBER, 0):
            found = await there.client.call("doorLock.getUser", device_id=DEVICE, user_id=user_id)
            assert (found["user_id"], found["nick_name"]) == (MEMBER, "James")
        with pytest.raises(CloudRefused):
            await there.client.call("doorLock.getUser", device_id=DEVICE, user_id="9")


async def test_a_lock_is_asked_what_it_knows_every_five_seconds_at_most() -> None:
    async with world() as there:
        told = []
        for wait in (0.0, 4.5, 0.5):
            there.clock.pass_time(wait)
            found = await there.client.call("doorLock.getSyncableOpmodeTypes", device_id=DEVICE)
            told.append(found["distributed"])
        assert told == [True, False, True]


# -- from afar


async def test_a_remote_opening_that_is_switched_off_is_refused() -> None:
    way = "remoteUnlockWithoutPwd"
    async with world() as there:
        ask = there.client.call
        await ask("doorLock.remoteUnlockConfig", device_id=DEVICE, remote_unlock_type=way, open=0)
        found = await ask("doorLock.remoteUnlocks", device_id=DEVICE)
        assert {one["remote_unlock_type"]: one["open"] for one in found} == {
            way: False,
            "remoteUnlockWithPwd": True,
        }
        ticket = await ask("doorLock.passwordTicket", device_id=DEVICE)
        with pytest.raises(CloudRefused):
            await ask("doorLock.passwordFreeOpen", device_id=DEVICE, ticket_id=ticket["ticket_id"])
        assert there.cloud.members.opened == []


async def test_a_command_is_kept() -> None:
    command: dict[str, Any] = {"code": "automatic_lock", "value": True}
    async with world(OVER_PATHS) as there:
        assert await there.client.call("device.control", device_id=DEVICE, commands=[command])
        assert there.cloud.members.commands == [(DEVICE, [command])]


async def test_a_password_from_afar_is_for_other_locks() -> None:
    async with world() as there:
        sealed = await with_ticket(
            there.client, CLIENT_SECRET, device_id=DEVICE, pin=Secret("123456")
        )
        with pytest.raises(NotSupported) as told:
            await there.client.call(
                "doorLock.openDoor", for_lock=LockKind.ZIGBEE, device_id=DEVICE, **sealed
            )
        assert told.value.cloud_code == 2004


def test_the_samples_of_the_package_are_those_of_the_documents() -> None:
    assert all(answer_of(api) == sections()[api.key]["response"] for api in CATALOGUE)
