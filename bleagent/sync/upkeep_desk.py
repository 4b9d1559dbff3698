"""One lock's upkeep: what the cloud said last of it, and how far each part has come.

Shared by whoever asks the cloud and by the visits to the lock.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from math import inf
from typing import Protocol

import anyio

from bleagent.errors import AgentError, CloudError
from bleagent.ports import Clock
from bleagent.records.beside import CallsBeside
from protocol import Secret
from protocol.records import OfflineT0

from .upkeep import LIST_APART, Note, Progress, Subject, Wanted, is_due, is_told

PATIENCE = 5.0
"""Seconds for the disk, and for the cloud; nobody stays at a lock for longer because of them."""
T0_STALE = 2 * 3600.0
"""Seconds for which the cloud's word about T0 holds."""
WANTED_STALE = 900.0
"""Seconds for which its wish for a list holds, where a visit could not fulfil it."""
T0_AHEAD = 24 * 3600.0
"""Seconds by which the cloud's date may be before ours; no lock was paired in times to come."""


class UpkeepBook(Protocol):
    """Where it is kept what need not be done again. Every method raises StoreError."""

    async def notes(self, lock: str) -> Sequence[Note]:
        """All of a lock's."""
        ...

    async def note(self, lock: str, note: Note) -> None:
        """On disk when this returns, in place of what was known of that subject."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class UpkeepState:
    """How it stands, for people. Times in Unix seconds."""

    clock_told_at: float | None
    """When the lock was last told the time, since the agent's start."""
    t0: Note | None
    """None: the cloud has told no T0 so far."""
    credentials: Note | None
    """None: the lock has not been asked so far."""
    listed: Mapping[str, int] | None
    """How many of each kind its last list had, since the agent's start."""
    asked_at: float | None
    """Of the cloud's last usable answer."""
    last_error: str | None
    """A code."""


class UpkeepDesk:
    """The upkeep of one lock.

    ``lock`` is what it is known by for good, ``key`` its local key. ``wanted`` asks the cloud
    whether it wants a list now; ``noted`` is told what changed, when that is on disk.
    """

    def __init__(
        self,
        lock: str,
        key: Secret,
        book: UpkeepBook,
        calls: CallsBeside,
        clock: Clock,
        wanted: Callable[[], Awaitable[Wanted | None]],
        noted: Callable[[Note], None] = lambda _: None,
    ) -> None:
        self._lock = lock
        self._key = key
        self._book = book
        self._calls = calls
        self._clock = clock
        self._ask_wanted = wanted
        self._noted = noted
        self._notes: dict[Subject, Note] | None = None
        self._t0: tuple[Secret, float] | None = None
        """The digits that the cloud named, and when."""
        self._wanted: tuple[Wanted, float] | None = None
        self._cloud_rests_until = -inf
        self._asked_at: float | None = None
        self.changed = anyio.Event()
        """Is set when there is something to look at again, and replaced."""
        self.clock_told_at: float | None = None
        self.listed: Mapping[str, int] | None = None
        self.cloud_error: str | None = None
        """The code of what was wrong with the last question to the cloud."""
        self.lock_error: str | None = None
        """The code of what went wrong at the last visit."""

    # -- for people

    def state(self) -> UpkeepState:
        """How it stands."""
        return UpkeepState(
            clock_told_at=self.clock_told_at,
            t0=self._t0_note,
            credentials=self.note_of(Subject.CREDENTIALS),
            listed=self.listed,
            asked_at=self._asked_at,
            last_error=self.lock_error or self.cloud_error,
        )

    @property
    def _t0_note(self) -> Note | None:
        """About the T0 of now: a new one waits, whatever became of the one before."""
        note = self.note_of(Subject.T0)
        if self._t0 is None:
            return note
        digest = digest_of_t0(self._t0[0], self._key)
        if note is not None and note.digest == digest:
            return note
        at = self._asked_at or self._clock.unix()
        return Note(subject=Subject.T0, progress=Progress.WAITING, at=at, digest=digest)

    # -- the cloud's word

    async def open(self) -> None:
        """Read what is kept, if that was not done before. Raises StoreError."""
        if self._notes is None:
            found = await self._calls.within(PATIENCE, lambda: self._book.notes(self._lock))
            self._notes = {one.subject: one for one in found}

    def told_t0(self, seconds: int | None) -> None:
        """The cloud says when the lock was paired last; None: it does not know."""
        self._asked_at, self.cloud_error = self._clock.unix(), None
        self._t0 = None
        if seconds is not None and 0 < seconds <= self._clock.unix() + T0_AHEAD:
            self._t0 = Secret(OfflineT0(seconds).to_bytes()), self._clock.now()
        self.tell_change()

    async def wanted(self) -> Wanted | None:
        """What the cloud wants a lock to be asked, whose ``list_is_due``; None: nothing, so far.

        It is asked for that, unless it said so a while ago. Where it fails, that is noted.
        """
        if (held := self._held) is not None:
            return held
        self._wanted, self._cloud_rests_until = None, self._clock.now() + LIST_APART
        try:
            with anyio.fail_after(PATIENCE):
                wanted = await self._ask_wanted()
        except (AgentError, TimeoutError) as error:
            self.cloud_error = error.code if isinstance(error, AgentError) else CloudError.code
            return None
        self._asked_at, self.cloud_error = self._clock.unix(), None
        if wanted is not None:
            self._wanted = wanted, self._clock.now()
        return wanted

    def fulfilled(self) -> None:
        """What the cloud wanted is no question any more."""
        self._wanted = None

    # -- what there is to do

    @property
    def t0(self) -> Secret | None:
        """The digits to tell the lock now, if any."""
        if self._notes is None or self._t0 is None:
            return None
        digits, at = self._t0
        if self._clock.now() - at > T0_STALE:
            return None
        note = self._notes.get(Subject.T0)
        digest = digest_of_t0(digits, self._key)
        return None if is_told(note, digest, self._clock.unix()) else digits

    @property
    def list_is_due(self) -> bool:
        """Whether the cloud is to be asked if it wants a list, or has said so."""
        if self._notes is None or not is_due(self.note_of(Subject.CREDENTIALS), self._clock.unix()):
            return False
        return self._held is not None or self._clock.now() >= self._cloud_rests_until

    @property
    def _held(self) -> Wanted | None:
        """What the cloud wanted a while ago, and no lock has told."""
        if self._wanted is None or self._clock.now() - self._wanted[1] > WANTED_STALE:
            return None
        return self._wanted[0]

    def note_of(self, subject: Subject) -> Note | None:
        """What is kept of it."""
        return (self._notes or {}).get(subject)

    def beginning(self, subject: Subject) -> Note:
        """What is kept of it, or what there is to begin with; of a T0 before this one, nothing."""
        note = self._t0_note if subject is Subject.T0 else self.note_of(subject)
        return note or Note(subject=subject, progress=Progress.WAITING, at=self._clock.unix())

    # -- keeping

    async def end(self, note: Note, progress: Progress, digest: str | None = None) -> None:
        """It has come so far, now. Raises StoreError."""
        digest = note.digest if digest is None else digest
        at = self._clock.unix()
        await self.keep(replace(note, progress=progress, digest=digest, at=at, silent=0))

    async def keep(self, note: Note) -> None:
        """On disk when this returns. Raises StoreError."""

        async def keep() -> None:
            await self._book.note(self._lock, note)
            before = self.note_of(note.subject)
            if self._notes is not None:
                self._notes[note.subject] = note
            if before is None or (before.progress, before.digest) != (note.progress, note.digest):
                self._noted(note)

        await self._calls.within(PATIENCE, keep)

    # -- waking

    def tell_change(self) -> None:
        """Whoever waits for a change looks again."""
        changed, self.changed = self.changed, anyio.Event()
        changed.set()


def digest_of_t0(digits: Secret, key: Secret) -> str:
    """32 hexadecimal digits that stand for a T0.

    Without the lock's key nobody finds it by trying all numbers of ten digits.
    """
    return hmac.new(key.reveal(), b"T0" + digits.reveal(), sha256).hexdigest()[:32]
