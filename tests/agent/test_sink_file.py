"""Records as lines of a file: on disk before they are done, once, and rotated."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import anyio
import pytest

from bleagent.adapters.sinks.file import REMEMBERED, FileSink
from bleagent.records.record import DONE, Receipt, ReceiptKind, StoredRecord
from protocol.records import RecordKind
from tests.agent.record_samples import Household, Nobody, sample


def sink(
    path: Path, *, max_bytes: int = 1_000_000, keep: int = 2, people: Nobody | None = None
) -> FileSink:
    return FileSink("file", path, max_bytes=max_bytes, keep=keep, people=people or Nobody())


def deliver(to: FileSink, *records: StoredRecord) -> list[Receipt]:
    async def main() -> list[Receipt]:
        return await to.deliver(records)

    return anyio.run(main)


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_each_record_is_a_line_that_says_what_happened(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    assert sink(path).wrong() is None
    assert deliver(sink(path), sample(1), sample(2, value=4)) == [DONE, DONE]
    assert [one["id"] for one in lines(path)] == [sample(1).id, sample(2).id]
    assert lines(path)[0] == {
        "id": sample(1).id, "lock": "front", "kind": "fingerprint", "category": "opening",
        "severity": None, "title": "opened by fingerprint 3", "value": 3, "who": None,
        "at": "2023-11-14T22:13:20.000+00:00", "quality": "lock", "live": False, "late": False,
        "operation": None,
    }  # fmt: skip


def test_who_it_was_and_that_she_calls_for_help(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    deliver(sink(path, people=Household()), sample())
    (line,) = lines(path)
    assert (line["who"], line["title"]) == ("Anna", "opened under duress by fingerprint 3")
    assert (line["category"], line["severity"]) == ("alarm", "critical")


def test_nobody_else_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    deliver(sink(path), sample())
    assert path.stat().st_mode & 0o777 == 0o600


def test_it_is_on_the_disk_when_it_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append(os.fstat(descriptor).st_size)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    path = tmp_path / "records.jsonl"
    deliver(sink(path), sample())
    assert synced == [path.stat().st_size]


def test_raw_bytes_are_not_told(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    secret = bytes.fromhex("c0ffee5ec7e7")
    deliver(sink(path), sample(kind=RecordKind.OFFLINE_PASSWORD, dp=67, value=None, data=secret))
    text = path.read_text()
    assert secret.hex() not in text
    assert "wP/uXsfn" not in text


def test_a_record_whose_mark_was_lost_is_not_written_twice(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    deliver(sink(path), sample(1), sample(2))
    again = sink(path)  # the agent was killed before the outbox had noted it
    assert deliver(again, sample(2), sample(3)) == [DONE, DONE]
    assert [one["id"] for one in lines(path)] == [sample(seq).id for seq in (1, 2, 3)]


def test_half_a_line_of_a_crash_spoils_nothing(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    deliver(sink(path), sample(1))
    path.write_bytes(path.read_bytes() + b'{"id":"0000')
    assert deliver(sink(path), sample(2)) == [DONE]
    first, torn, second = path.read_text().splitlines()
    assert (json.loads(first)["id"], json.loads(second)["id"]) == (sample(1).id, sample(2).id)
    assert torn == '{"id":"0000'


def test_a_large_file_is_rotated_and_the_oldest_goes(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    to = sink(path, max_bytes=500, keep=2)
    for seq in range(1, 11):
        deliver(to, sample(seq))
    assert sorted(one.name for one in tmp_path.iterdir()) == [
        "records.jsonl", "records.jsonl.1", "records.jsonl.2",
    ]  # fmt: skip
    kept = [*lines(tmp_path / "records.jsonl.2"), *lines(tmp_path / "records.jsonl.1")]
    ids = [one["id"] for one in (*kept, *lines(path))]
    assert ids == [sample(seq).id for seq in range(11 - len(ids), 11)]


@pytest.mark.parametrize("broken", ["a folder", "no folder"])
def test_a_file_that_cannot_be_written_is_tried_later(tmp_path: Path, broken: str) -> None:
    path = tmp_path / "records.jsonl"
    if broken == "a folder":
        path.mkdir()
    else:
        path = tmp_path / "missing" / "records.jsonl"
    assert sink(path).wrong() is not None
    (receipt,) = deliver(sink(path), sample())
    assert receipt.advice
    assert (receipt.kind, receipt.code) == (ReceiptKind.LATER, "cannot-write")
    assert str(path) in receipt.detail


def test_what_stands_there_already_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    path.write_text("not ours\n[1, 2]\n")
    deliver(sink(path), sample())
    assert path.read_text().startswith("not ours\n[1, 2]\n{")


def test_it_remembers_so_many_and_no_more(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    to = sink(path)
    deliver(to, *(sample(seq) for seq in range(1, REMEMBERED + 2)))
    deliver(to, sample(1))
    assert [one["id"] for one in lines(path)].count(sample(1).id) == 2


def test_a_full_disk_doubles_no_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "records.jsonl"
    to, real, left = sink(path), os.write, [500]

    def write(descriptor: int, data: bytes) -> int:
        if not left[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        fits = min(len(data), left[0])
        left[0] -= fits
        return real(descriptor, data[:fits])

    monkeypatch.setattr(os, "write", write)
    records = [sample(seq) for seq in (1, 2, 3)]
    assert {one.code for one in deliver(to, *records)} == {"cannot-write"}
    left[0] = 10_000
    assert deliver(to, *records) == [DONE] * 3
    assert [one["id"] for one in lines(path)] == [one.id for one in records]


def test_what_a_killed_agent_wrote_is_on_the_disk_before_it_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "records.jsonl"
    with monkeypatch.context() as killed:
        killed.setattr(os, "fsync", lambda _: None)  # it did not come to that
        deliver(sink(path), sample(1))
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_ino))
    assert deliver(sink(path), sample(1)) == [DONE]
    assert path.stat().st_ino in synced
