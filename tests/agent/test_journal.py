"""The journal is told each line with the fields that one looks for; a busy one holds nobody up."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from socket import AF_UNIX, SO_RCVBUF, SOCK_DGRAM, SOL_SOCKET, socket
from tempfile import TemporaryDirectory

import pytest

from bleagent.journal import Journal, goes_to_journal, with_fields

LINE = {"event": "operation.finished", "lock": "front", "outcome": "confirmed", "result": 0}


@pytest.fixture
def journald() -> Iterator[tuple[socket, Path]]:
    with TemporaryDirectory() as folder, socket(AF_UNIX, SOCK_DGRAM) as listening:
        path = Path(folder) / "socket"
        listening.setsockopt(SOL_SOCKET, SO_RCVBUF, 4096)
        listening.bind(str(path))
        yield listening, path


def test_a_line_has_its_fields(journald: tuple[socket, Path]) -> None:
    listening, path = journald
    (line,), named = with_fields(None, "warning", dict(LINE))
    with closing(Journal(place=path)) as journal:
        journal.warning(line, **named)
    told = dict(one.split("=", 1) for one in listening.recv(4096).decode().splitlines())
    assert json.loads(told.pop("MESSAGE")) == LINE
    assert told == {
        "SYSLOG_IDENTIFIER": "bleagent", "PRIORITY": "4", "BLEAGENT_EVENT": "operation.finished",
        "BLEAGENT_LOCK": "front", "BLEAGENT_OUTCOME": "confirmed",
    }  # fmt: skip


def test_a_line_end_in_a_value_begins_no_field(journald: tuple[socket, Path]) -> None:
    listening, path = journald
    (line,), named = with_fields(None, "info", {"event": "x", "code": "a\nPRIORITY=0"})
    with closing(Journal(place=path)) as journal:
        journal.info(line, **named)
    told = listening.recv(4096)
    size = len(b"a\nPRIORITY=0").to_bytes(8, "little")
    assert told.endswith(b"BLEAGENT_CODE\n" + size + b"a\nPRIORITY=0\n")
    assert b"\\nPRIORITY=0" in told  # escaped in the line itself


@pytest.mark.parametrize("busy", [True, False])
def test_what_it_does_not_take_is_written_as_ever(
    journald: tuple[socket, Path], busy: bool
) -> None:
    _, path = journald
    if not busy:
        path.unlink()
    other = io.StringIO()
    with closing(Journal(place=path, other=other)) as journal:
        for _ in range(10_000):  # nobody reads
            journal.error("line", fields={})
            if other.getvalue():
                break
    assert other.getvalue() == "line\n"


def test_it_is_told_by_the_stream_whether_it_is_the_journals() -> None:
    read, write = os.pipe()
    found = os.fstat(write)
    assert goes_to_journal({"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"}, write)
    assert not goes_to_journal({"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino + 1}"}, write)
    assert not goes_to_journal({}, write)
    os.close(read)
    os.close(write)
    assert not goes_to_journal({}, write)
