"""An entry of the catalogue in words for people, and in JSON for programs. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from .arguments import expected
from .catalogue import Api, Field, Kind, Repeat

_AGAIN = {
    Repeat.READ: "changes nothing",
    Repeat.SAME: "asked twice, it ends as asked once",
    Repeat.ONCE: "is done once: never asked again unless certain that it was not done",
}


def facts(api: Api) -> Iterator[tuple[str, str]]:
    """What there is to say of an API besides its parameters: titles and texts."""
    yield "group", api.group
    yield "for", ", ".join(api.locks) or "the documents do not say which locks"
    yield "goes by", ", ".join(api.ways)
    for path in api.paths:
        yield "", f"{path.method} {path.path}" + (f" ({path.note})" if path.note else "")
    if api.no_path:
        yield "", api.no_path
    yield "again", _AGAIN[api.repeat]
    for form in api.forms:
        yield f"to {form.name}", f"needs {', '.join(form.needs)}"
    if api.moves:
        yield "beware", "it may move a bolt at once"
    if api.note:
        yield "note", api.note


def field_lines(several: Iterable[Field], indent: int, *, given: bool) -> Iterator[str]:
    """A line for each field and those inside it; ``given``: they are parameters."""
    for one in several:
        words = expected(one) if given else _kind(one)
        if given:
            words += "" if one.required else ", may be left out"
            words += f" (else {one.default})" if one.default not in (None, "") else ""
            words += "".join(f"; needed for {kind} locks" for kind in one.required_for)
            words += "".join(f"; not for {kind} locks" for kind in one.not_for)
        words += "; secret" if one.secret else ""
        words += f"; {one.note}" if one.note else ""
        yield f"{' ' * indent}{one.name:<{max(24 - indent, 1)}} {words}"
        yield from field_lines(one.fields, indent + 2, given=given)


def _kind(one: Field) -> str:
    words = f"{one.kind}" if one.of is None else f"{one.kind}, each {one.of}"
    choices = f": {', '.join(map(str, one.choices))}" if one.choices else ""
    times = {Kind.SECONDS: "a time", Kind.MILLISECONDS: "a time"}
    return times.get(one.kind, words) + choices


def to_json(api: Api) -> dict[str, Any]:
    """All that the catalogue says of an API, for programs."""
    return {
        "name": api.name,
        "version": api.version or None,
        "family": api.family,
        "group": api.group,
        "purpose": api.purpose,
        "locks": list(api.locks),
        "transports": list(api.ways),
        "paths": [f"{path.method} {path.path}" for path in api.paths],
        "no_path": api.no_path or None,
        "idempotent": api.idempotent,
        "repeat": api.repeat,
        "moves": api.moves,
        "forms": {form.name: list(form.needs) for form in api.forms},
        "takes": [_field_json(one) for one in api.takes],
        "gives": None if api.gives is None else _field_json(api.gives),
        "note": api.note or None,
    }


def _field_json(one: Field) -> dict[str, Any]:
    found: dict[str, Any] = {"name": one.name, "kind": one.kind, "required": one.required}
    found |= {"default": one.default} if one.default is not None else {}
    found |= {"choices": list(one.choices)} if one.choices else {}
    found |= {"secret": True} if one.secret else {}
    found |= {"note": one.note} if one.note else {}
    found |= {"fields": [_field_json(inner) for inner in one.fields]} if one.fields else {}
    return found
