"""Who is at the other end of a connection, as the kernel says: an address, or a uid.

A Unix socket's other end is known by its uid and groups at the moment of connecting
(SO_PEERCRED, SO_PEERGROUPS: socket(7), unix(7)); nothing that is sent can change it.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

NOBODY = 65534
"""What every foreign uid looks like from within a user name space (safety F5)."""
STATE = "peer"
"""Where a request's ASGI state has its peer."""

_SOL_SOCKET, _SO_PEERCRED, _SO_PEERGROUPS = 1, 17, 59
_GROUPS = 4 * 1024  # bytes; more groups than that are not read, and count as none


class Options(Protocol):
    """What is asked of a socket."""

    def getsockopt(self, level: int, option: int, size: int, /) -> bytes:
        """As ``socket.getsockopt``."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """The other end: ``address`` for TCP, ``uid`` and ``gids`` for a Unix socket."""

    address: str | None = None
    uid: int | None = None
    gids: frozenset[int] = frozenset()

    @property
    def local(self) -> bool:
        """Whether it came by a Unix socket."""
        return self.uid is not None

    @property
    def via(self) -> str:
        """Where it comes from, for who looks at it later."""
        return f"tcp {self.address}" if self.uid is None else f"socket uid:{self.uid}"

    @property
    def name(self) -> str:
        """What counts as one client: a uid, an address, of IPv6 the network of one home (/64)."""
        if self.uid is not None:
            return f"uid:{self.uid}"
        try:
            found = ipaddress.ip_address(self.address or "")
        except ValueError:
            return "unknown"
        if found.version == 6:
            mapped = found.ipv4_mapped
            if mapped is not None:
                return str(mapped)
            if not found.is_loopback:
                return str(ipaddress.ip_network((found, 64), strict=False))
        return str(found)


UNKNOWN = Peer()


def peer_of_unix(connected: Options) -> Peer:
    """The other end of a connected Unix socket. Raises OSError."""
    _, uid, gid = struct.unpack("3i", connected.getsockopt(_SOL_SOCKET, _SO_PEERCRED, 12))
    try:
        raw = connected.getsockopt(_SOL_SOCKET, _SO_PEERGROUPS, _GROUPS)
    except OSError:  # too many of them, or a kernel before 4.13
        raw = b""
    groups = struct.unpack(f"{len(raw) // 4}I", raw[: len(raw) // 4 * 4])
    return Peer(uid=uid & 0xFFFFFFFF, gids=frozenset((gid & 0xFFFFFFFF, *groups)))


def peer_of(scope: Mapping[str, Any]) -> Peer:
    """The other end of a request; told by the server, never by a header."""
    told = scope.get("state", {}).get(STATE)
    if isinstance(told, Peer):
        return told
    client = scope.get("client")
    return Peer(address=client[0]) if client else UNKNOWN
