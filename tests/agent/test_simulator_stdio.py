"""The virtual lock over stdin and stdout, as anybody's central would use it.

Every recording is fed in as lines: its header by ``--capture`` (nothing behind the first line is
there to be read), what its central and the people at the lock did, and the time between. The
lock's answers are deciphered by an onlooker, because their IVs are random.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bleagent.simulator import stdio
from bleagent.simulator.lock_app import LockApplication
from protocol import CommandCode, Sender
from protocol.capture import Capture, Event, Kind
from protocol.observer import Observer, Seen
from tests.codec.replay import CAPTURES, FILES, _srands, load

ROOT = Path(__file__).resolve().parents[2]
THROUGH_A_REAL_PROCESS = (
    "lock-day.jsonl",
    "lock-timeouts.jsonl",
    "lock-unbind.jsonl",
    "sdk33-reports.jsonl",
    "sdk44-20-dp.jsonl",
    "secv2-244-bind.jsonl",
)


def options(capture: Capture, folder: Path) -> list[str]:
    """What a user of the recording would say; the clock of security V2 is nowhere else."""
    header = folder / "header.jsonl"
    text = (CAPTURES / f"{capture.header.name}.jsonl").read_text()
    header.write_text(text.splitlines()[0] + "\nnot JSON\n")
    found = ["--capture", str(header)]
    found += ["--srand", ",".join(one.hex() for one in _srands(capture))]
    for event in capture.events:
        frame = event.frame
        if frame is not None and frame.code == CommandCode.REPORT_TIMED_V4:
            return [*found, "--clock", str(int.from_bytes(frame.data[8:12], "big"))]
    return found


def script(capture: Capture) -> Iterator[tuple[str, Event]]:
    """The lines to feed in, each with the event that it is for."""
    now = 0.0
    for event in capture.events:
        if event.t > now:
            yield f"tick {round(event.t - now, 6)}", event
            now = event.t
        match event.kind:
            case Kind.CONNECT:
                yield "connect", event
            case Kind.DISCONNECT if event.sender is Sender.CENTRAL:
                yield "disconnect", event
            case Kind.WRITE:
                assert event.value is not None
                yield f"w {event.value.hex()}", event
            case Kind.LOCAL | Kind.POWER:
                yield f"local {json.dumps(event.to_json())}", event
            case _:
                pass


class Onlooker:
    """Reads a conversation from its packets; keeps what the lock said, in order."""

    def __init__(self, capture: Capture) -> None:
        header = capture.header
        self.observer = Observer(header.keys, header.protocol, header.bound, header.att_payload)
        self.said: list[tuple[Any, ...]] = []
        self.fresh: list[tuple[Any, ...]] = []

    def packet(self, sender: Sender, value: bytes) -> None:
        for seen in self.observer.feed(sender, value, 0):
            if isinstance(seen, Seen) and seen.sender is Sender.LOCK:
                frame = seen.opened.frame
                self._said(seen.opened.flag, frame.sn, frame.ack_sn, frame.code, frame.data.hex())

    def link(self, *, by_lock: bool = False) -> None:
        self.observer.link_changed()
        if by_lock:
            self._said("disconnect")

    def _said(self, *what: Any) -> None:
        self.said.append(what)
        self.fresh.append(what)


def recorded(capture: Capture) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = []
    for event in capture.events:
        if event.sender is not Sender.LOCK:
            continue
        if event.kind is Kind.DISCONNECT:
            found.append(("disconnect",))
        elif event.frame is not None:
            frame = event.frame
            found.append((frame.flag, frame.sn, frame.ack_sn, frame.code, frame.data.hex()))
    return found


def look_on(capture: Capture, answers: list[tuple[str, Event, list[str]]]) -> Onlooker:
    """Go through commands and answers as somebody between the two would see them."""
    onlooker = Onlooker(capture)
    for line, event, lines in answers:
        word = line.split(" ")[0]
        if word in ("connect", "disconnect"):
            onlooker.link()
        elif word == "w":
            assert event.value is not None
            onlooker.packet(Sender.CENTRAL, event.value)
        assert lines[-1] == "ok", (line, lines)
        for one in lines[:-1]:
            if one.startswith("n "):
                onlooker.packet(Sender.LOCK, bytes.fromhex(one[2:]))
            elif one == "disconnect":
                onlooker.link(by_lock=True)
            else:
                assert one in ("opened", "closed")
    return onlooker


@pytest.mark.parametrize("name", FILES)
def test_a_recorded_central_is_answered_as_it_was(name: str, tmp_path: Path) -> None:
    capture = load(name)
    parsed = stdio.arguments().parse_args(options(capture, tmp_path))
    driver = stdio.Driver(stdio.build(parsed))
    answers = [(line, event, driver.answer(line)) for line, event in script(capture)]
    assert look_on(capture, answers).said == recorded(capture)


@pytest.mark.parametrize("name", THROUGH_A_REAL_PROCESS)
def test_the_same_through_a_real_process(name: str, tmp_path: Path) -> None:
    capture = load(name)
    command = [sys.executable, "-m", "bleagent.simulator.stdio", *options(capture, tmp_path)]
    answers: list[tuple[str, Event, list[str]]] = []
    # Each line must be flushed by the program, not by a setting of whoever runs the tests.
    buffered = {name: word for name, word in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with subprocess.Popen(  # noqa: S603 - our own module
        command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=buffered
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for line, event in script(capture):
            process.stdin.write(line + "\n")
            process.stdin.flush()
            lines = [process.stdout.readline().rstrip("\n")]
            while lines[-1] != "ok":  # an answer that does not come hangs, and that is the test
                assert lines[-1]
                assert not lines[-1].startswith("error")
                lines.append(process.stdout.readline().rstrip("\n"))
            answers.append((line, event, lines))
        process.stdin.close()
        assert process.stdout.read() == ""
        assert process.wait() == 0
    assert look_on(capture, answers).said == recorded(capture)


def test_two_answers_to_the_same_bytes_differ_in_their_iv_only(tmp_path: Path) -> None:
    capture = load("lock-handshake.jsonl")
    lines = [line for line, _ in script(capture)]
    answers = [
        _answers([*options(capture, tmp_path)], lines),
        _answers([*options(capture, tmp_path)], lines),
    ]
    assert answers[0] != answers[1]
    assert [len(one) for one in answers[0]] == [len(one) for one in answers[1]]


# -- commands


def _answers(arguments: list[str], lines: list[str]) -> list[str]:
    out = io.StringIO()
    assert stdio.main(arguments, [line + "\n" for line in lines], out) == 0
    return out.getvalue().splitlines()


def test_the_end_of_input_ends_it() -> None:
    assert _answers([], []) == []


def test_a_dump_is_one_line_of_json() -> None:
    record = '{"t": 1, "dir": "lock", "kind": "local", "local": '
    record += '{"action": "record", "dp": 12, "value": 3}}'
    state, ok, after_record, again, last = _answers([], ["dump", f"local {record}", "dump"])
    assert (ok, after_record, last) == ("ok", "ok", "ok")
    assert json.loads(state) == {
        "opened": 0, "bolt": "closed", "records": 0, "bound": True, "sn": 0,
    }  # fmt: skip
    assert json.loads(again)["records"] == 1


@pytest.mark.parametrize(
    "line",
    [
        "",
        "open",
        "w",
        "w 0g",
        "w 012",
        "tick",
        "tick soon",
        "tick -1",
        "tick inf",
        "tick nan",
        "connect now",
        "connect",
        "disconnect 5",
        "dump all",
        "local",
        "local {",
        "local []",
        "local {}",
        'local {"local": {"action": "dance"}}',
        'local {"local": 5}',
        'local {"power": "on"}',
        'local {"power": "sideways"}',
    ],
)
def test_a_bad_command_is_an_error_and_changes_nothing(line: str) -> None:
    answers = _answers([], ["connect", "tick 29.9", "dump", line, "dump", "tick 0.1"])
    ok, tick, before, _, error, after, *rest = answers
    assert (ok, tick) == ("ok", "ok")
    assert error.startswith("error ")
    assert len(error) > len("error ")
    assert after == before
    assert rest == ["ok", "disconnect", "ok"]  # still unpaired, still at its 30 s


def test_a_write_while_nobody_is_connected_is_lost_without_a_word() -> None:
    assert _answers([], ["w 00", "disconnect", "dump"])[:2] == ["ok", "ok"]


def test_ten_small_ticks_are_one_second() -> None:
    answers = _answers([], ["connect", *["tick 0.1"] * 300])
    assert answers.index("disconnect") == len(answers) - 2


def test_an_opening_is_told_between_its_two_answers(tmp_path: Path) -> None:
    capture = load("lock-reconnect-unlock.jsonl")
    parsed = stdio.arguments().parse_args(options(capture, tmp_path))
    driver = stdio.Driver(stdio.build(parsed))
    told = [driver.answer(line) for line, _ in script(capture)]
    openings = [lines for lines in told if "opened" in lines]
    assert openings
    for lines in openings:
        at = lines.index("opened")
        assert lines.count("opened") == 1
        assert all(one.startswith("n ") for one in lines[:at])
        assert len(lines[:at]) > 0
        assert len(lines[at + 1 : -1]) > 0


def test_a_power_cut_and_back() -> None:
    lines = ['local {"kind": "power", "power": "off"}', "connect",
             'local {"kind": "power", "power": "on"}', "connect"]  # fmt: skip
    first, refused, back, again = _answers([], lines)
    assert (first, back, again) == ("ok", "ok", "ok")
    assert refused == "error the lock has no power"


# -- options


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--nonsense"], "--nonsense"),
        (["--prof", "v3.0"], "--prof"),
        (["--profile", "v9"], "v9"),
        (["--app", "door"], "door"),
        (["--local-key", "short"], "local_key"),
        (["--sec-key", "short"], "sec_key"),
        (["--auth-key", "short"], "auth_key"),
        (["--uuid", "short"], "uuid"),
        (["--device-id", "x" * 23], "virtual_id"),
        (["--check-code", "0005"], "PERIPHERAL:CODE"),
        (["--check-code", "xyz:12345678"], "PERIPHERAL:CODE"),
        (["--check-code", "10000:12345678"], "PERIPHERAL:CODE"),
        (["--check-code", "0005:1234"], "PERIPHERAL:CODE"),
        (["--check-code", "0005:12345678", "--app", "echo"], "check code"),
        (["--srand", "00"], "12 hex digits"),
        (["--srand", "zz"], "12 hex digits"),
        (["--clock", "now"], "unix seconds"),
        (["--capture", "no-such-file"], "no-such-file"),
    ],
)
def test_a_mistake_in_the_options_ends_with_2_and_says_what_it_is(
    arguments: list[str], word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        stdio.main(arguments, [])
    assert ended.value.code == 2
    assert word in capsys.readouterr().err


def test_a_file_that_is_no_capture_ends_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "capture.jsonl"
    for content in (b"", b"{}\n", b"\xff\xfe\n", b'{"capture": 1}\n'):
        path.write_bytes(content)
        with pytest.raises(SystemExit) as ended:
            stdio.main(["--capture", str(path)], [])
        assert ended.value.code == 2
        assert capsys.readouterr().err


def test_without_options_it_is_a_bound_lock_of_protocol_3_0_with_fixed_keys() -> None:
    lock = stdio.build(stdio.arguments().parse_args([]))
    assert lock.bound
    assert type(lock.app).__name__ == "LockApplication"
    assert lock._machine.radio.firmware.name == "3.0"
    assert lock._machine.keys.uuid == stdio.TEST_KEYS["uuid"]


@pytest.mark.parametrize(
    ("name", "arguments", "app", "bound"),
    [
        ("lock-handshake", [], "LockApplication", True),
        ("lock-bind", [], "LockApplication", False),
        ("lock-handshake", ["--app", "echo"], "EchoApplication", True),
        ("sdk33-handshake", [], "EchoApplication", True),
        ("sdk33-handshake", ["--unbound"], "EchoApplication", False),
        ("sdk44-244-handshake", ["--app", "lock"], "LockApplication", True),
        ("secv2-244-handshake", [], "EchoApplicationV2", True),
    ],
)
def test_a_capture_decides_what_no_option_says(
    name: str, arguments: list[str], app: str, bound: bool
) -> None:
    path = CAPTURES / f"{name}.jsonl"
    parsed = stdio.arguments().parse_args(["--capture", str(path), *arguments])
    lock = stdio.build(parsed)
    header = load(f"{name}.jsonl").header
    assert (type(lock.app).__name__, lock.bound) == (app, bound)
    assert lock._machine.keys == header.keys
    assert lock._machine.radio.firmware.att_payload == header.att_payload


def test_a_single_key_can_be_given_beside_a_capture() -> None:
    path = CAPTURES / "lock-handshake.jsonl"
    arguments = ["--capture", str(path), "--local-key", "0123456789abcdef"]
    lock = stdio.build(stdio.arguments().parse_args(arguments))
    key = lock._machine.keys.local_key
    assert key is not None
    assert key.reveal() == b"0123456789abcdef"
    assert lock._machine.keys.uuid == load("lock-handshake.jsonl").header.keys.uuid


def test_a_check_code_can_be_there_from_the_beginning() -> None:
    parsed = stdio.arguments().parse_args(["--check-code", "a163:52777950"])
    app = stdio.build(parsed).app
    assert isinstance(app, LockApplication)
    assert app.codes.judge_opening(0xFFFF, 0xA163, b"52777950") is None
