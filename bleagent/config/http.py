"""Where the HTTP trigger listens, and whose programs may call without a token."""

from __future__ import annotations

import grp
import ipaddress
import pwd
import re
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from bleagent.authority.tokens import EVERY_SCOPE, parse_scopes
from bleagent.errors import TokenUnusable

from .base import Section, mismatch
from .errors import WHOLE
from .secret_source import SecretSource, absolute

LONGEST_PATH = 100
"""Bytes of a Unix socket's path: sockaddr_un has 108."""
_NOBODY = 65534  # what every foreign uid looks like from within a user name space


def loopback(host: str) -> str:
    """A host that nobody outside of this machine reaches. Raises ValueError."""
    if not _is_loopback(host):
        raise ValueError
    return host


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _host(name: str) -> str:
    """A name or an address, without port."""
    if ":" in name:
        return str(ipaddress.IPv6Address(name))
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,253}", name):
        raise ValueError
    return name


def _socket_path(path: Path) -> Path:
    if len(str(absolute(path)).encode()) > LONGEST_PATH:
        raise ValueError
    return path


class HttpTls(Section):
    """What the TCP listener shows: with it, other addresses than loopback may be listened on."""

    certificate: Annotated[Path, AfterValidator(absolute)] = Field(
        description="the absolute path of a PEM file: the certificate, then those between it and "
        "its authority"
    )
    key: SecretSource = Field(description='{ credential = "NAME" } or { file = "PATH" }')


class HttpUser(Section):
    """Programs of this uid, user or group need no token at the Unix socket."""

    uid: int | None = Field(default=None, ge=0, le=2**32 - 2, description="a uid")
    user: str | None = Field(default=None, min_length=1, description="a user's name")
    group: str | None = Field(default=None, min_length=1, description="a group's name")
    scopes: tuple[str, ...] | None = Field(
        default=None, description="an array of scopes, such as read and operate:LOCK"
    )
    """As a token's; without them all, as when there were none here."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        said = [key for key in ("uid", "user", "group") if getattr(self, key) is not None]
        if len(said) != 1:
            raise mismatch(" and ".join(said) or "none of them", "one of uid, user and group")
        if _NOBODY in self.uids | self.gids:
            raise mismatch(f"{said[0]} of {_NOBODY}", "one that is not everybody's") from None
        return self

    @property
    def unknown(self) -> str | None:
        """The user or group, in words, where this machine has none of that name.

        Nobody is it, so it is left out: a name that somebody deletes is to shut no door.
        """
        if self.uids or self.gids:
            return None
        return f'user "{self.user}"' if self.user is not None else f'group "{self.group}"'

    @property
    def uids(self) -> frozenset[int]:
        """As it is on this machine; none where it is not."""
        if self.uid is not None:
            return frozenset((self.uid,))
        try:
            return (
                frozenset() if self.user is None else frozenset((pwd.getpwnam(self.user).pw_uid,))
            )
        except KeyError:
            return frozenset()

    @property
    def gids(self) -> frozenset[int]:
        """As it is on this machine; none where it is not."""
        try:
            return (
                frozenset() if self.group is None else frozenset((grp.getgrnam(self.group).gr_gid,))
            )
        except KeyError:
            return frozenset()

    @property
    def granted(self) -> frozenset[str]:
        """What these programs may do."""
        return EVERY_SCOPE if self.scopes is None else frozenset(self.scopes)


def check_users(users: tuple[HttpUser, ...], locks: Collection[str]) -> None:
    """Whether what they may do is there, in the words of a token's scopes.

    Raises:
        PydanticCustomError: no scopes, or one that does not exist, or of a lock that does not.
    """
    for number, user in enumerate(users):
        try:
            parse_scopes(EVERY_SCOPE if user.scopes is None else user.scopes, locks)
        except TokenUnusable as error:
            said = {"number": number, "error": str(error)}
            raise PydanticCustomError(WHOLE, "http.users[{number}]: {error}", said) from None


class HttpConfig(Section):
    """The HTTP trigger: a Unix socket, TCP where it is asked for, or both.

    TCP is asked for by ``tcp``, or by saying anything about it; without TLS on loopback only.
    """

    tcp: bool | None = Field(default=None, description="true or false: listen on host and port")
    host: Annotated[str, AfterValidator(_host)] = Field(
        default="127.0.0.1", description="an address such as 127.0.0.1, or a name"
    )
    port: int = Field(
        default=8580, ge=0, le=65535, description="a port from 0 (any free one) to 65535"
    )
    socket: Annotated[Path, AfterValidator(_socket_path)] | None = Field(
        default=None, description="the absolute path of a Unix socket, of at most 100 bytes"
    )
    socket_group: str | None = Field(
        default=None, min_length=1, description="the name of the group that may use the socket"
    )
    allowed_hosts: tuple[
        Annotated[str, AfterValidator(_host), Field(description="a name or address without port")],
        ...,
    ] = Field(default=(), description="an array of names or addresses without port")
    tls: HttpTls | None = Field(default=None, description="a table of certificate and key")
    users: tuple[HttpUser, ...] = Field(
        default=(), description="a section [[http.users]] for each of them"
    )
    token: SecretSource = Field(description='{ credential = "NAME" } or { file = "PATH" }')

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.socket is None and self.socket_group is not None:
            raise mismatch("socket_group without socket", "both")
        if self.tls is None and not _is_loopback(self.host):
            raise mismatch(
                f'host "{self.host}" without tls',
                "a loopback address, or tls too: others on the network would read the token",
            )
        if self.tls is not None and not self.over_tcp:
            raise mismatch("tls without tcp", "both: the Unix socket needs none")
        return self

    @property
    def over_tcp(self) -> bool:
        """Whether to listen on ``host`` and ``port``."""
        if self.tcp is not None:
            return self.tcp
        return not self.model_fields_set.isdisjoint(("host", "port", "tls"))
