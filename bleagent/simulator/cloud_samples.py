"""What the virtual cloud answers where it keeps no state: the samples of the vendor's documents.

``vendor_apis.json`` is made from the documents by ``tests/vendor/documents.py``. What an API
needs is checked here against the documents' own tables, apart from the client's catalogue; the
OpenAPI paths, which no document of these families has, are the catalogue's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from bleagent.cloud.catalogue import CATALOGUE, Api, Family, Path
from bleagent.cloud.fields import plain

from .cloud_checks import Failure, Received

Params = dict[str, Any]
Section = Mapping[str, Any]

PANEL_PATH = "/panel"


@cache
def sections() -> Mapping[str, Section]:
    """The documents' sections by the catalogue's key of their API; of two, the first."""
    text = files("bleagent.simulator").joinpath("vendor_apis.json").read_text(encoding="utf-8")
    told: dict[tuple[str, str], Section] = {}
    for one in json.loads(text):
        told.setdefault((one["name"], one["version"]), one)
    return {api.key: told[_documented(api), api.version] for api in CATALOGUE}


def _documented(api: Api) -> str:
    """Video doors are named by their path alone."""
    return api.paths[0].path if api.family is Family.VIDEO_DOOR else api.name


def sample(action: str, params: Mapping[str, Any]) -> object:
    """The documents' sample of an answer, out of its envelope; ``True`` where there is none.

    Raises:
        Failure: there is no such API, or a parameter that it needs is missing.
    """
    section = sections().get(action)
    if section is None:
        raise Failure(1108, "uri path invalid")
    given = {plain(name) for name, value in params.items() if value not in (None, "")}
    for row in section["parameters"]:
        if row["required"] is True and plain(row["name"]) not in given:
            raise Failure(1102, f"{row['name']} is null")
    return _result(section["response"])


def _result(response: Any) -> object:
    if response is None:
        return True
    if not isinstance(response, dict):
        return response
    for name in ("result", "resultDO"):
        if name in response:
            return response[name]
    return response


# -- by path


def asked_by_path(request: Received) -> tuple[str, Params] | None:
    """The API that a path belongs to, with parameters as its action has them."""
    for api in CATALOGUE:
        for path in api.paths:
            found = _matched(path, request)
            if found is not None:
                return api.key, _as_action(path, found, _rest(request))
    return None


def _matched(path: Path, request: Received) -> Params | None:
    if path.method != request.method:
        return None
    pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path.path)
    found = re.fullmatch(pattern, request.path)
    return dict(found.groupdict()) if found else None


def _rest(request: Received) -> Params:
    if request.method in ("GET", "DELETE") or not request.body:
        return dict(request.query)
    if not request.headers.get("content-type", "").startswith("application/json"):
        raise Failure(1006, "content type invalid")
    return json_object(request.body)


def _as_action(path: Path, in_path: Params, rest: Params) -> Params:
    names = {there: name for name, there in path.rename.items()}
    params = {names.get(name, name): value for name, value in rest.items()} | in_path
    for name in path.fixed:
        params.pop(name, None)
    return params


def json_object(body: bytes) -> Params:
    """A body that has to be one JSON object."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise Failure(1006, "content type or body invalid") from None
    if not isinstance(found, dict):
        raise Failure(1105, "the body is no object")
    return found


def asked_of_panel(body: bytes) -> tuple[str, Params]:
    """What a relay to an app is asked: ``{"action", "version", "params"}``."""
    asked = json_object(body)
    action, params = asked.get("action"), asked.get("params")
    key = f"{action}@{asked.get('version')}"
    if not isinstance(params, dict) or not str(action).startswith("tuya.m."):
        raise Failure(1105, "action or params missing")
    return key, params
