"""`bleagent init` before a cloud, an air, folders and files that somebody else has a say in."""

from __future__ import annotations

import getpass
import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from bleagent.init import files, places, telling
from bleagent.init.air import sorted_out
from bleagent.init.drop_in import credentials_in
from bleagent.init.faults import InitError
from bleagent.init.flow import Flow, Options
from bleagent.init.locks import Candidate
from bleagent.init.machine import Machine
from bleagent.radio.nearby import Nearby
from protocol import Secret

from .init_site import BACK, FRONT, SECRET, answers, service, tree, written
from .test_init_files import CONFIG, CREDENTIALS, DROP_IN, change

STRANGER = 12345
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


def own(folder: Path) -> Machine:
    return Machine(places.of_folder(folder), None, lambda: Secret("t" * 20))


# -- what the cloud tells


@pytest.mark.parametrize(
    "wrong",
    [
        {"device_id": "d" * 23},
        {"device_id": "id\ud800"},
        {"device_id": 'id"\nlocal_key = "x'},
        {"local_key": Secret(b"0123456789abcde\n")},
        {"local_key": Secret(b"0123456789abcde\0")},
    ],
)
def test_a_lock_of_which_the_cloud_tells_nonsense_is_left_out(wrong: dict[str, object]) -> None:
    """And not written so that the configuration, and every other lock with it, is refused."""
    assert Candidate(device=replace(FRONT, **wrong), name="x").unusable  # type: ignore[arg-type]


def test_a_key_of_another_size_replaces_none_that_opens(tmp_path: Path) -> None:
    machine = service(tmp_path)
    written(machine, answers(FRONT, BACK))
    before = tree(tmp_path)
    for wrong in (Secret("x"), Secret(b"0123456789abcde\n")):
        again = answers(FRONT, replace(BACK, sec_key=wrong), configured="front back")
        assert machine.prepare(again).changes == []
    assert tree(tmp_path) == before


@pytest.mark.parametrize("uuid", ['"' * 16, "\\" * 16, "'''\"\"\"#[[locks]]", "\\u0041]{}==#'\"=x"])
def test_no_uuid_writes_more_than_itself(tmp_path: Path, uuid: str) -> None:
    odd = "a\"\\#]={}'\\u0022"
    prepared = written(service(tmp_path), answers(replace(FRONT, uuid=uuid, device_id=odd)))
    (lock,) = prepared.config.locks
    assert (lock.uuid, lock.device_id, lock.name) == (uuid, odd, "front")


def test_a_name_cannot_pass_for_the_rest_of_its_line() -> None:
    name = 'Front", device-front, online, heard with -40 dBm as DC:23:4D:00:00:01' + " " * 200
    words = Candidate(device=replace(BACK, name=name), name="x").words(listened=True)
    assert words.count('"') == 2
    assert words.index("device-back") < 100


# -- what the air tells


def heard(address: str) -> Nearby:
    return Nearby(
        address=address, name=None, rssi=-50, adapter="hci0", generation="v3", protocol=3,
        security_v2=None, bound=True, wants_connection=False, uuid=None,
        known_as=("device-front",), claim="uuid", age=0.0,
    )  # fmt: skip


def test_of_two_that_claim_to_be_one_lock_neither_is_written_down() -> None:
    """Its address is tried first for as long as the configuration has it."""
    two = [heard("00:00:00:00:00:01"), heard("DC:23:4D:00:00:01")]
    assert sorted_out(two).known == {}
    assert sorted_out(two[1:]).known["device-front"].address == "DC:23:4D:00:00:01"


# -- folders and files


def test_a_secret_is_not_put_into_a_file_that_everybody_reads(tmp_path: Path) -> None:
    machine = own(tmp_path / "own")
    secrets = tmp_path / "own/secrets"
    secrets.mkdir(parents=True)
    (secrets / "cloud-secret").touch(mode=0o644)
    written(machine, answers())
    assert stat.S_IMODE((secrets / "cloud-secret").stat().st_mode) & 0o007 == 0
    assert (secrets / "cloud-secret").read_text() == SECRET + "\n"


@pytest.mark.parametrize("mode", [0o777, 0o775])
def test_a_secret_is_not_put_where_others_write(tmp_path: Path, mode: int) -> None:
    secrets = tmp_path / "own/secrets"
    secrets.mkdir(parents=True)
    secrets.chmod(mode)
    with pytest.raises(InitError, match="secrets"):
        written(own(tmp_path / "own"), answers())
    assert tree(tmp_path) == {}


def test_a_secret_is_not_put_below_a_folder_that_everybody_renames_in(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o777)
    with pytest.raises(InitError, match="shared"):
        written(own(tmp_path / "shared/own"), answers())
    assert tree(tmp_path) == {}


@as_root
def test_root_puts_no_secret_into_somebody_elses_folder(tmp_path: Path) -> None:
    (tmp_path / "theirs/secrets").mkdir(parents=True)
    os.chown(tmp_path / "theirs/secrets", STRANGER, STRANGER)
    with pytest.raises(InitError, match="theirs/secrets"):
        written(own(tmp_path / "theirs"), answers())
    assert tree(tmp_path) == {}


@as_root
def test_root_does_not_follow_somebody_elses_link(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "roots").write_bytes(b"roots")
    (tmp_path / "theirs/a").symlink_to(tmp_path / "roots")
    os.chown(tmp_path / "theirs/a", STRANGER, STRANGER, follow_symlinks=False)
    with pytest.raises(InitError, match="theirs/a"):
        files.write([change(tmp_path / "theirs/a")])
    assert (tmp_path / "roots").read_bytes() == b"roots"


@pytest.mark.parametrize("link", ["etc/bleagent", "etc/bleagent/config.toml", "etc"])
def test_a_mounted_card_leads_to_nothing_of_this_machine(tmp_path: Path, link: str) -> None:
    card, host = tmp_path / "card", tmp_path / "host"
    (card / link).parent.mkdir(parents=True)
    host.mkdir()
    (card / link).symlink_to(host / "config.toml" if link.endswith("toml") else host)
    with pytest.raises(InitError, match="leads out of"):
        written(service(card), answers())
    assert tree(host) == {}


def test_what_is_written_when_the_next_one_fails_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = Path.replace

    def replaces(draft: Path, to: Path) -> Path:
        if to.name == "config.toml":
            raise OSError(16, "Device or resource busy")  # a file that is a mount of its own
        return put(draft, to)

    monkeypatch.setattr(Path, "replace", replaces)
    with pytest.raises(files.PartlyWritten, match="busy") as raised:
        written(service(tmp_path), answers())
    assert "cloud-secret" in str(raised.value)
    assert CONFIG not in tree(tmp_path)
    assert not [path for path in tree(tmp_path) if path.endswith(".new")]


def test_two_secrets_are_not_written_to_one_place(tmp_path: Path) -> None:
    machine = service(tmp_path)
    written(machine, answers(FRONT, BACK))
    config = tmp_path / CONFIG
    text = config.read_text()
    config.write_text(text.replace('"back.local-key"', '"front.local-key"'))
    bound_anew = replace(BACK, local_key=Secret("another-key-0123"))
    again = replace(FRONT, local_key=Secret("another-key-4567"))
    with pytest.raises(InitError, match=r"front\.local-key"):
        machine.prepare(answers(again, bound_anew, configured="front back"))


def test_a_drop_in_that_names_a_place_of_systemds_is_its_owners(tmp_path: Path) -> None:
    machine = service(tmp_path)
    written(machine, answers())
    drop_in = tmp_path / DROP_IN
    odd = drop_in.read_text().replace(f"/{CREDENTIALS}/http-token", "http-token")
    drop_in.write_text(odd)
    with pytest.raises(InitError, match="http-token"):
        machine.prepare(answers(configured="front"))


def test_whatever_else_stands_in_a_drop_in_stays(tmp_path: Path) -> None:
    machine = service(tmp_path)
    drop_in = tmp_path / DROP_IN
    drop_in.parent.mkdir(parents=True)
    drop_in.write_bytes(b"# f\xfcr die T\xfcr\n[Service]\n")
    written(machine, answers())
    assert drop_in.read_bytes().startswith(b"# f\xfcr die T\xfcr\n[Service]\n")
    assert machine.prepare(answers(configured="front")).changes == []


# -- what is said


def test_the_next_commands_can_be_copied_whatever_a_folder_is_called(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    tmp_path = tmp_path_factory.mktemp("x")  # a short one: a socket's name is
    machine = own(tmp_path / "my doors; touch x")
    prepared = written(machine, answers(user=None))
    said = "\n".join(telling.of_next(machine.place, prepared, ""))
    assert f"--config '{tmp_path}/my doors; touch x/config.toml'" in said
    assert f"--unix-socket '{tmp_path}/my doors; touch x/state/http.sock'" in said
    assert f"cat '{tmp_path}/my doors; touch x/secrets/http-token'" in said


def test_a_user_without_a_name_is_asked_for_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 1234")

    monkeypatch.setattr(getpass, "getuser", nobody)
    flow = Flow(Options(directory=tmp_path, yes=True))
    with pytest.raises(InitError, match="expected whose programs"):
        flow._users(None)


def test_a_full_disk_is_told_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(InitError, match="No space left"):
        service(tmp_path).prepare(answers())


@pytest.mark.parametrize("there", [True, False])
def test_what_somebody_writes_while_it_asks_is_not_lost(tmp_path: Path, there: bool) -> None:
    machine = service(tmp_path)
    if there:
        written(machine, answers())
    prepared = machine.prepare(answers(FRONT, BACK, configured="front" if there else ""))
    config = tmp_path / CONFIG
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text("# mine\n")
    before = tree(tmp_path)
    with pytest.raises(InitError, match="changed since it was read"):
        files.write(prepared.changes)
    assert tree(tmp_path) == before


@pytest.mark.parametrize("name", ["bleagent.service.d/override.conf", "bleagent.service"])
def test_what_another_drop_in_hands_over_is_known(tmp_path: Path, name: str) -> None:
    """That one wins: what is written beside it is read by nobody, and the door stays shut."""
    machine = service(tmp_path)
    written(machine, answers())
    lines = (tmp_path / DROP_IN).read_text()
    (tmp_path / DROP_IN).unlink()
    theirs = tmp_path / "etc/systemd/system" / name
    theirs.write_text(lines)
    before = tree(tmp_path)
    assert machine.prepare(answers(configured="front")).changes == []
    bound_anew = replace(FRONT, local_key=Secret("another-key-0123"))
    written(machine, answers(bound_anew, BACK, configured="front"))
    after = tree(tmp_path)
    assert {path for path in before if before[path] != after[path]} == {
        CONFIG, f"{CREDENTIALS}/front.local-key"
    }  # fmt: skip
    assert set(credentials_in((tmp_path / DROP_IN).read_text())) == {
        "back.local-key", "back.sec-key"
    }  # fmt: skip
