"""``bleagent init`` as somebody at a terminal meets it, before a virtual cloud."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from bleagent.cli import app
from bleagent.config import load_config
from bleagent.config.secrets import load_secrets
from bleagent.init.air import Air
from bleagent.init.asking import drop_typed
from bleagent.simulator.virtual_cloud import CLIENT_ID, CLIENT_SECRET, VirtualCloud
from protocol import LockKeys
from tests.system.canary import Canary

from .api_world import served
from .cloud_world import DEVICE, keys, lock
from .init_site import tree

SECRET = CLIENT_SECRET.reveal().decode()


@pytest.fixture(scope="module")
def cloud() -> Iterator[VirtualCloud]:
    with served() as cloud:
        other = LockKeys(uuid="virtualuuid00002", virtual_id="other", local_key=keys().local_key)
        cloud.register(replace(lock(), device_id="other", keys=other, name="Garage"))
        yield cloud


def run(folder: Path, *words: str, typed: str | None = None) -> Result:
    return CliRunner().invoke(
        app, ["init", "-d", str(folder / "own"), "--listen", "0", *words], input=typed
    )


def quiet(folder: Path, cloud: VirtualCloud, *words: str, secret: str = SECRET) -> Result:
    said = ["--data-centre", cloud.base_url, "--client-id", CLIENT_ID, "--secret-file", "-"]
    return run(folder, "--yes", "--user", "root", *said, *words, typed=secret)


def no_secret_in(folder: Path, *answers: Result) -> bool:
    secrets = {"cloud": CLIENT_SECRET.reveal(), "local": b"LOCALKEYcanary00"}
    token = folder / "own/secrets/http-token"
    if token.exists():
        secrets["token"] = token.read_bytes().strip()
    return all(Canary(secrets).found(one.output + one.stderr) == [] for one in answers)


def test_a_session(tmp_path: Path, cloud: VirtualCloud) -> None:
    typed = [
        "xx",  # no such data centre
        cloud.base_url, CLIENT_ID, "wrong", cloud.base_url, CLIENT_ID, SECRET,
        "5", "2",  # which lock: no such number, then the second
        "Garage", "garage-door",  # its name: not this one
        "nobody-of-this-name", "root", "",
    ]  # fmt: skip
    answer = run(tmp_path, typed="\n".join(typed) + "\n")
    assert answer.exit_code == 0, answer.output + answer.stderr
    assert "found data centre 'xx'" in answer.output
    assert "does not accept these keys" in answer.output
    assert "expected all, none, or numbers of 1, 2" in answer.output
    assert "found 'Garage', expected" in answer.output
    assert "found 'nobody-of-this-name', expected a user of this machine" in answer.output
    assert "not heard" not in answer.output  # nobody listened
    config = load_config(tmp_path / "own/config.toml")
    assert [(one.name, one.device_id) for one in config.locks] == [("garage-door", "other")]
    assert load_secrets(config, None).cloud_secret == CLIENT_SECRET
    assert f"bleagent run --config {tmp_path}/own/config.toml" in answer.output
    assert "/v1/locks/garage-door/unlock" in answer.output

    # Again: what is there is offered, nothing has to be typed, and the other lock can be added.
    before = tree(tmp_path)
    nothing = run(tmp_path, typed="\n" * 5)
    assert nothing.exit_code == 0, nothing.output
    assert "Nothing has to change." in nothing.output
    assert tree(tmp_path) == before
    declined = run(tmp_path, typed="\n\n\n2\nfront\nn\n")
    assert "Write this?" in declined.output
    assert (declined.exit_code, tree(tmp_path)) == (130, before)
    more = run(tmp_path, typed="\n\n\n2\nfront\ny\n")
    assert more.exit_code == 0, more.output
    assert [one.name for one in load_config(tmp_path / "own/config.toml").locks] == [
        "garage-door", "front"
    ]  # fmt: skip
    assert no_secret_in(tmp_path, answer, nothing, declined, more)


def test_what_was_typed_while_it_listened_answers_nothing(
    tmp_path: Path, cloud: VirtualCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    async def hear(_devices: object, _seconds: float) -> Air:
        told.append("listened")
        return Air()

    monkeypatch.setattr("bleagent.init.air.hear", hear)
    monkeypatch.setattr("bleagent.init.flow.drop_typed", lambda: told.append("dropped"))
    answer = quiet(tmp_path, cloud, "--listen", "1")
    assert answer.exit_code == 0, answer.output
    assert told == ["listened", "dropped"]
    assert "not heard" in answer.output


def test_keys_pressed_at_a_terminal_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = os.openpty()
    try:
        with os.fdopen(theirs, "r") as terminal:
            monkeypatch.setattr("sys.stdin", terminal)
            os.write(ours, b"\n\n")
            assert select.select([terminal], [], [], 5)[0]
            drop_typed()
            assert not select.select([terminal], [], [], 0)[0]
    finally:
        os.close(ours)


def test_without_questions(tmp_path: Path, cloud: VirtualCloud) -> None:
    answer = quiet(tmp_path, cloud)
    assert answer.exit_code == 0, answer.output
    config = load_config(tmp_path / "own/config.toml")
    assert [one.name for one in config.locks] == ["front-door", "garage"]
    again = run(tmp_path, "--yes")
    assert again.exit_code == 0
    assert "Nothing has to change." in again.output
    assert no_secret_in(tmp_path, answer, again)


def test_locks_that_were_left_out_stay_out(tmp_path: Path, cloud: VirtualCloud) -> None:
    answer = quiet(tmp_path, cloud, "--lock", f"a={DEVICE}")
    assert answer.exit_code == 0, answer.output
    assert run(tmp_path, "--yes").exit_code == 0
    config = load_config(tmp_path / "own/config.toml")
    assert [one.name for one in config.locks] == ["a"]
    renamed = run(tmp_path, "--yes", "--lock", f"b={DEVICE}")
    assert renamed.exit_code == 2
    assert "its name a" in renamed.stderr


@pytest.mark.parametrize(
    ("left_out", "named"),
    [("--data-centre", "--data-centre"), ("--client-id", "--client-id"),
     ("--secret-file", "--secret-file")],
)  # fmt: skip
def test_what_nobody_may_be_asked_has_to_be_said(
    tmp_path: Path, cloud: VirtualCloud, left_out: str, named: str
) -> None:
    said = ["--data-centre", cloud.base_url, "--client-id", CLIENT_ID, "--secret-file", "-"]
    at = said.index(left_out)
    answer = run(tmp_path, "--yes", *said[:at], *said[at + 2 :], typed=SECRET)
    assert answer.exit_code == 2
    assert f"say {named}" in answer.stderr
    assert tree(tmp_path) == {}


def test_a_date_that_is_an_hour_off_is_told(tmp_path: Path) -> None:
    with served(unix=lambda: time.time() + 3600) as ahead:
        answer = quiet(tmp_path, ahead)
    assert answer.exit_code == 0, answer.output
    assert "3600 s behind the cloud's" in answer.output
    assert "timedatectl set-ntp true" in answer.output


def test_wrong_keys_write_nothing(tmp_path: Path, cloud: VirtualCloud) -> None:
    answer = quiet(tmp_path, cloud, secret="CANARYwrong")
    assert answer.exit_code == 1
    assert "does not accept these keys" in answer.stderr
    assert "CANARY" not in answer.output + answer.stderr
    assert tree(tmp_path) == {}


def test_who_may_not_write_there_is_told_before_any_question(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    answer = CliRunner().invoke(app, ["init"])
    assert answer.exit_code == 2
    assert "sudo bleagent init" in answer.stderr
    both = run(tmp_path, "--root", str(tmp_path))
    assert both.exit_code == 2


def test_a_card_that_is_mounted_gets_the_services_places(
    tmp_path: Path, cloud: VirtualCloud
) -> None:
    said = ["--data-centre", cloud.base_url, "--client-id", CLIENT_ID, "--secret-file", "-"]
    answer = CliRunner().invoke(
        app, ["init", "--root", str(tmp_path), "--yes", *said], input=SECRET
    )
    assert answer.exit_code == 0, answer.output
    assert "systemctl enable --now bleagent.socket bleagent.service" in answer.output
    # Encrypted with a key of this machine, they would be of no use in another.
    assert (tmp_path / "etc/bleagent/credentials/cloud-secret").read_text() == SECRET + "\n"
