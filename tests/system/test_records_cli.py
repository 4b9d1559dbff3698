"""``bleagent records`` as a process, against the daemon's HTTP on loopback."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import Process, SocketAttribute, SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream

from bleagent.errors import AgentError, CloudError, StoreError
from bleagent.records.record import Carriage, RecordQuery
from protocol.records import RecordKind
from tests.agent.record_shelf import AT, TinyShelf, stored
from tests.system.records_site import COMMAND, RecordsSite, environment

pytestmark = pytest.mark.anyio

DONE, WAITING, PARKED = Carriage.DONE, Carriage.WAITING, Carriage.PARKED


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def exported(folder: Path) -> list[str]:
    return sorted(one.name for one in folder.glob("*csv*"))


def lines_of(output: bytes) -> list[str]:
    return [line.rstrip() for line in output.decode().splitlines()]


async def test_the_newest_stand_first_in_a_table_of_local_times(tmp_path: Path) -> None:
    shelf = TinyShelf(
        stored(1, cloud=(DONE, "")),
        stored(2, at=AT + 60, kind=RecordKind.BLUETOOTH, value=5, operation="op-1",
               cloud=(WAITING, "")),
        stored(3, at=AT + 90, kind=RecordKind.ALARM, value=8, cloud=(PARKED, "1109")),
    )  # fmt: skip
    site = RecordsSite(tmp_path, shelf, name_of=lambda _, one: "Jane" if one.seq == 1 else None)
    async with site.up():
        shown = await site.run()
        named = await site.run("--url", f"http://localhost:{site.port}", "--token-file",
                               str(site.token), known=False)  # fmt: skip
    assert (shown.returncode, shown.stderr) == (0, b"")
    assert lines_of(shown.stdout) == [
        "time                 lock   what                           who           sinks",
        "2024-06-02 23:39:13  front  alarm: pried at (tamper)                     parked 1109",
        "2024-06-02 23:38:43  front  opened by Bluetooth, member 5  this gateway  waiting",
        "2024-06-02 23:37:43  front  opened by fingerprint 3        Jane          done",
        "parked, for somebody to decide (bleagent records retry ID, or drop ID):",
        f"  {3:032x}  cloud 1109  alarm: pried at (tamper)",
    ]
    assert named.stdout == shown.stdout


async def test_what_is_asked_reaches_the_daemon(tmp_path: Path) -> None:
    shelf = TinyShelf(stored(1))
    site = RecordsSite(tmp_path, shelf)
    async with site.up():
        nothing = await site.run(
            "--lock", "back", "--kind", "card", "--kind", "alarm", "--state", "parked",
            "--since", "20240601", "--until", "2024-06-02T21:37:43Z", "--limit", "7",
        )  # fmt: skip
        assert (nothing.returncode, nothing.stderr) == (0, b"bleagent records: none\n")
        refused = await site.run("--kind", "thought")
        misplaced = await site.run("--lock", "front", "outbox")
        unclear = await site.run("--since", "2024")
    begin = datetime(2024, 5, 31, 22, tzinfo=UTC).timestamp()  # midnight in TZ
    assert shelf.asked == [
        RecordQuery(
            lock="back", kinds=(RecordKind.CARD, RecordKind.ALARM), state=PARKED, since=begin,
            until=AT, limit=7,
        )
    ]  # fmt: skip
    assert refused.returncode == 1
    assert b"kind: found 'thought', expected one of fingerprint, " in refused.stderr
    assert (misplaced.returncode, misplaced.stdout) == (2, b"")
    assert misplaced.stderr == b"bleagent records: options of outbox stand behind its name\n"
    assert unclear.returncode == 2
    assert b"--since: found '2024', expected a time such as" in unclear.stderr


async def test_more_than_a_page_is_many_pages(tmp_path: Path) -> None:
    site = RecordsSite(tmp_path, TinyShelf(*(stored(seq, at=AT + seq) for seq in range(1, 1204))))
    target = tmp_path / "records.csv"
    async with site.up():
        shown = await site.run("--json", "--limit", "1100")
        written = await site.run("export", "--csv", str(target))
    assert [json.loads(line)["seq"] for line in lines_of(shown.stdout)] == [*range(1203, 103, -1)]
    assert written.stderr == f"1203 records in {target}\n".encode()
    with target.open(newline="", encoding="utf-8") as lines:
        assert [int(row["seq"]) for row in csv.DictReader(lines)] == [*range(1203, 0, -1)]
    assert exported(tmp_path) == ["records.csv"]


async def test_csv_on_standard_output_is_as_the_rfc_wants_it(tmp_path: Path) -> None:
    shelf = TinyShelf(stored(1), stored(2, lock="back"))
    site = RecordsSite(tmp_path, shelf, name_of=lambda *_: '=HYPERLINK("x")\u00e9')
    async with site.up():
        shown = await site.run("export", "--csv", "-", "--lock", "front")
    assert (shown.returncode, shown.stderr) == (0, b"")
    assert shown.stdout.count(b"\r\n") == shown.stdout.count(b"\n") == 2
    rows = list(csv.DictReader(io.StringIO(shown.stdout.decode(), newline="")))
    assert [row["who"] for row in rows] == ['\'=HYPERLINK("x")\u00e9']


async def test_an_export_is_whole_or_not_there(tmp_path: Path) -> None:
    site = RecordsSite(tmp_path, TinyShelf(stored(1)))
    target = tmp_path / "records.csv"
    async with site.up():
        refused = await site.run("export", "--csv", str(target), "--lock", "none")
        nowhere = await site.run("export", "--csv", str(tmp_path / "no" / "x.csv"))
    assert refused.returncode == 1
    assert b"no lock 'none'; there are: back, front" in refused.stderr
    assert nowhere.returncode == 2
    assert b"cannot be written: No such file or directory" in nowhere.stderr
    assert exported(tmp_path) == []


async def test_a_parked_record_is_decided_about(tmp_path: Path) -> None:
    shelf = TinyShelf(stored(1, cloud=(PARKED, "1109"), hook=(PARKED, "410")))
    site = RecordsSite(tmp_path, shelf)
    one = shelf.kept[0].id

    def states() -> list[str]:
        return [delivery.state for delivery in shelf.kept[0].deliveries]

    async with site.up():
        again = await site.run("retry", one, "--sink", "hook")
        assert (again.returncode, states()) == (0, ["parked", "waiting"])
        assert b"waits again: 2024-06-02 23:37:43  front  opened by fingerprint 3" in again.stdout
        asked = await site.run("drop", one)
        assert (asked.returncode, states()) == (2, ["parked", "waiting"])
        assert b"say --yes" in asked.stderr
        gone = await site.run("drop", one, "--yes")
        assert (gone.returncode, states()) == (0, ["dropped", "waiting"])
        none = await site.run("drop", one, "--yes")
        assert none.returncode == 1
        assert b"nothing of it is parked: cloud dropped, hook waiting" in none.stderr
        unknown = await site.run("retry", "../outbox")
        assert (unknown.returncode, unknown.stdout) == (1, b"")
        never = await site.run("retry", "0" * 32)
        assert lines_of(never.stderr) == [
            "bleagent records: no such record (unknown-record)",
            "bleagent records: `bleagent records --ids` shows the ids, and so does --json.",
        ]
        named = await site.run("--ids")
        assert lines_of(named.stdout)[1].endswith(f"  {one}")


@pytest.mark.parametrize(("answer", "state"), [(b"y\n", "dropped"), (b"n\n", "parked")])
async def test_a_person_is_asked(tmp_path: Path, answer: bytes, state: str) -> None:
    shelf = TinyShelf(stored(1, cloud=(PARKED, "1109")))
    site = RecordsSite(tmp_path, shelf)
    ours, theirs = pty.openpty()
    try:
        async with site.up():
            os.write(ours, answer)
            with anyio.fail_after(30):
                await anyio.run_process(
                    [*COMMAND, "-c", str(site.config), "drop", shelf.kept[0].id],
                    stdin=theirs, check=False, env=environment(),
                )  # fmt: skip
    finally:
        os.close(ours)
        os.close(theirs)
    assert shelf.kept[0].deliveries[0].state == state


@dataclass(frozen=True)
class Said:
    code: str
    value: object
    at: float


@dataclass(frozen=True)
class Verification:
    agree: int
    lacking: tuple[Said, ...] = ()
    twice: tuple[Said, ...] = ()
    unknown: tuple[Said, ...] = ()
    complete: bool = True


async def test_a_comparison_with_the_cloud_says_what_lacks_there(tmp_path: Path) -> None:
    asked: list[tuple[Any, ...]] = []
    answers = [
        Verification(agree=5, unknown=(Said("unlock_app", 1, AT),)),
        Verification(agree=4, lacking=(Said("unlock_card", 11, AT),)),
        Verification(agree=4, complete=False),
        Verification(agree=4, twice=(Said("unlock_card", 11, AT),)),
    ]

    async def compare(*what: Any) -> Verification:
        asked.append(what)
        return answers[len(asked) - 1]

    site = RecordsSite(tmp_path, TinyShelf(), verify=compare)
    async with site.up():
        good = await site.run("verify", "front", "--since", "1717364263")
        lacking = await site.run("verify", "front", "--sink", "cloud", "--json")
        half = await site.run("verify", "front")
        twice = await site.run("verify", "front")
        unknown = await site.run("verify", "none")
    assert asked == [
        ("front", AT, None, None), ("front", None, None, "cloud"), ("front", None, None, None),
        ("front", None, None, None),
    ]  # fmt: skip
    assert [one.returncode for one in (good, lacking, half, twice)] == [0, 1, 1, 1]
    assert unknown.returncode == 1  # the daemon said no
    assert lines_of(good.stdout) == [
        "5 agree", "1 in the cloud, and not here:", "  2024-06-02 23:37:43  unlock_app 1",
    ]  # fmt: skip
    assert json.loads(lacking.stdout)["lacking"][0]["code"] == "unlock_card"
    assert "not the whole" in half.stdout.decode()


@pytest.mark.parametrize(
    ("error", "code"),
    [(CloudError("nobody there"), "cloud-failed"), (StoreError("no disk"), "store-failed")],
)
async def test_a_comparison_that_could_not_be_made_found_no_difference(
    tmp_path: Path, error: AgentError, code: str
) -> None:
    async def unlucky(*_: Any) -> Verification:
        raise error

    site = RecordsSite(tmp_path, TinyShelf(), verify=unlucky)
    async with site.up():
        failed = await site.run("verify", "front")
    assert (failed.returncode, failed.stdout) == (2, b"")
    assert f"{error} ({code})".encode() in failed.stderr


async def test_the_outbox_is_shown(tmp_path: Path) -> None:
    site = RecordsSite(tmp_path, TinyShelf(stored(1, cloud=(PARKED, "1109"), file=(DONE, ""))))
    async with site.up():
        table = await site.run("outbox")
        raw = await site.run("outbox", "--json")
    told = [" ".join(line.split()) for line in lines_of(table.stdout) if line]
    assert told == [
        "sink waiting held oldest done parked dropped refused locks",
        "cloud 0 0 0 1 0 back (1106)",
        "file 0 0 1 0 0",
        "lock taken came twice gaps",
        "front 1 2 1",
    ]
    assert json.loads(raw.stdout)["locks"][0]["lock"] == "front"


async def test_a_sink_that_is_gone_is_given_up(tmp_path: Path) -> None:
    shelf = TinyShelf(stored(1, old=(WAITING, ""), cloud=(WAITING, "")))
    shelf.gone = {"old"}
    site = RecordsSite(tmp_path, shelf)

    def states() -> list[str]:
        return [one.state for one in shelf.kept[0].deliveries]

    async with site.up():
        shown = await site.run("outbox")
        asked = await site.run("forget-sink", "old")
        assert (asked.returncode, states()) == (2, ["waiting", "waiting"])
        there = await site.run("forget-sink", "cloud", "--yes")
        unknown = await site.run("forget-sink", "nobody", "--yes")
        assert states() == ["waiting", "waiting"]
        gone = await site.run("forget-sink", "old", "--yes")
    assert b"old (no longer configured)" in shown.stdout
    assert b"(bleagent records forget-sink old)" in shown.stdout
    assert b"say --yes" in asked.stderr
    assert there.returncode == 1
    assert b"cloud is configured (sink-configured)" in there.stderr
    assert unknown.returncode == 1
    assert b"`bleagent records outbox` shows the names" in unknown.stderr
    assert (gone.returncode, gone.stdout) == (0, b"given up for old: 1\n")
    assert states() == ["dropped", "waiting"]


# -- what can be wrong


async def test_what_is_wrong_with_the_daemon_is_said_in_words(tmp_path: Path) -> None:
    site = RecordsSite(tmp_path, TinyShelf())
    async with site.up():
        site.token.write_text("CANARY-another-token")
        wrong = await site.run()
    away = await site.run()
    site.config.write_text("[http]\n")
    unusable = await site.run("outbox")
    unnamed = await site.run(known=False)
    site.config.write_text("[http\n")
    no_toml = await site.run()
    site.config.unlink()
    gone = await site.run()
    assert b"does not take this token" in wrong.stderr
    assert b"nobody answers at http://127.0.0.1:" in away.stderr
    assert b"Start the daemon" in away.stderr
    assert b"http.token: found nothing" in unusable.stderr
    assert b"it is not said which daemon to ask" in unnamed.stderr
    assert b"Write it as TOML" in no_toml.stderr
    assert b"there is no such file" in gone.stderr
    assert b"name another with --config" in gone.stderr
    for one in (no_toml, gone):
        assert b"named key" not in one.stderr
    for one in (wrong, away, unusable, unnamed, no_toml, gone):
        assert (one.returncode, one.stdout) == (2, b"")
        assert b"Traceback" not in one.stderr
        assert b"CANARY" not in one.stderr


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\n<a/>",
        b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}',
        b'HTTP/1.1 500 No\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}',
        b"220 mail.example ESMTP\r\n",
    ],
)  # fmt: skip
async def test_somebody_else_who_listens_there_is_noticed(tmp_path: Path, answer: bytes) -> None:
    async def say(stream: SocketStream) -> None:
        async with stream:
            await stream.receive()
            await stream.send(answer)

    site = RecordsSite(tmp_path, TinyShelf())
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as tasks:
        site.port = listener.extra(SocketAttribute.local_port)  # noqa: S610 - of a socket
        site.configure()
        tasks.start_soon(listener.serve, say)
        shown = await site.run()
        tasks.cancel_scope.cancel()
    assert (shown.returncode, shown.stdout) == (2, b"")
    assert b"Traceback" not in shown.stderr
    assert f"at http://127.0.0.1:{site.port}".encode() in shown.stderr


# -- following


class Following:
    """A command that goes on, and what it says."""

    def __init__(self, process: Process) -> None:
        assert process.stdout is not None
        assert process.stderr is not None
        self.process = process
        self._lines = BufferedByteReceiveStream(process.stdout)
        self._words = BufferedByteReceiveStream(process.stderr)

    async def line(self) -> str:
        return await self._next(self._lines)

    async def word(self) -> str:
        return await self._next(self._words)

    async def _next(self, said: BufferedByteReceiveStream) -> str:
        with anyio.fail_after(30):
            return (await said.receive_until(b"\n", 10_000)).decode().rstrip()

    async def stopped(self) -> tuple[int, bytes]:
        """By Ctrl-C: exit status, and whatever else it said."""
        self.process.send_signal(signal.SIGINT)
        rest = b""
        with anyio.fail_after(30):
            try:
                while True:
                    rest += await self._words.receive()
            except anyio.EndOfStream:
                return await self.process.wait(), rest


@asynccontextmanager
async def following(site: RecordsSite, *arguments: str) -> AsyncIterator[Following]:
    command = [*COMMAND, "--config", str(site.config), "--follow", *arguments]
    async with await anyio.open_process(command, env=environment()) as process:
        try:
            yield Following(process)
        finally:
            if process.returncode is None:
                process.kill()


async def test_following_shows_what_is_taken_and_ends_quietly(tmp_path: Path) -> None:
    shelf = TinyShelf(stored(1), stored(2, at=AT + 60))
    site = RecordsSite(tmp_path, shelf)
    async with site.up(), following(site, "--json") as command:
        assert [json.loads(await command.line())["seq"] for _ in range(2)] == [1, 2]
        shelf.add(at=AT - 3600)  # out of a backlog: older, and taken later
        shelf.add(at=AT + 120)
        assert [json.loads(await command.line())["seq"] for _ in range(2)] == [3, 4]
        assert await command.stopped() == (0, b"")


async def test_a_table_that_goes_on_keeps_its_columns(tmp_path: Path) -> None:
    shelf = TinyShelf(stored(1, cloud=(DONE, "")))
    site = RecordsSite(tmp_path, shelf)
    async with site.up(), following(site, "--kind", "fingerprint", "--kind", "card") as command:
        header, first = await command.line(), await command.line()
        shelf.add(kind=RecordKind.FACE)  # is not asked for
        shelf.add(at=AT + 60, kind=RecordKind.CARD)
        later = await command.line()
        assert header.split() == ["time", "lock", "what", "who", "sinks"]
        assert first.index("opened") == later.index("opened") == header.index("what")
        assert "opened by card 3" in later
        assert await command.stopped() == (0, b"")


async def test_a_daemon_that_restarts_is_waited_for(tmp_path: Path) -> None:
    shelf = TinyShelf(stored(1))
    site = RecordsSite(tmp_path, shelf)
    async with AsyncExitStack() as command_ends:
        async with site.up():
            command = await command_ends.enter_async_context(following(site, "--json"))
            assert json.loads(await command.line())["seq"] == 1
        assert "waiting for it" in await command.word()
        shelf.add()
        async with site.up():
            assert json.loads(await command.line())["seq"] == 2
            assert await command.word() == "bleagent records: the daemon is back"
            assert await command.stopped() == (0, b"")
