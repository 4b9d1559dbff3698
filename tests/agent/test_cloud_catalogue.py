"""The catalogue against the vendor's documents: nothing of theirs is missing or contradicted."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from bleagent.cloud.catalogue import CATALOGUE, Api, Family, Field, Kind, LockKind, Repeat, find
from bleagent.cloud.fields import plain
from tests.vendor.samples import sections

SECTIONS = sections()

TIMES = {Kind.SECONDS, Kind.MILLISECONDS}
SMALL = {Kind.NUMBER, Kind.PAGE, Kind.MINUTES, Kind.WEEKDAYS}
FITS: dict[str, set[Kind]] = {
    "string": {Kind.TEXT, Kind.ID, Kind.CODES, Kind.HEXADECIMAL},
    "integer": SMALL | TIMES,
    "int": SMALL,
    "long": SMALL | TIMES | {Kind.ID},
    "boolean": {Kind.BOOLEAN},
    "bool": {Kind.BOOLEAN},
    "list": {Kind.LIST},
    "array": {Kind.LIST},
    "json": {Kind.OBJECT},
    "object": {Kind.OBJECT},
}
"""What a documented type may mean; anything else needs a note in the catalogue."""
LOCKS = {
    "Wi-Fi lock": LockKind.WIFI,
    "Zigbee lock": LockKind.ZIGBEE,
    "Bluetooth lock": LockKind.BLUETOOTH,
    "Bluetooth lock (password change is not supported)": LockKind.BLUETOOTH,
    "Wi-Fi access control devices": LockKind.ACCESS,
    "Standard Wi-Fi lock": LockKind.STANDARD_WIFI,
}
FOR_ZIGBEE = "This field is required for Zigbee locks."


def complaints(catalogue: Sequence[Api], sections: Sequence[dict[str, Any]]) -> Iterator[str]:
    """What the catalogue and the documents disagree about."""
    told: dict[str, list[dict[str, Any]]] = {}
    for section in sections:
        name, version = section["name"], section["version"]
        told.setdefault(f"{name}@{version}" if version else name, []).append(section)
    apis = {api.paths[0].path if api.family is Family.VIDEO_DOOR else api.key: api
            for api in catalogue}  # fmt: skip
    yield from (f"{key} is not in the catalogue" for key in told.keys() - apis.keys())
    yield from (f"{key} is in no document" for key in apis.keys() - told.keys())
    for key in told.keys() & apis.keys():
        yield from (f"{key}: {what}" for what in _about_one(apis[key], told[key]))


def _about_one(api: Api, sections: list[dict[str, Any]]) -> Iterator[str]:
    locks = {LOCKS[one] for section in sections for one in section["lock_types"]}
    if locks != set(api.locks) and (locks or not api.note):
        yield f"is for {sorted(map(str, locks))}"
    if len(sections) != max(len(api.forms), 1):
        yield f"has {len(sections)} forms"
        return
    for at, section in enumerate(sections):
        needs = set(api.forms[at].needs) if api.forms else set()
        yield from _about_fields(api.takes, section["parameters"], needs)
        for name, rows in section["nested"].items():
            inner = next((one.fields for one in api.takes if one.name == name), ())
            yield from (f"{name}: {what}" for what in _about_fields(inner, rows, set()))
    rows = {row["name"] for section in sections for row in section["parameters"]}
    yield from (
        f"{one.name} is in no table and has no note"
        for one in api.takes
        if one.name not in rows and not one.note
    )


def _about_fields(
    fields: Sequence[Field], rows: list[dict[str, Any]], needs: set[str]
) -> Iterator[str]:
    known = {one.name: one for one in fields}
    for row in rows:
        one = known.get(row["name"])
        if one is None:
            yield f"lacks {row['name']}"
            continue
        if row["required"] == FOR_ZIGBEE:
            wrong = one.required or one.required_for != (LockKind.ZIGBEE,)
        else:
            wrong = row["required"] != (one.required or one.name in needs)
        if wrong:
            yield f"{one.name} is required: {row['required']}"
        if one.kind not in FITS[row["type"].lower()] and not one.note:
            yield f"{one.name} is of type {row['type']}"


def test_the_catalogue_says_what_the_documents_say() -> None:
    assert sorted(complaints(CATALOGUE, SECTIONS)) == []


def test_there_are_sixty_six() -> None:
    families = [api.family for api in CATALOGUE]
    assert {one: families.count(one) for one in Family} == {
        Family.ACTION: 43,
        Family.PANEL: 21,  # 20 names
        Family.VIDEO_DOOR: 2,
    }
    assert len({api.key for api in CATALOGUE}) == 66
    assert len({api.name for api in CATALOGUE if api.family is Family.PANEL}) == 20


LIST_RECORDS = "doorLock.listRecords"


def without(name: str) -> list[Api]:
    return [api for api in CATALOGUE if api.name != name]


def changed(name: str, field: str, /, **how: Any) -> list[Api]:
    api = find(name)
    assert api is not None
    takes = tuple(replace(one, **how) if one.name == field else one for one in api.takes)
    return [replace(api, takes=takes) if one is api else one for one in CATALOGUE]


@pytest.mark.parametrize(
    ("catalogue", "said"),
    [
        (without(LIST_RECORDS), f"{LIST_RECORDS} is not in the catalogue"),
        (changed(LIST_RECORDS, "page_no", name="page"), f"{LIST_RECORDS}: lacks page_no"),
        (
            changed(LIST_RECORDS, "page_no", required=False),
            f"{LIST_RECORDS}: page_no is required: True",
        ),
        (
            changed(LIST_RECORDS, "page_no", kind=Kind.TEXT),
            f"{LIST_RECORDS}: page_no is of type Integer",
        ),
        (
            changed("doorLock.allocateOpmode", "unlock_list", fields=()),
            "doorLock.allocateOpmode: unlock_list: lacks unlock_sn",
        ),
        (
            changed("doorLock.modifyTemporaryPassword", "name", required=True),
            "doorLock.modifyTemporaryPassword: name is required: False",
        ),
        (
            [replace(api, locks=()) if api.name == LIST_RECORDS else api for api in CATALOGUE],
            f"{LIST_RECORDS}: is for ['bluetooth', 'wifi']",
        ),
    ],
)
def test_a_contradiction_is_found(catalogue: list[Api], said: str) -> None:
    assert said in list(complaints(catalogue, SECTIONS))


def test_an_api_that_no_document_has_is_found() -> None:
    assert "doorLock.getUser is in no document" in list(
        complaints(CATALOGUE, [one for one in SECTIONS if one["name"] != "doorLock.getUser"])
    )


def test_a_parameter_that_the_documents_add_is_found() -> None:
    added = copy.deepcopy(SECTIONS)
    row = {"name": "new_one", "type": "String", "required": True}
    next(one for one in added if one["name"] == LIST_RECORDS)["parameters"].append(row)
    assert list(complaints(CATALOGUE, added)) == [f"{LIST_RECORDS}: lacks new_one"]


# -- samples


def result_of(response: Any) -> Any:
    """What is inside a sample's envelope."""
    if isinstance(response, dict):
        if response.get("result") is True:  # also of the sample that has two exchanged
            return True
        return response.get("result", response.get("resultDO", response))
    return response


def unknown_keys(field: Field, value: Any) -> Iterator[str]:
    """Keys of a sample that the catalogue has no word for."""
    rows = value if isinstance(value, list) else [value]
    if field.kind is Kind.PAGED and isinstance(value, dict):
        rows = value[field.name]
    known = {plain(name): one for one in field.fields for name in (one.name, *one.also)}
    for row in rows:
        if not isinstance(row, dict) or not known:
            continue
        for name, inner in row.items():
            if plain(name) not in known:
                yield name
            elif known[plain(name)].fields:
                yield from unknown_keys(known[plain(name)], inner)


@pytest.mark.parametrize(
    "section", [one for one in SECTIONS if one["response"]], ids=lambda one: one["name"]
)
def test_the_catalogue_knows_every_key_of_a_sample(section: dict[str, Any]) -> None:
    api = find(section["name"], section["version"] or None)
    assert api is not None
    assert api.gives is not None
    assert list(unknown_keys(api.gives, result_of(section["response"]))) == []


# -- the catalogue by itself


@pytest.mark.parametrize("api", CATALOGUE, ids=lambda api: api.key)
def test_an_entry_is_whole(api: Api) -> None:
    assert api.purpose
    assert bool(api.paths) != bool(api.no_path), "either a path or why there is none"
    names = [one.name for one in api.takes]
    assert len(names) == len(set(names))
    for form in api.forms:
        assert set(form.needs) <= set(names)
    for path in api.paths:
        assert path.method in {"GET", "POST", "PUT", "DELETE"}
        assert set(path.rename) <= set(names)
        assert path.method != "GET" or api.repeat is Repeat.READ
    assert not (api.moves and api.idempotent)


def test_what_may_move_a_bolt_is_marked() -> None:
    assert {api.name for api in CATALOGUE if api.moves} == {
        "doorLock.passwordFreeOpen",
        "doorLock.openDoor",
        "device.control",
        "videoDoor.open",
    }


def test_an_entry_is_found_by_name_version_and_path() -> None:
    rename = "tuya.m.device.lock.temppwd.name.update"
    found = [find(rename, "1.0"), find(rename), find(f"{rename}@1.0")]
    assert [one.version if one else "" for one in found] == ["1.0", "2.0", "1.0"]
    opens = find("videoDoor.open")
    assert opens is not None
    assert find(opens.paths[0].path) is opens
    assert find("doorLock.nothing") is find(rename, "3.0") is None
