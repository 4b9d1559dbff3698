"""``bleagent decode`` as its users meet it: the real command, files, exit status."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from protocol.capture import parse_capture

CAPTURES = Path(__file__).parent.parent / "captures" / "firmware"
FIELD = Path(__file__).parent.parent / "captures" / "field" / "field.json"


def bleagent(*args: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own command line
        [sys.executable, "-m", "bleagent", *args],
        input=stdin, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def objects(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize(
    "name", ["lock-first-unlock", "sdk33-bind", "sdk44-244-dp", "secv2-20-dp", "lock-bind"]
)
def test_json_has_each_recorded_frame_in_order_in_the_words_of_the_format(name: str) -> None:
    path = CAPTURES / f"{name}.jsonl"
    done = bleagent("decode", str(path), "--json")
    assert done.returncode == 0, done.stderr
    recorded = [event for event in parse_capture(path.read_text()).events if event.frame]
    shown = objects(done.stdout)
    assert len(shown) == len(recorded)
    for one, event in zip(shown, recorded, strict=True):
        assert event.frame is not None
        assert {k: one[k] for k in ("flag", "iv", "sn", "ack_sn", "cmd", "data")} == (
            event.frame.to_json()
        )
        assert one["dir"] == event.sender.value
        assert one["line"] == event.line
        assert one["crc_ok"] is True
        assert one["meaning"]
    assert "not masked" in done.stderr


def test_what_was_damaged_is_an_error_object_in_its_place_and_the_status_says_so() -> None:
    path = CAPTURES / "lock-damaged.jsonl"
    done = bleagent("decode", str(path), "--json")
    assert done.returncode == 1
    broken = [event.line for event in parse_capture(path.read_text()).events if event.broken]
    errors = [one for one in objects(done.stdout) if "error" in one]
    assert [one["line"] for one in errors] == broken
    assert all(set(one) == {"line", "dir", "error"} for one in errors)
    lines = [one["line"] for one in objects(done.stdout)]
    assert lines == sorted(lines)  # type: ignore[type-var]
    assert "5 of" in done.stderr


def test_the_recorder_s_own_words_are_never_read(tmp_path: Path) -> None:
    lines = (CAPTURES / "lock-first-unlock.jsonl").read_text().splitlines()
    stripped = [lines[0]]
    for line in lines[1:]:
        event = json.loads(line)
        stripped.append(json.dumps({k: event[k] for k in event if k not in ("frame", "note")}))
    path = tmp_path / "stripped.jsonl"
    path.write_text("\n".join(stripped))
    full = bleagent("decode", str(CAPTURES / "lock-first-unlock.jsonl"), "--json")
    assert bleagent("decode", str(path), "--json").stdout == full.stdout


def test_check_agrees_with_a_recording_and_notices_a_changed_one(tmp_path: Path) -> None:
    path = CAPTURES / "lock-handshake.jsonl"
    good = bleagent("decode", str(path), "--check")
    assert good.returncode == 0, good.stderr
    assert "as recorded" in good.stderr
    changed = tmp_path / "changed.jsonl"
    changed.write_text(path.read_text().replace('"sn": 2, "ack_sn": 0', '"sn": 9, "ack_sn": 0'))
    bad = bleagent("decode", str(changed), "--check")
    assert bad.returncode == 1
    assert "read as another frame than recorded" in bad.stderr


@pytest.mark.parametrize("name", ["lock-first-unlock", "lock-temp-password", "lock-remote-key"])
def test_the_text_for_people_shows_no_secret(name: str) -> None:
    path = CAPTURES / f"{name}.jsonl"
    done = bleagent("decode", str(path))
    assert done.returncode == 0
    capture = parse_capture(path.read_text())
    keys = capture.header.keys
    assert keys.local_key is not None
    assert keys.auth_key is not None
    secrets = [keys.local_key.reveal(), keys.local_key.reveal()[:6], keys.auth_key.reveal()]
    secrets += [
        event.frame.data[7:15]  # check code or PIN
        for event in capture.events
        if event.frame is not None and event.frame.code == 2 and len(event.frame.data) > 15
    ]
    for secret in secrets:
        assert secret.decode("latin-1") not in done.stdout
        assert secret.hex() not in done.stdout.lower()
    if name == "lock-first-unlock":
        assert "open door, check code ****" in done.stdout
        assert "open door: ok (0)" in done.stdout


def test_pasted_packets_are_read_with_a_keys_file(tmp_path: Path) -> None:
    # Recorded from a real device: revspace.nl BT785, bertrik/bt785 (MIT), key published there.
    entries = {one["id"]: one for one in json.loads(FIELD.read_text())["entries"]}
    asked, answered = entries["bt785-devinfo-req"], entries["bt785-devinfo-resp-1"]
    report = entries["bt785-dp8006-value"]
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps({"local_key": asked["key_material"]["local_key"]}))
    packets = [">" + asked["raw_packets"][0], "<" + answered["raw_packets"][0]]
    packets.append("<" + report["raw_packets"][0])
    done = bleagent("decode", "--json", "--keys", str(keys), *packets)
    assert done.returncode == 0, done.stderr
    first, second, third = objects(done.stdout)
    assert (first["cmd"], first["data"]) == ("0x0000", "00f3")
    assert second["data"] == answered["decoded"]["data"]
    assert (third["cmd"], third["sn"]) == ("0x8006", 12)
    assert "warning" not in done.stderr


def test_a_key_on_the_command_line_works_with_a_warning() -> None:
    # vec-roquerodrigo-devinfo: github.com/roquerodrigo/tuya-ble-sdk tests/test_wire_vectors.py
    packets = [
        ">00213004000102030405060708090a0b0c0d0e0f",
        ">01f8bc69d43b1f0e3bf28ac34ec4aa2723",
    ]
    done = bleagent("decode", "--local-key", "abcdef0123456789", *packets)
    assert done.returncode == 0, done.stderr
    assert "ask for device information" in done.stdout
    assert "warning: a key on a command line is seen by others" in done.stderr


def test_half_a_message_is_said_to_be_cut_off() -> None:
    done = bleagent(
        "decode", "--local-key", "abcdef0123456789", ">00213004000102030405060708090a0b0c0d0e0f"
    )
    assert done.returncode == 1
    assert "cut off, 16 bytes missing" in done.stdout


def test_rekeyed_copies_can_be_read_and_hold_nothing_of_the_original(tmp_path: Path) -> None:
    path = CAPTURES / "lock-first-unlock.jsonl"
    copy = tmp_path / "copy.jsonl"
    done = bleagent("decode", str(path), "--rekey", "--output", str(copy))
    assert done.returncode == 0, done.stderr
    original = parse_capture(path.read_text()).header.keys
    assert original.local_key is not None
    assert original.local_key.reveal().decode() not in copy.read_text()
    assert original.uuid not in copy.read_text()
    again = bleagent("decode", str(copy))
    assert again.returncode == 0
    assert "open door: ok (0)" in again.stdout


@pytest.mark.parametrize(
    ("args", "complaint"),
    [
        pytest.param(["nowhere.jsonl"], "cannot be read: No such file", id="no-file"),
        pytest.param(["."], "cannot be read: Is a directory", id="a-directory"),
        pytest.param(["-"], "line 1: empty", id="empty-input"),
        pytest.param([">00"], "need --keys", id="no-keys"),
        pytest.param([">zz", "--local-key", "0123456789abcdef"], "not hexadecimal", id="no-hex"),
        pytest.param([">00", "--local-key", "short"], "16 characters, not 5", id="short-key"),
        pytest.param(["a", "b"], "one capture file", id="two-files"),
        pytest.param(["a", "--local-key", "x"], "one capture file", id="file-and-key"),
        pytest.param([">00", "--rekey"], "need a capture file", id="rekey-packets"),
        pytest.param([">00", "--keys", "nowhere"], "cannot be read", id="no-keys-file"),
        pytest.param([], "Missing argument", id="nothing"),
    ],
)
def test_unusable_input_says_what_is_wrong_and_leaves_with_2(
    args: list[str], complaint: str
) -> None:
    done = bleagent("decode", *args)
    assert done.returncode == 2
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr


def test_binary_input_is_unusable(tmp_path: Path) -> None:
    path = tmp_path / "binary"
    path.write_bytes(b"\xff\xfe\0\1")
    done = bleagent("decode", str(path))
    assert (done.returncode, "is not text" in done.stderr) == (2, True)


def test_the_help_names_what_is_not_masked() -> None:
    done = bleagent("decode", "--help")
    assert done.returncode == 0
    assert "not masked" in " ".join(done.stdout.split())
