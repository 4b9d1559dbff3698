"""How records look to people: within the screen, without tricks, and whole in a spreadsheet."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bleagent.commands.records_view import (
    COLUMNS,
    ID,
    LEAST,
    STEADY,
    age_of,
    console,
    line_of,
    notes_of,
    outbox_notes,
    outbox_tables,
    sinks_of,
    table_of,
    verified_lines,
    write_csv,
)
from bleagent.http.record_views import record_view
from bleagent.records.record import Carriage, TimeQuality
from protocol.records import RecordKind

from .record_shelf import stored

DONE, WAITING, PARKED = Carriage.DONE, Carriage.WAITING, Carriage.PARKED


def view(seq: int = 1, who: str | None = None, **more: Any) -> dict[str, Any]:
    return record_view(stored(seq, **more), who, UTC)


def drawn(records: list[dict[str, Any]], width: int, **more: Any) -> list[str]:
    screen = console(io.StringIO())
    screen.width = width
    screen.print(table_of(records, width, **more))
    output = screen.file
    assert isinstance(output, io.StringIO)
    return [line.rstrip() for line in output.getvalue().splitlines()]


EVERY = [
    view(1, "Jane", cloud=(DONE, ""), file=(DONE, "")),
    view(2, kind=RecordKind.BLUETOOTH, value=5, operation="op", cloud=(WAITING, "")),
    view(3, kind=RecordKind.ALARM, value=8, lock="back", cloud=(PARKED, "1109"), file=(DONE, "")),
    view(4, quality=TimeQuality.RECEIVED, released=False, cloud=(WAITING, "")),
    view(5, quality=TimeQuality.UNKNOWN, kind=RecordKind.DOOR, value=1),
]


def test_a_table_says_when_where_what_who_and_how_far() -> None:
    assert drawn(EVERY, 100) == [
        "time                  lock   what                           who           sinks",
        "2024-06-02 21:37:43   front  opened by fingerprint 3        Jane          done",
        "2024-06-02 21:37:43   front  opened by Bluetooth, member 5  this gateway  waiting",
        "2024-06-02 21:37:43   back   alarm: pried at (tamper)".ljust(74)
        + "cloud parked 1109, file",
        " " * 74 + "done",
        "2024-06-02 21:37:43~  front  opened by fingerprint 3                      held",
        "2024-06-02 21:37:43?  front  door open                                    -",
    ]


def test_the_table_names_the_person_and_the_gateway() -> None:
    for width in (LEAST, 160):
        header, *lines = drawn([view(1, "Carla", operation="op", cloud=(DONE, ""))], width)
        start, end = header.index("who"), header.index("sinks")
        told = " ".join(line[start:end].strip() for line in lines)
        assert told.strip() == "Carla, by this gateway"


def test_ids_are_a_column_of_their_own_and_stay_whole() -> None:
    for width in (LEAST + ID, 160):
        header, *lines = drawn(EVERY, width, ids=True)
        assert header.endswith("  id")
        told = [line[header.index("  id") + 2 :] for line in lines]
        assert [text for text in told if text] == [one["id"] for one in EVERY]
        assert all(len(line) <= width for line in lines)
    assert line_of(EVERY[0], ids=True) == f"{line_of(EVERY[0])}  {1:032x}"


def test_the_screens_that_people_have_are_wide_enough() -> None:
    assert LEAST <= 80
    assert STEADY <= 100


def test_below_it_stands_what_needs_a_word() -> None:
    assert list(notes_of(EVERY)) == [
        "~ the lock has no date: when it came in",
        "? no date can be told: it was before then",
        "parked, for somebody to decide (bleagent records retry ID, or drop ID):",
        "  00000000000000000000000000000003  cloud 1109  alarm: pried at (tamper)",
    ]
    assert list(notes_of(EVERY[:2])) == []


@given(
    width=st.integers(LEAST, 200),
    steady=st.booleans(),
    who=st.none() | st.text("abc def", max_size=60),
    lock=st.from_regex(r"[a-z0-9-]{1,32}", fullmatch=True),
    code=st.text("abc0123456789", max_size=30),
)
def test_no_line_is_wider_than_the_screen_and_nothing_is_cut(
    width: int, steady: bool, who: str | None, lock: str, code: str
) -> None:
    one = view(1, who, lock=lock, cloud=(PARKED, code), file=(DONE, ""))
    lines = drawn([one], max(width, STEADY) if steady else width, steady=steady)
    assert all(len(line) <= max(width, STEADY if steady else 0) for line in lines)
    header, *body = lines
    starts = [header.index(title) for title in ("lock", "what", "who", "sinks")]
    lock_told, _, _, sinks_told = (
        "".join("".join(line[start:end] for line in body).split())
        for start, end in pairwise([*starts, None])
    )
    assert lock_told == lock
    assert sinks_told == sinks_of(one).plain.replace(" ", "")


def test_what_comes_later_stands_in_the_same_columns() -> None:
    first = drawn([view(1, "Jane", cloud=(DONE, ""))], 100, steady=True)
    later = drawn([view(2, lock="back", cloud=(DONE, ""))], 100, steady=True, header=False)
    assert len(later) == 1
    assert first[1].index("done") == later[0].index("done")
    assert first[1].index("opened") == later[0].index("opened")


@pytest.mark.parametrize(
    ("deliveries", "released", "told"),
    [
        ({}, True, "-"),
        ({"cloud": (DONE, "")}, True, "done"),
        ({"cloud": (DONE, ""), "file": (DONE, "old")}, True, "done"),
        ({"cloud": (WAITING, "28841105"), "file": (DONE, "")}, True,
         "cloud waiting 28841105, file done"),
        ({"cloud": (WAITING, ""), "file": (WAITING, "")}, False, "held"),
        ({"cloud": (PARKED, "1109"), "file": (PARKED, "x")}, True,
         "cloud parked 1109, file parked x"),
        ({"cloud": (Carriage.DROPPED, "1109")}, True, "dropped 1109"),
    ],
)  # fmt: skip
def test_sinks_that_are_alike_are_one_word(
    deliveries: dict[str, Any], released: bool, told: str
) -> None:
    assert sinks_of(view(1, released=released, **deliveries)).plain == told


def test_nothing_in_a_name_acts_on_the_terminal() -> None:
    evil = view(1, "Ja\x1b]0;owned\x07ne\r\n[bold]x")
    text = "\n".join(drawn([evil], 160)) + line_of(evil)
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "\r" not in text
    assert "(Ja?]0;owned?ne??[bold]x)" in text


def test_colour_is_for_terminals() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for output, coloured in ((Terminal(), True), (io.StringIO(), False)):
        screen = console(output)
        screen.print(table_of(EVERY, 100))
        assert ("\x1b[" in output.getvalue()) == coloured


# -- CSV


def read_back(records: list[dict[str, Any]]) -> list[dict[str, str]]:
    output = io.StringIO(newline="")
    assert write_csv(records, output) == len(records)
    assert output.getvalue().endswith("\r\n")
    return list(csv.DictReader(io.StringIO(output.getvalue(), newline="")))


def test_csv_has_everything_that_is_told() -> None:
    rows = read_back(EVERY)
    assert list(rows[0]) == [*COLUMNS, "deliveries"]
    assert set(COLUMNS) | {"deliveries"} == set(EVERY[0])
    assert rows[2] == {
        "id": f"{3:032x}", "seq": "3", "lock": "back", "at": "2024-06-02T21:37:43.000+00:00",
        "local": "2024-06-02T21:37:43.000+00:00", "quality": "lock", "kind": "alarm", "value": "8",
        "category": "alarm", "severity": "critical", "title": "alarm: pried at (tamper)",
        "who": "", "live": "false", "operation": "", "late": "false", "released": "true",
        "taken_at": "2024-06-02T21:38:43.000+00:00", "deliveries": "cloud parked 1109; file done",
    }  # fmt: skip
    assert rows[4]["deliveries"] == ""


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@x", "\tx", "\r=x", '=HYPERLINK("x","y")'])
def test_a_name_that_a_spreadsheet_would_carry_out_is_quoted(name: str) -> None:
    assert read_back([view(1, name)])[0]["who"] == f"'{name}"


@pytest.mark.parametrize("name", ["Jane", "a=b", 'say "x", y', "two\r\nlines", "'quoted"])
def test_any_other_name_comes_back_as_it_was(name: str) -> None:
    assert read_back([view(1, name)])[0]["who"] == name


def test_no_records_are_a_header() -> None:
    output = io.StringIO(newline="")
    assert write_csv([], output) == 0
    assert output.getvalue() == ",".join([*COLUMNS, "deliveries"]) + "\r\n"


# -- the rest


def test_the_outbox_is_two_tables() -> None:
    screen = console(io.StringIO())
    sinks = {
        "sink": "cloud", "configured": True, "waiting": 5, "held": 3, "done": 1200, "parked": 1,
        "dropped": 0, "oldest_waiting_s": 900.0, "routes_closed": {"back": "1106"},
    }  # fmt: skip
    gone = {**sinks, "sink": "old", "configured": False, "held": 0, "routes_closed": {}}
    locks = {"lock": "front", "taken": 1203, "duplicate": 4, "gaps": 1}
    found = {"sinks": [sinks, gone], "locks": [locks]}
    for table in outbox_tables(found):
        screen.print(table)
    output = screen.file
    assert isinstance(output, io.StringIO)
    assert [" ".join(line.split()) for line in output.getvalue().splitlines()] == [
        "sink waiting held oldest done parked dropped refused locks",
        "cloud 2 3 15 min 1200 1 0 back (1106)",
        "old (no longer configured) 5 0 15 min 1200 1 0",
        "lock taken came twice gaps",
        "front 1203 4 1",
    ]
    (note,) = outbox_notes(found)
    assert note.startswith("old is no longer configured")
    assert note.endswith("(bleagent records forget-sink old)")
    assert list(outbox_notes({"sinks": [sinks]})) == []


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(None, ""), (0, "0 s"), (119, "119 s"), (120, "2 min"), (7200, "2 h"), (200000, "2 d"),
     ("soon", "")],
)  # fmt: skip
def test_an_age_is_rough(seconds: object, told: str) -> None:
    assert age_of(seconds) == told


def test_an_opening_of_ours_names_the_person_and_the_gateway() -> None:
    one = {"title": "opened by Bluetooth, member 1", "who": "Carla", "operation": "0a"}
    assert "(Carla, by this gateway)" in line_of(one)
    assert "(this gateway)" in line_of({**one, "who": None})
    assert "(Carla)" in line_of({**one, "operation": None})


def test_a_comparison_is_told_by_what_differs() -> None:
    said: dict[str, Any] = {"code": "unlock_card", "value": 11}
    said["at"] = "2024-06-02T21:37:43.000+00:00"
    when = datetime.fromisoformat(said["at"]).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    found = {"agree": 5, "lacking": [said], "twice": [], "unknown": [said], "complete": False}
    assert list(verified_lines(found)) == [
        "5 agree",
        "1 here, and not in the cloud:",
        f"  {when}  unlock_card 11",
        "1 in the cloud, and not here:",
        f"  {when}  unlock_card 11",
        "the cloud did not tell all of that time: the above is not the whole",
    ]
    assert list(verified_lines({"agree": 5, "complete": True})) == ["5 agree"]


@given(
    st.dictionaries(
        st.sampled_from([*COLUMNS, "deliveries"]),
        st.none() | st.text(max_size=5) | st.integers() | st.lists(st.integers(), max_size=2),
    )
)
def test_whatever_the_daemon_says_is_shown(one: dict[str, Any]) -> None:
    drawn([one], 100)
    line_of(one)
    list(notes_of([one]))
    read_back([one])
    list(outbox_tables(one))
    list(outbox_notes(one))
    list(verified_lines(one))
