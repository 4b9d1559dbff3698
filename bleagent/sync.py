"""Temporary passwords, as a duty of a visit: what the cloud holds is brought to the lock.

Never before an opening, nor while the lock hands out its records: it begins when nobody uses the
connection, and asks nothing more as soon as somebody does. What is asked is on disk before it is
asked, so whatever ends the visit, the next one knows what to look for (reference: safety C, E1).
"""

from __future__ import annotations

from collections.abc import Callable

import anyio

from protocol import Datapoint, DpMap, DpName, LocalProtocolError, Outgoing, RemoteProtocolError
from protocol import events as ev
from protocol.credential_list import SyncEnd, SyncRequest, read_sync
from protocol.credentials import (
    Method,
    TemporaryPasswordAdd,
    TemporaryPasswordDelete,
    TemporaryPasswordModify,
    TemporaryPasswordReply,
)

from .errors import AgentError, LinkTimeout
from .lock_client import LockClient
from .password_desk import PasswordDesk, Step
from .passwords import USE, Doing, Item, State, answered, asking
from .ports import Clock
from .visit import Visit

REPLY = 5.0
"""Seconds for the lock's word; recorded locks answer at once."""
MOST_STEPS = 24
"""Questions to a lock on one connection."""
_DATAPOINTS = {
    Doing.ADD: DpName.ADD_TEMPORARY_PASSWORD,
    Doing.CHANGE: DpName.MODIFY_TEMPORARY_PASSWORD,
    Doing.REMOVE: DpName.DELETE_TEMPORARY_PASSWORD,
}
_METHODS = (Method.TEMPORARY_PASSWORD, 0xF0)
"""As locks call them in their list, and as the document does."""
_UNUSABLE = "lock-answer-unusable"
_FAULT = "agent-error"


class PasswordsUnsupported(AgentError):
    """This lock has no temporary passwords, or no list of them, among its datapoints."""

    code = "passwords-unsupported"
    advice = 'Bring its passwords with the vendor\'s app; passwords = "leave" says so here.'


class _GivesWay(Exception):
    """Somebody else uses the connection; nothing of the question was written."""


class PasswordDuty:
    """Brings one lock's passwords over one connection; without a ``desk`` it does nothing.

    ``drained`` says whether the lock has handed out its records, ``wake`` is called when the
    connection is not needed for it any more.
    """

    def __init__(
        self,
        client: LockClient,
        dps: DpMap,
        clock: Clock,
        desk: PasswordDesk | None,
        visit: Visit,
        drained: Callable[[], bool],
        wake: Callable[[], None],
    ) -> None:
        self._client = client
        self._dps = dps
        self._clock = clock
        self._desk = desk
        self._visit = visit
        self._drained = drained
        self._wake = wake
        self._in_use = True  # until the connection is said to be free
        self._over = desk is None
        self._asked: int | None = None
        """The datapoint whose reply is waited for."""
        self._replies: list[bytes] = []
        self._replied = anyio.Event()

    # -- for whoever owns or uses the connection

    @property
    def working(self) -> bool:
        """Whether the connection is still needed for it."""
        return not self._over and self._desk is not None and self._timed and self._desk.has_work

    @property
    def _timed(self) -> bool:
        """Whether a password opens at its time: not if the lock was told that we do not know it."""
        return self._clock.trusted and self._visit.time_told is not False

    def pause(self) -> None:
        """Somebody uses the connection: ask nothing from here."""
        self._in_use = True

    def resume(self) -> None:
        """It is free, or free again."""
        self._in_use = False
        self.look_again()

    def look_again(self) -> None:
        """Something that it waits for may have come."""
        if self._desk is not None:
            self._desk.tell_change()

    def listen(self, event: ev.CentralEvent) -> None:
        """Called with every event as it comes in."""
        if self._asked is None or not isinstance(event, ev.Reported):
            return
        if event.report.time is None:
            said = [one.data for one in event.report.datapoints if one.id == self._asked]
            self._replies += said
            self._replied.set()

    # -- the duty

    async def run(self) -> None:
        """Bring what there is to bring, whenever there is something; ends with the link.

        It fails by itself: an opening on this connection goes on whatever happens here.
        """
        desk = self._desk
        if desk is None:
            return
        try:
            self._require_datapoints()
            while not self._over:
                changed = desk.changed
                if self._free and desk.has_work:
                    await self._deliver(desk)
                    self._wake()
                await changed.wait()
        except (AgentError, LocalProtocolError) as error:
            desk.lock_error = error.code if isinstance(error, AgentError) else "protocol-misuse"
        except RemoteProtocolError:
            desk.lock_error = _UNUSABLE
        except Exception:  # noqa: BLE001 - whatever it is, the door opens
            desk.lock_error = _FAULT
        finally:
            self._over = True
            self._wake()

    @property
    def _free(self) -> bool:
        return not self._in_use and self._timed and self._drained()

    def _require_datapoints(self) -> None:
        if not {DpName.SYNC, *_DATAPOINTS.values()} <= self._dps.numbers.keys():
            raise PasswordsUnsupported("without its list nobody knows what became of an addition")

    async def _deliver(self, desk: PasswordDesk) -> None:
        """As much as there is, or until somebody uses the connection."""
        try:
            there = await self._list()
            await desk.settle(there)
            for _ in range(MOST_STEPS):
                step = await desk.next(there)
                if step is None or not self._free:
                    return
                await self._carry_out(desk, step, there)
            self._over = True
        except _GivesWay:
            return

    async def _carry_out(self, desk: PasswordDesk, step: Step, there: set[int]) -> None:
        item = asking(step.item, step.held, step.doing, there)
        await desk.keep(item)
        try:
            reply = await self._reply(item, step)
        except _GivesWay:
            await _take_back(desk, step, item)
            raise
        said = answered(item, reply.hardid, reply.result)
        if said.state is State.CONFIRMED:
            there.add(reply.hardid)
        elif said.state is State.GONE:
            there.discard(reply.hardid)
        else:
            desk.refused(item.password_id)
        await desk.keep(said)
        desk.lock_error = None

    async def _reply(self, item: Item, step: Step) -> TemporaryPasswordReply:
        """The lock's word about this very question. Raises LinkError: there is none."""
        number = self._dps.number(_DATAPOINTS[step.doing])
        until = self._clock.now() + REPLY
        await self._write(number, _written(item, step))
        while True:
            reply = TemporaryPasswordReply.from_bytes(await self._next_reply(until))
            if step.doing is Doing.ADD or reply.hardid == item.hardid:
                return reply

    async def _list(self) -> set[int]:
        """The numbers of the temporary passwords that the lock has.

        Raises:
            LinkError: it does not say, or a page of it is missing.
            RemoteProtocolError: what it says is no list.
        """
        until = self._clock.now() + REPLY
        request = SyncRequest((Method.TEMPORARY_PASSWORD,)).to_bytes()
        await self._write(self._dps.number(DpName.SYNC), request)
        pages: dict[int, set[int]] = {}
        while True:
            page = read_sync(await self._next_reply(until))
            if not isinstance(page, SyncEnd):
                pages[page.number] = {one.hardid for one in page.entries if one.method in _METHODS}
            elif page.pages == len(pages):
                return {number for page in pages.values() for number in page}
            else:  # what is not on this list may be on the missing page
                raise LinkTimeout("a page of the lock's list is missing")

    # -- plumbing

    async def _write(self, number: int, body: bytes) -> None:
        central = self._client.central

        def make() -> Outgoing:
            if not self._free or central.own_numbers_left < 1:
                raise _GivesWay
            return central.write_datapoint(Datapoint.raw(number, body), self._clock.now())

        self._asked, self._replies = number, []
        await self._client.send(make)

    async def _next_reply(self, until: float) -> bytes:
        while not self._replies:
            self._client.check_up()
            left = until - self._clock.now()
            if left <= 0:
                raise LinkTimeout("no word about a temporary password in time")
            self._replied = anyio.Event()
            with anyio.move_on_after(min(left, 1.0)):
                await self._replied.wait()
        return self._replies.pop(0)


async def _take_back(desk: PasswordDesk, step: Step, item: Item) -> None:
    """Nothing was asked, after all."""
    if step.item is None:
        await desk.forget(item.password_id)
    else:
        await desk.keep(step.item)


def _written(item: Item, step: Step) -> bytes:
    """The datapoint's value."""
    if step.doing is Doing.REMOVE:
        return TemporaryPasswordDelete(item.hardid or 0).to_bytes()
    assert step.held is not None  # noqa: S101 -- only what the cloud has is brought
    grant = step.held.grant()
    if step.doing is Doing.ADD:
        return TemporaryPasswordAdd(USE, grant).to_bytes()
    return TemporaryPasswordModify(item.hardid or 0, USE, grant).to_bytes()
