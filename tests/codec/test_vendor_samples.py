"""The vendor's own samples of what its cloud issues: what they say, and what they cannot.

Source of both: the vendor's door lock API for mini programs, sample answers of
``doorLock.bleOpenInstruction`` and ``doorLock.getIssuedConfig``. The lock's keys are not part of
the samples, so the content of the instruction stays unknown; its outside is not.
"""

from __future__ import annotations

import random

import pytest

from protocol.commands import DpWrite, DpWriteV4
from protocol.datapoint import Datapoint
from protocol.dialect import Dialect
from protocol.dpmap import DpMap, DpName, LockGeneration
from protocol.errors import RemoteProtocolError
from protocol.fragment import Joiner, split
from protocol.frame import Frame
from protocol.keys import KeyRing, LockKeys, Secret, SecurityFlag
from protocol.lock import (
    APP_CENTRAL,
    NO_CODE,
    CheckCodeOperation,
    CheckCodeSet,
    OpenOperation,
    OpenRequest,
)
from protocol.message import open_message
from protocol.seal import Sealed, seal

INSTRUCTION = bytes.fromhex(
    "0472426c51476e714b336a333462764b6a635518a38ae29bf3fdc9f60261c15bf725cbb171921b7c129e6adf4e7d"
    "ee390bf0dc17dca7c51f44eae4d51d1bd102ea"
)
NEXT_SN = 123
# getIssuedConfig, lock_random: dev_unlock_id, dp_id, wake_up_ins and ins.
DEV_UNLOCK_ID, DP_ID = "0005", 70
WAKE_UP_INS = "ffff0005000000000000000000ffff3532373737393530"
INS = "3532373737393530"

OPENING = OpenRequest(APP_CENTRAL, 5, Secret(bytes.fromhex(INS)), OpenOperation.OPEN, 0, 0, b"\1")
CHECK_CODE = CheckCodeSet.from_bytes(bytes.fromhex(WAKE_UP_INS))


# -- instruction: what can be said


def test_it_is_a_whole_sealed_message_and_no_fragment() -> None:
    assert len(INSTRUCTION) == 65
    sealed = Sealed.from_bytes(INSTRUCTION)
    assert sealed.flag == SecurityFlag.LOGIN  # sealed without a random of any connection
    assert len(sealed.body) == 48


def test_its_iv_is_printable_text() -> None:
    iv = Sealed.from_bytes(INSTRUCTION).iv
    assert iv == b"rBlQGnqK3j34bvKj"
    assert iv.isalnum()


def sealed_size(frame: Frame) -> int:
    return len(seal(frame.to_bytes(), flag=4, key=bytes(16), iv=bytes(16)))


@pytest.mark.parametrize(
    ("what", "plain", "size"),
    [
        pytest.param(OPENING, (36, 42), 65, id="opening"),
        pytest.param(CHECK_CODE, (40, 46), 65, id="check code"),
    ],
)
def test_an_opening_and_a_check_code_have_its_size_in_both_generations(
    what: OpenRequest | CheckCodeSet, plain: tuple[int, int], size: int
) -> None:
    # So its length does not tell which one it is, nor for which generation.
    datapoint = Datapoint.raw(DP_ID, what.to_bytes())
    frames = [
        Frame(NEXT_SN - 1, 0, 0x0002, DpWrite((datapoint,)).to_bytes()),
        Frame(NEXT_SN - 1, 0, 0x0027, DpWriteV4((datapoint,)).to_bytes()),
    ]
    assert tuple(len(frame.to_bytes()) for frame in frames) == plain
    assert [sealed_size(frame) for frame in frames] == [size, size]


def test_only_19_to_34_bytes_of_data_have_its_size() -> None:
    # 48 bytes of ciphertext hold 33 to 48 of plaintext, the frame's own 14 included.
    sizes = [size for size in range(80) if sealed_size(Frame(1, 0, 2, bytes(size))) == 65]
    assert sizes == list(range(19, 35))


def test_it_leaves_in_four_fragments_of_20() -> None:
    # We have to cut it ourselves; the cut is our construction, not the vendor's.
    fragments = split(INSTRUCTION, att_payload=20, major=3)
    assert [fragment.hex() for fragment in fragments] == [
        "0041300472426c51476e714b336a333462764b6a",
        "01635518a38ae29bf3fdc9f60261c15bf725cbb1",
        "0271921b7c129e6adf4e7dee390bf0dc17dca7c5",
        "031f44eae4d51d1bd102ea",
    ]
    joiner = Joiner()
    assert [joiner.feed(fragment) for fragment in fragments] == [None, None, None, INSTRUCTION]
    assert len(split(INSTRUCTION, att_payload=244, major=4)) == 1


# -- instruction: what cannot be said


def test_it_does_not_open_under_keys_that_are_not_the_locks() -> None:
    rng = random.Random(20261122)
    for _ in range(2_000):
        local_key = bytes(rng.randrange(0x21, 0x7F) for _ in range(16))
        ring = KeyRing(LockKeys(uuid="0" * 16, local_key=Secret(local_key)))
        with pytest.raises(RemoteProtocolError):
            open_message(INSTRUCTION, ring, known_flags=Dialect().known_flags)


def test_it_does_not_open_without_a_key_or_for_security_v2() -> None:
    ring = KeyRing(LockKeys(uuid="0" * 16))
    with pytest.raises(RemoteProtocolError, match="local_key"):
        open_message(INSTRUCTION, ring, known_flags=Dialect().known_flags)
    v2 = Dialect(4, security_v2=True)
    with pytest.raises(RemoteProtocolError, match="not known here"):
        open_message(INSTRUCTION, ring, known_flags=v2.known_flags)


# -- wake_up_ins


def test_it_is_the_value_of_the_check_code_datapoint() -> None:
    number = DpMap.default(LockGeneration.V3_3).number(DpName.CHECK_CODE)
    assert number == DP_ID
    expected = CheckCodeSet(
        central=APP_CENTRAL,
        peripheral=int(DEV_UNLOCK_ID, 16),
        code=NO_CODE,  # the lock has none yet
        operation=CheckCodeOperation.ADD,
        new_central=APP_CENTRAL,
        new_code=Secret(bytes.fromhex(INS)),
    )
    assert expected.to_bytes() == CHECK_CODE.to_bytes()
    assert expected == CHECK_CODE
    assert CHECK_CODE.to_bytes().hex() == WAKE_UP_INS


def test_the_code_it_sets_is_ins_in_ascii_digits() -> None:
    assert CHECK_CODE.new_code.reveal() == b"52777950"
    assert CHECK_CODE.new_code.reveal().hex() == INS


def test_written_to_a_lock_it_is_the_recorded_form() -> None:
    # As lock-first-unlock.jsonl begins its own: 46 00 17, ids, no code, add.
    write = DpWrite((Datapoint.raw(DP_ID, bytes.fromhex(WAKE_UP_INS)),)).to_bytes()
    assert write.hex() == "460017" + WAKE_UP_INS
