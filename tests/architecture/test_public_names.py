"""The names of the codec that others may rely on. A change of them is a change of this list."""

from __future__ import annotations

import inspect

import pytest

import protocol

MOST_NAMES = 30  # a library that is pleasant to use exports about 12-25

PUBLIC = [
    "Advertisement",
    "Central",
    "CommandCode",
    "Datapoint",
    "DeviceInfo",
    "Dialect",
    "DpMap",
    "DpName",
    "DpType",
    "Expected",
    "Firmware",
    "Frame",
    "GattProfile",
    "Instruction",
    "InstructionAir",
    "InstructionError",
    "LocalProtocolError",
    "LockKeys",
    "Outgoing",
    "Peripheral",
    "ProtocolError",
    "RemoteProtocolError",
    "Report",
    "ReportTime",
    "Secret",
    "SecurityFlag",
    "Sender",
    "State",
    "firmware",
]


def in_order(names: list[str]) -> list[str]:
    """Constants, then classes, then the rest, each by name: the linter's order of ``__all__``."""
    return sorted(names, key=lambda name: (not name.isupper(), name[0].islower(), name))


def test_the_public_names_are_these() -> None:
    assert list(protocol.__all__) == PUBLIC


def test_they_are_few_enough_to_be_learned() -> None:
    assert len(protocol.__all__) <= MOST_NAMES


def test_they_are_sorted_and_named_once() -> None:
    assert list(protocol.__all__) == in_order(list(set(protocol.__all__)))


def test_no_private_name_is_public() -> None:
    assert [name for name in protocol.__all__ if name.startswith("_")] == []


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_can_be_imported_and_says_what_it_is(name: str) -> None:
    thing = getattr(protocol, name)
    if inspect.isclass(thing) or inspect.isroutine(thing):
        docstring = thing.__doc__ or ""
        # A dataclass without a docstring gets its own signature for one.
        assert docstring
        assert not docstring.startswith(f"{name}(")
