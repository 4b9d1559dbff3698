"""What a radio is told when it is made: which adapters it uses, and whom it tells what."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from bleagent.model import Sighting, Step

from .recovery import Remedy


@dataclass(frozen=True, slots=True, kw_only=True)
class RadioSettings:
    """Which adapters are used; ``None``: every one that is powered. ``pins``: adapter by lock."""

    adapters: tuple[str, ...] | None = None
    slots: int = 3
    pins: Mapping[str, str] = field(default_factory=dict)
    addresses: Mapping[str, str] = field(default_factory=dict)
    """Addresses by lock that were proved earlier, where none is configured: a connection that a
    dead process left behind is recognised by them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listeners:
    """Who is told. ``wants_connection``: a lock, and its advertisement, has something to report.

    ``proved``: a lock and the address that stood the handshake, when that is news.
    ``treated``: an adapter, a rung of its ladder, and what came of it.
    ``full``: an adapter on which somebody waits for a slot, and the locks that hold one; says
    whether one of them is left.
    ``reached``: a lock that is being connected to, and how far that has come.
    """

    wants_connection: Callable[[str, Sighting], None] = lambda *_: None
    proved: Callable[[str, str], None] = lambda *_: None
    treated: Callable[[str, Remedy, str], None] = lambda *_: None
    full: Callable[[str, list[str]], bool] = lambda *_: False
    reached: Callable[[str, Step], None] = lambda *_: None
