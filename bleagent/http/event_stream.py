"""One stream of server-sent events: read, told, read on; nothing is kept for who reads slowly.

The next page is read when the last one was taken off our hands, and who does not take it within
the connection's time is hung up on (``wire``): he comes back by the id of the last event he has.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import structlog
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from bleagent import logs
from bleagent.errors import StoreError
from bleagent.events import Bell, EventSource, Mark, Position, position_text
from bleagent.ports import Clock

from .guard import answer_of, too_many

log = structlog.get_logger()

RETRY = 3.0
"""Seconds after which a client that lost us comes back."""
BEAT = 15.0
"""Seconds of silence before a comment, so that a dead connection is noticed."""
RECHECK = 5.0
"""Seconds between two looks at the token, and for what nobody rang about (safety F6)."""
PAGE = 32
"""Events that are read and made at once: the event loop is held up no longer than that."""
AGAIN = 10.0
"""Seconds to wait for a place."""

Told = tuple[str, Mapping[str, Any]]
"""An event's name and its JSON."""


class Places:
    """How many streams there may be: in all, and of one caller."""

    def __init__(self, *, most: int, of_caller: int) -> None:
        self._most = most
        self._of_caller = of_caller
        self._taken: list[str] = []

    @contextmanager
    def one_for(self, caller: str) -> Iterator[bool]:
        """A place for as long as it lasts; False: there is none."""
        free = len(self._taken) < self._most and self._taken.count(caller) < self._of_caller
        if free:
            self._taken.append(caller)
        try:
            yield free
        finally:
            if free:
                self._taken.remove(caller)


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """A source as one caller sees it; ``told`` is None for an event that is not for him."""

    name: str
    source: EventSource[Any]
    told: Callable[[Any], Told | None]


@dataclass(slots=True, kw_only=True)
class Following:
    """What one caller follows, and how far he has come.

    ``lost`` is told first. ``good`` says whether he may go on.
    """

    caller: str
    sources: Sequence[Followed]
    position: Position
    lost: Sequence[Mapping[str, Any]]
    good: Callable[[], bool]
    _failing: set[str] = field(default_factory=set, init=False)
    """Sources that cannot be read at the moment: told once, not at every look."""

    def beginning(self) -> str:
        """What is said at once: when and from where to come back, and what is missing."""
        first = f"retry: {RETRY * 1000:.0f}\nid: {position_text(self.position)}\n\n"
        return first + "".join(self._block(("lost", one)) for one in self.lost)

    async def page(self) -> str | None:
        """What is new; empty if it is not for this caller, None if there is nothing."""
        blocks: list[str] = []
        moved = False
        for one in self.sources:
            for event in await self._read(one):
                self.position[one.name] = Mark(self.position[one.name].source, event.seq)
                moved = True
                if (told := one.told(event)) is not None:
                    blocks.append(self._block(told))
        return "".join(blocks) if moved else None

    async def _read(self, one: Followed) -> Sequence[Any]:
        """What cannot be read now is not passed over: it is read later."""
        try:
            found = await one.source.after(self.position[one.name].seq, limit=PAGE)
        except StoreError as error:
            if one.name not in self._failing:
                self._failing.add(one.name)
                log.warning(
                    "events.not_read", of=one.name, code=error.code, detail=str(error),
                    advice=error.advice,
                )  # fmt: skip
            return ()
        self._failing.discard(one.name)
        return found

    def _block(self, told: Told) -> str:
        name, what = told
        data = json.dumps(what, separators=(",", ":"))  # one line, whatever is in it
        return f"id: {position_text(self.position)}\nevent: {name}\ndata: {data}\n\n"


class EventStream(StreamingResponse):
    """The answer that goes on until the caller leaves, may no longer, or the agent stops."""

    def __init__(self, following: Following, bell: Bell, clock: Clock, places: Places) -> None:
        # A proxy in between would keep it until it is full.
        headers = {"X-Accel-Buffering": "no"}
        super().__init__(self._blocks(), media_type="text/event-stream", headers=headers)
        self._following = following
        self._bell = bell
        self._clock = clock
        self._places = places

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Tell, if there is a place."""
        with self._places.one_for(self._following.caller) as found:
            if found:
                await super().__call__(scope, receive, send)
            else:
                await answer_of(too_many("event streams", AGAIN))(scope, receive, send)

    async def _blocks(self) -> AsyncIterator[str]:
        try:
            async for block in self._told():
                yield block
        except Exception as error:  # noqa: BLE001 - a fault of ours; he comes back, doors open
            log.error(  # noqa: TRY400 - without its message
                "events.fault", **logs.fault(error),
                advice="This is a fault of bleagent; report it with this line.",
            )  # fmt: skip

    async def _told(self) -> AsyncIterator[str]:
        yield self._following.beginning()
        last = self._clock.now()
        while True:
            rung = self._bell.next()
            block = await self._following.page()
            if self._bell.closed or not self._following.good():
                return
            if block is None and self._clock.now() - last >= BEAT:
                block = ": \n\n"
            if block is None:
                with anyio.move_on_after(RECHECK):
                    await rung.wait()
            elif block:
                yield block
                last = self._clock.now()
