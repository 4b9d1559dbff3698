"""From an entry of the catalogue and its arguments to a call. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from protocol import Secret

from . import arguments as writing
from . import codec
from .calls import Call, Way
from .catalogue import CATALOGUE, Api, Family, Field, LockKind, Path, find
from .errors import InvalidArgument, NotSupported
from .settings import CloudSettings, Transport

_IN_PATH = re.compile(r"\{(\w+)\}")
_WITH_BODY = ("POST", "PUT")


def known(name: str, version: str | None = None) -> Api:
    """An entry by its name, its newest version where none is said.

    Raises:
        InvalidArgument: there is none; names that look like it are told.
    """
    api = find(name, version)
    if api is not None:
        return api
    names = sorted({one.name for one in CATALOGUE})
    if version is not None and name in names:
        raise InvalidArgument(f"{name} has no version {version}")
    ends = {one.rpartition(".")[2].lower(): one for one in names}
    close = get_close_matches(name.rpartition(".")[2].lower(), ends, n=3, cutoff=0.6)
    hint = f"; did you mean {' or '.join(ends[one] for one in close)}?" if close else ""
    raise InvalidArgument(f"there is no API {name[:80]!r}{hint}")


def check_way(api: Api, settings: CloudSettings) -> None:
    """Whether an API has a way over the configured transport.

    Raises:
        NotSupported: it has none; why.
    """
    over_paths = settings.transport is Transport.OPENAPI
    if api.family is Family.ACTION and over_paths and not api.paths:
        raise NotSupported(f"{api.name} needs the transport action: {api.no_path}")


def named_call(
    api: Api,
    arguments: Mapping[str, Any],
    *,
    lock: LockKind | None = None,
    path: Path | None = None,
) -> Call:
    """The call of an API; by the first of its paths where none is given.

    Raises:
        InvalidArgument: as ``arguments.write``.
        NotSupported: as ``arguments.write``.
    """
    return call_of(api, writing.write(api, arguments, lock), path)


def call_of(api: Api, params: Mapping[str, Any], path: Path | None = None) -> Call:
    """The call of an API with parameters as ``arguments.write`` makes them."""
    twins = {one.twin: params[one.name] for one in api.takes if one.twin and one.name in params}
    path = path or next(iter(api.paths), None)
    there = _over_path(path, params) if path else {}
    return Call(
        name=api.name,
        way=_WAYS[api.family],
        version=api.version,
        params={**params, **twins},
        repeatable=api.idempotent,
        can_wait=True,
        secrets=tuple(_secrets(api.takes, params)),
        **there,
    )


_WAYS = {Family.ACTION: Way.AS_SET, Family.PANEL: Way.PANEL, Family.VIDEO_DOOR: Way.PATH}


def _over_path(path: Path, params: Mapping[str, Any]) -> dict[str, Any]:
    """Method, path, and the rest in query or body."""
    left = dict(path.shape(dict(params)) if path.shape else params)
    whole = _IN_PATH.sub(lambda found: codec.segment(str(left[found[1]])), path.path)
    rest = {
        path.rename.get(name, name): value
        for name, value in {**path.fixed, **left}.items()
        if name not in _IN_PATH.findall(path.path)
    }
    if path.method in _WITH_BODY:
        return {"method": path.method, "path": whole, "body": rest or None}
    query = {name: _as_text(value) for name, value in rest.items() if value != ""}
    return {"method": path.method, "path": whole, "query": query}


def _as_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _secrets(takes: Sequence[Field], params: Mapping[str, Any]) -> Iterator[Secret]:
    for field in takes:
        value = params.get(field.name)
        if field.secret and isinstance(value, str):
            yield Secret(value)
