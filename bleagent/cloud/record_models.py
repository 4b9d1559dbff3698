"""Results of the calls about records and credentials, read into values.

An entry that cannot be understood is counted or left out, never guessed at; it is no reason to
lose the others. Source: reference cloud §8, last rows of its table.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bleagent.records.readback import MEMBER, CloudRecord, CredentialName, ReadBack

from . import fields
from .errors import BadAnswer
from .pages import Pages, Row

_CODES = {"unlock_finger": "unlock_fingerprint"}
"""Codes that are spelt differently by different calls."""
_MAX_DP = 0xFF


def read_records(pages: Pages) -> ReadBack:
    """Result of ``listRecords`` and ``openingLogs``.

    A record that two pages had, because others came in between, is one.
    """
    records: list[CloudRecord] = []
    unread, seen = 0, set[str]()
    for row in pages.rows:
        try:
            record_id = _record_id(row)
            told = _records(row, record_id)
        except BadAnswer:
            unread += 1
            continue
        if record_id in seen:
            continue
        if record_id:
            seen.add(record_id)
        records += told
    return ReadBack(records=tuple(records), cut=pages.cut, unread=unread)


def read_users(rows: Iterable[Row]) -> tuple[CredentialName, ...]:
    """Result of ``listUsers``: each member by the lock's own number, then its credentials."""
    names: list[CredentialName] = []
    for row in rows:
        user_id, user_name = _user(row)
        if not user_id:
            continue
        member = _number(fields.find(row, "lock_user_id")) or 0
        names.append(CredentialName(code=MEMBER, sn=member, user_id=user_id, user_name=user_name))
        for kind in fields.listed(fields.find(row, "unlock_detail")):
            if isinstance(kind, dict):
                names += _unlock_list(kind, user_id, user_name)
    return tuple(names)


def read_opmodes(rows: Iterable[Row]) -> tuple[CredentialName, ...]:
    """Result of ``listUserOpmodes``."""
    found = (_credential(row, *_user(row), code="") for row in rows)
    return tuple(one for one in found if one is not None)


# -- one record


def _record_id(row: Row) -> str:
    record_id = fields.find(row, "record_id", "log_id")
    return "" if record_id in (None, "") else fields.identifier(record_id, "record_id")


def _records(row: Row, record_id: str) -> list[CloudRecord]:
    told = fields.find(row, "dps")
    if told is None:  # listRecords has a number called ``status``, too
        told = fields.find(row, "status")
    time = fields.find(row, "gmt_create", "update_time", "time")
    return [
        CloudRecord(
            code=_code(code),
            value=_value(value),
            time=fields.seconds(time, "the time of a record"),
            user_name=fields.name(fields.find(row, "user_name", "nick_name")),
            unlock_name=fields.name(fields.find(row, "unlock_name")),
            record_id=record_id,
        )
        for code, value in _pairs(told)
    ]


def _pairs(told: object) -> list[tuple[object, object]]:
    """Codes and values, of ``{"code": c, "value": v}`` or ``{c: v}``, alone or in a list."""
    pairs: list[tuple[object, object]] = []
    for entry in fields.listed(told):
        found = fields.mapping(entry, "the status of a record")
        code = fields.find(found, "code", "dp_code")
        pairs += found.items() if code is None else [(code, fields.find(found, "value"))]
    return pairs


def _code(value: object) -> str:
    code = fields.identifier(value, "the code of a record")
    return _CODES.get(code, code)


def _value(value: Any) -> int | bool | str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool | int | str):
        return value
    raise BadAnswer("the value of a record is neither number, switch nor text")


# -- one credential


def _user(row: Row) -> tuple[str, str]:
    user_id = fields.find(row, "user_id")
    name = fields.name(fields.find(row, "nick_name", "user_name"))
    try:
        return fields.identifier(user_id, "user_id"), name
    except BadAnswer:
        return "", name


def _unlock_list(kind: dict[str, Any], user_id: str, user_name: str) -> list[CredentialName]:
    code = fields.text(fields.find(kind, "dp_code"))
    found = (
        _credential(one, user_id, user_name, code=code)
        for one in fields.listed(fields.find(kind, "unlock_list"))
        if isinstance(one, dict)
    )
    return [one for one in found if one is not None]


def _credential(row: Row, user_id: str, user_name: str, *, code: str) -> CredentialName | None:
    """One, or None where it is not told which one."""
    opmode, _, number = fields.text(fields.find(row, "unlock_id")).partition("-")
    sn = _number(fields.find(row, "unlock_sn", "unlock_no", "sn"))
    if sn is None:
        sn = _number(number)
    code = fields.text(fields.find(row, "dp_code", "standard_dp")) or code
    if sn is None or not code:
        return None
    dp = _number(fields.find(row, "dp_id", "opmode") or opmode)
    return CredentialName(
        code=_CODES.get(code, code),
        sn=sn,
        user_id=user_id,
        user_name=user_name,
        unlock_name=fields.name(fields.find(row, "unlock_name")),
        dp=dp if dp is not None and 0 < dp <= _MAX_DP else None,
        duress=_number(fields.find(row, "unlock_attr")) == 1,
    )


def _number(value: object) -> int | None:
    try:
        return fields.number(value, "number")
    except BadAnswer:
        return None
