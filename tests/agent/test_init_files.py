"""What `bleagent init` writes: all or nothing, private, and again only where something changed."""

from __future__ import annotations

import os
import signal
import stat
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bleagent.config import load_config
from bleagent.config.secrets import load_secrets
from bleagent.errors import ConfigError
from bleagent.init import files, places, telling
from bleagent.init.drop_in import credentials_in
from bleagent.init.faults import InitError
from bleagent.init.files import Change
from bleagent.init.machine import Machine
from bleagent.init.sealing import SystemdCreds
from protocol import Secret

from .init_site import (
    BACK,
    FRONT,
    LOCAL_KEY,
    SECRET,
    answers,
    creds,
    service,
    tree,
    written,
)

CONFIG = "etc/bleagent/config.toml"
DROP_IN = "etc/systemd/system/bleagent.service.d/credentials.conf"
CREDENTIALS = "etc/bleagent/credentials"


@pytest.fixture(params=[0o022, 0o077])
def _umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.mark.usefixtures("_umask")
def test_the_service_gets_a_configuration_its_secrets_and_who_hands_them_over(
    tmp_path: Path,
) -> None:
    written(service(tmp_path), answers(FRONT, BACK))
    config = load_config(tmp_path / CONFIG)
    found = load_secrets(config, tmp_path / CREDENTIALS)
    assert found.cloud_secret == Secret(SECRET)
    assert found.locks["front"].keys.local_key == Secret(LOCAL_KEY)
    assert found.locks["back"].keys.sec_key == BACK.sec_key
    assert str(config.http_socket) == "/run/bleagent/http.sock"
    assert [user.user for user in config.http.users] == ["root"]
    assert {path: mode for path, (_, mode) in tree(tmp_path).items()} == {
        CONFIG: 0o644,
        DROP_IN: 0o644,
        **{
            f"{CREDENTIALS}/{name}": 0o600
            for name in (
                "http-token", "cloud-secret", "front.local-key", "back.local-key", "back.sec-key"
            )
        },
    }  # fmt: skip
    # The agent's user comes as far as the configuration, and no further.
    folders = {CREDENTIALS: 0o700, "etc/bleagent": 0o755, "etc": 0o755}
    for name, mode in folders.items():
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == mode
    handed = credentials_in((tmp_path / DROP_IN).read_text())
    assert {str(one.path) for one in handed.values()} == {
        f"/{path}" for path in tree(tmp_path) if path.startswith(CREDENTIALS)
    }


def test_where_systemd_creds_works_secrets_are_encrypted(tmp_path: Path) -> None:
    root = tmp_path / "root"
    sealing = creds(tmp_path)
    written(service(root, sealing), answers())
    handed = credentials_in((root / DROP_IN).read_text())
    assert all(one.encrypted and one.path.suffix == ".cred" for one in handed.values())
    kept = b"".join(content for content, _ in tree(root).values())
    calls = (tmp_path / "creds.log").read_text()
    for secret in (SECRET, LOCAL_KEY, "CANARY-token"):
        assert secret.encode() not in kept
        assert secret not in calls
    sealed = (root / CREDENTIALS / "cloud-secret.cred").read_bytes()
    assert sealing.decrypt("cloud-secret", sealed) == Secret(SECRET)
    assert sealing.decrypt("http-token", sealed) is None


@pytest.mark.parametrize("sealed", [True, False])
def test_run_again_it_changes_nothing(tmp_path: Path, sealed: bool) -> None:
    root = tmp_path / "root"
    machine = service(root, creds(tmp_path) if sealed else None)
    written(machine, answers())
    before = tree(root)
    again = written(machine, answers(configured="front"))
    assert again.changes == []
    assert len(again.kept) == len(before)
    assert tree(root) == before


@pytest.mark.parametrize("sealed", [True, False])
def test_run_again_it_brings_what_is_new_and_touches_nothing_else(
    tmp_path: Path, sealed: bool
) -> None:
    root = tmp_path / "root"
    machine = service(root, creds(tmp_path) if sealed else None)
    written(machine, answers())
    config = root / CONFIG
    config.write_text(config.read_text() + '\n[locks.strategies] # mine\noffline = "cached"\n')
    before = tree(root)
    bound_anew = replace(FRONT, local_key=Secret("CANARYlocalkey02"))
    prepared = written(machine, answers(bound_anew, BACK, configured="front", user="daemon"))
    after = tree(root)
    end = ".cred" if sealed else ""
    changed = {path for path in before if after[path] != before[path]}
    assert changed == {f"{CREDENTIALS}/front.local-key{end}", CONFIG, DROP_IN}
    assert set(after) - set(before) == {
        f"{CREDENTIALS}/back.local-key{end}", f"{CREDENTIALS}/back.sec-key{end}"
    }  # fmt: skip
    assert {one.told for one in prepared.changes if not one.new} == {
        "local key of front", "hands the secrets over", "the configuration"
    }  # fmt: skip
    for path in (CONFIG, DROP_IN):
        assert after[path][0].startswith(before[path][0])
    loaded = load_config(config)
    assert [lock.name for lock in loaded.locks] == ["front", "back"]
    assert loaded.locks[0].strategies.offline == "cached"
    assert [user.user for user in loaded.http.users] == ["root", "daemon"]


def test_where_it_does_not_work_they_are_plain_and_it_is_said_why(tmp_path: Path) -> None:
    root = tmp_path / "root"
    prepared = written(service(root, SystemdCreds(str(tmp_path / "nothing"))), answers())
    assert prepared.plain == "No such file or directory"
    assert (root / CREDENTIALS / "cloud-secret").read_text() == SECRET + "\n"


def test_a_secret_that_has_to_be_encrypted_is_never_written_plain(tmp_path: Path) -> None:
    root = tmp_path / "root"
    written(service(root, creds(tmp_path)), answers())
    before = tree(root)
    (tmp_path / "systemd-creds").write_text(
        "#!/bin/sh\necho 'no key on this machine' >&2; exit 1\n"
    )
    with pytest.raises(InitError, match="no key on this machine") as raised:
        service(root, SystemdCreds(str(tmp_path / "systemd-creds"))).prepare(
            answers(configured="front")
        )
    assert "LoadCredential=" in raised.value.mend
    assert tree(root) == before


def test_on_another_card_what_cannot_be_read_is_made_anew(tmp_path: Path) -> None:
    root = tmp_path / "root"
    machine = service(root, creds(tmp_path))
    source = written(machine, answers()).config.cloud.secret
    assert not machine.sealed_elsewhere(source)
    for one in (root / CREDENTIALS).iterdir():
        one.write_bytes(b"sealed with another machine's key\n")
    assert machine.sealed_elsewhere(source)
    (root / DROP_IN).unlink()  # it is not below /etc/bleagent
    assert machine.sealed_elsewhere(source)
    prepared = written(machine, answers(configured="front"))
    assert {one.path.name for one in prepared.changes if not one.new} == {
        "http-token.cred", "cloud-secret.cred", "front.local-key.cred"
    }  # fmt: skip
    assert machine.secret(prepared.config.cloud.secret) == Secret(SECRET)


@pytest.mark.parametrize("sealed", [True, False])
def test_where_nobody_goes_without_a_token_the_next_line_reads_it_through_a_pipe(
    tmp_path: Path, sealed: bool
) -> None:
    machine = service(tmp_path / "root", creds(tmp_path) if sealed else None)
    prepared = written(machine, answers(user=None))
    said = "\n".join(telling.of_next(machine.place, prepared, machine.drop_in()))
    kept = "/etc/bleagent/credentials/http-token"
    reads = f"systemd-creds decrypt --name=http-token {kept}.cred -" if sealed else f"cat {kept}"
    assert f"{{ printf 'Authorization: Bearer '; {reads}; }} | \\" in said
    assert "curl -H @- --unix-socket /run/bleagent/http.sock -X POST" in said
    assert "/v1/locks/front/unlock" in said
    assert "restart" not in said
    added = machine.prepare(answers(FRONT, BACK, configured="front", user="daemon"))
    said = "\n".join(telling.of_next(machine.place, added, machine.drop_in()))
    assert "usermod -aG bleagent daemon" in said
    assert "systemctl restart bleagent.service" in said
    assert "Authorization" not in said
    assert "curl (7): not in the group yet" in said
    assert "If it does not open (as root):" in said
    files.write(added.changes)
    same = machine.prepare(answers(FRONT, BACK, configured="front back", user="daemon"))
    assert same.changes == []
    said = "\n".join(telling.of_next(machine.place, same, machine.drop_in()))
    assert "Start it" not in said
    assert "Open a door" in said


def test_a_folder_of_ones_own_names_files(tmp_path: Path) -> None:
    place = places.of_folder(tmp_path / "mine")
    written(Machine(place, None, lambda: Secret("t" * 20)), answers())
    config = load_config(tmp_path / "mine/config.toml")
    assert load_secrets(config, None).http_token == Secret("t" * 20)
    assert config.state_dir == tmp_path / "mine/state"
    assert {path for path in tree(tmp_path) if "systemd" in path} == set()


def test_a_configuration_that_would_be_wrong_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^/etc/bleagent/config\.toml: http\.users") as raised:
        service(tmp_path).prepare(answers(user="nobody-of-that-name"))
    assert "one of this machine" in str(raised.value)
    assert tree(tmp_path) == {}


def test_a_wrong_one_that_is_there_is_its_owners_to_mend(tmp_path: Path) -> None:
    config = tmp_path / CONFIG
    config.parent.mkdir(parents=True)
    config.write_text("[cloud]\nsceret = 'x'\n")
    with pytest.raises(ConfigError, match="sceret"):
        service(tmp_path).existing()


# -- writing


def change(path: Path, content: bytes = b"new") -> Change:
    return Change(path=path, content=content, mode=0o600, told="", new=not path.exists())


def test_where_one_cannot_be_written_none_is(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    (tmp_path / "b").mkdir()
    with pytest.raises(InitError, match="/b: Is a directory"):
        files.write([change(tmp_path / "a"), change(tmp_path / "b")])
    assert tree(tmp_path) == {"a": (b"old", 0o644)}
    with pytest.raises(InitError, match="File exists"):
        files.write([change(tmp_path / "n"), change(tmp_path / "a/b")])
    assert set(tree(tmp_path)) == {"a"}


def test_interrupted_it_leaves_everything_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_bytes(b"old")

    def interrupt(_file: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        files.write([change(tmp_path / "a")])
    assert tree(tmp_path) == {"a": (b"old", 0o644)}


def test_ctrl_c_waits_until_all_are_in_place() -> None:
    whole, over = False, threading.Event()
    threading.Thread(target=over.wait).start()  # who could take the signal as well

    def put() -> None:
        nonlocal whole
        with files.uninterrupted():
            os.kill(os.getpid(), signal.SIGINT)
            for _ in range(1_000_000):  # the other thread is told in its own time
                pass
            whole = True

    with pytest.raises(KeyboardInterrupt):
        put()
    over.set()
    assert whole


def test_mode_and_link_of_what_is_there_stay(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"old")
    (tmp_path / "real").chmod(0o640)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    files.write([change(tmp_path / "link")])
    assert (tmp_path / "link").is_symlink()
    assert tree(tmp_path)["real"] == (b"new", 0o640)


def test_a_draft_is_not_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "theirs").write_bytes(b"theirs")
    (tmp_path / ".a.new").symlink_to(tmp_path / "theirs")
    files.write([change(tmp_path / "a")])
    assert tree(tmp_path) == {"theirs": (b"theirs", 0o644), "a": (b"new", 0o600)}
