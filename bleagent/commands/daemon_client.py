"""The running daemon, asked over its own HTTP: commands never touch its store (safety A5)."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self
from urllib.parse import quote, urlsplit

import httpx

from bleagent.certificate import pinned, read_certificate
from bleagent.config import Config, load_config
from bleagent.config.secrets import load_http_token, service_credentials
from bleagent.errors import AgentError, ConfigError, SecretError
from bleagent.vault import read_secret, without_line_end
from protocol import Secret

PAGE = 500
"""Records in one answer, as many as the daemon gives."""
TIMEOUT = 10.0
"""Seconds for an answer; the daemon is on this machine."""
REHEARSAL_TIMEOUT = 30.0
"""Seconds where it has to find a lock that sleeps, and ask the cloud."""
VERIFY_TIMEOUT = 120.0
"""Seconds where the daemon has to ask the cloud, page after page."""

SERVICE_CONFIG = Path("/etc/bleagent/config.toml")
SERVICE_SOCKET = Path("/run/bleagent/http.sock")
"""Where the packaged service has them."""

_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where all of these is listened on

AT_SOCKET = "http://localhost"

Params = Sequence[tuple[str, str]]

_ADVICE = {
    "unknown-record": "`bleagent records --ids` shows the ids, and so does --json.",
    "unknown-token": "`bleagent token list` shows the ids.",
    "unknown-sink": "`bleagent records outbox` shows the names.",
    "unknown-lock": "Name one of these.",
}
"""By the daemon's code: what helps at a command line, where its own advice is for HTTP."""


class DaemonUnnamed(ConfigError):
    """Which daemon to ask is not said, or not so that a token may be sent there."""

    advice = (
        "Name the daemon's configuration with --config, or give --url and --token-file. "
        f"The service's is {SERVICE_CONFIG}: `sudo bleagent init` makes it."
    )


class PortUnknown(DaemonUnnamed):
    """The configuration leaves the port open, so that it does not say where the daemon is."""

    advice = "Give --url and --token-file."


class DaemonAway(AgentError):
    """Nobody answers there."""

    code = "daemon-away"
    advice = (
        "Start the daemon, or see that --config is the file it runs with (or give --url). As a "
        "service: systemctl status bleagent; journalctl -u bleagent -n 20."
    )


class NotTheDaemon(AgentError):
    """Somebody answers, and it is not this daemon or not this version of it."""

    code = "not-the-daemon"
    advice = "See who listens there (ss -ltnp); after an update restart the daemon."


class TokenRefused(AgentError):
    """The daemon takes another token."""

    code = "token-refused"
    advice = "The daemon reads its token at the start and on SIGHUP; --token-file names another."


class UserUnknown(AgentError):
    """The daemon does not know who asks at its socket."""

    code = "user-unknown"
    advice = (
        "Run this as a user named in [[http.users]] or, while the service runs, as root; "
        "or name a token's file with --token-file."
    )


class DaemonUnable(AgentError):
    """The daemon could not ask, or not look, itself: the cloud, or its store, was not there."""

    code = "daemon-unable"
    advice: ClassVar[str] = ""


class DaemonRefused(AgentError):
    """The daemon said no; the message has its own words and advice."""

    code = "daemon-refused"
    advice: ClassVar[str] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where the daemon is, and what it wants to be shown."""

    url: str
    token: Secret | None
    """None: the daemon knows by its socket who asks."""
    socket: Path | None = None
    """Its Unix socket, where it does not listen otherwise."""
    certificate: Path | None = None
    """The one that it shows, by its configuration: no other one is trusted then."""


def find_daemon(config: Path | None, url: str | None, token_file: Path | None) -> Address:
    """By the daemon's configuration, and what is said otherwise.

    Where nothing is said the service's is taken. Whoever may not read its token asks at its Unix
    socket without one.

    Raises:
        ConfigError: too little is said (DaemonUnnamed), or the configuration cannot be used.
        SecretError: the token cannot be read, and there is no socket.
    """
    if config is None and url is None and os.path.exists(SERVICE_CONFIG):  # noqa: PTH110
        config = SERVICE_CONFIG  # what may not be looked at is not there: no PermissionError
    if config is None and (url is None or token_file is None):
        raise DaemonUnnamed("it is not said which daemon to ask")
    read = None if config is None else load_config(config)
    if url is not None:
        _require_safe(url)
    there = _where(read, url)
    if read is not None and read.http.tls is not None and there.url.startswith("https:"):
        there = replace(there, certificate=read.http.tls.certificate)
    if token_file is not None:
        return replace(there, token=without_line_end(read_secret(token_file)))
    assert read is not None  # noqa: S101 - or there is a file
    try:
        return replace(there, token=_token_of(read))
    except SecretError as error:
        if url is not None:
            raise
        return _without_token(read, error)


def _where(read: Config | None, url: str | None) -> Address:
    if url is None and read is not None and not read.http.over_tcp:
        return Address(url=AT_SOCKET, token=None, socket=read.http_socket)
    if url is None and read is not None:
        url = _url_of(read)
    return Address(url=str(url).rstrip("/"), token=None)


def _without_token(read: Config, error: SecretError) -> Address:
    """At the socket, where the kernel says who asks."""
    own = read.http_socket
    if own is not None and _is_there(own):
        return Address(url=AT_SOCKET, token=None, socket=own)
    if own is not None and read.http.token.credential is not None:
        raise DaemonAway(f"the service is not running: {own} is not there") from None
    raise error


def service_address() -> Address | None:
    """The running service, whatever its file says now; None where there is no socket of it."""
    if not _is_there(SERVICE_SOCKET):
        return None
    credentials = service_credentials()
    token = None
    if credentials is not None:
        try:
            token = without_line_end(read_secret(credentials / "http-token"))
        except SecretError:
            token = None
    return Address(url=AT_SOCKET, token=token, socket=SERVICE_SOCKET)


def _is_there(socket: Path) -> bool:
    try:
        return socket.is_socket()
    except OSError:
        return False


def _url_of(config: Config) -> str:
    if config.http.port == 0:
        raise PortUnknown("[http] port is 0, any free one: this file does not say which")
    host = _ANY.get(config.http.host, config.http.host)
    scheme = "http" if config.http.tls is None else "https"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{config.http.port}"


def _token_of(config: Config) -> Secret:
    try:
        return load_http_token(config, service_credentials())
    except SecretError as error:
        raise SecretError(f"{error}; to this command --token-file can name the file") from None


def _require_safe(url: str) -> None:
    """The token goes nowhere else than to this machine, or through TLS."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        host, parts = "", urlsplit("")
    good = parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host))
    if not host or not good or parts.query or parts.fragment or parts.username:
        raise DaemonUnnamed(
            "--url: expected http:// on loopback or https://, such as http://127.0.0.1:8580"
        )


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class DaemonClient:
    """One command's conversation with the daemon; a context manager.

    Every call raises DaemonAway, TokenRefused, NotTheDaemon or DaemonRefused; to make one raises
    CertificateError.
    """

    def __init__(self, address: Address) -> None:
        shown, self._by_token = address.certificate, address.token is not None
        self._url = address.url if address.socket is None else str(address.socket)
        through = None if address.socket is None else str(address.socket)
        self._client = httpx.Client(
            base_url=address.url,
            headers=_shown(address.token),
            timeout=TIMEOUT,
            trust_env=False,
            transport=httpx.HTTPTransport(
                uds=through,
                trust_env=False,
                verify=True if shown is None else pinned(read_certificate(shown)),
            ),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._client.close()

    def records(self, params: Params) -> dict[str, Any]:
        """One page: ``records``, ``next``, ``last``."""
        page = self._ask("GET", "/v1/records", params=params)
        if not isinstance(page.get("records"), list):
            raise self._foreign()
        return page

    def all_records(self, params: Params, *, most: int | None = None) -> Iterator[dict[str, Any]]:
        """Newest first, page after page; at most so many."""
        left, cursor = most, None
        while left is None or left > 0:
            size = PAGE if left is None else min(PAGE, left)
            more = [("limit", str(size)), *([] if cursor is None else [("cursor", str(cursor))])]
            page = self.records([*params, *more])
            yield from page["records"]
            left = None if left is None else left - len(page["records"])
            cursor = page.get("next")
            if cursor is None:
                return

    def record(self, record_id: str) -> dict[str, Any]:
        """One."""
        return self._ask("GET", f"/v1/records/{_segment(record_id)}")

    def decide(self, record_id: str, word: str, sink: str | None) -> dict[str, Any]:
        """Retry or drop: ``changed`` and ``record``."""
        body = {} if sink is None else {"sink": sink}
        return self._ask("POST", f"/v1/records/{_segment(record_id)}/{word}", json=body)

    def forget_sink(self, sink: str) -> dict[str, Any]:
        """Give up what is left for one that is gone: ``changed``."""
        return self._ask("POST", f"/v1/outbox/{_segment(sink)}/forget")

    def outbox(self) -> dict[str, Any]:
        """``sinks`` and ``locks``."""
        return self._ask("GET", "/v1/outbox")

    def verify(self, lock: str, what: Mapping[str, str | None]) -> dict[str, Any]:
        """What the cloud has of a lock, beside ours."""
        body = {name: value for name, value in what.items() if value is not None}
        return self._ask(
            "POST", f"/v1/locks/{_segment(lock)}/records/verify", json=body, timeout=VERIFY_TIMEOUT
        )

    def rehearse(self, lock: str) -> dict[str, Any]:
        """All of an opening up to the write: ``ready``, ``code``, ``steps``."""
        path = f"/v1/locks/{_segment(lock)}/rehearse"
        return self._ask("POST", path, timeout=REHEARSAL_TIMEOUT)

    def readiness(self) -> dict[str, Any]:
        """``ready``, and to whom may read, ``parts``; that it is not ready is no error."""
        return self._ask("GET", "/readyz", told_by="ready")

    def locks(self) -> dict[str, Any]:
        """``locks``."""
        found = self._ask("GET", "/v1/locks")
        if not isinstance(found.get("locks"), list):
            raise self._foreign()
        return found

    def tokens(self) -> list[dict[str, Any]]:
        """Every token that was issued, oldest first."""
        found = self._ask("GET", "/v1/tokens").get("tokens")
        if not isinstance(found, list):
            raise self._foreign()
        return found

    def create_token(self, what: Mapping[str, Any]) -> dict[str, Any]:
        """A new one; what it answers has the secret in ``token``."""
        body = {name: value for name, value in what.items() if value is not None}
        made = self._ask("POST", "/v1/tokens", json=body)
        if not isinstance(made.get("token"), str):
            raise self._foreign()
        return made

    def revoke_token(self, token_id: str) -> dict[str, Any]:
        """From now on it is good for nothing."""
        return self._ask("POST", f"/v1/tokens/{_segment(token_id)}/revoke")

    def _ask(
        self, method: str, path: str, *, told_by: str | None = None, **more: Any
    ) -> dict[str, Any]:
        """``told_by``: with this key it is an answer, whatever its status is."""
        try:
            answer = self._client.request(method, path, **more)
        except httpx.TimeoutException:
            raise DaemonAway(f"no answer in time from {self._url}") from None
        except httpx.TransportError as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                raise NotTheDaemon(
                    f"what answers at {self._url} shows a certificate that is not trusted here "
                    "(the daemon reads a new one on SIGHUP)"
                ) from None
            raise DaemonAway(f"nobody answers at {self._url}") from None
        except (httpx.InvalidURL, httpx.DecodingError, UnicodeError):
            raise self._foreign() from None
        return self._read(answer, told_by)

    def _read(self, answer: httpx.Response, told_by: str | None) -> dict[str, Any]:
        try:
            body = answer.json()
        except ValueError:
            body = None
        if not isinstance(body, dict):
            raise self._foreign()
        if told_by in body or (answer.is_success and told_by is None):
            return body
        if answer.status_code == 401 and not self._by_token:
            raise UserUnknown(f"the daemon at {self._url} does not know who asks")
        if answer.status_code == 401:
            raise TokenRefused(f"the daemon at {self._url} does not take this token")
        if not isinstance(body.get("code"), str):
            raise self._foreign()
        words = f"{body.get('detail')} ({body['code']})"
        advice = _ADVICE.get(body["code"], body.get("advice"))
        kind = DaemonUnable if answer.is_server_error else DaemonRefused
        raise kind(f"{words}\n{advice}" if advice else words)

    def _foreign(self) -> NotTheDaemon:
        return NotTheDaemon(f"what answers at {self._url} is not this version of bleagent")


def _shown(token: Secret | None) -> dict[bytes, bytes]:
    return {} if token is None else {b"Authorization": b"Bearer " + token.reveal()}


def _segment(text: str) -> str:
    """A part of a path, whatever somebody has typed."""
    return quote(text, safe="") or "-"
