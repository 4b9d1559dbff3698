"""Every error says whose fault it was."""

from __future__ import annotations

import inspect

import pytest

from protocol import errors
from protocol.errors import (
    AdvertisementError,
    ChecksumError,
    FragmentError,
    FrameError,
    InstructionError,
    LocalProtocolError,
    PayloadError,
    ProtocolError,
    RemoteProtocolError,
    SealError,
    SequenceError,
)

TREE = [one for _, one in inspect.getmembers(errors, inspect.isclass)]
REMOTE = [
    AdvertisementError,
    FragmentError,
    FrameError,
    PayloadError,
    SealError,
    SequenceError,
]


def test_every_error_is_somebodys_fault() -> None:
    sides = (LocalProtocolError, RemoteProtocolError)
    assert {one for one in TREE if not issubclass(one, sides)} == {ProtocolError}
    assert not [one for one in TREE if all(issubclass(one, side) for side in sides)]


@pytest.mark.parametrize("error", [*REMOTE, ChecksumError, InstructionError])
def test_what_was_received_is_never_our_bug(error: type[Exception]) -> None:
    assert issubclass(error, RemoteProtocolError)
    assert not issubclass(error, LocalProtocolError)


def test_nobody_catches_them_by_catching_a_builtin_error() -> None:
    for one in TREE:
        assert not issubclass(one, ValueError | KeyError | OSError | ArithmeticError), one


def test_the_base_is_never_raised_itself() -> None:
    with pytest.raises(TypeError, match="LocalProtocolError or RemoteProtocolError"):
        ProtocolError("whose fault?")


@pytest.mark.parametrize("error", [LocalProtocolError, RemoteProtocolError, *REMOTE])
def test_the_message_is_what_str_shows(error: type[ProtocolError]) -> None:
    assert str(error("seven bytes short")) == "seven bytes short"


def test_a_checksum_error_holds_both_values() -> None:
    error = ChecksumError(expected=0x00AB, received=0x1234)
    assert (error.expected, error.received) == (0x00AB, 0x1234)
    assert "0x1234" in str(error)
    assert "0x00ab" in str(error)
    assert isinstance(error, FrameError)


def test_an_instruction_error_names_the_field() -> None:
    error = InstructionError("sn", "8 where 7 was asked for")
    assert error.field == "sn"
    assert str(error) == "sn: 8 where 7 was asked for"
