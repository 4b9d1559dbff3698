"""Sealing at rest, and the files that keys and secrets come from."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bleagent.errors import SecretError
from bleagent.vault import (
    Vault,
    create_vault_key,
    read_credential,
    read_secret,
    read_vault_key,
    without_line_end,
)
from protocol import Secret

KEY = Secret(bytes(range(32)))
OTHER = Secret(bytes(range(1, 33)))
PLAIN = Secret("52777950-canary")
PLACE = {"table": "issued_configs", "row": "front-door", "column": "sealed"}


def counting() -> Callable[[], bytes]:
    count = iter(range(1, 1000))
    return lambda: next(count).to_bytes(12, "big")


def vault(*keys: Secret) -> Vault:
    return Vault(dict(enumerate(keys or (KEY,), 1)), new_nonce=counting())


def test_a_sealed_value_has_the_documented_shape() -> None:
    sealed = vault().seal(Secret(b"hi"), **PLACE)
    assert sealed[:13] == bytes([1]) + (1).to_bytes(12, "big")
    assert len(sealed) == 1 + 12 + 2 + 16
    assert b"hi" not in sealed[13:]


@given(st.binary(max_size=300))
def test_what_is_sealed_opens_again(plain: bytes) -> None:
    sealing = vault()
    assert sealing.open(sealing.seal(Secret(plain), **PLACE), **PLACE) == Secret(plain)


@pytest.mark.parametrize("part", ["table", "row", "column"])
def test_a_value_does_not_open_in_another_place(part: str) -> None:
    sealing = vault()
    sealed = sealing.seal(PLAIN, **PLACE)
    with pytest.raises(SecretError, match="another key, or altered"):
        sealing.open(sealed, **PLACE | {part: "elsewhere"})


def test_places_that_read_alike_in_a_row_differ() -> None:
    sealing = vault()
    sealed = sealing.seal(PLAIN, table="ab", row="c", column="d")
    with pytest.raises(SecretError):
        sealing.open(sealed, table="a", row="bc", column="d")


def test_every_flipped_bit_and_every_truncation_is_refused_without_showing_anything() -> None:
    sealing = vault(KEY, OTHER)
    sealed = sealing.seal(PLAIN, **PLACE)
    damaged = [sealed[:length] for length in range(len(sealed))]
    for bit in range(len(sealed) * 8):
        flipped = bytearray(sealed)
        flipped[bit // 8] ^= 1 << bit % 8
        damaged.append(bytes(flipped))
    for value in damaged:
        with pytest.raises(SecretError) as caught:
            sealing.open(value, **PLACE)
        assert "canary" not in str(caught.value)


def test_another_key_does_not_open_it() -> None:
    with pytest.raises(SecretError, match="another key"):
        vault(OTHER).open(vault().seal(PLAIN, **PLACE), **PLACE)


def test_after_a_rotation_old_values_open_and_new_ones_use_the_new_key() -> None:
    old, both = vault(KEY), vault(KEY, OTHER)
    sealed = old.seal(PLAIN, **PLACE)
    assert both.open(sealed, **PLACE) == PLAIN
    assert not both.is_current(sealed)
    assert both.is_current(both.seal(PLAIN, **PLACE))
    with pytest.raises(SecretError, match="key 2, which is not here"):
        old.open(both.seal(PLAIN, **PLACE), **PLACE)


def test_a_vault_refuses_a_key_of_another_length_and_no_key() -> None:
    for keys in ({}, {1: Secret(b"short")}, {0: KEY}, {256: KEY}):
        with pytest.raises(SecretError):
            Vault(keys, new_nonce=counting())


def test_a_nonce_of_another_length_is_refused() -> None:
    with pytest.raises(SecretError, match="12 bytes, not 3"):
        Vault({1: KEY}, new_nonce=lambda: b"abc").seal(PLAIN, **PLACE)


# -- files


def secret_file(folder: Path, value: bytes, mode: int = 0o600) -> Path:
    path = folder / "secret"
    path.write_bytes(value)
    path.chmod(mode)
    return path


def test_a_private_file_is_read_byte_for_byte(tmp_path: Path) -> None:
    assert read_secret(secret_file(tmp_path, b"abc\n")) == Secret(b"abc\n")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601, 0o644, 0o777])
def test_a_wider_mode_is_refused_with_the_command_that_mends_it(tmp_path: Path, mode: int) -> None:
    path = secret_file(tmp_path, b"abc", mode)
    with pytest.raises(SecretError) as caught:
        read_secret(path)
    assert str(caught.value) == (
        f"{path} has mode {mode:04o}, so others can use it: chmod 0600 {path}"
    )


def test_a_file_of_somebody_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = secret_file(tmp_path, b"abc")
    owner = path.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    with pytest.raises(SecretError) as caught:
        read_secret(path)
    assert str(caught.value) == (
        f"{path} belongs to uid {owner}, not to {owner + 1}: chown {owner + 1} {path}"
    )


def test_what_is_not_a_plain_file_is_refused_without_waiting(tmp_path: Path) -> None:
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe, 0o600)
    link.symlink_to(secret_file(tmp_path, b"abc"))
    with pytest.raises(SecretError, match="not a plain file"):
        read_secret(pipe)
    with pytest.raises(SecretError, match="symbolic link"):
        read_secret(link)
    with pytest.raises(SecretError, match="not a plain file"):
        read_secret(tmp_path)


@pytest.mark.parametrize("value", [b"", bytes(64 * 1024 + 1)], ids=["empty", "huge"])
def test_an_empty_or_huge_file_is_refused(tmp_path: Path, value: bytes) -> None:
    with pytest.raises(SecretError, match=f"has {len(value)} bytes"):
        read_secret(secret_file(tmp_path, value))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SecretError, match="gone cannot be read: No such file or directory"):
        read_secret(tmp_path / "gone")


def test_a_credential_is_read_from_the_folder_that_systemd_names(tmp_path: Path) -> None:
    # Left to root with an access list, its mode looks like 0440.
    (tmp_path / "token").write_bytes(b"abc")
    (tmp_path / "token").chmod(0o440)
    assert read_credential(tmp_path, "token") == Secret(b"abc")


def test_a_credential_that_everybody_reads_is_refused(tmp_path: Path) -> None:
    (tmp_path / "token").write_bytes(b"abc")
    (tmp_path / "token").chmod(0o444)
    with pytest.raises(SecretError, match="mode 0444"):
        read_credential(tmp_path, "token")


def test_without_systemd_a_credential_says_what_to_do() -> None:
    with pytest.raises(SecretError, match=r"LoadCredential=token:PATH"):
        read_credential(None, "token")


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_the_line_end_of_an_editor_is_no_part_of_a_secret(end: bytes) -> None:
    assert without_line_end(Secret(b"abc" + end)) == Secret(b"abc")


def test_a_key_file_is_made_once_and_read_from_then_on(tmp_path: Path) -> None:
    path = tmp_path / "vault.key"
    made = create_vault_key(path, random=lambda size: b"k" * size)
    again = create_vault_key(path, random=lambda size: b"x" * size)
    assert made == again == read_vault_key(path) == Secret(b"k" * 32)
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["vault.key"]


def test_remains_of_a_crash_while_a_key_was_made_are_no_key(tmp_path: Path) -> None:
    (tmp_path / "vault.key.new").write_bytes(b"half")
    made = create_vault_key(tmp_path / "vault.key", random=lambda size: b"k" * size)
    assert made == Secret(b"k" * 32)


@pytest.mark.parametrize("size", [1, 31, 33])
def test_a_key_file_of_another_length_is_refused_and_not_replaced(
    tmp_path: Path, size: int
) -> None:
    path = secret_file(tmp_path, b"k" * size)
    with pytest.raises(SecretError, match=f"has {size} bytes, not 32"):
        create_vault_key(path, random=lambda count: b"x" * count)
    assert path.read_bytes() == b"k" * size


def test_a_key_that_cannot_be_made_is_an_error_of_secrets(tmp_path: Path) -> None:
    with pytest.raises(SecretError, match="cannot be made"):
        create_vault_key(tmp_path / "gone" / "vault.key", random=lambda size: b"k" * size)
