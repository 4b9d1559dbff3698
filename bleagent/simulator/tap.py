"""Who listens to a virtual lock's conversation."""

from __future__ import annotations

from collections.abc import Callable

Tap = Callable[[str, bytes], None]
"""Is told each packet: ``>`` from the central, ``<`` from the lock, ``|`` the link changed,
``!`` the door was ``opened`` or ``closed``."""


def no_tap(mark: str, what: bytes) -> None:
    """Nobody."""
    del mark, what


def lines(say: Callable[[str], None]) -> Tap:
    """Says a line for each: ``up``, ``down``, ``> HEX``, ``< HEX``, ``opened``, ``closed``."""
    up = False

    def tap(mark: str, what: bytes) -> None:
        nonlocal up
        if mark == "|":
            up = not up
            say("up" if up else "down")
        else:
            say(what.decode() if mark == "!" else f"{mark} {what.hex()}")

    return tap
