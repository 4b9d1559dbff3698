"""What of a value in the cloud's form anybody may see."""

from __future__ import annotations

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bleagent.records.standard_codes import STANDARD_CODES, harmless, value_of
from protocol.records import Alarm, RecordKind
from tests.agent.record_shelf import stored


@pytest.mark.parametrize("value", [0, 3, 2**32 - 1, True, False, "3", "4294967295", "true", "pry"])
def test_numbers_switches_and_alarms_are_shown(value: int | bool | str) -> None:
    assert harmless(value) == value


@pytest.mark.parametrize("alarm", Alarm)
def test_every_alarm_is_shown(alarm: Alarm) -> None:
    said = value_of(stored(1, kind=RecordKind.ALARM, value=alarm))
    assert harmless(said) == said


@given(st.binary(min_size=8))
def test_what_a_lock_wrote_is_not(data: bytes) -> None:
    assert harmless(b64encode(data).decode()) is None


@pytest.mark.parametrize("text", ["", "12345678901", "CANARY", "\u0663", "unlock_card"])
def test_no_other_text_is(text: str) -> None:
    assert harmless(text) is None


def test_every_kind_that_is_read_has_a_code() -> None:
    assert set(RecordKind) - set(STANDARD_CODES) == {RecordKind.UNKNOWN}
