"""Sections [webhooks.NAME]: read as they are meant, and wrong ones named exactly."""

from __future__ import annotations

from pathlib import Path

import pytest

from bleagent.config.secrets import load_secrets
from bleagent.config.webhooks import MOST
from bleagent.errors import SecretError
from tests.agent.test_config_sinks import BASE, complaint, read

PLAIN = 'url = "https://x.org/"\nsecret = { file = "/etc/hook" }\n'
HOME = "[webhooks.home]\n" + PLAIN


def test_by_default_all_is_told_of_all_locks(tmp_path: Path) -> None:
    (found,) = read(tmp_path, HOME).webhooks.items()
    assert found[0] == "home"
    assert (found[1].events, found[1].locks) == (("operation", "evidence"), None)
    assert not found[1].allow_private
    assert read(tmp_path, "").webhooks == {}


def test_one_may_ask_for_less(tmp_path: Path) -> None:
    config = read(tmp_path, HOME + 'events = ["operation"]\nlocks = ["front"]\n')
    home = config.webhooks["home"]
    assert (home.events, home.locks) == (("operation",), ("front",))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            HOME + 'events = ["operation", "record"]\n',
            'expected operation or evidence; records go to a [[sinks]] with type = "webhook"',
        ),
        (HOME + 'events = ["opened"]\n', 'found "opened", expected an array of operation and'),
        (HOME + "events = []\n", "found an empty array events"),
        (HOME + "locks = []\n", "found an empty array locks"),
        (HOME + 'locks = ["bcak"]\n', 'found webhooks.home of a lock "bcak", expected front'),
        (HOME.replace("https", "http"), "an http:// url, expected https://, or allow_private"),
        (HOME.replace("x.org", "me:pw@x.org"), "webhooks.home.url: found"),
        ("[webhooks.home]\nsecret = { file = '/x' }\n", "webhooks.home.url: found nothing"),
        ('[webhooks.home]\nurl = "https://x.org"\n', "webhooks.home.secret: found nothing"),
        (HOME.replace("home", "Home"), "1 to 32 of a-z, 0-9 and -"),
        (HOME + "every = true\n", "webhooks.home.every: found an unknown key"),
        ("[[webhooks]]\n" + PLAIN, "a section [webhooks.NAME]"),
        (
            HOME.replace('{ file = "/etc/hook" }', '"whsec_pw"'),
            "a secret does not stand in this file",
        ),
        (
            "".join(HOME.replace("home", f"h{n}") for n in range(MOST + 1)),
            f"found {MOST + 1} webhooks, expected at most {MOST}",
        ),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, words: str) -> None:
    said = complaint(tmp_path, text)
    assert words in said
    assert "pw" not in said


def test_its_secret_is_read_with_the_others(tmp_path: Path) -> None:
    for name in ("token", "key", "hook"):
        path = tmp_path / name
        path.touch(0o600)
        path.write_text("0123456789abcdef\n")
    config = read(tmp_path, "", (BASE + HOME).replace("/etc/", f"{tmp_path}/"))
    found = load_secrets(config, None)
    assert found.webhooks["home"].reveal() == b"0123456789abcdef"
    assert "0123456789abcdef" not in repr(found)
    (tmp_path / "hook").chmod(0o644)
    with pytest.raises(SecretError, match=r"webhooks\.home\.secret"):
        load_secrets(config, None)
