"""Answers are read as the documents have them, and as the cloud sends them instead."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bleagent.cloud import results
from bleagent.cloud.catalogue import CATALOGUE, Api, Field, Kind, find
from bleagent.cloud.codec import read_answer
from bleagent.cloud.errors import BadAnswer
from bleagent.cloud.fields import plain
from tests.vendor.samples import answer_of

UNLOCK = "doorLock.unlockInstruction"
SAMPLED = [api for api in CATALOGUE if answer_of(api) is not None]
READABLE = [api for api in SAMPLED if api.name != UNLOCK]


def read(name: str, result: object) -> Any:
    api = find(name)
    assert api is not None
    return results.read(api, result)


def opened(api: Api) -> Any:
    """The sample's result, out of its envelope."""
    return read_answer(json.dumps(answer_of(api)).encode()).result


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def test_all_but_seven_have_a_sample_of_an_answer() -> None:
    assert {api.key for api in CATALOGUE if api not in SAMPLED} == {
        "device.control",
        "doorLock.deleteOfflinePassword",
        "tuya.m.device.lock.gesturepwd.set@1.0",
        "tuya.m.device.user.verifycode.send@1.0",
        "tuya.m.device.user.verifycode.check@1.0",
        "tuya.m.zigbee.member.list@1.0",
        "tuya.m.device.lock.temppwd.name.update@1.0",
    }


@pytest.mark.parametrize("api", READABLE, ids=lambda api: api.key)
def test_every_sample_is_read(api: Api) -> None:
    found = results.read(api, opened(api))
    assert api.gives is not None
    if api.name == "doorLock.remoteUnlocks":  # its sample has no result
        assert found is None
        return
    kinds: dict[Kind, type] = {
        Kind.OBJECT: dict,
        Kind.PAGED: dict,
        Kind.LIST: list,
        Kind.BOOLEAN: bool,
        Kind.MILLISECONDS: datetime,
    }
    assert isinstance(found, kinds[api.gives.kind])
    assert found
    assert _known(api.gives, found)


def _known(field: Field, value: Any) -> bool:
    """Whether it has nothing but names of the catalogue."""
    if field.kind is Kind.PAGED:
        value = value[field.name]
    names = {one.name: one for one in field.fields}
    rows = value if isinstance(value, list) else [value]
    return all(
        set(row) <= set(names) and all(_known(names[name], inner) for name, inner in row.items())
        for row in rows
        if isinstance(row, dict) and names
    )


def test_an_instruction_that_is_none_is_not_taken_for_one() -> None:
    api = find(UNLOCK)
    assert api is not None
    with pytest.raises(BadAnswer, match=r"result\.instruction is not hexadecimal"):
        results.read(api, opened(api))


# -- what the samples mean


def test_the_issued_configuration_has_one_spelling() -> None:
    api = find("doorLock.getIssuedConfig")
    assert api is not None
    found = results.read(api, opened(api))
    assert [found[name]["dp_id"] for name in found] == [70, 56]
    assert [found[name]["distribute"] for name in found] == [True, True]


def test_times_are_dates_whatever_their_unit() -> None:
    api = find("doorLock.openingLogs")
    assert api is not None
    (log,) = results.read(api, opened(api))["logs"]
    assert log == {"status": [{"code": "unlock_finger", "value": "123456"}],
                   "update_time": at(1543297979)}  # fmt: skip
    assert read("timer.currentTime", 1607087405739) == at(1607087405.739)
    assert read("doorLock.loglatest", {"time": 0})["time"] is None


def test_a_page_may_be_its_rows_alone() -> None:
    rows = [{"user_id": 7, "userType": "20"}]
    page = {"has_more": "false", "total": "1", "total_pages": 0, "records": rows}
    assert read("doorLock.listUsers", rows) == {"records": [{"user_id": "7", "user_type": 20}]}
    assert read("doorLock.listUsers", page) == {
        "records": [{"user_id": "7", "user_type": 20}],
        "has_more": False,
        "total": 1,
        "total_pages": 0,
    }
    assert read("doorLock.listUsers", {"hasmore": 0}) == {"records": [], "has_more": False}


def test_a_list_may_be_one_object_or_a_page() -> None:
    one = {"remote_unlock_type": "remoteUnlockWithPwd", "open": 1}
    read_one = {"remote_unlock_type": "remoteUnlockWithPwd", "open": True}
    for told in (one, [one], {"list": [one]}):
        assert read("doorLock.remoteUnlocks", told) == [read_one]


def test_an_object_may_be_a_list_of_one() -> None:
    assert read("doorLock.getUser", [{"user_id": 7}]) == {"user_id": "7"}


def test_what_no_document_has_is_kept() -> None:
    told = {"recordType": "new kind", "logType": "x", "another": {"a": 1}}
    assert read("doorLock.loglatest", told) == told
    assert read("doorLock.getTemporaryPassword", {"phase": 9}) == {"phase": 9}


def test_the_documents_name_wins_over_another_one() -> None:
    for told in ({"id": 1, "password_id": 2}, {"password_id": 2, "id": 1}):
        assert read("doorLock.getTemporaryPassword", told) == {"password_id": "2"}
    assert read("doorLock.getTemporaryPassword", {"id": 1}) == {"password_id": "1"}


def test_one_envelope_more_is_taken_off() -> None:
    for name in ("result", "data", "resultDO"):
        told = {name: {"account": "a"}}
        assert read("tuya.m.device.user.account.get", told) == {"account": "a"}


@pytest.mark.parametrize(
    ("name", "result", "said"),
    [
        ("doorLock.listRecords", {"records": [{}, {"gmt_create": "soon"}]},
         "records[1].gmt_create is not a number"),
        ("doorLock.listRecords", {"records": ["x"]}, "records[0] is not an object"),
        ("doorLock.listRecords", "x", "records is not an object"),
        ("doorLock.listRecords", {"total": "many"}, "total is not a number"),
        ("doorLock.getUser", ["x", "y"], "result is not an object"),
        ("doorLock.passwordTicket", {"expire_time": "KEEPOUT"}, "result.expire_time is not a n"),
        ("doorLock.remoteUnlocks", [{"open": "perhaps"}], "result[0].open is not a boolean"),
        ("device.getListByIds", [{"active_time": 10**17}], "result[0].active_time is not a time"),
    ],
)  # fmt: skip
def test_what_no_rule_explains_is_named_and_not_told(name: str, result: Any, said: str) -> None:
    with pytest.raises(BadAnswer) as told:
        read(name, result)
    assert said in str(told.value)
    assert "KEEPOUT" not in str(told.value)


# -- oddities, all of them at once


def odd(draw: st.DrawFn, field: Field, value: Any) -> Any:
    """The same value as another cloud would write it."""

    def pick(*ways: Any) -> Any:
        return draw(st.sampled_from(ways))

    if value is None or value == "":
        return value
    if field.kind is Kind.PAGED and isinstance(value, Mapping):
        return {name: odd(draw, Field("x", Kind.LIST, fields=field.fields), inner)
                if name == field.name else inner for name, inner in value.items()}  # fmt: skip
    if field.kind in (Kind.LIST, Kind.PAGED) and isinstance(value, list) and field.fields:
        rows = [_odd_object(draw, field, row) for row in value]
        alone = field.kind is Kind.LIST and len(rows) == 1
        return pick(rows, rows[0], {"list": rows}) if alone else rows
    if isinstance(value, dict) and field.fields:
        return _odd_object(draw, field, value)
    match field.kind:
        case Kind.BOOLEAN:
            yes = results.read(Api("x", "x", "x", gives=field), value)  # type: ignore[arg-type]
            return pick(True, 1, "1", "true", "True") if yes else pick(False, 0, "0", "false")
        case Kind.NUMBER | Kind.MINUTES | Kind.WEEKDAYS if isinstance(value, int):
            return pick(value, str(value), float(value))
        case Kind.ID if str(value).isdigit() and str(int(value)) == str(value):
            return pick(int(value), str(value))
        case Kind.SECONDS if int(value) < 10**11:
            return pick(value, str(value), int(value) * 1000)
        case _:
            return value


def _odd_object(draw: st.DrawFn, field: Field, row: dict[str, Any]) -> dict[str, Any]:
    known = {plain(name): one for one in field.fields for name in (one.name, *one.also)}
    found: dict[str, Any] = {}
    for key, value in row.items():
        camel = re.sub(r"_(\w)", lambda one: one[1].upper(), key)
        snake = re.sub(r"(?<=[a-z])([A-Z])", r"_\1", key).lower()
        spelt = draw(st.sampled_from([key, camel, snake]))
        found[spelt] = odd(draw, known[plain(key)], value)
    return found


@st.composite
def oddities(draw: st.DrawFn) -> tuple[Api, Any, Any]:
    api = draw(st.sampled_from(READABLE))
    assert api.gives is not None
    straight = results._unwrapped(opened(api))
    return api, straight, odd(draw, api.gives, straight)


@given(oddities())
def test_every_oddity_is_read_as_the_same(case: tuple[Api, Any, Any]) -> None:
    api, straight, crooked = case
    assert results.read(api, crooked) == results.read(api, straight)


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["records", "result", "id", "time", "status", "dps", "open", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=10,
)


@given(api=st.sampled_from(CATALOGUE), told=JUNK)
def test_whatever_is_answered_is_read_or_refused(api: Api, told: Any) -> None:
    with suppress(BadAnswer):
        results.read(api, told)
