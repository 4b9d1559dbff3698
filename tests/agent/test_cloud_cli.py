"""``bleagent cloud``: what it lists, what it sends, and what it never shows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from bleagent.cli import app
from bleagent.cloud import shown
from bleagent.cloud.catalogue import CATALOGUE, find
from bleagent.commands import cloud as cloud_cli
from bleagent.simulator.virtual_cloud import CLIENT_ID, CLIENT_SECRET
from tests.agent.api_world import served
from tests.agent.cloud_world import CODE, DEVICE

KEY = "LOCALKEYcanary00"
ENCRYPTED = "8F8AD3F0CFD6ECA192126E4AD28A73F2"


def run(*words: str, stdin: str | None = None, **environ: str) -> Result:
    return CliRunner().invoke(app, ["cloud", *words], input=stdin, env=environ)


def configured(folder: Path, base_url: str, cloud: str = "") -> str:
    secret = folder / "cloud-secret"
    secret.touch(0o600)
    secret.write_bytes(CLIENT_SECRET.reveal() + b"\n")
    path = folder / "config.toml"
    path.write_text(
        '[http]\ntoken = { file = "/nowhere/token" }\n'
        f'[cloud]\nbase_url = "{base_url}"\nclient_id = "{CLIENT_ID}"\n'
        f'secret = {{ file = "{secret}" }}\n{cloud}\n'
        '[[locks]]\nname = "front"\ndevice_id = "d"\nuuid = "tuya0123456789ab"\n'
        'local_key = { file = "/nowhere/key" }\n'
    )
    return str(path)


@pytest.fixture
def config(tmp_path: Path) -> str:
    """Of a cloud that nobody is."""
    return configured(tmp_path, "https://cloud.example", 'panel_url = "https://relay.example/p"')


# -- what there is


def test_all_are_listed_with_what_each_does_and_where_it_goes() -> None:
    title, *lines = run("list").stdout.splitlines()
    assert title.split() == ["name", "group", "goes", "by", "what", "it", "does"]
    assert [line.split()[0] for line in lines] == [api.key for api in CATALOGUE]
    for line, api in zip(lines, CATALOGUE, strict=True):
        assert line.endswith(api.purpose)
        assert ", ".join(api.ways) in line


def test_the_list_is_json_for_programs() -> None:
    found = [json.loads(line) for line in run("list", "--json").stdout.splitlines()]
    assert [one["name"] for one in found] == [api.name for api in CATALOGUE]
    ticket = next(one for one in found if one["name"] == "doorLock.passwordTicket")
    assert ticket["transports"] == ["action", "openapi"]
    assert ticket["paths"][1] == "POST /v1.0/smart-lock/devices/{device_id}/password-ticket"
    only = run("list", "--json", "--group", "sharing").stdout.splitlines()
    assert len(only) == 4


def test_the_readme_has_this_table() -> None:
    # Made with: bleagent cloud list --markdown
    readme = Path(__file__).resolve().parents[2] / "README.md"
    assert run("list", "--markdown").stdout in readme.read_text(encoding="utf-8")


@pytest.mark.parametrize("api", CATALOGUE, ids=lambda api: api.key)
def test_each_can_be_described(api: Any) -> None:
    said = run("describe", api.key).stdout
    assert said.startswith(f"{api.key}: {api.purpose}\n")
    for field in api.takes:
        assert f"    {field.name} " in said
    assert (api.no_path or api.paths[0].path) in said
    assert json.loads(run("describe", api.key, "--json").stdout)["purpose"] == api.purpose


def test_what_may_move_a_bolt_is_described_as_that() -> None:
    assert "beware    it may move a bolt at once" in run("describe", "videoDoor.open").stdout


def test_what_a_kind_of_lock_needs_or_lacks_is_described() -> None:
    said = run("describe", "doorLock.modifyTemporaryPassword").stdout
    assert "may be left out; needed for zigbee locks;" in said
    assert "to rename needs name\n" in said
    assert "may be left out; not for bluetooth locks; secret;" in said


def completed(*words: str) -> list[str]:
    """What a shell offers for the last word."""
    asked = {
        "_BLEAGENT_COMPLETE": "complete_bash",
        "COMP_WORDS": " ".join(("bleagent cloud", *words)),
        "COMP_CWORD": str(len(words) + 1),
    }
    return CliRunner().invoke(app, [], prog_name="bleagent", env=asked).stdout.split()


def test_names_are_completed() -> None:
    assert completed("describe", "doorLock.listU") == [
        "doorLock.listUnallocatedOpmodes",
        "doorLock.listUserOpmodes",
        "doorLock.listUsers",
    ]


def test_what_an_api_takes_is_completed() -> None:
    assert completed("call", "doorLock.getMediaUrl", "") == ["device_id=", "file_type="]
    assert completed("call", "doorLock.listRecords", "device_id=7", "st") == ["start_time="]
    assert completed("call", "doorLock.createTemporaryPassword", "pi") == ["pin="]
    assert completed("call", "doorLock.nobody", "") == []


# -- what would be sent


def test_a_request_is_shown_and_not_sent(config: str) -> None:
    said = run(
        "call", "doorLock.passwordFreeOpen", "device_id=d", "ticket_id=KEEPOUT", "-c", config,
        "--dry-run", "--json",
    )  # fmt: skip
    assert json.loads(said.stdout) == {
        "method": "POST",
        "url": "https://cloud.example/faas",
        "body": {
            "action": "doorLock.passwordFreeOpen",
            "params": {"device_id": "d", "ticket_id": "***"},
        },
        "signed": "faas",
    }
    assert "KEEPOUT" not in said.stdout + said.stderr
    assert "ticket_id on a command line is seen by others" in said.stderr


def test_a_request_is_shown_to_people(config: str) -> None:
    said = run(
        "call", "tuya.m.device.lock.gesturepwd.validate", "devId=d", "password=KEEPOUT",
        "--config", config, "--dry-run",
    )  # fmt: skip
    assert said.stdout.startswith("POST https://relay.example/p\nsigned: not; the relay is signed")
    assert '"version": "1.0"' in said.stdout
    assert "KEEPOUT" not in said.stdout + said.stderr
    assert "nothing was sent" in said.stderr


@pytest.mark.parametrize(
    ("cloud", "url", "signed"),
    [
        ('transport = "openapi"\nsigner = "openapi"',
         f"https://cloud.example/v1.0/devices/{DEVICE}/door-lock/dynamic-password",
         "openapi, with an access token"),
        ('signer = "openapi"', "https://cloud.example/faas", "openapi, with an access token"),
        ('signer = "none"', "https://cloud.example/faas", "not"),
    ],
)  # fmt: skip
def test_a_request_goes_as_the_configuration_says(
    tmp_path: Path, cloud: str, url: str, signed: str
) -> None:
    config = configured(tmp_path, "https://cloud.example", cloud)
    name = "doorLock.getDynamicPassword"
    said = run("call", name, f"device_id={DEVICE}", "-c", config, "--dry-run", "--json")
    found = json.loads(said.stdout)
    assert (found["url"], found["signed"]) == (url, signed)


# -- what is refused before anything is sent


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["doorLock.listRecord", "device_id=d"], "did you mean doorLock.listRecords or"),
        (["doorLock.alarmLogs", "device_id"], "found 'device_id', expected KEY=VALUE"),
        (["doorLock.alarmLogs"], "device_id: found nothing, expected an id"),
        (["doorLock.alarmLogs", "device_id=d", "page_no=0"], "page_no: found '0', expected a page"),
        (
            ["doorLock.openDoor", "device_id=d", "--yes"],
            "zigbee only, and this one is called bluetooth",
        ),
        (["videoDoor.open", "device_id=d", "person_id=p"], "may move a bolt at once; say --yes"),
        (["doorLock.alarmLogs", "device_id=@/nowhere/id"], "device_id: @/nowhere/id cannot be"),
    ],
)
def test_what_is_wrong_is_told_and_nothing_sent(config: str, words: list[str], why: str) -> None:
    said = run("call", *words, "-c", config)
    assert (said.exit_code, said.stdout) == (2, "")
    assert why in said.stderr


def test_a_way_that_there_is_not_is_told(tmp_path: Path) -> None:
    config = configured(tmp_path, "https://cloud.example")
    said = run("call", "tuya.m.zigbee.member.list", "-c", config)
    assert said.exit_code == 2
    assert "panel_url under [cloud]" in said.stderr


def test_a_configuration_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    said = run("call", "timer.currentTime", "-c", str(tmp_path / "none.toml"))
    assert said.exit_code == 2
    assert "there is no such file" in said.stderr


# -- what is answered


def test_a_call_is_answered_without_its_secrets(tmp_path: Path) -> None:
    with served() as cloud:
        config = configured(tmp_path, cloud.base_url)
        words = ("call", "device.getListByIds", f"device_ids={DEVICE}", "-c", config, "--json")
        masked, bare = run(*words), run(*words, "--show-secrets")
        (device,) = json.loads(masked.stdout)
        assert (device["id"], device["local_key"]) == (DEVICE, "***")
        assert device["active_time"] == "2021-05-26T03:40:24+00:00"
        assert KEY not in masked.stdout + masked.stderr
        assert json.loads(bare.stdout)[0]["local_key"] == KEY
        for name in ("doorLock.getIssuedConfig", "doorLock.passwordTicket"):
            said = run("call", name, f"device_id={DEVICE}", "-c", config)
            assert said.exit_code == 0
            assert "***" in said.stdout
            assert CODE.reveal().hex() not in said.stdout


def test_rows_are_shown_as_a_table(tmp_path: Path) -> None:
    with served() as cloud:
        config = configured(tmp_path, cloud.base_url)
        said = run("call", "doorLock.remoteUnlocks", f"device_id={DEVICE}", "-c", config)
        title, first, _ = said.stdout.splitlines()
        assert title.split() == ["remote_unlock_type", "open", "device_id"]
        assert first.split() == ["remoteUnlockWithoutPwd", "true", DEVICE]
        page = run("call", "doorLock.listUsers", f"device_id={DEVICE}", "-c", config).stdout
        assert "records:\nuser_id" in page
        assert "James" in page
        assert "has_more: false" in page
        done = run("call", "device.control", f"device_id={DEVICE}", "--yes", "-c", config,
                   'commands=[{"code": "x", "value": 1}]')  # fmt: skip
        assert done.stdout == "true\n"
        assert cloud.members.commands == [(DEVICE, [{"code": "x", "value": 1}])]


def test_a_parameter_may_come_from_a_file_or_the_input(tmp_path: Path) -> None:
    (tmp_path / "id").write_text(f"{DEVICE}\n")
    with served() as cloud:
        config = configured(tmp_path, cloud.base_url)
        name = "doorLock.loglatest"
        for value, stdin in (("@-", f"{DEVICE}\n"), (f"@{tmp_path / 'id'}", None)):
            said = run("call", name, f"device_id={value}", "-c", config, stdin=stdin)
            assert "logType: dev_bind" in said.stdout


def test_the_clouds_no_is_told_with_its_tid(tmp_path: Path) -> None:
    with served() as cloud:
        config = configured(tmp_path, cloud.base_url)
        said = run("call", "doorLock.passwordTicket", "device_id=another", "-c", config)
    assert said.exit_code == 1
    assert "code 1106, tid virtual" in said.stderr


def test_signs_that_a_terminal_would_obey_are_not_shown(tmp_path: Path) -> None:
    with served() as cloud:
        cloud.actions.locks[DEVICE].name = "\x1b[2Jdoor"
        config = configured(tmp_path, cloud.base_url)
        said = run("call", "device.getListByIds", f"device_ids={DEVICE}", "-c", config)
        assert "[2Jdoor" in said.stdout
        assert "\x1b" not in said.stdout


PASSWORD = (
    "doorLock.createTemporaryPassword", f"device_id={DEVICE}", "name=Jane", "pin=@-",
    "effective_time=2099-01-01T00:00:00Z", "invalid_time=2099-01-02T00:00:00Z",
)  # fmt: skip


def test_a_pin_gets_its_ticket_by_itself(tmp_path: Path) -> None:
    with served() as cloud:
        config = configured(tmp_path, cloud.base_url)
        said = run("call", *PASSWORD, "-c", config, "--json", stdin="123456\n")
        made = int(json.loads(said.stdout)["id"])
        assert cloud.passwords.passwords[made].pin.reveal() == b"123456"
        assert said.stderr == ""
        assert cloud.calls == {
            "doorLock.passwordTicket": 1, "doorLock.createTemporaryPassword": 1
        }  # fmt: skip


def test_a_pin_is_neither_shown_nor_fetched_a_ticket_for(config: str) -> None:
    said = run("call", *PASSWORD, "-c", config, "--dry-run", "--json", stdin="123456")
    params = json.loads(said.stdout)["body"]["params"]
    assert (params["password"], params["ticket_id"]) == ("***", "***")
    said = run("call", *PASSWORD, "-c", config, stdin="1234567")
    assert said.exit_code == 2
    assert "PIN: found 7 digits, expected 6 digits for a bluetooth lock" in said.stderr
    for pin in ("123456", "1234567"):
        words = [word.replace("pin=@-", f"pin={pin}") for word in PASSWORD]
        said = run("call", *words, "-c", config, "--dry-run")
        assert pin not in said.stdout + said.stderr
        assert "pin on a command line is seen by others" in said.stderr
    said = run("call", "doorLock.listUsers", "pin=1", "-c", config)
    assert "found 'pin', expected device_id" in said.stderr


@pytest.mark.parametrize(
    ("value", "lines"),
    [
        (True, ["true"]),
        (None, ["-"]),
        ([], ["[]"]),
        ([{}], ["[{}]"]),
        ([{}, {"a": 1}], ["a", "-", "1"]),
        ({"a": [{}], "b": None}, ["a: [{}]", "b: -"]),
        ([{"a": "x"}, 7], ['[{"a": "x"}, 7]']),
    ],
)
def test_whatever_is_answered_can_be_shown(value: Any, lines: list[str]) -> None:
    assert list(cloud_cli._lines(value)) == lines


# -- masking


@pytest.mark.parametrize(
    ("name", "told", "masked"),
    [
        ("doorLock.passwordTicket", {"ticket_key": "x", "expire_time": 3, "ticket_id": ""},
         {"ticket_key": "***", "expire_time": 3, "ticket_id": ""}),
        ("doorLock.getUser", {"newToken": "x", "nick_name": "y"},
         {"newToken": "***", "nick_name": "y"}),
        ("doorLock.listRecords",
         {"records": [{"media_info_list": [{"file_key": "x", "bucket": "b"}]}], "total": 1},
         {"records": [{"media_info_list": [{"file_key": "***", "bucket": "b"}]}], "total": 1}),
        ("device.status", [{"code": "ble_unlock_check", "value": "x"}, {"code": "a", "value": 1}],
         [{"code": "ble_unlock_check", "value": "***"}, {"code": "a", "value": 1}]),
        ("doorLock.getUser", {"extra": {"deep": [{"localKey": "x"}]}},
         {"extra": {"deep": [{"localKey": "***"}]}}),
    ],
)  # fmt: skip
def test_secrets_are_masked_wherever_they_stand(name: str, told: Any, masked: Any) -> None:
    api = find(name)
    assert api is not None
    assert shown.result(api, told) == masked
