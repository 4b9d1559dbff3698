"""Where the commands find the daemon, and where they do not send its token."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from socket import AF_UNIX, socket
from tempfile import TemporaryDirectory

import pytest
from typer.testing import CliRunner

from bleagent.cli import app
from bleagent.commands import daemon_client
from bleagent.commands.daemon_client import (
    DaemonAway,
    DaemonClient,
    DaemonUnnamed,
    find_daemon,
)
from bleagent.errors import AgentError, CertificateError, SecretError

TOKEN = "CANARY-token-0123456789"


def configured(folder: Path, http: str = "", token: str | None = None) -> Path:
    secret = folder / "token"
    secret.touch(0o600)
    secret.write_text(TOKEN + "\n")
    path = folder / "config.toml"
    source = token or f'{{ file = "{secret}" }}'
    path.write_text(
        f"[http]\ntoken = {source}\n{http}\n"
        '[cloud]\nbase_url = "https://cloud.example"\nsigner = "none"\n'
        '[[locks]]\nname = "front"\ndevice_id = "d"\nuuid = "tuya0123456789ab"\n'
        'local_key = { file = "/nowhere/key" }\n'
    )
    return path


@pytest.mark.parametrize(
    ("http", "url"),
    [
        ("tcp = true", "http://127.0.0.1:8580"),
        ("port = 81", "http://127.0.0.1:81"),
        ('host = "::1"', "http://[::1]:8580"),
        ('host = "localhost"', "http://localhost:8580"),
    ],
)
def test_the_configuration_says_where_and_what_to_show(tmp_path: Path, http: str, url: str) -> None:
    found = find_daemon(configured(tmp_path, http), None, None)
    assert found.url == url
    assert found.token is not None
    assert found.token.reveal() == TOKEN.encode()
    assert TOKEN not in repr(found)


SHOWN = 'tls = { certificate = "/c.pem", key = { file = "/k" } }\n'


@pytest.mark.parametrize(
    ("http", "url"),
    [
        ("", "https://127.0.0.1:8580"), ('host = "0.0.0.0"', "https://127.0.0.1:8580"),
        ('host = "::"', "https://[::1]:8580"), ('host = "gate.lan"', "https://gate.lan:8580"),
    ],
)  # fmt: skip
def test_with_tls_only_the_configured_certificate_is_trusted(
    tmp_path: Path, http: str, url: str
) -> None:
    config = configured(tmp_path, f"{SHOWN}{http}")
    found = find_daemon(config, None, None)
    assert (found.url, found.certificate) == (url, Path("/c.pem"))
    assert find_daemon(config, "https://gate.lan", None).certificate == Path("/c.pem")
    assert find_daemon(config, "http://[::1]:1", None).certificate is None
    with pytest.raises(CertificateError, match="No such file"):
        DaemonClient(found)


def test_what_is_said_counts_more_and_is_enough(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.touch(0o600)
    other.write_text("another")
    config = configured(tmp_path, "port = 0", '{ credential = "nowhere" }')
    for known in (config, None):
        found = find_daemon(known, "https://gateway.example/", other)
        assert found.token is not None
        assert (found.url, found.token.reveal()) == ("https://gateway.example", b"another")


@pytest.mark.parametrize(
    "url",
    [
        "http://gateway.example:8580", "http://192.168.1.2", "ftp://127.0.0.1", "127.0.0.1:8580",
        "http://", "http://user@127.0.0.1", "http://127.0.0.1/?x=1", "http://127.0.0.1:port",
        "http://[::1", "",
    ],
)  # fmt: skip
def test_the_token_goes_to_this_machine_or_through_tls(tmp_path: Path, url: str) -> None:
    with pytest.raises(DaemonUnnamed, match="http:// on loopback or https://"):
        find_daemon(configured(tmp_path), url, None)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://[::1]:1", "http://localhost"])
def test_this_machine_has_several_names(tmp_path: Path, url: str) -> None:
    assert find_daemon(configured(tmp_path), url, None).url == url


@pytest.mark.parametrize(
    ("url", "token"), [(None, None), ("http://127.0.0.1:1", None), (None, Path("token"))]
)
def test_too_little_is_told(url: str | None, token: Path | None) -> None:
    with pytest.raises(DaemonUnnamed) as caught:
        find_daemon(None, url, token)
    assert "--config" in caught.value.advice


def test_any_free_port_is_not_known(tmp_path: Path) -> None:
    with pytest.raises(DaemonUnnamed, match="port is 0") as caught:
        find_daemon(configured(tmp_path, "port = 0"), None, None)
    assert caught.value.advice == "Give --url and --token-file."
    assert "--config" not in str(caught.value)


CREDENTIAL = '{ credential = "http-token" }'


def test_a_credential_of_the_unit_is_not_there_for_a_person(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with pytest.raises(SecretError, match="--token-file can name the file"):
        find_daemon(configured(tmp_path, "tcp = true", token=CREDENTIAL), None, None)


@pytest.fixture
def door(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A socket at which somebody listens, where the service has its own."""
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with TemporaryDirectory() as folder, socket(AF_UNIX) as listener:  # a short name
        path = Path(folder) / "http.sock"
        listener.bind(str(path))
        monkeypatch.setattr(daemon_client, "SERVICE_SOCKET", path)
        yield path


def test_who_may_not_read_the_token_is_known_by_the_socket(tmp_path: Path, door: Path) -> None:
    config = configured(tmp_path, f'socket = "{door}"', token=CREDENTIAL)
    found = find_daemon(config, None, None)
    assert (found.socket, found.token, found.url) == (door, None, "http://localhost")
    with DaemonClient(found) as client:
        assert "authorization" not in client._client.headers
    with pytest.raises(SecretError):  # where a person says to ask, only a token goes
        find_daemon(config, "http://127.0.0.1:1", None)


def test_without_a_socket_the_service_does_not_run(tmp_path: Path, door: Path) -> None:
    config = configured(tmp_path, f'socket = "{door}"', token=CREDENTIAL)
    door.unlink()
    with pytest.raises(DaemonAway, match="the service is not running") as caught:
        find_daemon(config, None, None)
    assert "journalctl -u bleagent" in caught.value.advice
    assert daemon_client.service_address() is None


def test_the_service_has_its_place(
    tmp_path: Path, door: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemon_client, "SERVICE_CONFIG", configured(tmp_path, "port = 81"))
    assert find_daemon(None, None, None).url == "http://127.0.0.1:81"
    found = daemon_client.service_address()
    assert found is not None
    assert (found.socket, found.token) == (door, None)


@pytest.mark.parametrize("wrong", ["nonsense = 1", "port = 1"])
def test_status_asks_the_service_whose_file_says_something_else(
    tmp_path: Path, door: Path, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    def readiness(client: DaemonClient) -> dict[str, object]:
        if client._url != str(door):
            raise DaemonAway("nobody answers")
        return {"ready": True, "parts": {}}

    monkeypatch.setattr(DaemonClient, "readiness", readiness)
    monkeypatch.setattr(DaemonClient, "locks", lambda _: {"locks": []})
    config = configured(tmp_path, wrong)
    another = CliRunner().invoke(app, ["status", "--config", str(config)])
    assert (another.exit_code, another.stdout) == (2, "")  # of another daemon it is no answer
    monkeypatch.setattr(daemon_client, "SERVICE_CONFIG", config)
    at = ["--config", str(config), "--url", "http://127.0.0.1:1"]
    assert CliRunner().invoke(app, ["status", *at]).exit_code == 2
    done = CliRunner().invoke(app, ["status", "--config", str(config)])
    assert (done.exit_code, done.stdout.splitlines()[0]) == (0, "ready: doors can be opened")
    assert "runs by another configuration" in done.stderr
    assert "nonsense" in done.stderr or "nobody answers" in done.stderr
    door.unlink()
    assert CliRunner().invoke(app, ["status", "--config", str(config)]).exit_code == 2


def test_a_token_that_others_can_read_is_not_used(tmp_path: Path) -> None:
    config = configured(tmp_path)
    (tmp_path / "token").chmod(0o644)
    with pytest.raises(AgentError) as caught:
        find_daemon(config, None, tmp_path / "token")
    assert TOKEN not in str(caught.value)
