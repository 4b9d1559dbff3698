"""FF1 against the standard's sample and the recorded passwords; what the lock takes of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bleagent.simulator.lock_app import ff1
from bleagent.simulator.lock_app.flash import Flash
from bleagent.simulator.lock_app.offline_passwords import PLACES, OfflinePasswords
from protocol import DpName

HOUR = 3600
T0 = 1_735_157_930  # what the recording's DP64 says
LOGIN_KEY = b"FJuiAK"  # header of capture lock-offline-password
KEY = b"0000000000" + LOGIN_KEY
BEGIN = T0 - T0 % HOUR


def digits(text: str) -> list[int]:
    return [int(digit) for digit in text]


def passwords() -> OfflinePasswords:
    found = OfflinePasswords(Flash(), LOGIN_KEY)
    found.set_t0(b"%d" % T0)
    return found


def sealed(plain: str) -> list[int]:
    return ff1.encrypt(KEY, digits(plain))


def test_the_first_sample_of_the_standard() -> None:
    # NIST SP 800-38G, FF1 sample 1: AES-128, radix 10, empty tweak.
    key = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")
    assert ff1.encrypt(key, digits("0123456789")) == digits("2433477484")
    assert ff1.decrypt(key, digits("2433477484")) == digits("0123456789")


@pytest.mark.parametrize(
    ("typed", "plain"),
    [
        ("3477369003", "0000010048"),
        ("4153933114", "0000050048"),
        ("3188981035", "1000020003"),
        ("8008933410", "9000020001"),
    ],
)
def test_the_passwords_of_the_recording(typed: str, plain: str) -> None:
    assert ff1.decrypt(KEY, digits(typed)) == digits(plain)
    assert ff1.encrypt(KEY, digits(plain)) == digits(typed)


@given(st.lists(st.integers(0, 9), min_size=2, max_size=30))
def test_deciphering_undoes_enciphering(plain: list[int]) -> None:
    assert ff1.decrypt(KEY, ff1.encrypt(KEY, plain)) == plain


def test_a_timed_password_opens_again_and_again_within_its_hours() -> None:
    lock = passwords()
    typed = sealed("0000010048")  # from one hour after T0, for 48 hours
    assert lock.type_in(typed, BEGIN + HOUR - 1) is None
    for after in (1, 20, 49):
        accepted = lock.type_in(typed, BEGIN + after * HOUR)
        assert accepted is not None
        assert accepted.opens
    assert lock.type_in(typed, BEGIN + 49 * HOUR + 1) is None


def test_a_timed_password_must_be_used_within_a_day_for_the_first_time() -> None:
    assert passwords().type_in(sealed("0000010048"), BEGIN + 25 * HOUR) is not None
    assert passwords().type_in(sealed("0000010048"), BEGIN + 25 * HOUR + 1) is None


def test_a_single_password_opens_once_and_within_six_hours() -> None:
    lock, typed = passwords(), sealed("1000020003")
    assert lock.type_in(typed, BEGIN + 8 * HOUR) is not None
    assert lock.type_in(typed, BEGIN + 8 * HOUR) is None
    assert passwords().type_in(typed, BEGIN + 8 * HOUR + 1) is None
    assert passwords().type_in(sealed("1000020011"), BEGIN + 2 * HOUR) is None  # serial 11


def test_one_password_can_be_cleared() -> None:
    lock, typed = passwords(), sealed("0000010048")
    now = BEGIN + 2 * HOUR
    assert lock.type_in(typed, now) is not None
    cleared = lock.type_in(sealed("8000010048"), now)
    assert cleared is not None
    assert cleared.record is DpName.RECORD_OFFLINE_CLEARED_ONE
    assert not cleared.opens
    assert lock.type_in(typed, now) is None
    assert lock.type_in(sealed("8000010048"), now) is None


def test_clearing_all_needs_something_to_clear_and_works_once() -> None:
    lock, clear, now = passwords(), sealed("9000020001"), BEGIN + 2 * HOUR
    assert passwords().type_in(clear, now) is None
    assert lock.type_in(sealed("0000010048"), now) is not None
    cleared = lock.type_in(clear, now)
    assert cleared is not None
    assert cleared.record is DpName.RECORD_OFFLINE_CLEARED_ALL
    assert lock.type_in(sealed("0000010048"), now) is None
    assert lock.type_in(clear, now) is None


def test_a_password_of_no_known_kind_is_nothing() -> None:
    assert passwords().type_in(sealed("5000010048"), BEGIN + 2 * HOUR) is None


def test_a_full_table_gives_up_the_timed_password_that_began_first() -> None:
    lock = passwords()
    now = BEGIN + 20 * HOUR
    for index in range(PLACES):
        begins = 1 if index == 7 else 2
        assert lock.type_in(sealed(f"0{begins:05}{1000 + index:04}"), now) is not None
    assert lock.type_in(sealed("0000039999"), now) is not None
    # The first hour's one is out of the table, and too old now to be used for the first time.
    later = BEGIN + 26 * HOUR
    assert lock.type_in(sealed("0000011007"), later) is None
    assert lock.type_in(sealed("0000021008"), later) is not None


def test_t0_survives_a_power_cut_and_ends_at_the_first_other_character() -> None:
    flash = Flash()
    OfflinePasswords(flash, LOGIN_KEY).set_t0(b"17351x7930")
    assert flash.t0 == 17351
    OfflinePasswords(flash, LOGIN_KEY).set_t0(b"%d" % T0)
    again = OfflinePasswords(flash, LOGIN_KEY)
    assert again.type_in(sealed("0000010048"), BEGIN + HOUR) is not None
