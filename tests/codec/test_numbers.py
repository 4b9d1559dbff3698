"""Our sequence numbers: each once, only upwards, under any interleaving."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from protocol.errors import LocalProtocolError
from protocol.frame import MAX_SN
from protocol.numbers import MAX_NEXT_SN_STEP, RESERVATION_ROOM, Reservation, SnCounter

ENDS = [MAX_SN, MAX_SN - 1, MAX_SN - 2, MAX_SN - 40, MAX_SN - 1030]


class Interleaving(RuleBasedStateMachine):
    """Takes, reservations, uses, cancellations and jumps in any order."""

    reservations = Bundle("reservations")

    def __init__(self) -> None:
        super().__init__()
        self.counter = SnCounter()
        self.used: list[int] = []
        self.open: Reservation | None = None
        self.last = 0

    @initialize(start=st.sampled_from([1, 2, 1000, *ENDS]) | st.integers(1, MAX_SN))
    def begin(self, start: int) -> None:
        self.counter = SnCounter(start=start, connection=1)
        self.last = start - 1

    def use_number(self, sn: int) -> None:
        # What a lock does: equal or lower numbers end the connection.
        assert 1 <= sn <= MAX_SN
        assert not self.used or sn > self.used[-1]
        self.used.append(sn)
        self.last = sn

    @rule()
    def take(self) -> None:
        end = self.open.sn if self.open else MAX_SN + 1
        if self.last + 1 < end:
            assert self.counter.peek() == self.last + 1
            self.use_number(self.counter.take())
            return
        for step in (self.counter.peek, self.counter.take):
            with pytest.raises(LocalProtocolError, match="no sequence number left"):
                step()

    @rule(target=reservations, room=st.sampled_from([1, 2, 3, 32]) | st.integers(-1, 2000))
    def reserve(self, room: int) -> object:
        if self.open or room < 1 or self.last + room > MAX_SN:
            with pytest.raises(LocalProtocolError):
                self.counter.reserve(room)
            return multiple()
        self.open = self.counter.reserve(room)
        assert self.open == Reservation(self.last + room, 1)
        return self.open

    @rule(reservation=reservations)
    def use(self, reservation: Reservation) -> None:
        if reservation != self.open:
            with pytest.raises(LocalProtocolError, match="not reserved now"):
                self.counter.use(reservation)
            return
        self.open = None
        self.use_number(self.counter.use(reservation))

    @rule(reservation=reservations)
    def cancel(self, reservation: Reservation) -> None:
        if reservation != self.open:
            with pytest.raises(LocalProtocolError, match="not reserved now"):
                self.counter.cancel(reservation)
            return
        self.open = None
        self.counter.cancel(reservation)

    @rule(reservation=reservations)
    def use_one_of_another_connection(self, reservation: Reservation) -> None:
        stranger = Reservation(reservation.sn, 2)
        for step in (self.counter.check, self.counter.use, self.counter.cancel):
            with pytest.raises(LocalProtocolError):
                step(stranger)

    @precondition(lambda self: self.open is None)
    @rule(step=st.sampled_from([-1, 0, 1, 2, 1000, 1001]) | st.integers(-5000, 5000))
    def continue_at(self, step: int) -> None:
        next_sn = self.last + step
        believed = self.counter.continue_at(next_sn)
        assert believed is (0 < step <= MAX_NEXT_SN_STEP and next_sn <= MAX_SN)
        if believed:
            self.last = next_sn - 1

    @invariant()
    def agrees(self) -> None:
        assert self.counter.last == self.last
        assert self.counter.reserved == self.open
        assert self.counter.own_left == (self.open.sn if self.open else MAX_SN + 1) - self.last - 1
        assert len(set(self.used)) == len(self.used)


Interleaving.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestNoNumberIsUsedTwice = Interleaving.TestCase


# -- the start and the end


@pytest.mark.parametrize("start", [0, -1, MAX_SN + 1])
def test_a_start_that_no_lock_takes_is_our_bug(start: int) -> None:
    with pytest.raises(LocalProtocolError):
        SnCounter(start=start)


@pytest.mark.parametrize("start", [1, 77, MAX_SN])
def test_the_first_number_is_the_start(start: int) -> None:
    counter = SnCounter(start=start)
    assert counter.last == start - 1
    assert counter.take() == start
    assert counter.last == start


def test_nothing_follows_the_last_number() -> None:
    counter = SnCounter(start=MAX_SN)
    assert counter.own_left == 1
    assert counter.take() == MAX_SN
    assert counter.own_left == 0
    for step in (counter.take, counter.peek, lambda: counter.reserve(1)):
        with pytest.raises(LocalProtocolError):
            step()
    assert not counter.continue_at(MAX_SN + 1)
    assert not counter.continue_at(1)
    assert counter.last == MAX_SN


def test_a_jump_may_reach_the_last_number_and_not_pass_it() -> None:
    counter = SnCounter(start=MAX_SN - 10)
    assert not counter.continue_at(MAX_SN + 1)
    assert counter.continue_at(MAX_SN)
    assert counter.take() == MAX_SN


def test_a_reservation_may_be_the_last_number() -> None:
    counter = SnCounter(start=MAX_SN - 10)
    with pytest.raises(LocalProtocolError):
        counter.reserve(12)
    assert counter.reserved is None
    assert counter.use(counter.reserve(11)) == MAX_SN


# -- reservations


def test_a_reservation_leaves_room_below_it_for_our_own_frames() -> None:
    counter = SnCounter()
    counter.take()
    reservation = counter.reserve()
    assert RESERVATION_ROOM == 32
    assert reservation.sn == 33
    assert [counter.take() for _ in range(31)] == list(range(2, 33))
    assert counter.own_left == 0
    with pytest.raises(LocalProtocolError, match="below the reservation"):
        counter.take()
    assert counter.use(reservation) == 33
    assert counter.take() == 34


def test_a_cancelled_number_may_be_used_by_ourselves() -> None:
    counter = SnCounter()
    reservation = counter.reserve(1)
    with pytest.raises(LocalProtocolError):
        counter.take()
    counter.cancel(reservation)
    assert counter.take() == reservation.sn == 1
    with pytest.raises(LocalProtocolError):
        counter.use(reservation)


def test_there_is_one_reservation_at_a_time() -> None:
    counter = SnCounter()
    first = counter.reserve()
    with pytest.raises(LocalProtocolError, match="32 is reserved already"):
        counter.reserve()
    assert counter.reserved == first


@pytest.mark.parametrize("room", [0, -1])
def test_a_reservation_lies_above_the_last_number(room: int) -> None:
    counter = SnCounter()
    with pytest.raises(LocalProtocolError):
        counter.reserve(room)
    assert counter.reserved is None


def test_a_used_reservation_is_used_up() -> None:
    counter = SnCounter()
    reservation = counter.reserve()
    counter.use(reservation)
    for step in (counter.use, counter.check, counter.cancel):
        with pytest.raises(LocalProtocolError):
            step(reservation)
    assert counter.last == reservation.sn


# -- the cloud's next_sn (reference: safety B2)


@pytest.mark.parametrize(
    ("next_sn", "believed"),
    [
        (8, True),
        (9, True),
        (1007, True),
        (1008, False),
        (2**32, False),
        (7, False),
        (6, False),
        (0, False),
        (-1, False),
    ],
)
def test_only_a_next_number_above_the_last_by_at_most_1000_is_believed(
    next_sn: int, believed: bool
) -> None:
    counter = SnCounter(start=7)
    counter.take()
    assert counter.continue_at(next_sn) is believed
    assert counter.take() == (next_sn if believed else 8)


@pytest.mark.parametrize("next_sn", [34, 100, 1000])
def test_a_jump_over_an_open_reservation_does_not_let_numbers_fall(next_sn: int) -> None:
    # Whatever the counter does with the jump: afterwards it never goes down.
    counter = SnCounter()
    reservation = counter.reserve()
    counter.continue_at(next_sn)
    last = counter.last
    try:
        counter.use(reservation)
    except LocalProtocolError:
        counter.cancel(reservation)
    assert counter.last >= last
