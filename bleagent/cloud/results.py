"""Tolerant reading: whatever an API answers, by the names and kinds that the catalogue has.

Keys come in either spelling, booleans in five, times in seconds or milliseconds, one object where
a list was promised and rows where a page was. Keys that no document has, and values of an
enumeration that no document has, are kept as they are. Source: reference cloud §8.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import fields
from .catalogue import Api, Field, Kind
from .errors import BadAnswer

_WRAPPERS = ("result", "data", "resultDO")
_ROWS = ("records", "logs", "list", "datas", "devices", "unlock_keys")
_OF_PAGE = {
    "total": "total",
    "totalcount": "total",
    "totalpages": "total_pages",
    "unreadcount": "unread_count",
    "hasmore": "has_more",
    "hasnext": "has_more",
    "lastrowkey": "last_row_key",
}
"""What is said about a page, by its plain name; told by one name for all pages."""


def read(api: Api, result: object) -> Any:
    """A result as plain values; times become dates with an offset, keys the documents' names.

    Raises:
        BadAnswer: a value that no rule explains; it names the field, never its content.
    """
    result = _unwrapped(result)
    if api.gives is None or result is None:
        return result
    return _read(api.gives, result, f"{api.name}: {api.gives.name}")


def _unwrapped(result: object) -> object:
    """Out of one more envelope that was left around it, or inside."""
    while isinstance(result, dict) and len(result) == 1:
        (name, inner), *_ = result.items()
        if name not in _WRAPPERS:
            break
        result = inner
    return result


def _read(field: Field, value: Any, what: str) -> Any:
    if value is None:
        return None
    match field.kind:
        case Kind.OBJECT:
            return _object(field, fields.mapping(_first(value), what), what)
        case Kind.LIST:
            return _list(field, value, what)
        case Kind.PAGED:
            return _page(field, value, what)
        case _:
            return _plain(field, value, what)


def _first(value: Any) -> Any:
    """An object that came as a list of one."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _object(field: Field, found: Mapping[str, Any], what: str) -> dict[str, Any]:
    known = {fields.plain(name): one for one in field.fields for name in (*one.also, one.name)}
    read: dict[str, Any] = {}
    for key, value in found.items():
        one = known.get(fields.plain(key))
        if one is None:
            read.setdefault(key, value)
        elif read.get(one.name) is None or fields.plain(key) == fields.plain(one.name):
            read[one.name] = _read(one, value, f"{what}.{one.name}")
    return read


def _list(field: Field, value: Any, what: str) -> list[Any]:
    if isinstance(value, dict):
        inside = fields.find(value, *_ROWS)
        value = inside if isinstance(inside, list) else [value]
    entries = fields.listed(value)
    if not field.fields:
        return entries
    return [
        _object(field, fields.mapping(entry, f"{what}[{at}]"), f"{what}[{at}]")
        for at, entry in enumerate(entries)
    ]


def _page(field: Field, value: Any, what: str) -> dict[str, Any]:
    if isinstance(value, list):
        return {field.name: _list(field, value, what)}
    found = fields.mapping(value, what)
    read: dict[str, Any] = {field.name: []}
    for key, inside in found.items():
        name = _OF_PAGE.get(fields.plain(key), key)
        if fields.plain(key) in map(fields.plain, (field.name, *_ROWS)):
            read[field.name] = _list(field, inside, what)
        elif name == "has_more":
            read[name] = fields.boolean(inside, f"{what}: {key}")
        elif name in ("total", "total_pages", "unread_count") and inside is not None:
            read[name] = fields.number(inside, f"{what}: {key}")
        else:
            read[name] = inside
    return read


def _plain(field: Field, value: Any, what: str) -> Any:
    try:
        match field.kind:
            case Kind.TEXT:
                return str(value) if isinstance(value, int | float) else value
            case Kind.ID:
                return fields.identifier(value, what) if value != "" else ""
            case Kind.NUMBER | Kind.MINUTES | Kind.WEEKDAYS | Kind.PAGE:
                return _number(value, what)
            case Kind.BOOLEAN:
                return fields.boolean(value, what)
            case Kind.SECONDS | Kind.MILLISECONDS:
                return fields.moment(value, what)
            case Kind.CODES:
                return ",".join(map(str, value)) if isinstance(value, list) else value
            case Kind.HEXADECIMAL:
                return fields.hexadecimal(value, what).hex() if value != "" else None
            case _:
                return value
    except BadAnswer:
        if field.choices:
            return value
        raise


def _number(value: Any, what: str) -> Any:
    if value == "":
        return None
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, float):
        return value
    return fields.number(value, what)
