"""The fuzz targets themselves: they hold on recordings and mutations, and they can fail.

No fuzzer is needed for that. ``run.py`` is the long way; this is what keeps it working.
"""

from __future__ import annotations

import random
from typing import Any, NoReturn

import pytest

from protocol.advertisement import Advertisement
from protocol.capture import RecordedFrame
from protocol.central import Central
from protocol.credits import RecordCredits
from protocol.errors import LocalProtocolError
from protocol.fragment import Joiner
from protocol.frame import Frame
from protocol.lock import OpenReply, OpenRequest
from protocol.observer import Observer
from protocol.peripheral import Peripheral
from protocol.reports import ReportTime
from protocol.times import SavingAnswer
from tests.fuzz import run
from tests.fuzz.seeds import seeds
from tests.fuzz.targets import TARGETS

MUTATIONS = 300
"""Of a slow target; a quicker one gets its share times as many."""


def mutated(data: bytes, rng: random.Random) -> bytes:
    """One to four changes: a bit, a byte, a piece doubled, left out or put elsewhere."""
    out = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at, size = rng.randrange(len(out) + 1), rng.randint(1, 8)
        match rng.randrange(5):
            case 0 if at < len(out):
                out[at] ^= 1 << rng.randrange(8)
            case 1 if at < len(out):
                out[at] = rng.choice((0, 1, 2, 0x7F, 0x80, 0xFF, rng.randrange(256)))
            case 2:
                out[at:at] = out[at : at + size]
            case 3:
                del out[at : at + size]
            case _:
                out[at:at] = rng.randbytes(size)
    return bytes(out)


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_holds_on_recordings(name: str) -> None:
    found = seeds(name)
    assert found
    assert max(map(len, found)) <= TARGETS[name].size
    run_all(name, found)


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_holds_on_mutations_of_recordings(name: str) -> None:
    target, rng, found = TARGETS[name], random.Random(name), seeds(name)
    for data in (b"", b"\0", b"\xff", bytes(64), b"\xff" * 64):
        target.one(data)
    for _ in range(MUTATIONS * target.share):
        target.one(mutated(rng.choice(found), rng))


# What the recordings reach in each target: where a fault is planted, they find it.
DEEP: dict[str, tuple[tuple[Any, str], ...]] = {
    "joiner": ((Joiner, "_start"), (Joiner, "reset")),
    "sealed": ((Frame, "from_bytes"), (Frame, "to_bytes")),
    "frame": ((Frame, "to_bytes"),),
    "payload": ((ReportTime, "to_bytes"), (SavingAnswer, "to_bytes")),
    "datapoints": (("protocol.records.read_switch", ""),),
    "lock_payload": ((OpenReply, "to_bytes"), (OpenRequest, "to_bytes")),
    "meaning": ((OpenReply, "from_bytes"),),
    "uuid": (("tests.fuzz.targets.pack_uuid", ""),),
    "advertisement": ((Advertisement, "verify"), (Advertisement, "to_bytes")),
    "advertisement_parts": ((Advertisement, "verify"), (Advertisement, "service_data")),
    "capture": ((RecordedFrame, "to_json"),),
    "capture_values": ((RecordedFrame, "to_json"),),
    "instruction": (("protocol.instruction.Instruction", ""),),
    "observer": ((Observer, "_learn"), (Observer, "_close")),
    "central": (
        (Central, "_take_info"),
        (Central, "_take_pairing"),
        (Central, "_judge"),
        (RecordCredits, "spend"),
    ),
    "peripheral": (
        (Peripheral, "_bind"),
        (Peripheral, "_take_unbind"),
        (Peripheral, "_take_write_v4"),
        (Peripheral, "_take_answer"),
    ),
}


class PlantedError(Exception):
    """A fault that the codec does not have."""


def run_all(name: str, inputs: list[bytes]) -> None:
    for data in inputs:
        TARGETS[name].one(data)


def _fail(*_: object, **__: object) -> NoReturn:
    raise PlantedError


@pytest.mark.parametrize(
    ("name", "place", "attribute"),
    [(name, *where) for name, places in DEEP.items() for where in places],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_fault_deep_in_the_codec_is_found(
    monkeypatch: pytest.MonkeyPatch, name: str, place: Any, attribute: str
) -> None:
    found = seeds(name)
    if attribute:
        monkeypatch.setattr(place, attribute, _fail)
    else:
        monkeypatch.setattr(place, _fail)
    with pytest.raises(PlantedError):
        run_all(name, found)


def test_every_target_is_known_to_reach_something_deep() -> None:
    assert DEEP.keys() == TARGETS.keys()


def test_a_wrong_kind_of_error_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of our own side is no answer to what the air brought."""

    def blame_ourselves(raw: bytes) -> NoReturn:
        raise LocalProtocolError(f"{len(raw)} bytes")

    found = seeds("frame")
    monkeypatch.setattr(Frame, "from_bytes", blame_ourselves)
    with pytest.raises(LocalProtocolError):
        TARGETS["frame"].one(found[0])


def test_an_unknown_target_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["--target", "nonsense"]) == 2
    assert "peripheral" in capsys.readouterr().err
