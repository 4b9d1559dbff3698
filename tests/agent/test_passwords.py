"""Where a password is and what comes next: the rules alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bleagent.sync.passwords import (
    Doing,
    Held,
    Item,
    Phase,
    State,
    Why,
    answered,
    asking,
    next_of,
    noted,
    numbers_of_others,
    settled,
)
from protocol import Secret
from protocol.credentials import TemporaryResult, Validity

NOW = 1_780_000_000
HELD = Held(
    password_id="7", phase=Phase.TO_BE_SENT, begins=NOW - 60, ends=NOW + 60, digits=Secret("123456")
)
THERE = Item(password_id="7", terms=HELD.terms, state=State.CONFIRMED, hardid=41)
ADDING = asking(None, HELD, Doing.ADD, {40})


@pytest.mark.parametrize(
    ("item", "held", "doing"),
    [
        (None, HELD, Doing.ADD),
        (None, replace(HELD, digits=None), None),
        (None, replace(HELD, scheduled=True), None),
        (None, replace(HELD, begins=None), None),
        (None, replace(HELD, begins=2**31), None),
        (None, replace(HELD, phase=Phase.SENT), None),
        (None, replace(HELD, phase=Phase.FAILED), None),
        (None, replace(HELD, phase=99), None),
        (None, replace(HELD, phase=None), None),
        (None, replace(HELD, ends=NOW), None),
        (None, replace(HELD, phase=Phase.TO_BE_DELETED), None),
        (None, replace(HELD, phase=Phase.TO_BE_DELETED, sn=40), Doing.REMOVE),
        (None, replace(HELD, phase=Phase.DELETED, sn=40), None),
        (THERE, HELD, None),
        (THERE, replace(HELD, ends=NOW + 61), Doing.CHANGE),
        (THERE, replace(HELD, ends=NOW + 61, digits=None), None),
        (THERE, replace(HELD, ends=NOW), Doing.REMOVE),
        (THERE, replace(HELD, phase=Phase.TO_BE_DELETED), Doing.REMOVE),
        (THERE, replace(HELD, phase=Phase.DELETED), Doing.REMOVE),
        (THERE, None, Doing.REMOVE),
        (THERE, replace(HELD, phase=Phase.SENT), None),
        (THERE, replace(HELD, phase=Phase.SENT, sn=41), None),
        (THERE, replace(HELD, phase=Phase.SENT, sn=42), Doing.REMOVE),
    ],
)
def test_what_comes_next(item: Item | None, held: Held | None, doing: Doing | None) -> None:
    assert next_of(item, held, NOW) is doing


def test_a_refusal_is_final_unless_the_lock_was_full_or_the_times_change() -> None:
    refused = answered(ADDING, 0xFF, TemporaryResult.FAILED)
    assert refused.state is State.REFUSED
    assert refused.hardid is None
    assert next_of(refused, HELD, NOW) is None
    assert next_of(refused, replace(HELD, ends=NOW + 61), NOW) is Doing.ADD
    full = answered(ADDING, 0xFF, TemporaryResult.FULL)
    assert next_of(full, HELD, NOW) is Doing.ADD


def test_what_is_gone_for_the_lock_is_not_deleted_again_for_the_cloud() -> None:
    held = replace(HELD, phase=Phase.TO_BE_DELETED, sn=40)
    asked = asking(None, held, Doing.REMOVE, ())
    assert asked.hardid == 40
    gone = answered(asked, 40, TemporaryResult.OK)
    assert gone.state is State.GONE
    assert next_of(gone, held, NOW) is None


def test_an_addition_that_was_not_heard_is_found_by_the_locks_list() -> None:
    assert settled(ADDING, {40}, ()).state is State.WAITING
    found = settled(ADDING, {40, 41}, ())
    assert (found.state, found.hardid) == (State.CONFIRMED, 41)
    assert settled(ADDING, {40, 41}, {41}).state is State.WAITING  # the phone's
    several = settled(ADDING, {40, 41, 42}, ())
    assert (several.state, several.why) == (State.GIVEN_UP, Why.AMBIGUOUS)


def test_a_deletion_or_change_that_was_not_heard_is_asked_again() -> None:
    for doing, next_one in ((Doing.REMOVE, None), (Doing.CHANGE, Doing.CHANGE)):
        asked = asking(THERE, HELD, doing, {41})
        assert settled(asked, {40}, ()).state is State.GONE
        still = settled(asked, {41}, ())
        assert (still.state, still.hardid) == (State.CONFIRMED, 41)
        assert next_of(still, HELD, NOW) is next_one
        assert next_of(still, None, NOW) is Doing.REMOVE


def test_why_one_waits_is_kept_once() -> None:
    unknown = replace(HELD, digits=None)
    note = noted(None, unknown)
    assert note is not None
    assert (note.state, note.why) == (State.WAITING, Why.DIGITS_UNKNOWN)
    assert noted(note, unknown) is None
    known = noted(note, HELD)
    assert known is not None
    assert known.why is None
    stuck = noted(None, replace(HELD, scheduled=True))
    assert stuck is not None
    assert stuck.state is State.GIVEN_UP
    assert noted(THERE, HELD) is None


def test_a_time_beyond_what_a_lock_knows_is_for_ever() -> None:
    grant = replace(HELD, ends=9_999_999_999).grant()
    assert grant.validity.end == Validity.permanent().end


def test_whose_numbers_are_left_alone() -> None:
    held = {
        "7": replace(HELD, sn=41),
        "8": replace(HELD, password_id="8", phase=Phase.SENT, sn=42),
        "9": replace(HELD, password_id="9", phase=Phase.TO_BE_DELETED, sn=43),
    }
    other = replace(THERE, password_id="10", hardid=44)
    assert numbers_of_others("7", [THERE, other], held) == {42, 44}
