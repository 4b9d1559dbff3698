"""A call as a value, and the request it becomes. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from protocol import Secret

from . import codec
from .errors import NotSupported
from .settings import CloudSettings, Signer, Transport

_TOKEN_PATH = "/v1.0/token"
_JSON = "application/json"


class Way(StrEnum):
    """Which way a call goes."""

    AS_SET = "as set"  # an action, or its path: as the transport is set
    PATH = "path"  # to its path, over whichever transport the actions travel: it is none
    PANEL = "panel"  # to the relay of an app that is signed in


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One question to the cloud.

    ``params`` are those of the action; ``path`` is its public OpenAPI twin, where there is one,
    with ``method``, ``query`` and ``body``. ``repeatable``: asking twice does no harm.
    ``secrets`` are masked in what comes back.
    """

    name: str
    way: Way = Way.AS_SET
    version: str = ""
    """Of a panel API."""
    params: Mapping[str, Any] = field(default_factory=dict, repr=False)
    method: str = "GET"
    path: str | None = field(default=None, repr=False)  # a refresh token's is part of it
    query: codec.Query = field(default_factory=dict, repr=False)
    body: Mapping[str, Any] | None = field(default=None, repr=False)
    repeatable: bool = True
    once: bool = False
    """Whoever asks repeats it; here only a new token or a corrected time is worth another try."""
    can_wait: bool = False
    """Doors do not depend on it: a quota that it exhausts stops only what can wait, too."""
    token: bool = False
    """A token request: always OpenAPI, never with a token."""
    secrets: tuple[Secret, ...] = ()


def token_call(refresh: Secret | None) -> Call:
    """Ask for a token, or for another one with a refresh token (good once)."""
    if refresh is None:
        return Call(name="token", path=_TOKEN_PATH, query={"grant_type": "1"}, token=True)
    path = f"{_TOKEN_PATH}/{refresh.reveal().decode()}"
    # Asked twice, the second time finds it used: the keeper then asks for a new one.
    return Call(name="token", path=path, token=True, repeatable=False, secrets=(refresh,))


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """A request, signed. It carries secrets: no repr."""

    method: str
    url: str
    headers: Mapping[str, str]
    content: bytes = b""

    def __repr__(self) -> str:
        return f"HttpRequest({self.method}, {len(self.content)} bytes)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What makes a signature unique. ``t`` is 13 digits of milliseconds."""

    t: str
    nonce: str


def check_possible(call: Call, settings: CloudSettings) -> None:
    """Whether this project can ask it at all.

    Raises:
        NotSupported: it has to be signed, and there is nothing to sign it with; or it goes to a
            relay, and there is none.
    """
    if call.way is Way.PANEL and settings.panel_url is None:
        raise NotSupported(
            f"{call.name} is asked by an app that is signed in; panel_url under [cloud] says where "
            "a relay to one is"
        )
    if call.way is Way.PATH and not (settings.client_id and settings.secret.reveal()):
        raise NotSupported(
            f"{call.name} goes to {settings.origin} signed by the project itself, whose client_id "
            "or secret is not configured; expected both under [cloud]"
        )


def needs_token(call: Call, settings: CloudSettings) -> bool:
    """Whether a call carries the access token."""
    if call.token or call.way is Way.PANEL:
        return False
    if call.way is Way.PATH:
        return True
    return settings.transport is Transport.OPENAPI or settings.signer is Signer.OPENAPI


def build_request(
    call: Call, settings: CloudSettings, moment: Moment, access_token: Secret | None
) -> HttpRequest:
    """The signed request of a call.

    Raises:
        NotSupported: the transport has no way to ask it.
    """
    if call.way is Way.PANEL and settings.panel_url is not None:
        return _panel(call, settings.panel_url)
    if call.token or call.way is Way.PATH or settings.transport is Transport.OPENAPI:
        return _openapi(call, settings, moment, access_token)
    return _action(call, settings, moment, access_token)


def _openapi(
    call: Call, settings: CloudSettings, moment: Moment, access_token: Secret | None
) -> HttpRequest:
    if call.path is None:
        raise NotSupported(
            f"{call.name} has no public OpenAPI path: it needs the transport 'action'"
        )
    url = settings.origin + codec.target(call.path, call.query)
    # A base URL may have a path of its own (a private cloud behind a proxy).
    path = codec.path_of(settings.origin).rstrip("/") + call.path
    content = b"" if call.body is None else codec.compact_json(call.body)
    signed = codec.signed_url(path, call.query)
    headers = _sign_v2(settings, moment, call.method, signed, content, access_token)
    if content:
        headers["Content-Type"] = _JSON
    return HttpRequest(method=call.method, url=url, headers=headers, content=content)


def _panel(call: Call, url: str) -> HttpRequest:
    """What the app's ``apiRequest`` is given; whoever relays it is trusted with it, unsigned."""
    asked = {"action": call.name, "version": call.version, "params": dict(call.params)}
    content = codec.compact_json(asked)
    return HttpRequest(method="POST", url=url, headers={"Content-Type": _JSON}, content=content)


def _action(
    call: Call, settings: CloudSettings, moment: Moment, access_token: Secret | None
) -> HttpRequest:
    params = codec.without_none({"uid": settings.uid, **call.params})
    content = codec.action_body(call.name, params)
    url = settings.url_of_actions
    match settings.signer:
        case Signer.NONE:
            headers: dict[str, str] = {}
        case Signer.FAAS:
            headers = {
                "client_id": settings.client_id,
                "t": moment.t,
                "sign_method": codec.SIGN_METHOD,
                "sign": codec.sign_action(settings.credentials, params=params, t=moment.t),
            }
            if settings.wx_app_id:
                headers["wxAppId"] = settings.wx_app_id
        case Signer.OPENAPI:
            path = codec.path_of(url)
            headers = _sign_v2(settings, moment, "POST", path, content, access_token)
    headers["Content-Type"] = _JSON
    return HttpRequest(method="POST", url=url, headers=headers, content=content)


def _sign_v2(
    settings: CloudSettings,
    moment: Moment,
    method: str,
    signed_url: str,
    content: bytes,
    access_token: Secret | None,
) -> dict[str, str]:
    sign = codec.sign_v2(
        settings.credentials,
        method=method,
        url=signed_url,
        t=moment.t,
        nonce=moment.nonce,
        body=content,
        access_token=access_token,
    )
    headers = {
        "client_id": settings.client_id,
        "t": moment.t,
        "nonce": moment.nonce,
        "sign_method": codec.SIGN_METHOD,
        "sign": sign,
    }
    if access_token is not None:
        headers["access_token"] = access_token.reveal().decode()
    return headers
