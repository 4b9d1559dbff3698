"""This machine's own addresses, as the kernel tells them: a webhook is not sent to oneself."""

from __future__ import annotations

from ipaddress import IPv6Address
from pathlib import Path

_FIB_TRIE = Path("/proc/net/fib_trie")
_IF_INET6 = Path("/proc/net/if_inet6")


def own_addresses(fib_trie: Path = _FIB_TRIE, if_inet6: Path = _IF_INET6) -> frozenset[str]:
    """In their text form; what the kernel does not tell is not among them."""
    return frozenset((*_of_4(_lines(fib_trie)), *_of_6(_lines(if_inet6))))


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii").splitlines()
    except OSError:
        return []


def _of_4(lines: list[str]) -> list[str]:
    """A leaf's address stands on one line, and what it is on the next."""
    found, leaf = [], ""
    for line in lines:
        words = line.split()
        if words[:1] == ["|--"]:
            leaf = words[1]
        elif words[:3] == ["/32", "host", "LOCAL"]:
            found.append(leaf)
    return found


def _of_6(lines: list[str]) -> list[str]:
    return [str(IPv6Address(int(line.split()[0], 16))) for line in lines if line.strip()]
