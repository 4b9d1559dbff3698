"""Sections [[sinks]] and [records]: read as they are meant, and wrong ones named exactly."""

from __future__ import annotations

from pathlib import Path

import pytest

from bleagent.config.file import Config, load_config
from bleagent.config.secrets import load_secrets
from bleagent.config.sinks import SinkType
from bleagent.errors import ConfigError

BASE = """
[http]
token = { file = "/etc/token" }
[cloud]
base_url = "https://openapi.tuyacn.com"
signer = "none"
[[locks]]
name = "front"
device_id = "device"
uuid = "0123456789abcdef"
local_key = { file = "/etc/key" }
"""
FILE = '[[sinks]]\ntype = "file"\npath = "/var/log/records.jsonl"\n'
HOOK = '[[sinks]]\ntype = "webhook"\nurl = "https://x.org/"\nsecret = { file = "/etc/hook" }\n'
LINK = (
    '[[sinks]]\ntype = "tuyalink"\nbroker = "m1.tuyacn.com:8883"\ngateway_id = "gw"\n'
    'secret = { file = "/etc/link" }\n'
)


def read(tmp_path: Path, text: str, base: str = BASE) -> Config:
    path = tmp_path / "config.toml"
    path.write_text(base + text)
    return load_config(path)


def complaint(tmp_path: Path, text: str, base: str = BASE) -> str:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text, base)
    return str(caught.value)


def test_several_at_once(tmp_path: Path) -> None:
    config = read(tmp_path, '[[sinks]]\ntype = "openapi"\n' + FILE + HOOK + LINK)
    assert [(one.type, one.named) for one in config.sinks] == [
        (SinkType.OPENAPI, "openapi"), (SinkType.FILE, "file"), (SinkType.WEBHOOK, "webhook"),
        (SinkType.TUYALINK, "tuyalink"),
    ]  # fmt: skip
    assert config.sinks[3].broker_at == ("m1.tuyacn.com", 8883)


def test_none_is_fine_and_so_are_the_defaults(tmp_path: Path) -> None:
    config = read(tmp_path, "")
    assert config.sinks == ()
    assert (config.records.capacity, config.records.keep_days) == (100_000, 400)
    assert config.records.hold_minutes == 60


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[[sinks]]\ntype = "fax"\n', 'sinks[0].type: found "fax", expected openapi, tuyalink'),
        ('[[sinks]]\nname = "x"\n', "sinks[0].type: found nothing, expected openapi"),
        ('[[sinks]]\ntype = "file"\n', "sinks[0]: found file without path, expected path with it"),
        ('[[sinks]]\ntype = "webhook"\nurl = "https://x.org"\n', "webhook without secret"),
        (FILE + 'url = "https://x.org"\n', "found url with type file, expected only keep, "),
        (FILE + "pth = 1\n", "sinks[0].pth: found an unknown key"),
        (FILE + FILE, 'two sinks with name "file"'),
        (FILE + FILE + 'name = "b"\n', 'two sinks with path "/var/log/records.jsonl"'),
        (HOOK.replace("https", "HTTP"), "an http:// url, expected https://, or allow_private"),
        (HOOK.replace("x.org", "x.org:99999"), "sinks[0].url: found"),
        (HOOK.replace("x.org", "x..org"), "sinks[0].url: found"),
        (HOOK.replace("x.org", "tür.org"), "sinks[0].url: found"),
        (LINK.replace("8883", "99999"), "host:port of the broker"),
        (HOOK.replace("https", "http"), "an http:// url, expected https://, or allow_private"),
        (HOOK.replace("https://x.org/", "https://me:pw@x.org/"), "sinks[0].url: found"),
        (LINK + "tls = false\n", "tls = false with a broker elsewhere"),
        (LINK.replace(":8883", ""), "host:port of the broker"),
        ("[records]\ncapacity = 5\n", "records.capacity: found 5, expected records, from 1000"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, words: str) -> None:
    said = complaint(tmp_path, text)
    assert words in said
    assert "pw" not in said


def test_a_product_may_call_its_datapoints_otherwise(tmp_path: Path) -> None:
    config = read(tmp_path, '[locks.codes]\n19 = "unlock_app"\n')
    assert config.locks[0].codes == {"19": "unlock_app"}
    assert "locks[0].codes" in complaint(tmp_path, '[locks.codes]\nnineteen = "unlock_app"\n')


def test_records_may_be_left_to_somebody_else(tmp_path: Path) -> None:
    config = read(tmp_path, 'backlog = "leave"\n')
    assert config.locks[0].policy().backlog == "leave"
    assert "expected take or leave" in complaint(tmp_path, 'backlog = "no"\n')


def test_their_secrets_are_read_with_the_others(tmp_path: Path) -> None:
    for name in ("token", "key", "hook"):
        path = tmp_path / name
        path.touch(0o600)
        path.write_text("0123456789abcdef\n")
    text = (BASE + HOOK).replace("/etc/", f"{tmp_path}/")
    found = load_secrets(read(tmp_path, "", text), None)
    assert found.sinks["webhook"].reveal() == b"0123456789abcdef"
    assert "0123456789abcdef" not in repr(found)
