"""Temporary passwords on their way from the cloud to a lock: where each is, and what comes next.

Pure. The cloud says what it holds (``Held``), the lock which numbers are taken there, and what was
asked of the lock is kept (``Item``) before it is asked. The lock's own number of a password
(``hardid``) is given by the lock when it takes one, so an addition whose answer was not heard is
never asked again before the lock was asked for its list (reference: protocol §6.4, cloud §6).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum

from protocol import Secret
from protocol.credentials import Grant, TemporaryResult, TemporaryUse, Validity, digits

MOST_TRIES = 5
"""Additions of one password that the lock did not carry out, after which it is given up."""
_LAST_SECOND = Validity.permanent().end
"""A lock knows no later time."""


class Phase(IntEnum):
    """Where a Bluetooth lock's password is, in the cloud's words."""

    DELETED = 0
    TO_BE_SENT = 1
    SENT = 2
    TO_BE_DELETED = 3
    FAILED = 7


class State(StrEnum):
    """Where a password is, in ours."""

    WAITING = "waiting"  # for a visit, or for what is missing
    WRITTEN = "written"  # the lock was asked, and has not been heard
    CONFIRMED = "confirmed"  # the lock said that it has it
    REFUSED = "refused"  # the lock said no
    GIVEN_UP = "given_up"  # it cannot be delivered as it is
    GONE = "gone"  # the lock does not have it any more


class Doing(StrEnum):
    """What the lock is asked for."""

    ADD = "add"
    CHANGE = "change"
    REMOVE = "remove"


class Why(StrEnum):
    """What is in the way of one."""

    DIGITS_UNKNOWN = "digits-unknown"  # no documented call for lock programs tells them
    SCHEDULED = "scheduled"  # no document says which bit of the lock's mask is which day
    NO_TIME = "no-time"  # begin or end is missing, or no time of a lock
    UNANSWERED = "unanswered"  # asked several times, and the lock did nothing
    AMBIGUOUS = "ambiguous"  # several came to the lock meanwhile: which is ours is not known


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A password as the cloud holds it. Times in Unix seconds; ``sn``: its number in the lock."""

    password_id: str
    phase: int | None
    begins: int | None
    ends: int | None
    once: bool = False
    scheduled: bool = False
    sn: int | None = None
    digits: Secret | None = None

    @property
    def terms(self) -> str:
        """When and how often it opens: what a change of it changes."""
        return f"{self.begins} {self.ends} {int(self.once)}{int(self.scheduled)}"

    def has_ended(self, unix: float) -> bool:
        """Whether it opens nothing any more."""
        return self.ends is not None and self.ends <= unix

    def obstacle(self) -> Why | None:
        """Why it cannot be written, if so."""
        if self.scheduled:
            return Why.SCHEDULED
        if self.begins is None or self.ends is None or not 0 <= self.begins <= _LAST_SECOND:
            return Why.NO_TIME
        return Why.DIGITS_UNKNOWN if self.digits is None else None

    def grant(self) -> Grant:
        """As the lock wants it; only where there is no ``obstacle``."""
        assert self.begins is not None  # noqa: S101 -- see above
        assert self.ends is not None  # noqa: S101
        assert self.digits is not None  # noqa: S101
        validity = Validity(self.begins, min(self.ends, _LAST_SECOND))
        plain = self.digits.reveal().decode("ascii")
        return Grant(validity, int(self.once), digits(plain))


USE = TemporaryUse.COUNT
"""How use is limited: by a count, where 0 is no limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """What is known of a password's way. No digits: the cloud is asked for them each time.

    ``hardid`` while it may be at the lock; ``before`` the temporary passwords that the lock had
    when it was asked to add this one.
    """

    password_id: str
    terms: str = ""
    state: State = State.WAITING
    doing: Doing | None = None
    hardid: int | None = None
    before: frozenset[int] = frozenset()
    result: int | None = None
    why: Why | None = None
    tries: int = 0


def next_of(item: Item | None, held: Held | None, unix: float) -> Doing | None:
    """What to ask of the lock about one password; it has been settled what was asked before.

    ``held`` is None where the cloud does not have it any more.
    """
    over = (Phase.DELETED, Phase.TO_BE_DELETED)
    if held is None or held.phase in over or held.has_ended(unix):
        by_cloud = held is not None and held.phase == Phase.TO_BE_DELETED and held.sn is not None
        known = item is not None and item.hardid is not None
        unknown = item is None or (item.state is State.WAITING and item.doing is None)
        return Doing.REMOVE if known or (unknown and by_cloud) else None
    if held.phase == Phase.SENT:
        # Somebody else brought it: ours is a second one under another number.
        twice = item is not None and item.hardid is not None and held.sn not in (None, item.hardid)
        return Doing.REMOVE if twice else None
    if held.phase != Phase.TO_BE_SENT:
        return None
    return _delivery_of(item, held)


def _delivery_of(item: Item | None, held: Held) -> Doing | None:
    if held.obstacle() is not None:
        return None
    if item is None:
        return Doing.ADD
    changed = item.terms != held.terms
    if item.hardid is not None:
        return Doing.CHANGE if changed else None
    final = item.state in (State.REFUSED, State.GIVEN_UP) and item.result != TemporaryResult.FULL
    return None if final and not changed else Doing.ADD


def noted(item: Item | None, held: Held) -> Item | None:
    """What there is to keep of a password for which nothing is asked: why, where it waits."""
    new = item is None or (item.hardid is None and item.terms != held.terms)
    if held.phase != Phase.TO_BE_SENT or not (new or _waits(item)):
        return None
    why = held.obstacle()
    stuck = why not in (None, Why.DIGITS_UNKNOWN)
    state = State.GIVEN_UP if stuck else State.WAITING
    tries = 0 if item is None or new else item.tries
    made = Item(password_id=held.password_id, terms=held.terms, state=state, why=why, tries=tries)
    return None if made == item else made


def _waits(item: Item | None) -> bool:
    return item is not None and item.state is State.WAITING


def asking(item: Item | None, held: Held | None, doing: Doing, there: Collection[int]) -> Item:
    """What is kept before the lock is asked. ``there``: the temporary passwords that it has."""
    if item is None:
        assert held is not None  # noqa: S101 -- what nobody knows is not asked for
        item = Item(password_id=held.password_id)
    item = replace(item, state=State.WRITTEN, doing=doing, result=None, why=None)
    if doing is Doing.REMOVE:
        number = held.sn if item.hardid is None and held is not None else item.hardid
        return replace(item, hardid=number)
    assert held is not None  # noqa: S101 -- only what the cloud has is brought
    item = replace(item, terms=held.terms)
    return replace(item, before=frozenset(there)) if doing is Doing.ADD else item


def answered(item: Item, hardid: int, result: int) -> Item:
    """The lock's word about what was asked."""
    if result == TemporaryResult.OK:
        if item.doing is Doing.REMOVE:
            return gone(item)
        return replace(
            item, state=State.CONFIRMED, doing=None, hardid=hardid, before=frozenset(), tries=0
        )
    number = None if item.doing is Doing.ADD else item.hardid
    return replace(item, state=State.REFUSED, hardid=number, before=frozenset(), result=result)


def is_told(before: Item | None, said: Item, doing: Doing, held: Mapping[str, Held]) -> bool:
    """Whether the lock's word about a password, whose item it made ``said``, goes to the sinks.

    That it is full it says until there is room, and a refusal each time it is asked: once is
    enough. Its word about an addition has a number, and not which password that is. So it is told
    only where the cloud has no other one to be sent: else it could take it for the other's, and
    with that number delete the wrong one.
    """
    if said.result == TemporaryResult.FULL:
        return False
    if before is not None and said.state is State.REFUSED is before.state:
        return (before.doing, before.result) != (said.doing, said.result)
    others = (one for one in held.values() if one.password_id != said.password_id)
    return doing is not Doing.ADD or not any(
        one.phase == Phase.TO_BE_SENT and one.sn is None for one in others
    )


def gone(item: Item) -> Item:
    """The lock does not have it."""
    return replace(item, state=State.GONE, doing=None, hardid=None, before=frozenset(), result=None)


def settled(item: Item, there: Collection[int], others: Collection[int]) -> Item:
    """What became of a question whose answer was not heard, by the lock's list.

    ``others`` are the numbers of other passwords, by the cloud or by us.
    """
    if item.state is not State.WRITTEN:
        return item
    if item.doing is Doing.ADD:
        return _settled_addition(item, frozenset(there) - item.before - frozenset(others))
    if item.hardid not in there:
        return gone(item)
    # A change or a deletion may be asked again: it is the same thing twice. A change whose words
    # may not have arrived is asked again because the terms are not the lock's.
    terms = "" if item.doing is Doing.CHANGE else item.terms
    return replace(item, state=State.CONFIRMED, doing=None, terms=terms)


def _settled_addition(item: Item, new: frozenset[int]) -> Item:
    if len(new) == 1:
        return replace(
            item, state=State.CONFIRMED, doing=None, hardid=next(iter(new)), before=frozenset(),
            tries=0,
        )  # fmt: skip
    tries = item.tries + 1
    lost = replace(item, doing=None, before=frozenset(), tries=tries)
    if new:
        return replace(lost, state=State.GIVEN_UP, why=Why.AMBIGUOUS)
    if tries >= MOST_TRIES:
        return replace(lost, state=State.GIVEN_UP, why=Why.UNANSWERED)
    return replace(lost, state=State.WAITING)


def numbers_of_others(
    password_id: str, items: Iterable[Item], held: Mapping[str, Held]
) -> frozenset[int]:
    """The lock's numbers that belong to other passwords: nothing is done to these."""
    ours = {one.hardid for one in items if one.password_id != password_id}
    named = {
        one.sn
        for one in held.values()
        if one.password_id != password_id and one.phase in (Phase.TO_BE_SENT, Phase.SENT)
    }
    return frozenset(number for number in ours | named if number is not None)
