"""``bleagent scan``: which locks this machine hears, as a table, as lines or as JSON."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import anyio

from bleagent.clock import SystemClock
from bleagent.config.file import load_config
from bleagent.errors import RadioUnavailable
from bleagent.model import LockFacts, Sighting
from bleagent.ports import Bluetooth, Clock
from bleagent.radio.nearby import Nearby, nearby
from bleagent.radio.sightings import Sightings
from protocol import LockKeys

REFRESH = 0.5
"""Seconds between two looks."""
HELP_AFTER = 5.0
"""Seconds without any lock after which it is said what can be done."""
SECONDS = 10.0
"""Seconds of listening, where nobody can watch and stop it."""
AGAIN = 10.0
"""Seconds after which --follow repeats a lock that says nothing new."""
NOTHING_HEARD = (
    "No lock is heard yet. Most sleep until they are touched: wake it at its keypad. A lock that a "
    "phone or another gateway is connected to does not advertise: close the app. Bring the gateway "
    "within a few metres, and see that the adapter is not behind metal or beside a USB 3 device."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanOptions:
    """``seconds`` None: until stopped. ``adapter`` None: every one that is powered."""

    seconds: float | None = None
    adapter: str | None = None
    config: Path | None = None
    as_json: bool = False
    follow: bool = False


class View(Protocol):
    """Shows what is heard, again and again."""

    def show(self, found: list[Nearby], elapsed: float) -> None:
        """What is heard after so many seconds."""
        ...

    def end(self, found: list[Nearby]) -> None:
        """That was it."""
        ...


async def run(options: ScanOptions) -> bool:
    """Listen with this machine's Bluetooth until the time is up or somebody stops it.

    Returns whether a lock was heard.

    Raises:
        ConfigError: the configuration cannot be read.
        LinkError: it cannot be listened; the advice says what to do.
    """
    # Only here: the command line alone must not load a Bluetooth stack.
    from bleagent.adapters.bluez import BluezBluetooth  # noqa: PLC0415
    from bleagent.adapters.bluez.scan import Mode  # noqa: PLC0415

    sightings = Sightings(known_locks(options.config) if options.config is not None else ())
    clock = SystemClock()
    heard = False
    # Asking each lock for its second half, which has its name and its uuid.
    async with (
        BluezBluetooth(clock, mode=Mode.ACTIVE) as bluetooth,
        anyio.create_task_group() as tasks,
    ):
        stop = anyio.Event()
        tasks.start_soon(_stop_on_signal, stop)
        failure: Exception | None = None
        try:
            heard = await listen(bluetooth, clock, sightings, view_for(options), options, stop)
        except Exception as error:  # noqa: BLE001 - a task group would wrap it
            failure = error
        tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure
    return heard


async def _stop_on_signal(stop: anyio.Event) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            stop.set()


async def listen(
    bluetooth: Bluetooth,
    clock: Clock,
    sightings: Sightings,
    view: View,
    options: ScanOptions,
    stop: anyio.Event,
) -> bool:
    """Listen and show; returns whether a lock was heard. Raises LinkError."""

    def hear(seen: Sighting) -> None:
        sightings.hear(seen)

    began = clock.now()
    names = await _adapters(bluetooth, options.adapter)
    try:
        async with AsyncExitStack() as scans:
            for name in names:
                await scans.enter_async_context(bluetooth.scan(name, hear))
            while not stop.is_set():
                elapsed = clock.now() - began
                if options.seconds is not None and elapsed >= options.seconds:
                    break
                view.show(nearby(sightings, clock.now()), elapsed)
                with anyio.move_on_after(REFRESH):
                    await stop.wait()
    finally:
        found = nearby(sightings, clock.now())
        view.end(found)
    return bool(found)


async def _adapters(bluetooth: Bluetooth, wanted: str | None) -> list[str]:
    """Those to listen on. Raises RadioUnavailable."""
    found = await bluetooth.adapters()
    if wanted is not None:
        if wanted not in {one.name for one in found}:
            there = ", ".join(one.name for one in found) or "none"
            raise RadioUnavailable(f"there is no adapter {wanted}; there is {there}")
        return [wanted]
    powered = [one.name for one in found if one.powered]
    if not powered:
        there = ", ".join(one.name for one in found) or "none"
        raise RadioUnavailable(f"no Bluetooth adapter is powered; there is {there}")
    return powered


def known_locks(config: Path) -> list[LockFacts]:
    """The configured locks, without their keys: nothing secret is read for looking around.

    Raises:
        ConfigError: the file cannot be used.
    """
    return [
        LockFacts(
            name=lock.name,
            device_id=lock.device_id,
            address=lock.address,
            keys=LockKeys(uuid=lock.uuid, virtual_id=lock.device_id),
        )
        for lock in load_config(config).locks
    ]


# -- views


def view_for(options: ScanOptions) -> View:
    """JSON if asked for, a table on a terminal, lines elsewhere."""
    if options.as_json:
        return Changes(_json) if options.follow else FinalList()
    return TableView() if sys.stdout.isatty() else Changes(_line)


def out(text: str) -> None:
    """A line for whoever reads along."""
    print(text, flush=True)


def hint(text: str) -> None:
    """Something beside the result."""
    print(f"bleagent scan: {text}", file=sys.stderr, flush=True)


def _json(one: Nearby) -> str:
    return json.dumps(one.to_json())


def _line(one: Nearby) -> str:
    bound = {True: "bound", False: "not bound", None: "bound or not"}[one.bound]
    parts: Iterable[str | None] = (
        f"{one.address} {one.rssi:4} dBm by {one.adapter}",
        one.kind,
        bound,
        f"known as {', '.join(one.known_as)}" if one.known_as else None,
        "wants a connection" if one.wants_connection else None,
        None if one.name is None else f'calls itself "{one.name}"',
    )
    return "  ".join(part for part in parts if part is not None)


class _Hinting:
    """Says once what can be done if nothing is heard."""

    def __init__(self) -> None:
        self._hinted = False

    def show(self, found: list[Nearby], elapsed: float) -> None:
        """Nothing else."""
        if not found and elapsed >= HELP_AFTER and not self._hinted:
            self._hinted = True
            hint(NOTHING_HEARD)

    def end(self, found: list[Nearby]) -> None:
        """Also after a short time."""
        if not found and not self._hinted:
            hint(NOTHING_HEARD)


class FinalList(_Hinting):
    """One JSON object a line, at the end."""

    def end(self, found: list[Nearby]) -> None:
        """The list."""
        super().end(found)
        for one in found:
            out(_json(one))


class Changes(_Hinting):
    """A line when a lock is heard first, when it says something new, and now and then."""

    def __init__(self, line: Callable[[Nearby], str], again: float = AGAIN) -> None:
        super().__init__()
        self._line = line
        self._again = again
        self._said: dict[str, tuple[tuple[object, ...], float]] = {}

    def show(self, found: list[Nearby], elapsed: float) -> None:
        """What is new."""
        super().show(found, elapsed)
        # Only who is still there: addresses that come and go must not grow this.
        said, self._said = self._said, {}
        for one in found:
            before, at = said.get(one.address, (None, 0.0))
            if before != one.says or (elapsed - at >= self._again and one.age < self._again):
                out(self._line(one))
                at = elapsed
            self._said[one.address] = one.says, at


class TableView:
    """A table that is drawn anew in place."""

    def __init__(self) -> None:
        from rich.live import Live  # noqa: PLC0415 - only on a terminal

        self._live = Live(auto_refresh=False)
        self._live.start()

    def show(self, found: list[Nearby], elapsed: float) -> None:
        """The table."""
        from rich.table import Table  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        # Fits 80 columns, unless names are long; those wrap, addresses do not.
        table = Table(title="Locks around", box=None, pad_edge=False)
        for title in _TITLES:
            right = title in ("dBm", "age")
            table.add_column(
                title, justify="right" if right else "left", no_wrap=title != "known as"
            )
        for one in found:
            table.add_row(*(Text(cell) for cell in _cells(one)))
        help_needed = not found and elapsed >= HELP_AFTER
        table.caption = NOTHING_HEARD if help_needed else f"{elapsed:.0f} s, Ctrl-C ends"
        self._live.update(table, refresh=True)

    def end(self, found: list[Nearby]) -> None:
        """Leave it on the screen."""
        self._live.stop()
        if not found:
            hint(NOTHING_HEARD)


_TITLES = ("name", "address", "dBm", "protocol", "bound", "known as", "calls", "age")


def _cells(one: Nearby) -> tuple[str, ...]:
    return (
        one.name or "",
        one.address,
        str(one.rssi),
        one.kind,
        one.bound_or_not,
        ", ".join(one.known_as),
        "yes" if one.wants_connection else "",
        f"{one.age:.0f} s",
    )
