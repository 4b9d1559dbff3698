"""Upkeep, as a duty of a visit: T0 is told, and the lock's list goes the way of its records.

Never before an opening, nor while the lock hands out its records, nor with a date that is not
trusted (safety E1). Whatever ends the visit in the middle, the next one begins anew: telling and
asking twice does no harm.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from bleagent.errors import AgentError, LinkTimeout
from bleagent.ports import Clock
from protocol import Datapoint, DpMap, DpName, RemoteProtocolError, Secret
from protocol.credential_list import SyncEnd, SyncEntry, read_sync
from protocol.credentials import Method

from .questions import (
    REPLY,
    GivesWay,
    QuestionRefused,
    Questions,
    Report,
    code_of,
    hand_over,
)
from .upkeep import Progress, Subject, digest_of, silenced
from .upkeep_desk import UpkeepDesk

LONGEST_LIST = 60.0
"""Seconds for one list; twenty credentials a page, and one round trip each."""
MOST_KINDS = 64
"""Bytes that the cloud may have us write; a real one has sent eight."""


class WishUnusable(AgentError):
    """The cloud wants something written that is no question for the list."""

    code = "sync-wish-unusable"
    advice = "Say under `dps` of this lock which number its datapoint `sync` has."


@dataclass(frozen=True, slots=True)
class Listing:
    """A lock's whole list: what it sent, in order, and what stands in it."""

    datapoints: tuple[Datapoint, ...]
    entries: tuple[SyncEntry, ...]

    @property
    def digest(self) -> str:
        """Equal for equal lists."""
        return digest_of(one.data for one in self.datapoints)

    @property
    def counted(self) -> Mapping[str, int]:
        """How many there are of each kind."""
        return Counter(_kind(entry.method) for entry in self.entries)


class UpkeepDuty:
    """Does it over one connection; without a ``desk`` it does nothing.

    ``report`` hands a list to the sinks, and raises StoreError; ``wake`` is called when the
    connection is not needed for it any more.
    """

    def __init__(
        self,
        questions: Questions,
        dps: DpMap,
        clock: Clock,
        desk: UpkeepDesk | None,
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
        self._left = set(Subject)
        """What was not dealt with on this connection."""

    # -- for whoever owns or uses the connection

    @property
    def working(self) -> bool:
        """Whether the connection is still needed for it."""
        return not self._over and self._questions.timed and bool(self._due())

    def clock_told(self, unix: float) -> None:
        """The lock asked for the time, and was told it."""
        if self._desk is not None:
            self._desk.clock_told_at = unix

    def look_again(self) -> None:
        """Something that it waits for may have come."""
        if self._desk is not None:
            self._desk.tell_change()

    def _due(self) -> tuple[Subject, ...]:
        """What there is to do on this connection."""
        desk = self._desk
        if desk is None:
            return ()
        has_work = {Subject.T0: desk.t0 is not None, Subject.CREDENTIALS: desk.list_is_due}
        return tuple(one for one in Subject if one in self._left and has_work[one])

    # -- the duty

    async def run(self) -> None:
        """Do what there is to do, each once; ends with the link.

        It fails by itself: an opening on this connection goes on whatever happens here.
        """
        desk = self._desk
        if desk is None:
            return
        try:
            while not self._over:
                changed = desk.changed
                if self._questions.free and self._due():
                    async with self._questions.turn:
                        await self._do(desk)
                    self._wake()
                await changed.wait()
        except Exception as error:  # noqa: BLE001 - whatever it is, the door opens
            desk.lock_error = code_of(error)
        finally:
            self._over = True
            self._wake()

    async def _do(self, desk: UpkeepDesk) -> None:
        """As much as there is, or until somebody uses the connection."""
        desk.lock_error = None
        duties = {Subject.T0: self._tell_t0, Subject.CREDENTIALS: self._list}
        try:
            for subject in self._due():
                await self._answered(desk, subject, duties[subject])
                self._left.discard(subject)
        except GivesWay:
            return

    async def _answered(
        self, desk: UpkeepDesk, subject: Subject, duty: Callable[[UpkeepDesk], Awaitable[None]]
    ) -> None:
        """A lock that says no, or nothing of use, is remembered for it. Raises LinkError."""
        try:
            await duty(desk)
        except (LinkTimeout, RemoteProtocolError) as error:
            desk.lock_error = code_of(error)
            self._questions.give_up()
            await desk.keep(silenced(desk.beginning(subject), self._clock.unix()))
        except QuestionRefused as error:
            desk.lock_error = error.code
            await desk.end(desk.beginning(subject), Progress.REFUSED)

    async def _tell_t0(self, desk: UpkeepDesk) -> None:
        digits, note = desk.t0, desk.beginning(Subject.T0)
        if digits is None:
            return
        if DpName.OFFLINE_T0 not in self._dps:
            await desk.end(note, Progress.UNSUPPORTED)
            return
        number, until = self._dps.number(DpName.OFFLINE_T0), self._clock.now() + REPLY
        await self._questions.write(Datapoint.text(number, digits.reveal().decode("ascii")))
        said = await self._questions.next_reply(until)
        # It says which one it has: any other is its no.
        took = Secret(said.data) == digits
        await desk.end(note, Progress.DONE if took else Progress.REFUSED)

    # -- the list

    async def _list(self, desk: UpkeepDesk) -> None:
        note = desk.beginning(Subject.CREDENTIALS)
        if DpName.SYNC not in self._dps:
            await desk.end(note, Progress.UNSUPPORTED)
            return
        wanted = await desk.wanted()
        if wanted is None:
            return
        if wanted.dp_id != self._dps.number(DpName.SYNC) or not (
            1 <= len(wanted.kinds) <= MOST_KINDS
        ):
            desk.fulfilled()
            raise WishUnusable(f"datapoint {wanted.dp_id} with {len(wanted.kinds)} bytes")
        listing = await self._listing(wanted.kinds)
        # A lock that does not know one of the kinds answers as if it had nothing.
        known = bytes(kind for kind in wanted.kinds if kind in _KNOWN)
        if not listing.entries and known not in (b"", wanted.kinds):
            listing = await self._listing(known)
        desk.listed = listing.counted
        if not listing.entries:
            await desk.end(note, Progress.EMPTY)
        else:
            if listing.digest != note.digest:
                await hand_over(self._report, listing.datapoints)
            await desk.end(note, Progress.DONE, listing.digest)
        desk.fulfilled()

    async def _listing(self, kinds: bytes) -> Listing:
        """The whole list.

        Raises:
            LinkTimeout: the lock does not answer, or a page is missing.
            LinkError: the link ended.
            QuestionRefused, RemoteProtocolError: it does not take the question; it is no list.
            GivesWay: somebody uses the connection; whoever asks again gets it from the beginning.
        """
        number, end = self._dps.number(DpName.SYNC), self._clock.now() + LONGEST_LIST
        await self._questions.write(Datapoint.raw(number, kinds))
        pages: dict[int, Datapoint] = {}
        entries: dict[int, tuple[SyncEntry, ...]] = {}
        while True:
            reply = await self._questions.next_reply(min(self._clock.now() + REPLY, end))
            if self._clock.now() > end:
                raise LinkTimeout("the lock's list does not end")
            page, said = read_sync(reply.data), Datapoint.raw(number, reply.data)
            if not isinstance(page, SyncEnd):
                pages[page.number], entries[page.number] = said, page.entries
                await self._questions.acknowledge(reply)
            elif page.pages == len(pages):
                ordered = sorted(pages)
                return Listing(
                    (*(pages[one] for one in ordered), said),
                    tuple(entry for one in ordered for entry in entries[one]),
                )
            else:
                raise LinkTimeout("a page of the lock's list is missing")


_KNOWN = frozenset(int(one) for one in Method)
"""Kinds that the recorded locks know."""


def _kind(method: int) -> str:
    """A credential's kind as it is called here."""
    return Method(method).name.lower() if method in _KNOWN else f"kind_{method}"
