"""Where the HTTP trigger listens, and whose programs may call without a token."""

from __future__ import annotations

import grp
import ipaddress
import pwd
import re
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from .base import Section, mismatch
from .secret_source import SecretSource, absolute

_NOBODY = 65534  # what every foreign uid looks like from within a user name space


def loopback(host: str) -> str:
    """A host that nobody outside of this machine reaches. Raises ValueError."""
    if host != "localhost" and not ipaddress.ip_address(host).is_loopback:
        raise ValueError
    return host


def _host(name: str) -> str:
    """A name or an address, without port."""
    if ":" in name:
        return str(ipaddress.IPv6Address(name))
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,253}", name):
        raise ValueError
    return name


def _socket_path(path: Path) -> Path:
    if len(str(absolute(path)).encode()) > 100:  # sockaddr_un has 108 bytes
        raise ValueError
    return path


class HttpUser(Section):
    """Programs of this uid, user or group need no token at the Unix socket."""

    uid: int | None = Field(default=None, ge=0, le=2**32 - 2, description="a uid")
    user: str | None = Field(default=None, min_length=1, description="a user's name")
    group: str | None = Field(default=None, min_length=1, description="a group's name")

    @model_validator(mode="after")
    def _one(self) -> Self:
        said = [key for key in ("uid", "user", "group") if getattr(self, key) is not None]
        if len(said) != 1:
            raise mismatch(" and ".join(said) or "none of them", "one of uid, user and group")
        try:
            found = self.uids or self.gids
        except KeyError:
            raise mismatch(f'{said[0]} "{getattr(self, said[0])}"', "one of this machine") from None
        if _NOBODY in found:
            raise mismatch(f"{said[0]} of {_NOBODY}", "one that is not everybody's") from None
        return self

    @property
    def uids(self) -> frozenset[int]:
        """As it is on this machine. Raises KeyError."""
        if self.user is not None:
            return frozenset((pwd.getpwnam(self.user).pw_uid,))
        return frozenset() if self.uid is None else frozenset((self.uid,))

    @property
    def gids(self) -> frozenset[int]:
        """As it is on this machine. Raises KeyError."""
        return frozenset() if self.group is None else frozenset((grp.getgrnam(self.group).gr_gid,))


class HttpConfig(Section):
    """The HTTP trigger: loopback TCP, a Unix socket, or both."""

    tcp: bool = Field(default=True, description="true or false: listen on host and port")
    host: Annotated[str, AfterValidator(loopback)] = Field(
        default="127.0.0.1", description="a loopback address such as 127.0.0.1"
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
    users: tuple[HttpUser, ...] = Field(
        default=(), description="a section [[http.users]] for each of them"
    )
    token: SecretSource = Field(description='{ credential = "NAME" } or { file = "PATH" }')

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.socket is None:
            if not self.tcp:
                raise mismatch("neither tcp nor socket", "at least one of them")
            if self.socket_group is not None:
                raise mismatch("socket_group without socket", "both")
        return self
