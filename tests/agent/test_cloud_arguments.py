"""Arguments become parameters, or are refused by name before anything is sent."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bleagent.cloud import arguments
from bleagent.cloud.catalogue import CATALOGUE, Api, Field, Kind, LockKind, find
from bleagent.cloud.errors import InvalidArgument, NotSupported
from protocol import Secret

DEVICE = "6c59dc783afa9dfc27test"
ENCRYPTED = "8F8AD3F0CFD6ECA192126E4AD28A73F2"
CREATE = "doorLock.createTemporaryPassword"
MODIFY = "doorLock.modifyTemporaryPassword"
SHARE = "doorLock.createPermissionSharing"
RECORDS = "doorLock.listRecords"
PASSWORD: dict[str, Any] = {
    "device_id": DEVICE,
    "name": "Jane",
    "password": ENCRYPTED,
    "effective_time": 1_780_000_000,
    "invalid_time": 1_780_003_600,
    "ticket_id": "t1",
}
SHARED: dict[str, Any] = {
    "device_id": DEVICE,
    "sharer": "ay1",
    "permission_detail": {"biz_type": "unlock_ble"},
}


def write(name: str, lock: LockKind | None = LockKind.BLUETOOTH, /, **given: Any) -> dict[str, Any]:
    api = find(name)
    assert api is not None
    return arguments.write(api, given, lock)


# -- what is sent


def test_defaults_and_what_a_bluetooth_lock_needs_are_added() -> None:
    assert write(CREATE, **PASSWORD) == {
        **PASSWORD,
        "password_type": "ticket",
        "bluetooth_symbolic": True,
    }
    assert "bluetooth_symbolic" not in write(CREATE, LockKind.WIFI, **PASSWORD)


def test_either_spelling_of_a_name_is_taken() -> None:
    found = write(RECORDS, deviceId=DEVICE, targetStandardDpCodes=["a", "b"], pageNo=2)
    assert found == {
        "device_id": DEVICE,
        "target_standard_dp_codes": "a,b",
        "start_time": 0,
        "end_time": 0,
        "page_no": 2,
        "page_size": 50,
    }
    assert write("doorLock.getTemporaryPassword", device_id=DEVICE, id=7)["password_id"] == 7


def test_nothing_and_empty_texts_are_left_out() -> None:
    assert write(CREATE, **PASSWORD, phone="", time_zone=None) == write(CREATE, **PASSWORD)


WHEN = datetime(2026, 5, 28, 20, 26, 40, tzinfo=UTC)
SECONDS = 1_780_000_000


@pytest.mark.parametrize(
    "time",
    [
        WHEN,
        WHEN.astimezone(timezone(timedelta(hours=8))),
        SECONDS,
        float(SECONDS),
        SECONDS * 1000,
        str(SECONDS),
        f"{SECONDS}000",
        "2026-05-28T20:26:40Z",
        "2026-05-28 22:26:40+02:00",
    ],
)
def test_a_time_is_sent_in_the_unit_of_its_api(time: object) -> None:
    span = {"effective_time": time, "invalid_time": time}
    assert write(CREATE, **{**PASSWORD, **span})["effective_time"] == SECONDS
    detail = {"biz_type": "unlock_ble", **span}
    shared = write(SHARE, **{**SHARED, "permission_detail": detail})["permission_detail"]
    assert shared["effective_time"] == SECONDS * 1000
    old = write("tuya.m.zigbee.lock.temppwd.create", None, devId="d", name="n", password="1",
                effectiveTime=time, invalidTime=time)  # fmt: skip
    assert (old["effectiveTime"], old["oneTime"]) == (str(SECONDS), 0)


@pytest.mark.parametrize("time", [0, "0", datetime(1970, 1, 1, tzinfo=UTC)])
def test_no_time_is_one_only_where_it_stands_for_any(time: object) -> None:
    found = write(RECORDS, device_id=DEVICE, target_standard_dp_codes="a", start_time=time)
    assert found["start_time"] == 0
    with pytest.raises(InvalidArgument, match="effective_time"):
        write(CREATE, **{**PASSWORD, "effective_time": time})


def schedule(**day: object) -> Any:
    whole = {"effective_time": "08:00", "invalid_time": 1080, "working_day": "mon,tue,fri", **day}
    return write(CREATE, **PASSWORD, schedule_list=[whole])["schedule_list"][0]


@pytest.mark.parametrize(
    ("given", "sent"),
    [("08:00", 480), ("7:05", 425), ("00:00", 0), ("24:00", 1440), (450, 450), ("450", 450)],
)
def test_a_time_of_the_day_is_sent_in_minutes(given: object, sent: int) -> None:
    assert schedule(effective_time=given)["effective_time"] == sent


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("mon,tue,fri", 38),  # the document's own example
        (["Monday", "tue", "Friday"], 38),
        ({"sun"}, 1),
        ("sat", 64),
        (38, 38),
        ("127", 127),
        (0, 0),
    ],
)
def test_weekdays_are_sent_as_their_bits(given: object, sent: int) -> None:
    assert schedule(working_day=given)["working_day"] == sent


def test_an_object_and_a_list_may_come_as_text() -> None:
    text = '{"biz_type": "unlock_ble", "schedule_start_time": "07:30"}'
    shared = write(SHARE, **{**SHARED, "permission_detail": text})["permission_detail"]
    assert shared == {"biz_type": "unlock_ble", "available_times": -1, "schedule_start_time": 450}
    found = write("tuya.m.device.lock.alarm.list", devId="d", dpIds="1,2")
    assert found["dpIds"] == [1, 2]
    control = write("device.control", device_id=DEVICE, commands={"code": "a", "value": [1]})
    assert control["commands"] == [{"code": "a", "value": [1]}]


@pytest.mark.parametrize("value", [True, 1, "1", "true", "True"])
def test_five_spellings_of_a_boolean_are_taken(value: object) -> None:
    found = write(
        "doorLock.remoteUnlockConfig",
        device_id=DEVICE,
        remote_unlock_type="remoteUnlockWithoutPwd",
        open=value,
    )
    assert found["open"] is True


def test_a_standard_code_is_taken_where_its_kind_is_wanted() -> None:
    for kind in ("fingerprint", "unlock_fingerprint"):
        found = write("doorLock.setHijack", device_id=DEVICE, unlock_no=2, unlock_type=kind)
        assert found["unlock_type"] == "fingerprint"


def test_an_id_that_the_document_calls_a_number_is_sent_as_one() -> None:
    asked = {"device_id": DEVICE, "password_id": "0123"}
    assert write("doorLock.getTemporaryPassword", **asked)["password_id"] == 123
    assert write("doorLock.deleteTemporaryPassword", **asked)["password_id"] == "0123"


def test_a_secret_may_come_as_one() -> None:
    found = write(
        "doorLock.unlockInstruction",
        device_id=DEVICE,
        bluetooth_sn=3,
        device_random=Secret("52777950"),
    )
    assert found["device_random"] == "52777950"
    with pytest.raises(InvalidArgument) as told:
        write(CREATE, **{**PASSWORD, "password": Secret("KEEPOUT")})
    assert "found str (hidden)" in str(told.value)


# -- what is refused


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        (RECORDS, {}, "device_id: found nothing, expected an id without slashes"),
        (RECORDS, {"device_id": "a/b"}, "device_id: found 'a/b', expected an id without slashes"),
        (RECORDS, {"device_id": ".."}, "device_id: found '..', expected"),
        (RECORDS, {"device_id": True}, "device_id: found True, expected"),
        (RECORDS, {"page": 1}, "found 'page', expected device_id, target_standard_dp_codes"),
        (RECORDS, {"device_id": "d", "deviceId": "d"}, "device_id: found twice"),
        ("timer.currentTime", {"a": 1}, "found 'a', expected no parameter at all"),
        (
            "device.control",
            {"device_id": "d", "commands": [{7: 1}]},
            "commands[0]: found '7', expected code, value",
        ),
    ],
)
def test_a_wrong_argument_is_told_by_name(name: str, given: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidArgument) as told:
        write(name, **given)
    assert str(told.value).startswith(f"{name}: {said}")


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("page_no", 0, "found 0, expected a page number, from 1"),
        ("page_no", 1.5, "found 1.5, expected a page number, from 1"),
        ("page_no", True, "found True, expected a page number, from 1"),
        ("page_size", 101, "found 101, expected a number, 1 to 100"),
        ("page_size", "many", "found 'many', expected a number, 1 to 100"),
        ("start_time", 720, "found 720, expected a time with its offset, or seconds or"),
        ("start_time", "2026-05-28 20:26", "found '2026-05-28 20:26', expected a time with its"),
        ("start_time", datetime(2026, 5, 28), "found datetime.datetime(2026"),  # noqa: DTZ001
        ("start_time", -1, "found -1, expected a time"),
        ("start_time", float("inf"), "found inf, expected a time"),
        ("target_standard_dp_codes", "a,,b", "found 'a,,b', expected texts with commas"),
        ("target_standard_dp_codes", [], "found [], expected texts with commas"),
        ("target_standard_dp_codes", 7, "found 7, expected texts with commas"),
    ],
)
def test_a_wrong_value_is_told_with_what_was_expected(field: str, value: Any, said: str) -> None:
    given = {"device_id": DEVICE, "target_standard_dp_codes": "a", field: value}
    with pytest.raises(InvalidArgument) as told:
        write(RECORDS, **given)
    assert str(told.value).startswith(f"{RECORDS}: {field}: {said}")


@pytest.mark.parametrize(
    ("day", "said"),
    [
        ({"effective_time": "25:00"}, "effective_time: found '25:00', expected a time of the day"),
        ({"effective_time": SECONDS}, f"effective_time: found {SECONDS}, expected a time of the"),
        ({"working_day": "mon,someday"}, "working_day: found 'mon,someday', expected days such"),
        ({"working_day": 128}, "working_day: found 128, expected days such as"),
        ({"name": "x"}, "found 'name', expected effective_time, invalid_time, working_day"),
    ],
)
def test_what_is_wrong_inside_a_list_is_told_with_its_place(day: Any, said: str) -> None:
    with pytest.raises(InvalidArgument) as told:
        schedule(**day)
    assert str(told.value).startswith(f"{CREATE}: schedule_list[0]: {said}")


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("videoDoor.call", {"sn": "1", "type": 1, "person_id_list": list("abcd")},
         "person_id_list: found 4 entries, expected a list, 1 to 3 entries"),
        ("doorLock.allocateOpmode", {"user_id": "1", "unlock_list": []},
         "unlock_list: found 0 entries, expected a list, 1 entries or more"),
        ("doorLock.allocateOpmode", {"user_id": "1", "unlock_list": ["x"]},
         "unlock_list: found ['x'], expected a list"),
        ("doorLock.remoteUnlockConfig", {"remote_unlock_type": "byHand", "open": True},
         "remote_unlock_type: found 'byHand', expected remoteUnlockWithoutPwd or remoteUnlockWith"),
        ("doorLock.setHijack", {"unlock_no": 1, "unlock_type": "unlock_nose"},
         "unlock_type: found 'unlock_nose', expected fingerprint or password or card or face"),
        (SHARE, {"sharer": "a", "permission_detail": "[1]"},
         "permission_detail: found '[1]', expected an object"),
    ],
)  # fmt: skip
def test_bounds_and_choices_are_kept(name: str, given: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidArgument) as told:
        write(name, device_id=DEVICE, **given)
    assert str(told.value).startswith(f"{name}: {said}")


def test_digits_that_were_not_encrypted_are_refused_and_not_told() -> None:
    with pytest.raises(InvalidArgument) as told:
        write(CREATE, **{**PASSWORD, "password": "123456"})
    assert "password: found str (hidden), expected hexadecimal, 32 to 64 digits" in str(told.value)
    assert "123456" not in str(told.value)


# -- kinds of locks


def test_what_is_not_for_a_kind_of_lock_says_why() -> None:
    with pytest.raises(NotSupported, match="for locks of the kinds zigbee only"):
        write("doorLock.openDoor", device_id=DEVICE, password=ENCRYPTED, ticket_id="t")
    assert write(
        "doorLock.openDoor", LockKind.ZIGBEE, device_id=DEVICE, password=ENCRYPTED, ticket_id="t"
    )
    with pytest.raises(NotSupported, match="password: Bluetooth locks cannot change a password"):
        write(MODIFY, **PASSWORD, password_id=1)
    assert write(MODIFY, None, **PASSWORD, password_id=1, password_type="ticket")


def test_a_password_is_changed_or_renamed() -> None:
    asked = {"device_id": DEVICE, "password_id": 1}
    times = {name: PASSWORD[name] for name in ("effective_time", "invalid_time")}
    assert write(MODIFY, **asked, name="Jack")["name"] == "Jack"
    assert write(MODIFY, **asked, **times)["effective_time"] == SECONDS  # no digits: Bluetooth
    with pytest.raises(InvalidArgument) as told:
        write(MODIFY, LockKind.WIFI, **asked, **times)
    said = "expected password, password_type, ticket_id to modify; or name to rename"
    assert said in str(told.value)


def test_zigbee_locks_need_the_type_of_a_password() -> None:
    with pytest.raises(InvalidArgument, match="type: found nothing, expected 0 or 1"):
        write(CREATE, LockKind.ZIGBEE, **PASSWORD)
    assert write(CREATE, LockKind.ZIGBEE, **PASSWORD, type="1")["type"] == 1


# -- all of them


def values(field: Field) -> st.SearchStrategy[Any]:
    """Good arguments for a field."""
    if field.choices:
        return st.sampled_from(field.choices)
    least, most = field.least or 0, field.most
    names = st.text("abcXYZ019_-", min_size=1, max_size=min(most or 20, 20))
    match field.kind:
        case Kind.TEXT | Kind.ID | Kind.CODES:
            return names
        case Kind.NUMBER | Kind.PAGE:
            return st.integers(max(least, 1), most or 1000)
        case Kind.BOOLEAN:
            return st.booleans()
        case Kind.SECONDS | Kind.MILLISECONDS:
            return st.integers(SECONDS, SECONDS * 2)
        case Kind.MINUTES:
            return st.integers(0, 1440)
        case Kind.WEEKDAYS:
            return st.integers(0, 127)
        case Kind.HEXADECIMAL:
            return st.binary(min_size=16, max_size=32).map(bytes.hex)
        case Kind.LIST:
            of = values(Field("x", field.of)) if field.of else objects(field.fields)
            return st.lists(of, min_size=max(least, 1), max_size=most or 3)
        case Kind.OBJECT:
            return objects(field.fields)
        case _:
            return st.booleans()


def objects(fields: tuple[Field, ...]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {one.name: values(one) for one in fields if one.required},
        optional={one.name: values(one) for one in fields if not one.required},
    )


@given(data=st.data(), api=st.sampled_from(CATALOGUE))
def test_good_arguments_are_taken_and_what_was_written_is_good_too(
    data: st.DataObject, api: Api
) -> None:
    needed = {one.name: values(one) for one in api.takes for form in api.forms
              if one.name in form.needs}  # fmt: skip
    given = data.draw(objects(api.takes)) | data.draw(st.fixed_dictionaries(needed))
    params = arguments.write(api, given, None)
    assert set(given) <= set(params)
    assert arguments.write(api, params, None) == params


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(data=st.data(), api=st.sampled_from(CATALOGUE))
def test_whatever_is_given_is_written_or_refused(data: st.DataObject, api: Api) -> None:
    names = [one.name for one in api.takes] or ["x"]
    given = data.draw(st.dictionaries(st.sampled_from(names), JUNK))
    with suppress(InvalidArgument, NotSupported):
        arguments.write(api, given, data.draw(st.sampled_from([None, *LockKind])))
