"""Changing the vault's key: everything stays readable, whatever interrupts it, and says so."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest

from bleagent.adapters.sqlite_store import SqliteStore, StateDirectory, rotation
from bleagent.errors import SecretError, VaultKeyMissing
from bleagent.model import IssuedConfig, IssuedInstruction
from bleagent.vault import NamedKey, Sealed, Vault, VaultKeys
from protocol import Secret
from tests.agent.old_reports import keep_report, old_reports

pytestmark = pytest.mark.anyio

KEYS = {name: NamedKey(f"/keys/{name}", Secret(name.encode() * 32)) for name in "abc"}
CONFIG = IssuedConfig(
    lock_random=IssuedInstruction(dp_id=70, distribute=False, ins=Secret("52777950")),
    lock_record=None,
    fetched_at=1.0,
)
LOCKS = [f"door-{number}" for number in range(rotation.BATCH + 6)]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def keys(current: str, *previous: str) -> VaultKeys:
    return VaultKeys(
        current=KEYS[current],
        previous=tuple(KEYS[name] for name in previous),
        new_nonce=lambda: os.urandom(12),
    )


@contextmanager
def opened(folder: Path, current: str, *previous: str) -> Iterator[SqliteStore]:
    with (
        StateDirectory(folder) as directory,
        SqliteStore(directory, keys(current, *previous), boot_id="boot") as store,
    ):
        yield store


async def filled(folder: Path, key: str = "a", reports: int = 3) -> None:
    with opened(folder, key) as store:
        for lock in LOCKS:
            await store.memory.keep_issued_config(lock, CONFIG)
        for number in range(reports):
            await keep_report(store, "door-0", b"\x80\x03%d" % number, unix=1.0)


async def readable(store: SqliteStore, reports: int = 3) -> bool:
    configs = [await store.memory.issued_config(lock) for lock in LOCKS]
    found = await old_reports(store, "door-0")
    return configs == [CONFIG] * len(LOCKS) and len(found) == reports


def versions(folder: Path) -> dict[str, set[int]]:
    found = {}
    for database, table in (("operations", "issued_configs"), ("records", "reports")):
        with closing(sqlite3.connect(folder / f"{database}.db")) as connection:
            rows = connection.execute(f"SELECT sealed FROM {table}")  # noqa: S608
            found[table] = {row[0][0] for row in rows}
    return found


def _bytes_of(folder: Path, names: str) -> bytes:
    return b"".join(path.read_bytes() for path in folder.glob(names))


async def test_everything_is_sealed_anew_and_the_old_key_can_go(tmp_path: Path) -> None:
    await filled(tmp_path, reports=rotation.BATCH * 2 + 1)
    with opened(tmp_path, "b", "a") as store:
        assert store.sealed_anew == len(LOCKS)
        assert await readable(store, rotation.BATCH * 2 + 1), "also before the reports are done"
        await keep_report(store, "door-0", b"\x80\x03new", unix=1.0)
        assert await store.seal_reports_anew() == rotation.BATCH * 2 + 1
        assert store.unopened == 0
        assert await store.seal_reports_anew() == 0
    assert versions(tmp_path) == {"issued_configs": {2}, "reports": {2}}
    with opened(tmp_path, "b") as store:
        assert store.sealed_anew == 0
        assert await readable(store, rotation.BATCH * 2 + 2)


async def test_what_the_old_key_sealed_is_gone_from_the_files(tmp_path: Path) -> None:
    await filled(tmp_path, reports=0)
    with closing(sqlite3.connect(tmp_path / "operations.db")) as connection:
        old = [row[0] for row in connection.execute("SELECT sealed FROM issued_configs")]
    with opened(tmp_path, "b", "a"):
        files = _bytes_of(tmp_path, "operations.db*")
        assert [one for one in old if one[1:] in files] == []


async def test_keys_are_found_by_what_they_open_in_any_order_and_again(tmp_path: Path) -> None:
    await filled(tmp_path)
    for current, previous in (("b", "a"), ("c", "ab"), ("a", "cb"), ("a", ""), ("b", "a")):
        with opened(tmp_path, current, *previous) as store:
            await store.seal_reports_anew()
            assert await readable(store)
        with opened(tmp_path, current) as store:
            assert await readable(store)


class PowerCut(Exception):
    """Somebody pulls the plug."""


@pytest.mark.parametrize("at", [0, 1, rotation.BATCH - 1, rotation.BATCH, len(LOCKS) - 1])
async def test_interrupted_anywhere_every_value_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    await filled(tmp_path)
    seal, done = Vault.seal, 0

    def cut(vault: Vault, plain: Secret, **place: str) -> bytes:
        nonlocal done
        done += 1
        if done > at:
            raise PowerCut
        return seal(vault, plain, **place)

    with monkeypatch.context() as patch:
        patch.setattr(Vault, "seal", cut)
        with pytest.raises(PowerCut), opened(tmp_path, "b", "a"):
            pass
    left = len(LOCKS) - at // rotation.BATCH * rotation.BATCH
    assert versions(tmp_path)["issued_configs"] == ({1} if at < rotation.BATCH else {1, 2})
    with pytest.raises(VaultKeyMissing), opened(tmp_path, "b"):
        pass
    with opened(tmp_path, "b", "a") as store:
        assert store.sealed_anew == left
        assert await readable(store)


async def test_a_key_that_is_missing_is_asked_for_by_what_it_sealed(tmp_path: Path) -> None:
    await filled(tmp_path, reports=0)
    before = versions(tmp_path)
    with pytest.raises(VaultKeyMissing) as caught, opened(tmp_path, "b", "c"):
        pass
    assert str(caught.value) == (
        "issued_configs of door-0 was sealed with another key (version 1) than those that are "
        "here (/keys/b, /keys/c), or it was altered"
    )
    assert "[vault] previous" in caught.value.advice
    assert versions(tmp_path) == before
    with opened(tmp_path, "a") as store:  # and it was not held on to
        assert await readable(store, 0)


async def test_reports_whose_key_is_lost_keep_no_door_shut(tmp_path: Path) -> None:
    await filled(tmp_path)
    (tmp_path / "operations.db").unlink()
    with opened(tmp_path, "b") as store:
        assert await store.seal_reports_anew() == 0
        assert store.unopened == 3
        await store.memory.keep_issued_config("door-0", CONFIG)
        await keep_report(store, "door-1", b"\x80\x03new", unix=1.0)
        assert len(await old_reports(store, "door-1")) == 1
    assert versions(tmp_path)["reports"] == {1, 2}, "the lost key's version is not taken"


def test_a_version_is_found_by_any_of_its_values() -> None:
    sealed = {
        (name, version): Vault({version: KEYS[name].key}, new_nonce=lambda: os.urandom(12)).seal(
            Secret("x"), table="t", row="r", column="sealed"
        )
        for name in "abc"
        for version in (1, 2, 255)
    }
    for (one, other), version in zip(combinations("abc", 2), (1, 2, 255), strict=True):
        needed = [Sealed(sealed[one, version], "t", "r")]
        vault = keys(other, one).vault(needed)
        for value in needed:
            assert vault.open(value.value, table="t", row="r", column="sealed") == Secret("x")
        # Two keys under one version cannot both be told by it.
        with pytest.raises(VaultKeyMissing):
            keys(other, one).vault([*needed, Sealed(sealed[other, version], "t", "r")])
    with pytest.raises(SecretError, match="every version"):
        replace(keys("a"), previous=(KEYS["b"],)).vault(
            [], wanted=[Sealed(bytes([version]) + bytes(40), "t", "r") for version in range(1, 256)]
        )


def test_every_table_with_sealed_values_is_sealed_anew(tmp_path: Path) -> None:
    with opened(tmp_path, "a"):
        pass
    found = set()
    for name in ("operations", "records"):
        with closing(sqlite3.connect(tmp_path / f"{name}.db")) as connection:
            found |= {
                row[0]
                for row in connection.execute(
                    "SELECT m.name FROM sqlite_schema AS m, pragma_table_info(m.name) AS c "
                    "WHERE m.type = 'table' AND c.name = 'sealed'"
                )
            }
    assert found == {table.name for table in (*rotation.OPERATIONS, rotation.REPORTS)}
