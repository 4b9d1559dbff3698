"""The doctor on the agent itself: each fault, what is said of it, and what mends it."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from bleagent.adapters.sqlite_store import SqliteStore, StateDirectory
from bleagent.adapters.sqlite_store.looking import sealed_now
from bleagent.cloud.errors import CloudUnreachable
from bleagent.commands.daemon_client import DaemonAway
from bleagent.config import load_config
from bleagent.config import secrets as config_secrets
from bleagent.config.secrets import service_credentials
from bleagent.doctor import site_look
from bleagent.doctor.check import Check, Level
from bleagent.doctor.site import (
    DAY,
    ENDS_SOON,
    LITTLE,
    SKEW,
    TOO_LITTLE,
    CloudSaid,
    Daemon,
    Site,
    SocketFile,
    State,
    examine,
    rehearsal,
)
from bleagent.errors import (
    AgentError,
    CertificateError,
    ConfigError,
    SecretError,
    StoreError,
    VaultKeyMissing,
)
from bleagent.model import IssuedConfig
from bleagent.vault import NamedKey, VaultKeys
from protocol import Secret
from tests.agent.test_bundle import SECRETS, WHOSE, site
from tests.system.canary import Canary

STATE = State(path="/var/lib/bleagent", there=True, writable=True, free=LITTLE)
CLOUD = CloudSaid(host="cloud.example", skew=1.0, known={"front": True})
WELL = Site(
    path="/etc/bleagent/config.toml", locks=("front",), secrets={"http.token": None},
    certificate=ENDS_SOON, state=STATE, vault="opens the store", daemon=Daemon(ready=True),
    socket=SocketFile(path="/run/bleagent/http.sock", group="bleagent", mode=0o660),
    group="bleagent", heard={"front": "-60 dBm by hci0"}, cloud=CLOUD,
)  # fmt: skip


def checks(found: Site) -> list[Check]:
    before, after = examine(found)
    return [*before, *after]


def test_an_agent_that_is_well() -> None:
    found = checks(WELL)
    assert [one.level for one in found] == [Level.OK] * 12
    assert [one.name for one in found] == [
        "configuration", "secrets", "certificate", "state directory", "disk", "vault key",
        "daemon", "socket", "lock front", "cloud", "date", "cloud's front",
    ]  # fmt: skip


FAULTS: list[tuple[dict[str, Any], str, Level, str]] = [
    ({"strangers": ('user "ann"',)}, "configuration", Level.WARN, 'user "ann"'),
    ({"secrets": {"cloud.secret": SecretError("mode 0644: chmod 0600 /x")}}, "secrets",
     Level.FAIL, "cloud.secret: mode 0644: chmod 0600 /x"),
    ({"certificate": ENDS_SOON - 1}, "certificate", Level.WARN, "ends in 14 days"),
    ({"certificate": -2 * DAY}, "certificate", Level.FAIL, "ended 2 days ago"),
    ({"certificate": CertificateError("no PEM")}, "certificate", Level.FAIL, "no PEM"),
    ({"state": replace(STATE, there=False, writable=False)}, "state directory",
     Level.WARN, "is not there yet"),
    ({"state": replace(STATE, writable=False)}, "state directory", Level.FAIL, "cannot be written"),
    ({"state": replace(STATE, moved=("/s/operations.db.damaged-1",))}, "databases",
     Level.WARN, "operations.db.damaged-1"),
    ({"state": replace(STATE, free=LITTLE - 1)}, "disk", Level.WARN, "199 MiB free"),
    ({"state": replace(STATE, free=TOO_LITTLE - 1)}, "disk", Level.FAIL, "19 MiB free"),
    ({"vault": VaultKeyMissing("sealed with another key")}, "vault key", Level.FAIL, "another key"),
    ({"daemon": Daemon(unasked=DaemonAway("nobody answers"))}, "daemon", Level.WARN, "nobody"),
    ({"daemon": Daemon(shut_by=("radio",))}, "daemon", Level.FAIL, "doors stay shut: radio"),
    ({"socket": SocketFile(path="/s", group="bleagent", mode=0o666)}, "socket", Level.FAIL, "0666"),
    ({"socket": SocketFile(path="/s", group="root", mode=0o660)}, "socket", Level.WARN, "root"),
    ({"heard": {}}, "lock front", Level.WARN, "not heard"),
    ({"cloud": CloudSaid(host="c.example", fault=CloudUnreachable("no route"))}, "cloud",
     Level.FAIL, "c.example: no route"),
    ({"cloud": replace(CLOUD, skew=-(SKEW + 1))}, "date", Level.FAIL, "61 s from the cloud's"),
    ({"cloud": replace(CLOUD, devices_fault=CloudUnreachable("no right to"))}, "cloud's locks",
     Level.WARN, "no right to"),
    ({"cloud": replace(CLOUD, known={})}, "cloud's front", Level.FAIL, "not known there"),
    ({"cloud": replace(CLOUD, known={"front": False})}, "cloud's front", Level.FAIL, "another one"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "name", "level", "words"), FAULTS)
def test_each_fault_is_told_once_with_what_mends_it(
    change: dict[str, Any], name: str, level: Level, words: str
) -> None:
    wrong = [one for one in checks(replace(WELL, **change)) if one.level is not Level.OK]
    assert [(one.name, one.level) for one in wrong] == [(name, level)]
    assert words in wrong[0].found
    assert wrong[0].mend
    assert wrong[0].expected


def test_a_state_directory_before_the_first_start_is_not_to_be_made_by_hand() -> None:
    found = checks(replace(WELL, state=replace(STATE, there=False, writable=False)))
    (told,) = [one for one in found if one.name == "state directory"]
    assert told.mend.startswith("nothing where systemd runs the agent")


def test_who_may_not_write_is_told_whom_to_be_before_whose_to_make_it() -> None:
    found = checks(replace(WELL, state=replace(STATE, writable=False)))
    (told,) = [one for one in found if one.name == "state directory"]
    assert told.mend.startswith("run this as the daemon's user")


def test_of_a_configuration_with_a_mistake_nothing_else_is_told() -> None:
    (found,) = checks(Site(path="/c", fault=ConfigError("/c: [http] port: found 0.5")))
    assert (found.level, found.found) == (Level.FAIL, "/c: [http] port: found 0.5")


def test_a_cloud_that_tells_no_key_is_no_fault() -> None:
    (*_, last) = checks(replace(WELL, cloud=replace(CLOUD, known={"front": None})))
    assert (last.level, last.found) == (Level.OK, "known there; its key is not told")


def test_what_systemd_hands_over_while_the_service_runs_is_no_fault() -> None:
    (_, found, *_) = checks(replace(WELL, secrets={}, handed=("http.token", "cloud.secret")))
    assert found.level is Level.OK
    assert "2 not looked at: systemd hands them over" in found.found


def test_the_cloud_is_tried_at_its_own_address() -> None:
    said = CloudSaid(host="127.0.0.1", url="http://127.0.0.1:81", fault=CloudUnreachable("no"))
    (wrong,) = [one for one in checks(replace(WELL, cloud=said)) if one.level is not Level.OK]
    assert "curl -sSI http://127.0.0.1:81" in str(wrong.mend)


REHEARSED = {"ready": True, "code": "ok", "gives_code": False, "steps": {"connect": 0.2}}


@pytest.mark.parametrize(
    ("said", "level", "words"),
    [
        (REHEARSED, Level.OK, "connect 0.2 s"),
        (REHEARSED | {"gives_code": True}, Level.OK, "an opening gives it the cloud's check code"),
        (REHEARSED | {"ready": False, "code": "lock-silent", "detail": "no answer", "advice": "x"},
         Level.FAIL, "connect 0.2 s; then no answer"),
        ({"ready": False, "code": "instruction-rejected-sn"}, Level.FAIL, "no step; then instr"),
        (DaemonAway("nobody answers"), Level.FAIL, "nobody answers"),
    ],
)  # fmt: skip
def test_a_rehearsal_is_a_check(
    said: dict[str, Any] | AgentError, level: Level, words: str
) -> None:
    found = rehearsal("front", said)
    assert (found.name, found.level) == ("rehearsal of front", level)
    assert words in found.found
    assert bool(found.mend) is (level is Level.FAIL)


# -- this machine


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No Bluetooth, no credentials, no cloud."""
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path}/nothing")
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    monkeypatch.setattr(site_look, "ASK", 0.0)


def looked_at(path: Path) -> list[Check]:
    async def main() -> Site:
        return await site_look.look(path)

    return checks(anyio.run(main))


@pytest.mark.usefixtures("alone")
def test_a_look_finds_what_is_there_changes_nothing_and_tells_no_secret(tmp_path: Path) -> None:
    path = site(tmp_path)
    (tmp_path / "local").chmod(0o644)
    before = {one: one.read_bytes() for one in tmp_path.rglob("*") if one.is_file()}
    found = looked_at(path)
    by_name = {one.name: one for one in found}
    assert by_name["configuration"].level is Level.OK
    assert "chmod 0600" in by_name["secrets"].found
    assert by_name["state directory"].level is Level.OK
    assert by_name["certificate"].level is Level.FAIL
    assert by_name["vault key"].level is Level.FAIL  # that is no database of ours
    assert by_name["daemon"].level is Level.WARN
    assert by_name["cloud"].level is Level.FAIL
    assert {one: one.read_bytes() for one in tmp_path.rglob("*") if one.is_file()} == before
    said = "\n".join(f"{one.found} {one.mend}" for one in found)
    assert Canary(SECRETS).found(said) == []
    assert WHOSE["client"].decode() not in said


@pytest.mark.usefixtures("alone")
@pytest.mark.parametrize("named", [False, True])
def test_before_the_first_start_there_is_neither_store_nor_key(tmp_path: Path, named: bool) -> None:
    path = site(tmp_path)
    if named:
        path.write_text(f'{path.read_text()}[vault]\nkey = {{ file = "{tmp_path}/made" }}\n')
    for one in (tmp_path / "state").iterdir():
        one.unlink()
    (tmp_path / "state").rmdir()
    by_name = {one.name: one for one in looked_at(path)}
    assert by_name["state directory"].level is Level.WARN
    assert by_name["vault key"].level is Level.OK
    assert not (tmp_path / "state").exists()
    assert not (tmp_path / "made").exists()
    assert sealed_now(tmp_path / "state") == []
    (fault,) = looked_at(tmp_path / "nowhere")
    assert fault.name == "configuration"


@pytest.mark.usefixtures("alone")
def test_without_the_service_its_credentials_are_not_looked_at(tmp_path: Path) -> None:
    path = site(tmp_path)
    text = path.read_text()
    path.write_text(re.sub(r'\{ file = "[^"]*" \}', '{ credential = "x" }', text, count=1))
    by_name = {one.name: one for one in looked_at(path)}
    assert by_name["secrets"].level is Level.OK
    assert "1 not looked at" in by_name["secrets"].found


@pytest.mark.usefixtures("alone")
def test_who_may_not_look_is_told_as_whom_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = site(tmp_path)

    def forbidden(self: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(self))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "exists", forbidden)
        found = site_look._vault(load_config(path), None)
        elsewhere = load_config(path)
    with monkeypatch.context() as patch:
        patch.setattr(site_look, "sealed_now", forbidden)
        store = site_look._vault(elsewhere, None)
    for told in (found, store):
        assert isinstance(told, SecretError)
        assert "runuser -u bleagent" in told.advice


@pytest.mark.usefixtures("alone")
def test_a_key_that_is_gone_is_not_made_by_a_look(tmp_path: Path) -> None:
    site_, made = tmp_path / "config.toml", tmp_path / "made"
    site(tmp_path)
    (tmp_path / "state/operations.db").unlink()
    text = site_.read_text()
    site_.write_text(f'{text}[vault]\nkey = {{ file = "{made}" }}\n')

    async def main() -> None:
        key = Secret(bytes(32))
        keys = VaultKeys(current=NamedKey("x", key), new_nonce=lambda: bytes(12))
        with StateDirectory(tmp_path / "state") as directory, SqliteStore(directory, keys) as store:
            config = IssuedConfig(lock_random=None, lock_record=None, fetched_at=1.0)
            await store.memory.keep_issued_config("front", config)

    anyio.run(main)
    by_name = {one.name: one for one in looked_at(site_)}
    assert by_name["vault key"].level is Level.FAIL
    assert not made.exists()


def test_a_store_of_somebody_else_is_not_looked_into(tmp_path: Path) -> None:
    (tmp_path / "operations.db").write_bytes(b"SQLite format 3\0" + bytes(200))
    with pytest.raises(StoreError):
        sealed_now(tmp_path)


def test_a_command_finds_what_the_service_was_handed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    monkeypatch.setattr(config_secrets, "OF_THE_SERVICE", tmp_path / "handed")
    assert service_credentials() is None
    (tmp_path / "handed").mkdir()
    assert service_credentials() == tmp_path / "handed"
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/own")
    assert service_credentials() == Path("/own")
