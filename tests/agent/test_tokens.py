"""What a token looks like and what it may do: no IO, no clock."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bleagent.authority.tokens import (
    ADMIN,
    EVERY_SCOPE,
    MAX_LABEL,
    MAX_SCOPES,
    OPERATE_ALL,
    READ,
    RECORDS,
    ShownToken,
    allows,
    make_token,
    operate,
    parse_id,
    parse_label,
    parse_scopes,
    parse_token,
    share,
)
from bleagent.errors import TokenUnusable
from protocol import Secret

LOCKS = ("front", "back-2")


def fixed(size: int) -> bytes:
    return bytes(range(size))


def test_a_token_is_its_id_and_256_bits_in_base64url() -> None:
    token = make_token(fixed)
    secret = b"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
    assert token.id == "00010203"
    assert token.text.reveal() == b"blk_00010203_" + secret
    assert token.digest == sha256(secret).digest()
    assert token.is_of(sha256(secret).digest())
    assert not token.is_of(sha256(secret + b"=").digest())


@given(st.binary(min_size=36, max_size=36))
def test_what_was_made_is_read_again(drawn: bytes) -> None:
    left = [drawn[:32], drawn[32:]]
    token = make_token(lambda size: next(one for one in left if len(one) == size))
    assert parse_token(token.text.reveal().decode()) == token
    assert (len(token.secret), len(token.id)) == (43, 8)


SECRET = "CANARY" + "x" * 37


@pytest.mark.parametrize(
    "text",
    [
        "", "blk_", SECRET, f"blk_0001020_{SECRET}", f"blk_000102030_{SECRET}",
        f"blk_0001020G_{SECRET}", f"blk_0001020A_{SECRET}", f"BLK_00010203_{SECRET}",
        f"blk_00010203_{SECRET}x", f"blk_00010203_{SECRET[:-1]}", f"blk_00010203_{SECRET[:-1]}=",
        f"blk_00010203_{SECRET[:-1]}ä", f"blk_00010203_{SECRET}\n", f" blk_00010203_{SECRET}",
        f"blk_0001020٣_{SECRET}",
    ],
)  # fmt: skip
def test_what_is_no_token_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(TokenUnusable) as failed:
        parse_token(text)
    assert f"found {len(text)} characters" in str(failed.value)
    assert "CANARY" not in str(failed.value)


def test_nothing_shows_a_secret() -> None:
    token = ShownToken(id="00010203", secret=Secret(SECRET))
    for shown in (repr(token), str(token), f"{token}", repr(token.text)):
        assert "CANARY" not in shown


def test_an_id_is_read_with_and_without_its_beginning() -> None:
    assert parse_id("00ffee12") == parse_id("blk_00ffee12") == "00ffee12"


@pytest.mark.parametrize("text", ["", "00ffee1", "00FFEE12", "../tokens", f"blk_00ffee12_{SECRET}"])
def test_what_is_no_id_is_refused_and_a_whole_token_is_not_shown(text: str) -> None:
    with pytest.raises(TokenUnusable) as failed:
        parse_id(text)
    assert "CANARY" not in str(failed.value)


def test_scopes_are_taken_as_they_are_meant() -> None:
    asked = [
        "read", "records", "admin", "operate:front", "operate:back-2", "operate:*", "share:front",
        "read",
    ]  # fmt: skip
    assert parse_scopes(asked, LOCKS) == frozenset(asked)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ([], "found 0, expected 1 to 64"),
        (["read"] * (MAX_SCOPES + 1), "found 65, expected 1 to 64"),
        (
            ["write"],
            "found 'write', expected read, records, admin, operate:LOCK, operate:* or share:LOCK",
        ),
        (["share:*"], "found 'share:*', expected read"),
        (["share:side"], "found 'share:side', expected one of the locks"),
        (["read "], "found 'read '"),
        (["operate"], "found 'operate'"),
        (["operate:"], "found 'operate:'"),
        (["operate:Front"], "found 'operate:Front'"),
        (["read", "operate:side"], "found 'operate:side', expected one of the locks back-2, front"),
        (["x" * 5000], "found '" + "x" * 48 + "'"),
    ],
)
def test_a_scope_that_does_not_exist_is_named(asked: list[str], words: str) -> None:
    with pytest.raises(TokenUnusable) as failed:
        parse_scopes(asked, LOCKS)
    assert words in str(failed.value)
    assert len(str(failed.value)) < 200


@pytest.mark.parametrize("text", ["x" * (MAX_LABEL + 1), "two\nlines", "\x1b[31m", "\u202e"])
def test_a_label_is_one_line_that_a_terminal_can_show(text: str) -> None:
    assert parse_label("Anna's phone, hall ü") == "Anna's phone, hall ü"
    assert parse_label("") == ""
    with pytest.raises(TokenUnusable, match="expected at most 64 printable"):
        parse_label(text)


NEEDED = (READ, RECORDS, ADMIN, operate("front"), operate("back-2"), share("front"))


@pytest.mark.parametrize(
    ("scope", "allowed"),
    [
        (READ, {READ}),
        (RECORDS, {RECORDS}),
        (ADMIN, {ADMIN}),
        ("operate:front", {"operate:front", "share:front"}),
        ("operate:fron", set()),
        (OPERATE_ALL, {"operate:front", "operate:back-2", "share:front"}),
        ("share:front", {"share:front"}),
        ("share:fron", set()),
    ],
)
def test_a_scope_covers_itself_and_no_other(scope: str, allowed: set[str]) -> None:
    assert {one for one in NEEDED if allows({scope}, one)} == allowed
    assert all(allows(EVERY_SCOPE, one) for one in NEEDED)
    assert not any(allows((), one) for one in NEEDED)
