"""Temporary passwords, as a duty of a visit: what the cloud holds is brought to the lock.

Never before an opening, nor while the lock hands out its records: it begins when nobody uses the
connection, and asks nothing more as soon as somebody does. What is asked is on disk before it is
asked, so whatever ends the visit, the next one knows what to look for (reference: safety C, E1).
"""

from __future__ import annotations

from collections.abc import Callable

from bleagent.errors import AgentError, LinkTimeout, StoreError
from bleagent.ports import Clock
from protocol import Datapoint, DpMap, DpName
from protocol.credential_list import SyncEnd, SyncRequest, read_sync
from protocol.credentials import (
    Method,
    TemporaryPasswordAdd,
    TemporaryPasswordDelete,
    TemporaryPasswordModify,
    TemporaryPasswordReply,
)

from .password_desk import PasswordDesk, Step
from .passwords import USE, Doing, Item, State, answered, asking
from .questions import REPLY, GivesWay, Questions, Report, code_of, hand_over

MOST_STEPS = 24
"""Questions to a lock on one connection."""
_DATAPOINTS = {
    Doing.ADD: DpName.ADD_TEMPORARY_PASSWORD,
    Doing.CHANGE: DpName.MODIFY_TEMPORARY_PASSWORD,
    Doing.REMOVE: DpName.DELETE_TEMPORARY_PASSWORD,
}
_METHODS = (Method.TEMPORARY_PASSWORD, 0xF0)
"""As locks call them in their list, and as the document does."""


class PasswordsUnsupported(AgentError):
    """This lock has no temporary passwords, or no list of them, among its datapoints."""

    code = "passwords-unsupported"
    advice = 'Bring its passwords with the vendor\'s app; passwords = "leave" says so here.'


class PasswordDuty:
    """Brings one lock's passwords over one connection; without a ``desk`` it does nothing.

    ``report`` hands what the lock said of a password to the sinks; ``wake`` is called when the
    connection is not needed for it any more.
    """

    def __init__(
        self,
        questions: Questions,
        dps: DpMap,
        clock: Clock,
        desk: PasswordDesk | None,
        report: Report,
        wake: Callable[[], None],
    ) -> None:
        self._questions = questions
        self._dps = dps
        self._clock = clock
        self._desk = desk
        self._report = report
        self._wake = wake
        self._over = desk is None

    # -- for whoever owns or uses the connection

    @property
    def working(self) -> bool:
        """Whether the connection is still needed for it."""
        return (
            not self._over
            and self._desk is not None
            and self._questions.timed
            and self._desk.has_work
        )

    def look_again(self) -> None:
        """Something that it waits for may have come."""
        if self._desk is not None:
            self._desk.tell_change()

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
                if self._questions.free and desk.has_work:
                    async with self._questions.turn:
                        await self._deliver(desk)
                    self._wake()
                await changed.wait()
        except Exception as error:  # noqa: BLE001 - whatever it is, the door opens
            desk.lock_error = code_of(error)
            self._questions.give_up()
        finally:
            self._over = True
            self._wake()

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
                if step is None or not self._questions.free:
                    return
                await self._carry_out(desk, step, there)
            self._over = True
        except GivesWay:
            return

    async def _carry_out(self, desk: PasswordDesk, step: Step, there: set[int]) -> None:
        item = asking(step.item, step.held, step.doing, there)
        await desk.keep(item)
        try:
            reply = await self._reply(item, step)
        except GivesWay:
            await _take_back(desk, step, item)
            raise
        said = answered(item, reply.hardid, reply.result)
        if said.state is State.CONFIRMED:
            there.add(reply.hardid)
        elif said.state is State.GONE:
            there.discard(reply.hardid)
        else:
            desk.refused(item.password_id)
        desk.lock_error = await self._tell(desk, step, said, reply)
        await desk.keep(said)

    async def _tell(
        self, desk: PasswordDesk, step: Step, said: Item, reply: TemporaryPasswordReply
    ) -> str | None:
        """The sinks are told, before it is kept that the lock was heard: so they are told once.

        A disk that does not take it makes no difference to the password: the code of what is wrong.
        """
        number = self._dps.number(_DATAPOINTS[step.doing])
        try:
            if desk.tells(step, said):
                await hand_over(self._report, [Datapoint.raw(number, reply.to_bytes())])
        except StoreError as error:
            return error.code
        return None

    async def _reply(self, item: Item, step: Step) -> TemporaryPasswordReply:
        """The lock's word about this very question. Raises LinkError: there is none."""
        number = self._dps.number(_DATAPOINTS[step.doing])
        until = self._clock.now() + REPLY
        await self._questions.write(Datapoint.raw(number, _written(item, step)))
        while True:
            said = await self._questions.next_reply(until)
            reply = TemporaryPasswordReply.from_bytes(said.data)
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
        await self._questions.write(Datapoint.raw(self._dps.number(DpName.SYNC), request))
        pages: dict[int, set[int]] = {}
        while True:
            page = read_sync((await self._questions.next_reply(until)).data)
            if not isinstance(page, SyncEnd):
                pages[page.number] = {one.hardid for one in page.entries if one.method in _METHODS}
            elif page.pages == len(pages):
                return {number for page in pages.values() for number in page}
            else:  # what is not on this list may be on the missing page
                raise LinkTimeout("a page of the lock's list is missing")


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
