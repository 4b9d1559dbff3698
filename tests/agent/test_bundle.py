"""A support bundle: secrets planted everywhere, in every form, and none of them leaves."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import anyio
import pytest
from typer.testing import CliRunner

from bleagent.bundle.contents import Part, cleaned, packed
from bleagent.bundle.machine import Asked, Bundle, collect
from bleagent.bundle.redaction import Redaction
from bleagent.cli import app
from bleagent.config import load_config
from bleagent.config.shown import identities, secret_places, shown
from bleagent.errors import ConfigError
from protocol import Secret
from tests.system.canary import Canary, forms

SECRETS = {
    "token": b"CANARY-token/0123456789",
    "cloud": b"CANARYcloud?secret=ab01",
    "local": b"CANARYlocal+key/",
    "sec": b"CANARYsec'key\"01",
    "auth": b"CANARYauthkey" + b"x" * 19,
    "hook": b"whsec_CANARYhook",
    "sink": b"CANARY-webhook-sink",
    "vault": bytes(range(200, 232)),
    "pem": b"CANARYline/of+a+PEM+that+is+long",
}
WHOSE = {
    "device": b"vdevo16036791579", "uuid": b"tuya0123456789ab", "client": b"client0of0somebody",
    "address": b"DC:23:4D:00:00:01",
    "path": b"path-that-is-a-secret",
}  # fmt: skip


@pytest.fixture(autouse=True)
def no_bluetooth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", f"unix:path={tmp_path}/nothing")
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)


def site(folder: Path) -> Path:
    """A configuration with all of them."""
    state = folder / "state"
    state.mkdir(0o700)
    for name, value in SECRETS.items():
        path = state / "vault.key" if name == "vault" else folder / name
        path.touch(0o600)
        path.write_bytes(value if name in ("vault", "pem") else value + b"\n")
    (folder / "pem").write_bytes(
        b"-----BEGIN X-----\n" + SECRETS["pem"] + b"\nabc\n-----END X-----\n"
    )
    # A database is never in it, whatever is in the database.
    header = bytearray(b"SQLite format 3\0".ljust(100, b"\0"))
    header[63] = 7
    (state / "operations.db").write_bytes(bytes(header) + b"".join(SECRETS.values()))

    def at(name: str) -> str:
        return f'{{ file = "{folder}/{name}" }}'

    path = folder / "config.toml"
    path.write_text(
        f'state_dir = "{state}"\n[http]\ntoken = {at("token")}\nport = 9\n'
        f'tls = {{ certificate = "{folder}/c.pem", key = {at("pem")} }}\n'
        f'[cloud]\nbase_url = "https://cloud.example/{WHOSE["path"].decode()}"\n'
        f'client_id = "{WHOSE["client"].decode()}"\nsecret = {at("cloud")}\n'
        f'[[sinks]]\ntype = "webhook"\nurl = "https://a.example/{WHOSE["path"].decode()}"\n'
        f"secret = {at('sink')}\n"
        f'[webhooks.home]\nurl = "https://b.example/{WHOSE["path"].decode()}"\n'
        f"secret = {at('hook')}\n"
        f'[[locks]]\nname = "front"\ndevice_id = "{WHOSE["device"].decode()}"\n'
        f'uuid = "{WHOSE["uuid"].decode()}"\naddress = "{WHOSE["address"].decode()}"\n'
        f"local_key = {at('local')}\nsec_key = {at('sec')}\nauth_key = {at('auth')}\n"
        'strategies = { offline = "cached" }\n'
    )
    return path


def leaking(command: tuple[str, ...]) -> str | None:
    """A machine whose journal is full of them."""
    if command[0] != "journalctl":
        return None
    lines = ["a harmless line"]
    for name, value in {**SECRETS, **WHOSE}.items():
        for form, written in forms(value).items():
            lines.append(f"{name} as {form}: >{written.decode('latin-1')}<")
    lines.append("hci0: /org/bluez/hci0/dev_DC_23_4D_00_00_01, neighbour aa:bb:cc:dd:ee:ff")
    return "\n".join(lines)


def gathered(path: Path) -> Bundle:
    async def main() -> Bundle:
        return await collect(Asked(config=path), command=leaking)

    return anyio.run(main)


def unpacked(raw: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(raw)) as archive:
        members = archive.getmembers()
        assert {one.mode for one in members} == {0o600}
        found = {one.name: archive.extractfile(one) for one in members}
        return {name: file.read() for name, file in found.items() if file is not None}


def test_none_of_what_was_planted_leaves(tmp_path: Path) -> None:
    bundle = gathered(site(tmp_path))
    assert bundle.unread == []
    files = unpacked(packed(bundle.parts, unix=0))
    assert set(files) == {
        f"bleagent-support/{name}"
        for name in (
            "version.json", "configuration.json", "doctor.json", "status.json", "store.json",
            "journal.txt",
        )
    }  # fmt: skip
    canary = Canary(SECRETS)
    assert canary.in_all(files.items()) == []
    for name, raw in files.items():
        for who, value in WHOSE.items():
            if who != "path" or "journal" not in name:
                assert value not in raw, (name, who)
    # And the search can find: there they are.
    assert len(canary.in_all([("journal", leaking(("journalctl",)) or "")])) > 100
    journal = files["bleagent-support/journal.txt"].decode()
    assert "a harmless line" in journal
    assert "[left out: http.token stood here]" in journal
    assert "DC_23_4D" not in journal
    assert "aa:bb:cc" not in journal


def test_what_helps_is_in_it(tmp_path: Path) -> None:
    parts = {one.name: one.text for one in gathered(site(tmp_path)).parts}
    said = json.loads(parts["configuration.json"])
    assert said["http"]["token"] == {"file": f"{tmp_path}/token"}
    assert said["cloud"]["base_url"] == "https://cloud.example"
    assert said["cloud"]["client_id"] == "*** (18 characters)"
    assert said["locks"][0]["strategies"]["offline"] == "cached"
    assert said["locks"][0]["name"] == "front"
    assert json.loads(parts["store.json"])["operations"]["version"] == 7
    assert json.loads(parts["store.json"])["records"] == {"unread": "No such file or directory"}
    assert json.loads(parts["status.json"])["asked"] is False
    assert json.loads(parts["doctor.json"])["checks"]
    assert json.loads(parts["version.json"])["libraries"]["bleak"]


def test_where_a_secret_cannot_be_read_the_log_stays_here(tmp_path: Path) -> None:
    path = site(tmp_path)
    (tmp_path / "local").chmod(0o644)  # which is refused
    bundle = gathered(path)
    assert bundle.unread == ["locks.front.local_key"]
    journal = next(one.text for one in bundle.parts if one.name == "journal.txt")
    assert journal.startswith("left out")


def test_a_configuration_with_a_mistake_is_told_without_its_values(tmp_path: Path) -> None:
    path = site(tmp_path)
    path.write_text(path.read_text() + f'local_kye = "{SECRETS["local"].decode()}"\n')
    bundle = gathered(path)
    parts = {one.name: one.text for one in bundle.parts}
    assert "local_kye" in parts["configuration.json"]
    assert parts["journal.txt"].startswith("left out")
    assert Canary(SECRETS).in_all(parts.items()) == []
    with pytest.raises(ConfigError):
        gathered(tmp_path / "nowhere")


def test_a_secret_across_lines_costs_the_whole_part() -> None:
    redaction = Redaction({"key": Secret(b"two\nhalves\n")}, {})
    clean = cleaned([Part(name="x", text="a\ntwo\nhalves\n")], redaction, all_known=True)
    assert clean[0].text == "left out: a secret stood in it\n"


@pytest.mark.parametrize("end", ["\x0b", "\x1c", "\x85", "\r"])
def test_what_python_calls_a_line_end_hides_no_key(end: str) -> None:
    key = f"half of it{end}and the other"
    redaction = Redaction({"key": Secret(key.encode("latin-1"))}, {})
    assert redaction.clean(f"a\n{key}\nb\n") == "a\n[left out: key stood here]\nb\n"


def test_whose_lock_it_is_is_found_in_either_case() -> None:
    redaction = Redaction({}, {"uuid": "Tuya0123456789Ab", "short": "abc"})
    text = "tuya0123456789ab TUYA0123456789AB Tuya0123456789Ab abc\n"
    assert redaction.clean(text) == "<uuid> <uuid> <uuid> abc\n"


def test_every_secret_and_identity_of_a_configuration_is_known(tmp_path: Path) -> None:
    config = load_config(site(tmp_path))
    assert {name for name, _ in secret_places(config)} == {
        "http.token", "http.tls.key", "cloud.secret", "sinks.0.secret", "webhooks.home.secret",
        "locks.front.local_key", "locks.front.sec_key", "locks.front.auth_key",
    }  # fmt: skip
    assert identities(config) == {
        "cloud.client_id": "client0of0somebody", "locks.front.device_id": "vdevo16036791579",
        "locks.front.uuid": "tuya0123456789ab", "locks.front.address": "DC:23:4D:00:00:01",
    }  # fmt: skip
    assert shown(config)["webhooks"]["home"]["url"].startswith("***")


def test_it_is_listed_and_asked_for_before_it_is_written(tmp_path: Path) -> None:
    config, output = site(tmp_path), tmp_path / "out.tar.gz"
    command = ["support-bundle", "--config", str(config), "--output", str(output)]
    asked = CliRunner().invoke(app, command, input="n\n")
    assert (asked.exit_code, output.exists()) == (1, False)
    assert "configuration.json" in asked.output
    written = CliRunner().invoke(app, [*command, "--yes"])
    assert written.exit_code == 0, written.output
    assert output.stat().st_mode & 0o777 == 0o600
    assert Canary(SECRETS).in_all(unpacked(output.read_bytes()).items()) == []
    before = output.read_bytes()
    again = CliRunner().invoke(app, [*command, "--yes"])
    assert (again.exit_code, output.read_bytes()) == (2, before)
    assert "name another --output" in again.stderr
    output.unlink()
    output.symlink_to(tmp_path / "elsewhere")
    assert CliRunner().invoke(app, [*command, "--yes"]).exit_code == 2
    assert not (tmp_path / "elsewhere").exists()
