"""Strict writing: arguments become parameters as the catalogue has them, or nothing is sent.

What is wrong is an ``InvalidArgument`` with the parameter's name, what was found (never a secret)
and what was expected. What a kind of lock does not have is ``NotSupported``, with the reason.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NoReturn

from protocol import Secret

from . import fields
from .catalogue import Api, Field, Kind, LockKind
from .errors import BadAnswer, InvalidArgument, NotSupported

MAX_TEXT = 1024
_FIRST_SECOND = 10**9
"""2001: a smaller number is no time, but minutes or a span."""
_CLOCK = re.compile(r"([01]?\d|2[0-4]):([0-5]\d)")
_CODE = re.compile(r"[A-Za-z0-9_.*-]+")
_SHOWN = 40


def write(api: Api, arguments: Mapping[str, Any], lock: LockKind | None) -> dict[str, Any]:
    """The parameters of an API, by the names the documents have for them.

    Either spelling of a name is taken; ``None`` and empty texts are as if nothing was said.

    Args:
        api: the entry of the catalogue.
        arguments: what was given.
        lock: which kind of lock it is about; ``None`` where that is not known.

    Raises:
        InvalidArgument: an argument is missing, unknown, or of another form than expected.
        NotSupported: that kind of lock does not have it.
    """
    if lock is not None and api.locks and lock not in api.locks:
        kinds = ", ".join(api.locks)
        raise NotSupported(
            f"{api.name} is for locks of the kinds {kinds} only, and this one is called {lock}"
        )
    params = _object(api.name, api.takes, arguments, lock)
    _check_forms(api, params, lock)
    return params


def _check_forms(api: Api, params: Mapping[str, Any], lock: LockKind | None) -> None:
    """Whether one of the forms is whole; what a kind of lock does not take, it does not need."""
    lacking = []
    for form in api.forms:
        needed = [
            one.name for one in api.takes if one.name in form.needs and lock not in one.not_for
        ]
        missing = [name for name in needed if name not in params]
        if not missing:
            return
        lacking.append(f"{', '.join(missing)} to {form.name}")
    if lacking:
        raise InvalidArgument(f"{api.name}: expected {'; or '.join(lacking)}")


def _object(
    what: str, takes: Sequence[Field], given: Mapping[str, Any], lock: LockKind | None
) -> dict[str, Any]:
    named = _by_name(what, takes, given)
    params: dict[str, Any] = {}
    for field in takes:
        value = named.get(field.name)
        if value is None:
            value = field.default_for.get(lock, field.default) if lock else field.default
        elif lock is not None and lock in field.not_for:
            raise NotSupported(f"{what}: {field.name}: {field.not_for[lock]}")
        if value is not None:
            params[field.name] = value if value == "" else _value(what, field, value, lock)
        elif field.required or lock in field.required_for:
            raise InvalidArgument(
                f"{what}: {field.name}: found nothing, expected {expected(field)}"
            )
    return params


def _by_name(what: str, takes: Sequence[Field], given: Mapping[str, Any]) -> dict[str, Any]:
    """What was given, by the documents' names; empty texts left out."""
    own = {fields.plain(field.name): field for field in takes}
    spelt = {fields.plain(name): field for field in takes for name in field.also} | own
    named: dict[str, Any] = {}
    for name, value in given.items():
        field = spelt.get(fields.plain(str(name)))
        if field is None:
            known = ", ".join(one.name for one in takes) or "no parameter at all"
            raise InvalidArgument(f"{what}: found {str(name)[:_SHOWN]!r}, expected {known}")
        if field.name in named:
            raise InvalidArgument(f"{what}: {field.name}: found twice")
        if value is not None and value != "":
            named[field.name] = value
    return named


def expected(field: Field) -> str:
    """What may be given for a parameter, in words."""
    if field.choices:
        return " or ".join(map(str, field.choices))
    words, unit = _WORDS[field.kind], _UNITS.get(field.kind, "")
    if field.least is not None and field.most is not None:
        return f"{words}, {field.least} to {field.most}{unit}"
    if field.least is not None:
        return f"{words}, {field.least}{unit} or more"
    return f"{words}, at most {field.most}{unit}" if field.most is not None else words


_UNITS = {
    Kind.TEXT: " signs",
    Kind.ID: " signs",
    Kind.LIST: " entries",
    Kind.HEXADECIMAL: " digits",
}
_WORDS = {
    Kind.TEXT: "a text",
    Kind.ID: "an id without slashes",
    Kind.NUMBER: "a number",
    Kind.BOOLEAN: "true or false",
    Kind.SECONDS: "a time with its offset, or seconds or milliseconds since 1970",
    Kind.MILLISECONDS: "a time with its offset, or seconds or milliseconds since 1970",
    Kind.MINUTES: "a time of the day such as 07:30, or its minutes",
    Kind.WEEKDAYS: "days such as mon,tue,fri, or 0 to 127 (bit 0 is Sunday)",
    Kind.PAGE: "a page number, from 1",
    Kind.CODES: "texts with commas between them",
    Kind.HEXADECIMAL: "hexadecimal",
    Kind.OBJECT: "an object",
    Kind.LIST: "a list",
    Kind.PAGED: "a page",
    Kind.ANY: "a value",
}


def _value(what: str, field: Field, value: Any, lock: LockKind | None) -> Any:
    inner = f"{what}: {field.name}"
    match field.kind:
        case Kind.OBJECT:
            found = _json(value)
            if not isinstance(found, Mapping):
                _wrong(what, field, value)
            return _object(inner, field.fields, found, lock)
        case Kind.LIST:
            return _list(what, field, _json(value), lock)
        case _:
            return _plain(what, field, value)


def _list(what: str, field: Field, value: Any, lock: LockKind | None) -> list[Any]:
    entries = [value] if isinstance(value, Mapping) else value
    if isinstance(entries, str) and field.of is not None:
        entries = entries.split(",")
    if not isinstance(entries, list | tuple):
        _wrong(what, field, value)
    if not (field.least or 0) <= len(entries) <= (field.most or MAX_TEXT):
        found = f"{len(entries)} entries"
        raise InvalidArgument(f"{what}: {field.name}: found {found}, expected {expected(field)}")
    if field.of is not None:
        one = Field(field.name, field.of, secret=field.secret)
        return [_plain(what, one, entry) for entry in entries]
    if any(not isinstance(entry, Mapping) for entry in entries):
        _wrong(what, field, value)
    return [
        _object(f"{what}: {field.name}[{at}]", field.fields, entry, lock)
        for at, entry in enumerate(entries)
    ]


def _plain(what: str, field: Field, value: Any) -> Any:
    try:
        value = value.reveal().decode() if isinstance(value, Secret) else value
        found = _WRITERS[field.kind](value)
    except (BadAnswer, TypeError, ValueError, OverflowError):
        _wrong(what, field, value)
    if field.choices:
        if isinstance(found, str) and found not in field.choices:
            found = found.removeprefix("unlock_")  # a standard code, where its kind is wanted
        if found not in field.choices:
            _wrong(what, field, value)
    elif field.kind is not Kind.LIST and not _within(field, found):
        _wrong(what, field, value)
    if field.kind is Kind.SECONDS:
        found //= 1000
    if field.as_number and isinstance(found, str) and found.isascii() and found.isdigit():
        return int(found)
    return str(found) if field.as_text else found


def _within(field: Field, found: Any) -> bool:
    """Whether it keeps to the bounds; 0 is no time, save where it stands for any."""
    if field.kind in _TIMES:
        return bool(found) or field.default == 0
    size = len(found) if isinstance(found, str) else found
    if not isinstance(size, int):
        return True
    most = MAX_TEXT if field.most is None and isinstance(found, str) else field.most
    return (field.least is None or size >= field.least) and (most is None or size <= most)


def _json(value: Any) -> Any:
    """An object or a list that was given as text."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def _wrong(what: str, field: Field, value: Any) -> NoReturn:
    shown = f"{type(value).__name__} (hidden)" if field.secret else repr(value)
    if len(shown) > _SHOWN:
        shown = f"{shown[:_SHOWN]}..."
    raise InvalidArgument(f"{what}: {field.name}: found {shown}, expected {expected(field)}")


# -- one value


def _text(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value.strip() or not value.isprintable():
        raise ValueError
    return value


def _id(value: Any) -> str:
    found = fields.identifier(value, "id")
    if not found.isprintable() or "/" in found or found in (".", ".."):
        raise ValueError
    return found


def _number(value: Any) -> int:
    return fields.number(value, "number")


def _page(value: Any) -> int:
    found = fields.number(value, "page")
    if found < 1:
        raise ValueError
    return found


def _boolean(value: Any) -> bool:
    return fields.boolean(value, "boolean")


def _milliseconds(value: Any) -> int:
    """A time in milliseconds; a number is in seconds or milliseconds by its size."""
    if isinstance(value, str) and not value.strip().isdigit():
        value = datetime.fromisoformat(value)
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError
        return round(value.timestamp() * 1000)
    found = fields.number(value, "time")
    if found and found < _FIRST_SECOND:
        raise ValueError
    return found if found >= fields.MILLISECONDS_FROM else found * 1000


def _minutes(value: Any) -> int:
    if isinstance(value, str) and (clock := _CLOCK.fullmatch(value.strip())):
        value = int(clock[1]) * 60 + int(clock[2])
    found = fields.number(value, "minutes")
    if not 0 <= found <= fields.MINUTES_OF_DAY:
        raise ValueError
    return found


def _weekdays(value: Any) -> int:
    if isinstance(value, str) and not value.strip().isdigit():
        value = value.split(",")
    if isinstance(value, Iterable) and not isinstance(value, str):
        days = [str(day).strip().lower()[:3] for day in value]
        return sum(1 << fields.WEEKDAYS.index(day) for day in set(days))
    found = fields.number(value, "weekdays")
    if not 0 <= found < 1 << len(fields.WEEKDAYS):
        raise ValueError
    return found


def _codes(value: Any) -> str:
    codes = value.split(",") if isinstance(value, str) else [str(one) for one in value]
    codes = [code.strip() for code in codes]
    if not codes or not all(map(_CODE.fullmatch, codes)):
        raise ValueError
    return ",".join(codes)


def _hexadecimal(value: Any) -> str:
    return fields.hexadecimal(value, "hexadecimal").hex().upper()


def _any(value: Any) -> Any:
    json.dumps(value, allow_nan=False)
    return value


_TIMES = (Kind.SECONDS, Kind.MILLISECONDS)
_WRITERS = {
    Kind.TEXT: _text,
    Kind.ID: _id,
    Kind.NUMBER: _number,
    Kind.BOOLEAN: _boolean,
    Kind.SECONDS: _milliseconds,
    Kind.MILLISECONDS: _milliseconds,
    Kind.MINUTES: _minutes,
    Kind.WEEKDAYS: _weekdays,
    Kind.PAGE: _page,
    Kind.CODES: _codes,
    Kind.HEXADECIMAL: _hexadecimal,
    Kind.ANY: _any,
}
