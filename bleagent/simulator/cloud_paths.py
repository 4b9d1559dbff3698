"""Which action a request to the virtual cloud asks for: by name, or by an OpenAPI path."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .cloud_actions import LIST_DEVICES
from .cloud_checks import Failure, Received
from .cloud_faults import TOKEN
from .cloud_records import REPORT_PROPERTY
from .cloud_samples import PANEL_PATH, asked_by_path, asked_of_panel, json_object

ACTION_PATHS = frozenset({"/faas", "/action"})
_TOKEN_PATH = "/v1.0/token"
_DEVICES_PATH = "/v1.0/devices"
_ACCOUNT_PATH = "/v1.0/iot-01/associated-users/devices"
_NO_ACTIONS = (REPORT_PROPERTY, LIST_DEVICES, "videoDoor.", "tuya.m.")
_THIRD_CLOUD = "/v1.0/iot-03/3rdcloud/devices/"
_SMART_LOCK = "/v1.0/smart-lock/devices/"

Params = dict[str, Any]
Asked = tuple[str, Params]


def read_request(request: Received) -> Asked:
    """The action a request asks for, and its parameters.

    Raises:
        Failure: it asks for nothing that there is.
    """
    if request.method == "POST" and request.path in ACTION_PATHS:
        return _read_action(request.body)
    if request.method == "POST" and request.path == PANEL_PATH:
        return asked_of_panel(request.body)
    if request.method == "POST" and request.path.startswith(_THIRD_CLOUD):
        return _read_report(request)
    asked = (_read_get(request) if request.method == "GET" else None) or asked_by_path(request)
    if asked is None:
        raise Failure(1108, "uri path invalid")
    return asked


def _read_action(body: bytes) -> Asked:
    asked = json_object(body)
    action, params = asked.get("action"), asked.get("params")
    if not isinstance(action, str) or not isinstance(params, dict | None):
        raise Failure(1105, "action or params missing")
    if action.startswith(_NO_ACTIONS):  # there are no such actions, only paths or the relay
        raise Failure(1108, "uri path invalid")
    return action, params or {}


def _read_report(request: Received) -> Asked:
    device_id, found, rest = request.path.removeprefix(_THIRD_CLOUD).partition("/")
    whole = request.path.startswith(_THIRD_CLOUD) and found
    if not whole or rest != "property/report":
        raise Failure(1108, "uri path invalid")
    if not request.headers.get("content-type", "").startswith("application/json"):
        raise Failure(1006, "content type invalid")
    return REPORT_PROPERTY, {**json_object(request.body), "device_id": device_id}


def _read_get(request: Received) -> Asked | None:
    path, query = request.path, request.query
    if path == _TOKEN_PATH:
        if query.get("grant_type") != "1":
            raise Failure(1003, "grant type invalid")
        return TOKEN, {}
    if path.startswith(f"{_TOKEN_PATH}/"):
        return TOKEN, {"refresh_token": path.removeprefix(f"{_TOKEN_PATH}/")}
    if path == _ACCOUNT_PATH:
        return LIST_DEVICES, dict(query)
    if path == _DEVICES_PATH:
        return "device.getListByIds", dict(query)
    if path.startswith(f"{_DEVICES_PATH}/"):
        device_id, _, rest = path.removeprefix(f"{_DEVICES_PATH}/").partition("/")
        if rest in _DOOR_LOCK:
            action, read = _DOOR_LOCK[rest]
            return action, {**read(query), "device_id": device_id}
    if path.startswith(_SMART_LOCK):
        device_id, _, rest = path.removeprefix(_SMART_LOCK).partition("/")
        what, _, user_id = rest.partition("/")
        if (what, user_id) == ("users", ""):
            return "doorLock.listUsers", {**query, "device_id": device_id}
        if what == "opmodes" and user_id:
            found = {**query, "device_id": device_id, "user_id": user_id}
            return "doorLock.listUserOpmodes", found
    return None


def _as_it_is(query: dict[str, str]) -> Params:
    return dict(query)


def _in_seconds(query: dict[str, str]) -> Params:
    """The path of the opening logs takes seconds where its action takes milliseconds."""
    spans = {"start_time", "end_time"}
    return {
        name: f"{value}000" if name in spans and value != "0" else value
        for name, value in query.items()
    }


_DOOR_LOCK: dict[str, tuple[str, Callable[[dict[str, str]], Params]]] = {
    "door-lock/records": ("doorLock.listRecords", _as_it_is),
    "door-lock/open-logs": ("doorLock.openingLogs", _in_seconds),
    "door-lock/alarm-logs": ("doorLock.alarmLogs", _as_it_is),
}
