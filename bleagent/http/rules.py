"""Whether a request may come in at all, by its head alone (safety F5, F6; peers 3.2).

Pure: a head in, ``None`` or a refusal out. What is refused here is what an attacker on the same
network or in a browser on the same machine needs: another name for us (DNS rebinding), a foreign
page behind the request (CSRF), heads that two readers read differently, tokens in addresses.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote_to_bytes

from .peer import NOBODY, Peer

MAX_BODY = 4096
"""Bytes of a request's body."""
MAX_HEADERS = 64
MAX_HEAD = 8192
"""Bytes of path, query and all headers."""
EXPOSED = "credential-in-url"
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")

_ONCE = frozenset(
    {b"authorization", b"idempotency-key", b"content-type", b"origin", b"host", b"sec-fetch-site"}
)
_READ = frozenset({b"authorization", b"idempotency-key"})
"""What is compared byte for byte, so that one way of writing it is enough."""
_CREDENTIALS = frozenset(
    {
        "access_token", "accesstoken", "api_key", "apikey", "auth", "authorization", "bearer",
        "id_token", "passwd", "password", "pwd", "refresh_token", "secret", "sharing_ticket", "sig",
        "signature", "ticket", "token", "x-api-key",
    }
)  # fmt: skip
_TOKEN = re.compile(rb"blk_[A-Za-z0-9]+_[A-Za-z0-9_-]{8,}")
_TRICKS = re.compile(r"%(2f|5c|0[0-9a-f]|1[0-9a-f]|7f)", re.IGNORECASE)
_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?")
_MOST_PARAMETERS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A problem to answer with; never holds anything of the request that could be a secret."""

    status: int
    code: str
    detail: str
    advice: str
    retry_after: int | None = None
    """Seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """A request before its body. Header names are lower-case."""

    method: str
    raw_path: bytes
    query: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    peer: Peer
    scheme: str = "http"

    def every(self, name: bytes) -> list[bytes]:
        """All values of a header."""
        return [value for key, value in self.headers if key == name]

    def one(self, name: bytes) -> str | None:
        """The first value of a header."""
        found = self.every(name)
        return found[0].decode("latin-1").strip() if found else None


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of one daemon.

    ``hosts``: names and addresses under which we are asked for over TCP; over a Unix socket only
    ``LOOPBACK_NAMES`` and ``allowed_hosts``, those of the configuration of now, are good.
    ``certified``: those of the certificate of now, over TCP too. ``is_token``: whether a text is a
    valid token, so that it is recognised under whatever name it is sent.
    """

    hosts: Iterable[str] = ()
    allowed_hosts: Callable[[], Iterable[str]] = tuple
    certified: Callable[[], Iterable[str]] = tuple
    is_token: Callable[[str], bool] = lambda _: False
    _tcp: frozenset[str] = field(init=False)
    _unix: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        unix = {_plain(name) for name in LOOPBACK_NAMES}
        object.__setattr__(self, "_unix", frozenset(unix))
        object.__setattr__(self, "_tcp", frozenset(unix | {_plain(name) for name in self.hosts}))

    def refuse(self, head: Head) -> Refusal | None:
        """Why this request may not come in; ``None`` if it may."""
        return (
            _too_much(head)
            or _of_nobody(head)
            or _ambiguous(head)
            or self._misdirected(head)
            or _foreign(head)
            or _odd_path(head)
            or self._exposed(head)
            or _odd_body(head)
        )

    def _misdirected(self, head: Head) -> Refusal | None:
        name = _host_name(head.one(b"host"))
        if name is not None and self._is_ours(name, head.peer):
            return None
        return Refusal(
            status=421, code="host-not-allowed", detail="this Host is none of this agent's names",
            advice="Ask for localhost, the configured address or a name of the certificate, or "
            "add the name to [http] allowed_hosts.",
        )  # fmt: skip

    def _is_ours(self, name: str, peer: Peer) -> bool:
        if name in (self._unix if peer.local else self._tcp):
            return True
        more = self.allowed_hosts() if peer.local else (*self.allowed_hosts(), *self.certified())
        return name in map(_plain, more)

    def _exposed(self, head: Head) -> Refusal | None:
        if not (head.query or _TOKEN.search(head.raw_path)):
            return None
        if not self._holds_credential(head):
            return None
        return Refusal(
            status=400, code=EXPOSED, detail="a credential in the address",
            advice="Send it as `Authorization: Bearer ...` only. Addresses end up in logs and "
            "histories: make a new token, the old one may have been seen.",
        )  # fmt: skip

    def _holds_credential(self, head: Head) -> bool:
        if any(_TOKEN.search(unquote_to_bytes(part)) for part in (head.raw_path, head.query)):
            return True
        try:
            pairs = _parameters(head)
        except ValueError:
            return True  # too many to look at; nothing here takes that many
        return any(name.strip().lower() in _CREDENTIALS for name, _ in pairs) or any(
            self.is_token(text) for pair in pairs for text in _readings(*pair)
        )


def in_address(head: Head) -> set[str]:
    """All texts of an address that could be a token; not all that there may be in a huge one."""
    found = {
        token.group().decode("latin-1")
        for part in (head.raw_path, head.query)
        for token in _TOKEN.finditer(unquote_to_bytes(part))
    }
    try:
        return found.union(*(_readings(*pair) for pair in _parameters(head)))
    except ValueError:
        return found


def _parameters(head: Head) -> list[tuple[str, str]]:
    """Raises ValueError: too many."""
    text = head.query.decode("latin-1")
    return parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST_PARAMETERS)


def _readings(name: str, value: str) -> set[str]:
    """What could be meant: a plus sign is a space in a form, and itself elsewhere."""
    return {text for one in (name, value) for text in (one, one.replace(" ", "+")) if text}


def _too_much(head: Head) -> Refusal | None:
    size = len(head.raw_path) + len(head.query) + sum(len(k) + len(v) for k, v in head.headers)
    if len(head.headers) <= MAX_HEADERS and size <= MAX_HEAD:
        return None
    return Refusal(
        status=431, code="head-too-large",
        detail=f"more than {MAX_HEADERS} headers or {MAX_HEAD} bytes", advice="Send less.",
    )  # fmt: skip


def _of_nobody(head: Head) -> Refusal | None:
    if head.peer.uid != NOBODY:
        return None
    return Refusal(
        status=403, code="caller-unknown", detail=f"the caller's uid is hidden ({NOBODY})",
        advice="Call from outside of a user name space, and see that the agent's unit has no "
        "PrivateUsers=.",
    )  # fmt: skip


def _ambiguous(head: Head) -> Refusal | None:
    names = [name for name, _ in head.headers]
    if any(names.count(name) > 1 for name in _ONCE):
        return _bad("header-repeated", "a header that may come once came twice")
    if b"transfer-encoding" in names and b"content-length" in names:
        return _bad("length-ambiguous", "both Transfer-Encoding and Content-Length")
    for name, value in head.headers:
        if name in _READ and not all(0x20 <= sign < 0x7F for sign in value):
            return _bad("header-invalid", "Authorization or Idempotency-Key is not plain ASCII")
    return None


def _foreign(head: Head) -> Refusal | None:
    """A page behind the request that is not ours."""
    origin, site = head.one(b"origin"), head.one(b"sec-fetch-site")
    ours = f"{head.scheme}://{head.one(b'host')}".lower()
    # No browser speaks through a Unix socket.
    same = origin is None or (not head.peer.local and origin.lower() == ours)
    if same and (site in (None, "same-origin", "none") or _is_visit(head)):
        return None
    return Refusal(
        status=403, code="origin-foreign", detail="asked for by a page of another origin",
        advice="Ask from a program, or from this agent's own page; other pages may not.",
    )  # fmt: skip


def _is_visit(head: Head) -> bool:
    """Somebody followed a link to our page, in a window of its own; it holds nothing of ours."""
    return (
        (head.method, head.raw_path, head.query) == ("GET", b"/", b"")
        and head.one(b"sec-fetch-mode") == "navigate"
        and head.one(b"sec-fetch-dest") == "document"
        and not head.peer.local
    )


def _odd_path(head: Head) -> Refusal | None:
    path = head.raw_path.decode("latin-1")
    parts = path.replace("%2e", ".").replace("%2E", ".").split("/")
    usual = path.startswith("/") and "\\" not in path and "//" not in path
    if usual and not _TRICKS.search(path) and not {".", ".."} & set(parts):
        return None
    return _bad("path-invalid", "a path with empty, dotted or hidden parts")


def _odd_body(head: Head) -> Refusal | None:
    length = head.one(b"content-length") or "0"
    chunked = head.every(b"transfer-encoding")
    if length.isdecimal() and int(length) > MAX_BODY:
        return Refusal(
            status=413, code="body-too-large", detail=f"more than {MAX_BODY} bytes",
            advice="Send less.",
        )  # fmt: skip
    if head.method in ("GET", "HEAD") or not (chunked or length.strip("0")):
        return None
    kind = (head.one(b"content-type") or "").partition(";")[0].strip().lower()
    if kind == "application/json":
        return None
    return Refusal(
        status=415, code="content-type-unusable", detail="the body is not said to be JSON",
        advice="Send `Content-Type: application/json`, or no body.",
    )  # fmt: skip


def _bad(code: str, detail: str) -> Refusal:
    return Refusal(status=400, code=code, detail=detail, advice="Send each thing once and plainly.")


def _host_name(host: str | None) -> str | None:
    """The name in a Host header, in the one way in which names are compared here."""
    found = _HOST.fullmatch(host or "")
    if found is None or int(found["port"] or 0) > 65535:
        return None
    return _plain(found["name"])


def _plain(name: str) -> str:
    name = name.lower().removeprefix("[").removesuffix("]").removesuffix(".")
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name


def head_of(scope: Mapping[str, object], peer: Peer) -> Head:
    """The head of an ASGI request."""
    headers = scope["headers"]
    path, query = scope.get("raw_path"), scope.get("query_string")
    if not isinstance(path, bytes):  # optional in ASGI
        path = str(scope["path"]).encode()
    return Head(
        method=str(scope["method"]),
        raw_path=path,
        query=query if isinstance(query, bytes) else b"",
        headers=tuple(headers) if isinstance(headers, list | tuple) else (),
        peer=peer,
        scheme=str(scope.get("scheme", "http")),
    )
