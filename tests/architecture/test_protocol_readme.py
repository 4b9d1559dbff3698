"""``protocol/README.md`` says what the code does.

Tables that exist in both are taken out of the text and compared with the code, the worked
examples are computed again and looked up in the recordings, and the list of what was recorded
is made from the recordings.
"""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from enum import IntEnum
from itertools import accumulate
from pathlib import Path
from struct import calcsize

import pytest

import protocol
from protocol import Advertisement, CommandCode, DeviceInfo, Frame, LockKeys, Secret, SecurityFlag
from protocol.advertised_id import elements
from protocol.commands import DpWriteReply
from protocol.datapoint import DpType
from protocol.dpmap import DpMap, DpName, LockGeneration
from protocol.fragment import read_varint, split, write_varint
from protocol.frame import crc16
from protocol.gatt import PROFILES
from protocol.keys import KeyRing, pack_uuid
from protocol.lock import OpenRecord, OpenRequest
from protocol.pairing import PairRequest
from protocol.seal import seal
from protocol.state import CENTRAL, PERIPHERAL, State, Step, Transitions
from protocol.times import ClockAnswer, DateAnswer, SavingAnswer, SavingPeriod
from protocol.wire import Packed, fixed_sizes

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "protocol" / "README.md").read_text(encoding="utf-8")
RECORDINGS = ROOT / "tests" / "captures" / "firmware"

MODULES = [
    importlib.import_module(f"protocol.{found.name}")
    for found in pkgutil.iter_modules(protocol.__path__)
]
CLASSES = [
    thing
    for module in MODULES
    for name, thing in vars(module).items()
    if inspect.isclass(thing) and thing.__module__ == module.__name__ and name[0] != "_"
]
ENUMS = [one for one in CLASSES if issubclass(one, IntEnum)]
IN_TABLES_OF_THEIR_OWN = {SecurityFlag, CommandCode}
WITHOUT_A_SHAPE = {"Opaque"}  # any bytes
PAYLOADS = [
    one
    for one in CLASSES
    if is_dataclass(one)
    and hasattr(one, "from_bytes")
    and hasattr(one, "to_bytes")
    and one.__name__ not in WITHOUT_A_SHAPE
]
FIXED = [one for one in PAYLOADS if issubclass(one, Packed)]


def section(name: str, text: str = TEXT) -> str:
    """What stands between the two marker comments of a name."""
    begin, end = f"<!-- begin: {name} -->\n", f"<!-- end: {name} -->"
    assert text.count(begin) == text.count(end) == 1, f"markers of {name}"
    return text.partition(begin)[2].partition(end)[0]


def rows(table: str) -> list[list[str]]:
    """The cells of a Markdown table, without its head."""
    lines = [line for line in table.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


# -- the connection


def transition_table(table: Transitions) -> str:
    """A row for each state, a column for each step that the table knows, the next state inside."""
    steps = [step for step in Step if any(step in known for known in table.values())]
    head = ["state", *(f"`{step}`" for step in steps)]
    lines = [head, ["---"] * len(head)]
    for state, known in table.items():
        lines.append([f"`{state}`", *(known.get(step, "-") for step in steps)])
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


@pytest.mark.parametrize(
    ("name", "table"), [("central-transitions", CENTRAL), ("peripheral-transitions", PERIPHERAL)]
)
def test_the_transition_tables_are_those_of_the_code(name: str, table: Transitions) -> None:
    assert section(name) == transition_table(table)


def test_a_transition_that_is_missing_in_the_text_is_found() -> None:
    poorer = {state: dict(known) for state, known in CENTRAL.items()}
    del poorer[State.KEYED][Step.ASK_INFO]
    assert section("central-transitions") != transition_table(poorer)


# -- numbers


def test_every_command_is_listed_under_its_number() -> None:
    listed = {(int(row[0], 16), row[1].strip("`")) for row in rows(section("commands"))}
    assert listed == {(code.value, code.name) for code in CommandCode}


def test_every_security_flag_is_listed_under_its_number() -> None:
    listed = {(int(row[0]), row[1].strip("`")) for row in rows(section("security-flags"))}
    assert listed == {(flag.value, flag.name) for flag in SecurityFlag}


@pytest.mark.parametrize("generation", LockGeneration)
def test_the_numbers_of_the_datapoints_are_those_of_the_code(generation: LockGeneration) -> None:
    column = 1 + list(LockGeneration).index(generation)
    table = rows(section("datapoint-numbers"))
    listed = {row[0].strip("`"): int(row[column]) for row in table if row[column] != "-"}
    assert listed == dict(DpMap.default(generation).numbers)
    assert {row[0].strip("`") for row in table} == set(DpName)


def values_of(name: str, text: str = TEXT) -> dict[str, int]:
    """What the line ``Values of `name`:`` lists, by name."""
    lines = re.findall(rf"^Values of `{name}`(?: \([^)]*\))?:(.*(?:\n\S.*)*)", text, re.MULTILINE)
    assert len(lines) == 1, f"{len(lines)} lists of the values of {name}"
    found = re.findall(r"(0x[0-9A-F]+|\d+) `([A-Z0-9_]+)`", lines[0])
    return {label: int(number, 0) for number, label in found}


@pytest.mark.parametrize(
    "enum",
    [one for one in ENUMS if one not in IN_TABLES_OF_THEIR_OWN],
    ids=lambda one: one.__name__,
)
def test_every_value_of_an_enumeration_is_listed(enum: type[IntEnum]) -> None:
    assert values_of(enum.__name__) == {one.name: one.value for one in enum}


def test_a_list_of_values_is_read_over_its_line_ends() -> None:
    text = "Values of `Way`: 0 `IN`,\n0x0A `OUT` (rare).\n\nValues of `Other`: 1 `X`.\n"
    assert values_of("Way", text) == {"IN": 0, "OUT": 10}


# -- byte tables


def byte_table(name: str, text: str = TEXT) -> list[tuple[str, str, str]]:
    """Offset, size and field of the rows below the heading that names a class."""
    for part in re.split(r"^(?=#{2,4} )", text, flags=re.MULTILINE):
        heading, _, body = part.partition("\n")
        if heading.startswith("#### ") and f"`{name}`" in heading:
            return re.findall(r"^\| (\S[^|]*?) \| (\S[^|]*?) \| `(\w+)` \|", body, re.MULTILINE)
    return []


def layout(packed: type[Packed]) -> list[tuple[str, str, str]]:
    """The same, from the code."""
    order = packed.STRUCT.format
    parts = re.findall(r"\d*[a-zA-Z]", order)
    assert len(parts) == len(fixed_sizes(order))
    sizes = [calcsize(f">{part}") for part in parts]
    offsets = accumulate(sizes, initial=0)
    names = [field.name for field in fields(packed)]  # type: ignore[arg-type]
    return [
        (str(at), str(size), name) for at, size, name in zip(offsets, sizes, names, strict=False)
    ]


def test_there_are_payloads_to_check() -> None:
    assert len(PAYLOADS) > 40
    assert {"Frame", "DeviceInfo", "PairRequest", "Report", "ClockAnswer", "CheckCodeSet"} <= {
        one.__name__ for one in PAYLOADS
    }


@pytest.mark.parametrize("payload", PAYLOADS, ids=lambda one: one.__name__)
def test_every_payload_has_a_byte_table(payload: type) -> None:
    assert byte_table(payload.__name__)


@pytest.mark.parametrize("payload", FIXED, ids=lambda one: one.__name__)
def test_a_byte_table_has_the_offsets_sizes_and_fields_of_the_code(payload: type[Packed]) -> None:
    assert byte_table(payload.__name__) == layout(payload)


# Payloads whose layout is written in code, not in a struct: a value of its own in every field.
_INFO = DeviceInfo.from_bytes(
    b"\x01\x02\x04\x03" + bytes(range(4, 55)) + b"v" * 22 + bytes(range(77, 101))
)
_HEAD = {"code": b"12345678", "operation": b"\1", "timestamp": b"\0\0\0\x09", "method": b"\2"}
_IDS = {"central": b"\xff\xff", "peripheral": b"\0\5"}
_OPENING = (0xFFFF, 5, Secret(b"12345678"), 1, 9, 2, b"info")
SPECIMENS: list[tuple[str, bytes, dict[str, bytes]]] = [
    (
        "Frame",
        Frame(1, 2, 3, b"data").to_bytes(),
        {"sn": b"\0\0\0\1", "ack_sn": b"\0\0\0\2", "code": b"\0\3", "length": b"\0\4"},
    ),
    ("OpenRequest", OpenRequest(*_OPENING).to_bytes(), _HEAD | _IDS),
    ("OpenRecord", OpenRecord(*_OPENING).to_bytes(), _HEAD | _IDS),
    (
        "PairRequest",
        PairRequest(
            uuid16=b"u" * 16,
            login_key=Secret(b"l" * 6),
            virtual_id22=b"v" * 22,
            local_key=Secret(b"L" * 16),
            sec_key=Secret(b"S" * 16),
        ).to_bytes(),
        {
            "uuid16": b"u" * 16,
            "login_key": b"l" * 6,
            "virtual_id22": b"v" * 22,
            "local_key": b"L" * 16,
            "sec_key": b"S" * 16,
        },
    ),
    (
        "DeviceInfo",
        _INFO.to_bytes(),
        {
            "firmware": bytes(_INFO.firmware),
            "protocol": bytes(_INFO.protocol),
            "srand": _INFO.srand.reveal(),
            "hardware": bytes(_INFO.hardware),
            "auth": _INFO.auth.reveal(),
            "virtual_id": (_INFO.virtual_id or "").encode(),
            "mac": _INFO.mac or b"",
        },
    ),
    (
        "DpWriteReply",
        DpWriteReply(0, 7, 1).to_bytes(),
        {"version": b"\0", "sn": b"\0\0\0\7", "state": b"\1"},
    ),
    (
        "ClockAnswer",
        ClockAnswer(1234567890123, -350).to_bytes(),
        {"unix_ms": b"1234567890123", "zone": b"\xfe\xa2"},
    ),
    (
        "DateAnswer",
        DateAnswer(25, 3, 14, 15, 9, 26, 5, 800).to_bytes(),
        {
            "year": b"\x19",
            "month": b"\3",
            "day": b"\x0e",
            "hour": b"\x0f",
            "minute": b"\x09",
            "second": b"\x1a",
            "weekday": b"\5",
            "zone": b"\3\x20",
        },
    ),
    (
        "SavingAnswer",
        SavingAnswer(1234567890, 800, (SavingPeriod(1, 2),)).to_bytes(),
        {"unix_s": b"1234567890", "zone": b"\3\x20", "count": b"\1"},
    ),
]


@pytest.mark.parametrize(("name", "raw", "found"), SPECIMENS, ids=[one[0] for one in SPECIMENS])
def test_what_the_code_writes_is_where_the_byte_table_says(
    name: str, raw: bytes, found: dict[str, bytes]
) -> None:
    table = {field: (at, size) for at, size, field in byte_table(name)}
    assert set(found) <= set(table)
    for field, value in found.items():
        at, size = (int(number) for number in table[field])
        assert raw[at : at + size] == value, field


def test_every_byte_table_says_how_we_know() -> None:
    parts = re.split(r"^(?=#{2,4} )", TEXT, flags=re.MULTILINE)
    silent = [
        part.partition("\n")[0]
        for part in parts
        if part.startswith("#### ") and not re.search(r"\*\*(documented|captured|inferred)\b", part)
    ]
    assert silent == []


def test_a_field_that_moved_is_found() -> None:
    moved = "#### `OldOpen`\n\n| offset | size | field |\n|---|---|---|\n| 0 | 2 | `open` | x |\n"
    assert byte_table("OldOpen", moved) == [("0", "2", "open")]
    assert byte_table("OldOpen") != byte_table("OldOpen", moved)


def test_the_characteristics_are_those_of_the_code() -> None:
    listed = {row[0].strip("`"): row[1:4] for row in rows(section("gatt"))}
    assert listed == {
        generation.value: [f"`{uuid}`" for uuid in (profile.service, profile.write, profile.notify)]
        for generation, profile in PROFILES.items()
    }


# -- worked examples


def examples(name: str) -> list[dict[str, list[str]]]:
    """The blocks of a section: a word and its value a line; a word may come more than once."""
    found = []
    for block in re.findall(r"```text\n(.*?)```", section(name), re.DOTALL):
        example: dict[str, list[str]] = {}
        for line in block.splitlines():
            word, value = line.split(maxsplit=1)
            example.setdefault(word, []).append("" if value == "(none)" else value)
        found.append(example)
    return found


def keys_of(example: dict[str, list[str]]) -> LockKeys:
    """The keys that an example names, and no other ones."""
    known = {word: Secret(example[word][0]) for word in example if word.endswith("_key")}
    return LockKeys(
        uuid=example.get("uuid", ["0" * 16])[0],
        local_key=known.get("local_key"),
        sec_key=known.get("sec_key"),
        auth_key=known.get("auth_key"),
    )


def ring_of(example: dict[str, list[str]]) -> KeyRing:
    """Those keys, and the randoms that it names."""
    ring = KeyRing(keys_of(example), double_md5_auth=example.get("protocol") == ["3.0"])
    if "srand" in example:
        ring.learn_srand(bytes.fromhex(example["srand"][0]))
    if "server_rand" in example:
        ring.learn_server_rand(bytes.fromhex(example["server_rand"][0]))
    return ring


SEALED = examples("sealed-examples")


def test_there_is_an_example_of_every_flag_that_was_recorded() -> None:
    assert {int(example["flag"][0]) for example in SEALED} == {1, 2, 4, 5, 11, 12, 14, 15}


@pytest.mark.parametrize(
    "example", SEALED, ids=lambda one: f"{one['capture'][0]}-flag-{one['flag'][0]}"
)
def test_a_worked_example_is_what_the_code_gives(example: dict[str, list[str]]) -> None:
    key = ring_of(example).key(int(example["flag"][0]))
    assert key.hex() == example["key"][0]
    data = bytes.fromhex(example["data"][0])
    sn, ack_sn = int(example["sn"][0]), int(example["ack_sn"][0])
    frame = Frame(sn, ack_sn, int(example["code"][0], 16), data).to_bytes()
    assert frame.hex() == example["frame"][0]
    iv = bytes.fromhex(example["iv"][0])
    message = seal(frame, flag=int(example["flag"][0]), key=key, iv=iv)
    assert message.hex() == example["message"][0]
    fragments = split(
        message,
        att_payload=int(example["att_payload"][0]),
        major=int(example["major"][0]),
        counter=int(example["counter"][0]),
    )
    assert [fragment.hex() for fragment in fragments] == example["fragment"]


def values_in(capture: str) -> list[str]:
    lines = (RECORDINGS / f"{capture}.jsonl").read_text(encoding="utf-8").splitlines()
    return [str(event["value"]) for event in map(json.loads, lines) if "value" in event]


@pytest.mark.parametrize(
    "example", SEALED, ids=lambda one: f"{one['capture'][0]}-flag-{one['flag'][0]}"
)
def test_the_fragments_of_a_worked_example_were_recorded(example: dict[str, list[str]]) -> None:
    recorded, wanted = values_in(example["capture"][0]), example["fragment"]
    starts = range(len(recorded) - len(wanted) + 1)
    assert any(recorded[at : at + len(wanted)] == wanted for at in starts)


@pytest.mark.parametrize(
    "example", examples("advertising-examples"), ids=lambda one: one["name"][0]
)
def test_an_advertising_example_is_what_the_code_gives(example: dict[str, list[str]]) -> None:
    heard = Advertisement.parse(*(bytes.fromhex(example[half][0]) for half in ("adv", "scan_rsp")))
    assert heard.uuid == example["uuid"][0]
    assert heard.uuid_keyed_by().hex() == example["keyed_by"][0]
    assert heard.id_field is not None
    assert heard.id_field.hex() == example["id_field"][0]
    assert heard.bound is True
    keys = keys_of(example)
    assert heard.verify(keys)
    found = elements(keys, len(heard.id_field), security_v2="sec_key" in example)
    assert found == heard.id_field
    recorded = json.loads((RECORDINGS / "advertisements.json").read_text(encoding="utf-8"))
    same = [one for one in recorded["advertisements"] if one["name"] == example["name"][0]]
    assert [(one["adv"], one["scan_rsp"]) for one in same] == [
        (example["adv"][0], example["scan_rsp"][0])
    ]


def test_the_check_values_of_the_crc_are_right() -> None:
    table = rows(section("crc-check-values"))
    assert len(table) >= 3
    for text, hexadecimal, crc, placed in table:
        raw = bytes.fromhex(hexadecimal.strip("`")) if hexadecimal != "-" else b""
        assert not re.fullmatch(r"`\d+`", text) or raw == text.strip("`").encode()
        assert f"0x{crc16(raw):04X}" == crc
        assert crc16(raw).to_bytes(2, "big").hex(" ") == placed.strip("`")


def test_the_examples_of_varints_are_right() -> None:
    table = rows(section("varint-examples"))
    assert len(table) >= 4
    for value, hexadecimal in table:
        raw = bytes.fromhex(hexadecimal.strip("`"))
        assert write_varint(int(value)) == raw
        assert read_varint(raw, 0) == (int(value), len(raw))


def test_the_examples_of_packed_uuids_are_right() -> None:
    table = rows(section("uuid-examples"))
    assert len(table) >= 2
    for uuid, packed in table:
        assert pack_uuid(uuid.strip("`")).hex() == packed.strip("`")


def test_the_types_of_datapoints_are_listed_with_their_names() -> None:
    listed = {(int(row[0]), row[1].strip("`")) for row in rows(section("datapoint-types"))}
    assert listed == {(one.value, one.name.lower()) for one in DpType}


# -- what was recorded


def recorded_table() -> Iterator[str]:
    """Flags and commands of every deciphered frame in the recordings, by firmware and sender."""
    seen: dict[tuple[str, str], tuple[set[int], set[str], list[int]]] = {}
    for path in sorted(RECORDINGS.glob("*.jsonl")):
        header, *events = map(json.loads, path.read_text(encoding="utf-8").splitlines())
        for event in events:
            if "frame" in event:
                key = (header["protocol"], event["dir"])
                flags, codes, count = seen.setdefault(key, (set(), set(), []))
                flags.add(event["frame"]["flag"])
                codes.add(event["frame"]["cmd"].removeprefix("0x"))
                count.append(1)
    yield "| firmware | sender | frames | flags | commands |\n"
    yield "| --- | --- | --- | --- | --- |\n"
    for (name, sender), (flags, codes, count) in sorted(seen.items()):
        numbers = " ".join(str(flag) for flag in sorted(flags))
        commands = " ".join(sorted(codes))
        yield f"| {name} | {sender} | {len(count)} | {numbers} | {commands} |\n"


def test_the_list_of_what_was_recorded_is_made_from_the_recordings() -> None:
    assert section("recorded") == "".join(recorded_table())


def test_every_recording_that_is_cited_exists() -> None:
    cited = set(re.findall(r"`((?:lock|sdk33|sdk44|secv2)-[\w*-]+)`", TEXT)) - {"lock-1.7"}
    assert len(cited) > 25
    missing = [name for name in sorted(cited) if not list(RECORDINGS.glob(f"{name}.jsonl"))]
    assert missing == []
