"""Names and numbers of datapoints, and every datapoint of every recording in both directions."""

from __future__ import annotations

import ast
import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, Protocol

import pytest

import protocol.dpmap
from protocol.credential_list import (
    SyncRequest,
    read_sync,
)
from protocol.credentials import (
    CredentialAdd,
    CredentialDelete,
    CredentialDeleted,
    CredentialModified,
    CredentialModify,
    CredentialProgress,
    FreezeTarget,
    TemporaryPasswordAdd,
    TemporaryPasswordDelete,
    TemporaryPasswordModify,
    TemporaryPasswordReply,
)
from protocol.datapoint import Datapoint, DpType, read_datapoints
from protocol.dpmap import DpMap, DpName, LockGeneration
from protocol.errors import LocalProtocolError, PayloadError
from protocol.lock import (
    CheckCodeReply,
    CheckCodeSet,
    OldOpen,
    OldOpenReply,
    OpenReply,
    OpenRequest,
    RemoteKeyCheckedReply,
    RemoteKeySet,
    RemoteKeySetChecked,
    RemoteOpen,
    RemoteReply,
)
from protocol.records import GetRecords, OfflineT0, RecordEvent, RecordKind, RecordTrigger

PROTOCOL = Path(protocol.dpmap.__file__).parent
CAPTURES = Path(__file__).parent.parent / "captures" / "firmware"
V3_3 = DpMap.default(LockGeneration.V3_3)


# -- the map


@pytest.mark.parametrize("generation", list(LockGeneration))
def test_every_generation_gives_each_number_one_name(generation: LockGeneration) -> None:
    dpmap = DpMap.default(generation)
    for name, number in dpmap.numbers.items():
        assert dpmap.name(number) is name
        assert dpmap.number(name) == number


def test_every_name_has_a_number_in_some_generation() -> None:
    known = {name for generation in LockGeneration for name in DpMap.default(generation).numbers}
    assert known == set(DpName)


def test_the_numbers_of_the_lock_application_3_3() -> None:
    # Source: reference protocol §6.1 (lock_dp_parser.h:35-106 of the lock application 3.3).
    expected = {
        DpName.OPEN_OLD: 6,
        DpName.BATTERY: 8,
        DpName.BATTERY_CLASS: 9,
        DpName.ALARM: 21,
        DpName.SYNC_OLD: 35,
        DpName.DOOR: 40,
        DpName.MANUAL_LOCK: 46,
        DpName.BOLT: 47,
        DpName.SYNC: 54,
        DpName.GET_RECORDS: 69,
        DpName.CHECK_CODE: 70,
        DpName.OPEN_CHECKED: 71,
        DpName.OPEN_RECORD: 72,
        DpName.SET_REMOTE_KEY_CHECKED: 73,
    }
    assert {name: V3_3.number(name) for name in expected} == expected


def test_generations_disagree_from_56_on() -> None:
    document = DpMap.default(LockGeneration.DOCUMENT_2_7)
    assert document.name(56) is DpName.RECORD_OFFLINE_PASSWORD
    assert V3_3.name(56) is DpName.MOTOR_TORQUE
    assert document.name(58) is DpName.RECORD_REMOTE
    assert document.name(59) is DpName.MOTOR_TORQUE
    assert max(document.numbers.values()) == 61
    assert max(DpMap.default(LockGeneration.V1_7).numbers.values()) == 67


def test_a_lock_without_a_check_code_has_no_number_for_it() -> None:
    with pytest.raises(LocalProtocolError, match="no datapoint check_code"):
        DpMap.default(LockGeneration.V1_7).number(DpName.CHECK_CODE)


def test_a_number_nobody_named_has_no_name() -> None:
    assert V3_3.name(200) is None


def test_a_product_schema_moves_numbers_and_leaves_the_default_alone() -> None:
    moved = V3_3.override({"open_checked": 171, DpName.CHECK_CODE: 170, "bolt": None})
    assert moved.number(DpName.OPEN_CHECKED) == 171
    assert moved.name(170) is DpName.CHECK_CODE
    assert moved.name(71) is None
    assert DpName.BOLT not in moved
    assert V3_3.number(DpName.OPEN_CHECKED) == 71


def test_two_names_can_swap_numbers() -> None:
    swapped = V3_3.override({DpName.CHECK_CODE: 71, DpName.OPEN_CHECKED: 70})
    assert swapped.name(70) is DpName.OPEN_CHECKED


@pytest.mark.parametrize(
    "changes",
    [{"open_checked": 70}, {"open_checked": 0}, {"open_checked": 256}, {"open_sesame": 71}],
    ids=["taken", "zero", "two bytes", "unknown name"],
)
def test_a_schema_that_makes_no_sense_is_refused(changes: dict[str, int | None]) -> None:
    with pytest.raises(LocalProtocolError):
        V3_3.override(changes)


def test_equal_maps_are_equal_and_hash_alike() -> None:
    again = V3_3.override({"bolt": 147}).override({"bolt": 47})
    assert again == V3_3
    assert hash(again) == hash(V3_3)


def test_a_map_does_not_follow_the_mapping_it_was_made_of() -> None:
    numbers = {DpName.BOLT: 47}
    dpmap = DpMap(numbers)
    numbers[DpName.BOLT] = 48
    assert dpmap.number(DpName.BOLT) == 47


# -- no number of a newer datapoint outside the tables

ALLOWED = {
    "lock.py": {0xFFFF: "central id of the app"},
    "credential_list.py": {0xFF: "low byte of the CRC"},
    "credentials.py": {
        0xFF: "no hardid, complete, ok",
        0xFE: "cancelled, wrong number",
        0xFD: "failed",
        0xFC: "running",
        0x7FFFFFFF: "end of a permanent validity",
    },
    "records.py": {0xFFFF: "mask", 0xFF: "mask", 100: "percent"},
}


def big_integers(source: str) -> set[int]:
    found = {
        node.value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Constant) and type(node.value) is int
    }
    literals = [
        node.value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Constant) and isinstance(node.value, bytes)
    ]
    found |= {byte for literal in literals if b"%" not in literal for byte in literal}
    return {number for number in found if number >= 56}


@pytest.mark.parametrize("name", list(ALLOWED))
def test_numbers_from_56_on_stand_in_the_tables_only(name: str) -> None:
    assert big_integers((PROTOCOL / name).read_text(encoding="utf-8")) == set(ALLOWED[name])


@pytest.mark.parametrize("source", ["Datapoint.raw(71, b'')", "OPEN = 0x47", "b'\\x47\\0\\x13'"])
def test_the_search_for_numbers_finds_a_smuggled_one(source: str) -> None:
    assert 71 in big_integers(source)


# -- every recording


class Payload(Protocol):
    def to_bytes(self) -> bytes: ...


TEMPORARY = TemporaryPasswordReply.from_bytes
FREEZE = FreezeTarget.from_bytes
WRITTEN: dict[DpName, Callable[[bytes], Payload]] = {
    DpName.ADD_CREDENTIAL: CredentialAdd.from_bytes,
    DpName.DELETE_CREDENTIAL: CredentialDelete.from_bytes,
    DpName.MODIFY_CREDENTIAL: CredentialModify.from_bytes,
    DpName.FREEZE_CREDENTIAL: FREEZE,
    DpName.UNFREEZE_CREDENTIAL: FREEZE,
    DpName.FREEZE_MEMBER: FREEZE,
    DpName.UNFREEZE_MEMBER: FREEZE,
    DpName.OPEN_OLD: OldOpen.from_bytes,
    DpName.ADD_TEMPORARY_PASSWORD: TemporaryPasswordAdd.from_bytes,
    DpName.DELETE_TEMPORARY_PASSWORD: TemporaryPasswordDelete.from_bytes,
    DpName.MODIFY_TEMPORARY_PASSWORD: TemporaryPasswordModify.from_bytes,
    DpName.SYNC: SyncRequest.from_bytes,
    DpName.SET_REMOTE_KEY: RemoteKeySet.from_bytes,
    DpName.REMOTE_OPEN: RemoteOpen.from_bytes,
    DpName.OFFLINE_T0: OfflineT0.from_bytes,
    DpName.GET_RECORDS: GetRecords.from_bytes,
    DpName.CHECK_CODE: CheckCodeSet.from_bytes,
    DpName.OPEN_CHECKED: OpenRequest.from_bytes,
    DpName.SET_REMOTE_KEY_CHECKED: RemoteKeySetChecked.from_bytes,
}
REPORTED: dict[DpName, Callable[[bytes], Payload]] = {
    DpName.ADD_CREDENTIAL: CredentialProgress.from_bytes,
    DpName.DELETE_CREDENTIAL: CredentialDeleted.from_bytes,
    DpName.MODIFY_CREDENTIAL: CredentialModified.from_bytes,
    DpName.FREEZE_CREDENTIAL: FREEZE,
    DpName.UNFREEZE_CREDENTIAL: FREEZE,
    DpName.FREEZE_MEMBER: FREEZE,
    DpName.UNFREEZE_MEMBER: FREEZE,
    DpName.OPEN_OLD: OldOpenReply.from_bytes,
    DpName.ADD_TEMPORARY_PASSWORD: TEMPORARY,
    DpName.DELETE_TEMPORARY_PASSWORD: TEMPORARY,
    DpName.MODIFY_TEMPORARY_PASSWORD: TEMPORARY,
    DpName.SYNC: read_sync,
    DpName.SET_REMOTE_KEY: RemoteReply.from_bytes,
    DpName.REMOTE_OPEN: RemoteReply.from_bytes,
    DpName.OFFLINE_T0: OfflineT0.from_bytes,
    DpName.GET_RECORDS: GetRecords.from_bytes,
    DpName.CHECK_CODE: CheckCodeReply.from_bytes,
    DpName.OPEN_CHECKED: OpenReply.from_bytes,
    DpName.OPEN_RECORD: OpenReply.from_bytes,  # not timed: an answer under another number
    DpName.SET_REMOTE_KEY_CHECKED: RemoteKeyCheckedReply.from_bytes,
}
PLAIN = {
    DpName.BATTERY,
    DpName.BATTERY_CLASS,
    DpName.CHILD_LOCK,
    DpName.DOUBLE_LOCK,
    DpName.DOORBELL,
    DpName.MESSAGE_SWITCH,
    DpName.BELL_SOUND,
    DpName.VOLUME,
    DpName.LANGUAGE,
    DpName.WELCOME_WORDS,
    DpName.KEY_TONE,
    DpName.NAVIGATION_VOLUME,
    DpName.REVERSE_LOCK,
    DpName.AUTO_LOCK,
    DpName.COMBINED_LOCK,
    DpName.AUTO_LOCK_DELAY,
    DpName.SECOND_TIMER,
    DpName.FINGER_COUNT,
    DpName.DOOR,
    DpName.AUTO_LOCK_COUNTDOWN,
    DpName.MANUAL_LOCK,
    DpName.BOLT,
    DpName.MOTOR_DIRECTION,
}
# What the recordings got wrong on purpose: a freeze of one byte (echoed without effect).
MALFORMED = {("lock-freeze", DpName.FREEZE_MEMBER, "07")}
UNKNOWN = {("lock-settings", 200)}


class Seen(NamedTuple):
    capture: str
    by: str  # "written", "reported" or "timed"
    datapoint: Datapoint


def recorded() -> Iterator[Seen]:
    for path in sorted(CAPTURES.glob("*.jsonl")):
        head, *events = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        if head["protocol"] != "3.0":
            continue
        for frame, direction in ((e["frame"], e["dir"]) for e in events if "frame" in e):
            data = bytes.fromhex(frame["data"])
            match direction, frame["cmd"]:
                case "central", "0x0002":
                    by = "written"
                case "lock", "0x8001":
                    by = "reported"
                case "lock", "0x8003":
                    assert data[0] == 1  # a time of four bytes
                    by, data = "timed", data[5:]
                case _:
                    continue
            for datapoint in read_datapoints(data, 1):
                yield Seen(path.stem, by, datapoint)


def rewritten(datapoint: Datapoint) -> Datapoint:
    """A plain value, read as a value and made again of that value."""
    value = datapoint.value
    match datapoint.type:
        case DpType.BOOL:
            return Datapoint.boolean(datapoint.id, value is True)
        case DpType.VALUE:
            assert isinstance(value, int)
            return Datapoint.number(datapoint.id, value)
        case DpType.ENUM:
            assert isinstance(value, int)
            return Datapoint.enum(datapoint.id, value)
        case DpType.STRING:
            assert isinstance(value, str)
            return Datapoint.text(datapoint.id, value)
    raise AssertionError(datapoint)


def exercise(seen: Seen, name: DpName) -> str:
    """Read and write one recorded datapoint; the name of what it became."""
    datapoint = seen.datapoint
    if seen.by == "timed":
        event = RecordEvent.read(datapoint, V3_3)
        content = datapoint.data if event.value is None else event.value
        assert RecordEvent.of(event.kind, content, V3_3).datapoint == datapoint
        return event.kind
    if name in PLAIN:
        assert rewritten(datapoint) == datapoint
        return name
    table = WRITTEN if seen.by == "written" else REPORTED
    payload = table[name](datapoint.data)
    assert payload.to_bytes() == datapoint.data
    return type(payload).__name__


def test_every_recorded_datapoint_is_read_and_written_back_unchanged() -> None:
    counts: Counter[str] = Counter()
    refused: set[tuple[str, DpName, str]] = set()
    unknown: set[tuple[str, int]] = set()
    for seen in recorded():
        name = V3_3.name(seen.datapoint.id)
        if name is None:
            unknown.add((seen.capture, seen.datapoint.id))
            continue
        try:
            counts[f"{seen.by} {exercise(seen, name)}"] += 1
        except PayloadError:
            refused.add((seen.capture, name, seen.datapoint.data.hex()))
    assert refused == MALFORMED
    assert unknown == UNKNOWN
    never = {key for key in EXPECTED if not counts[key]}
    assert not never
    assert set(counts) - {f"{by} {name}" for name in PLAIN for by in ("written", "reported")} == (
        EXPECTED
    )
    assert counts["written OpenRequest"] == 55
    assert counts["reported OpenReply"] == 51
    assert counts["written CheckCodeSet"] == counts["reported CheckCodeReply"] == 46
    assert {name for name in PLAIN if counts[f"reported {name}"]} == PLAIN


WRITTEN_TYPES = """
    CheckCodeSet CredentialAdd CredentialDelete CredentialModify FreezeTarget GetRecords
    OfflineT0 OldOpen OpenRequest RemoteKeySet RemoteKeySetChecked RemoteOpen SyncRequest
    TemporaryPasswordAdd TemporaryPasswordDelete TemporaryPasswordModify
"""
REPORTED_TYPES = """
    CheckCodeReply CredentialDeleted CredentialModified CredentialProgress FreezeTarget
    GetRecords OfflineT0 OldOpenReply OpenReply RemoteKeyCheckedReply RemoteReply SyncEnd
    SyncPage TemporaryPasswordReply
"""
NEVER_RECORDED = {
    RecordKind.PALM,
    RecordKind.FINGER_VEIN,
    RecordKind.REMOTE,  # of the other numbering
    RecordKind.OFFLINE_CLEARED_ONE,
    RecordKind.HIJACK,  # made in the cloud
    RecordKind.CREDENTIALS,  # these are told without a time
    RecordKind.ADD_TEMPORARY_PASSWORD,
    RecordKind.DELETE_TEMPORARY_PASSWORD,
    RecordKind.MODIFY_TEMPORARY_PASSWORD,
    RecordKind.UNKNOWN,
}
EXPECTED = (
    {f"written {kind}" for kind in WRITTEN_TYPES.split()}
    | {f"reported {kind}" for kind in REPORTED_TYPES.split()}
    | {f"timed {kind}" for kind in set(RecordKind) - NEVER_RECORDED}
)


def test_the_recorded_pass_through_triggers_are_read_and_written_back() -> None:
    path = CAPTURES / "lock-records-passthrough.jsonl"
    events = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    frames = [event["frame"] for event in events if "frame" in event]
    bodies = [bytes.fromhex(frame["data"]) for frame in frames if frame["cmd"] == "0x0023"]
    triggers = [RecordTrigger.from_bytes(body) for body in bodies]
    assert [trigger.to_bytes() for trigger in triggers] == bodies
    assert [trigger.central for trigger in triggers] == [0xFFFF, 0x0001, 0xFFFF]
