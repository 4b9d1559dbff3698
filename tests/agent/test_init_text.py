"""The text of a configuration: what is there stays, what comes in means what it should."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from bleagent.errors import ConfigNotToml
from bleagent.init import text
from bleagent.init.drop_in import Credential, credentials_in, with_credentials
from bleagent.init.faults import InitError

ODD = """\
# by hand
strategies = { offline = "cached" }   # mine
[ http ]
token   = { credential = "t" }
[cloud]   # where
base_url="https://a.example"    # the old one
  client_id = 'x'
# [[locks]] is below
[[locks]]
name = "a"      # "quoted" # twice

\tdevice_id = "\\u0041"
[locks.strategies]
offline = "never"
"""


def test_the_example_is_named_where_the_package_has_it() -> None:
    assert "/usr/share/doc/bleagent/examples/" in text.HEAD
    assert "/usr/share/doc/bleagent/examples/" in ConfigNotToml.advice


def test_an_edit_leaves_every_other_byte() -> None:
    document = text.Document(ODD)
    document.set("cloud", "base_url", "https://b.example")
    document.set("cloud", "client_id", "x")  # as it is
    document.set("radio", "socket", "127.0.0.1:1")
    document.add("http.users", {"user": "pi"})
    document.add(
        "locks", {"name": "b", "local_key": {"file": '/with "quotes"'}, "security_v2": True}
    )
    old, new = ODD.splitlines(), document.text.splitlines()
    assert [line for line in old if line not in new] == [
        'base_url="https://a.example"    # the old one'
    ]
    assert 'base_url="https://b.example"    # the old one' in new
    assert new[: len(old)] == [line.replace("a.example", "b.example") for line in old]
    found = tomllib.loads(document.text)
    assert [lock["name"] for lock in found["locks"]] == ["a", "b"]
    assert found["locks"][0]["strategies"] == {"offline": "never"}
    assert found["locks"][1]["local_key"] == {"file": '/with "quotes"'}


def test_a_key_that_is_not_there_comes_into_its_section() -> None:
    for there in ("[cloud]", "[cloud] # only\n", "[a]\n[cloud]\nuid = '1'\n[b]\n"):
        document = text.Document(there)
        document.set("cloud", "client_id", "me")
        assert tomllib.loads(document.text)["cloud"]["client_id"] == "me"


@pytest.mark.parametrize(
    "there",
    [
        'cloud = { base_url = "https://a.example" }\n',
        'note = """\n[cloud]\nbase_url = "https://a.example"\n"""\ncloud.base_url = "x"\n',
        '[cloud]\nbase_url = """https://a.example"""\n',
        '[cloud]\nbase_url = "https://a.example/\\""\n',
    ],
)
def test_what_cannot_be_edited_faithfully_is_left_to_its_owner(there: str) -> None:
    document = text.Document(there)
    document.set("cloud", "base_url", "https://b.example")
    with pytest.raises(InitError, match="cannot be added to") as raised:
        _ = document.text
    assert 'base_url = "https://b.example" in [cloud]' in raised.value.mend


def test_locks_in_one_line_are_left_to_their_owner() -> None:
    document = text.Document('locks = [{ name = "a" }]\n')
    document.add("locks", {"name": "b"})
    with pytest.raises(InitError):
        _ = document.text


def test_a_drop_in_is_only_added_to() -> None:
    more = [
        Credential(name="a", path=Path("/c/a"), encrypted=False),
        Credential(name="b", path=Path("/c/b.cred"), encrypted=True),
    ]
    new = with_credentials("", more)
    assert "\n[Service]\nLoadCredential=a:/c/a\nLoadCredentialEncrypted=b:/c/b.cred\n" in new
    assert credentials_in(new) == {one.name: one for one in more}
    assert with_credentials(new, more) == new
    theirs = "[Service]\n#LoadCredential=a:/no\nLoadCredential=b:/plain\n[Unit]\nAfter=x"
    added = with_credentials(theirs, more)
    assert added == f"{theirs}\n\n[Service]\nLoadCredential=a:/c/a\n"
    assert credentials_in(added)["b"].path == Path("/plain")
