"""The audit's chain: every change, clumsy or clever, is found by what should find it."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bleagent.adapters.sqlite_store import Bounds
from bleagent.audit.chain import (
    HEAD,
    AuditRow,
    ChainedRow,
    Head,
    Kept,
    Root,
    beginning,
    chained,
    digest_of,
    evolve,
    mac_of,
)
from bleagent.audit.verify import Verdict, read_anchors, verify
from bleagent.errors import AuditUnusable
from protocol import Secret
from tests.agent.audit_site import NOON, AuditSite, a_vault, some_rows

CHAIN = "00" * 8
COUNT = 12


@pytest.fixture
def site(tmp_path: Path) -> AuditSite:
    return AuditSite(tmp_path / "state")


def a_chain(count: int = COUNT, key: bytes = b"r" * 32) -> tuple[list[ChainedRow], Root]:
    rows, digest, held = list[ChainedRow](), beginning(CHAIN), bytearray(key)
    for number, row in enumerate(some_rows(count), 1):
        rows.append(chained(row, number, digest, held))
        digest = rows[-1].digest
    return rows, Root(chain=CHAIN, first=1, key=Secret(key))


def kept(rows: list[ChainedRow]) -> Kept:
    return Kept(head=head(rows[-1]), cut=0, cut_digest=beginning(CHAIN))


def head(row: ChainedRow) -> Head:
    return Head(chain=CHAIN, number=row.number, digest=row.digest, mac=row.mac)


def digests_anew(rows: list[ChainedRow]) -> list[ChainedRow]:
    """As somebody clever makes them fit, who has no key."""
    digest, fitting = beginning(CHAIN), list[ChainedRow]()
    for number, row in enumerate(rows, 1):
        one = replace(row, number=number)
        digest = digest_of(digest, one)
        fitting.append(replace(one, digest=digest))
    return fitting


# -- a chain that nobody has touched


def test_a_whole_chain_is_whole_and_says_what_that_does_not_prove() -> None:
    rows, root = a_chain()
    bare = verify(rows, kept(rows))
    assert bare.whole
    assert [line[:22] for line in bare.limits] == [
        "without an anchor it i",
        "without the root key w",
    ]
    full = verify(rows, kept(rows), root=root, anchors=[head(rows[-1])])
    assert full.whole
    assert (full.first, full.last, full.anchored, full.limits) == (1, COUNT, COUNT, ())
    late = verify(rows, kept(rows), root=root, anchors=[head(rows[8])])
    assert late.limits == ("rows 10 to 12 came after the last anchor: their loss would not show",)


# -- one who forgets the digests, and one who makes them anew: any column, any value

MUTATIONS: dict[str, st.SearchStrategy[object]] = {
    "at_ms": st.integers(-(2**63), 2**63 - 1),
    "event": st.text(),
    "principal": st.none() | st.text(),
    "lock": st.none() | st.text(),
    "operation": st.none() | st.text(),
    "detail": st.text(),
    "digest": st.binary(),
    "mac": st.binary(),
}


@given(
    place=st.integers(0, COUNT - 1),
    change=st.sampled_from(sorted(MUTATIONS)).flatmap(
        lambda name: st.tuples(st.just(name), MUTATIONS[name])
    ),
    clever=st.booleans(),
)
def test_any_change_of_any_column_is_found_by_the_root_key_and_by_an_anchor(
    place: int, change: tuple[str, object], clever: bool
) -> None:
    rows, root = a_chain()
    name, value = change
    changed = replace(rows[place], **{name: value})  # type: ignore[arg-type]
    if changed == rows[place]:
        return
    spoilt = [*rows[:place], changed, *rows[place + 1 :]]
    if clever:
        spoilt = digests_anew(spoilt)
        if spoilt == rows:  # the digest was changed, and made right again
            return
    assert not verify(spoilt, kept(spoilt), root=root).whole
    if name != "mac" or not clever:
        anchors = [head(row) for row in rows]
        assert not verify(spoilt, kept(spoilt), anchors=anchors).whole or name == "mac"
    if not clever and name != "mac":  # without any key: a mac says nothing then
        told = verify(spoilt, kept(rows)).broken
        assert told[0] == f"row {place + 1} is not what was written"


def without(rows: list[ChainedRow], place: int) -> list[ChainedRow]:
    return [*rows[:place], *rows[place + 1 :]]


def swapped(rows: list[ChainedRow], place: int) -> list[ChainedRow]:
    return [*rows[:place], rows[place + 1], rows[place], *rows[place + 2 :]]


def with_one_more(rows: list[ChainedRow], place: int) -> list[ChainedRow]:
    return [*rows[:place], replace(rows[place], event="put.in"), *rows[place:]]


@pytest.mark.parametrize("place", range(COUNT - 1))
@pytest.mark.parametrize("clever", [False, True])
@pytest.mark.parametrize("how", [without, swapped, with_one_more])
def test_rows_taken_out_moved_or_put_in_are_found(
    how: Callable[[list[ChainedRow], int], list[ChainedRow]], clever: bool, place: int
) -> None:
    rows, root = a_chain()
    spoilt = how(rows, place)
    if clever:
        spoilt = digests_anew(spoilt)
        assert verify(spoilt, kept(spoilt)).whole, "by its own word only"
    else:
        assert not verify(spoilt, kept(rows)).whole
    for more in ({"root": root}, {"anchors": [head(rows[-1])]}):
        assert not verify(spoilt, kept(spoilt), **more).whole


def test_the_missing_rows_are_named() -> None:
    rows, root = a_chain()
    told = verify([*rows[:3], *rows[5:]], kept(rows), root=root)
    assert told.broken == ("rows 4 to 5 are missing",)


# -- the end cut off


def test_an_end_that_is_cut_off_is_found_by_an_anchor_alone() -> None:
    rows, root = a_chain()
    cut = rows[:8]
    assert verify(cut, kept(rows)).broken == ("rows 9 to 12 are missing at the end",), "clumsy"
    blind = verify(cut, kept(cut), root=root)
    assert blind.whole, "the root key cannot know what came later"
    assert blind.limits == ("without an anchor it is not excluded that the end was cut off",)
    found = verify(cut, kept(cut), anchors=[head(rows[8])])
    assert found.broken == ("the log has row 9, the file ends with 8: cut off, or an older copy",)


def test_an_anchor_of_another_chain_says_that_the_file_was_begun_anew() -> None:
    rows, _ = a_chain()
    old = replace(head(rows[5]), chain="11" * 8, number=400)
    (told,) = verify(rows, kept(rows), anchors=[old]).broken
    assert told.startswith("anchors up to row 400 are of the chain 1111")


# -- keys


def test_whoever_takes_the_machine_cannot_forge_what_was_before() -> None:
    """With the key of the next row, which is all that is there, and every digest made anew."""
    rows, root = a_chain()
    current = bytearray(root.key.reveal())
    for _ in rows:
        evolve(current)
    spoilt = digests_anew([replace(rows[4], event="nothing"), *rows[5:]])
    spoilt = digests_anew([*rows[:4], *[replace(one) for one in spoilt]])
    key, forged = bytearray(current), list[ChainedRow]()
    for row in spoilt:
        forged.append(replace(row, mac=mac_of(key, row.digest)) if row.number > 4 else row)
    verdict = verify(forged, kept(forged), root=root)
    assert verdict.broken[0] == "row 5 was not written with its key"
    honest = chained(some_rows(1)[0], COUNT + 1, rows[-1].digest, current)
    assert verify([*rows, honest], kept([*rows, honest]), root=root).whole


def test_a_key_is_overwritten_by_the_next_one() -> None:
    key = bytearray(b"k" * 32)
    evolve(key)
    first = bytes(key)
    evolve(key)
    assert len({b"k" * 32, first, bytes(key)}) == 3


def test_the_root_key_of_another_chain_is_refused() -> None:
    rows, root = a_chain()
    (told,) = verify(rows, kept(rows), root=replace(root, chain="11" * 8)).broken
    assert told.startswith("the root key is of the chain 1111")
    assert not verify(rows, kept(rows), root=replace(root, key=Secret(bytes(32)))).whole


def test_a_number_that_nobody_reaches_does_not_keep_verify_busy() -> None:
    rows, root = a_chain()
    far = replace(rows[-1], number=2**62)
    told = verify([*rows[:-1], far], kept(rows), root=root).broken
    assert any("too far" in line for line in told)


def test_the_root_key_is_one_line_of_text() -> None:
    _, root = a_chain()
    assert Root.from_text(f"# kept in the safe\n{root.to_text()}\r\n") == root
    with pytest.raises(AuditUnusable, match="expected the line of"):
        Root.from_text("bleagent-audit:zz:1:00")


# -- anchors from the log


def test_anchors_are_read_from_the_log_among_other_lines() -> None:
    rows, _ = a_chain()
    line = json.dumps({"event": HEAD, **head(rows[3]).to_fields(), "level": "info"})
    lines = ["", '{"event": "agent.ready"}', f"Nov 26 gw bleagent[7]: {line}", "no json audit"]
    assert read_anchors(lines) == [head(rows[3])]


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ([], "found no anchor"),
        (['{"event": "agent.ready"}'], "found no anchor"),
        (['{"event": "audit.head", "chain": "00"'], "line 1: .* as JSON"),
        (["", '{"event": "audit.head", "chain": "00", "number": 1}'], "line 2: .* without chain"),
    ],
)
def test_what_is_no_anchor_is_refused(lines: list[str], why: str) -> None:
    with pytest.raises(AuditUnusable, match=why):
        read_anchors(lines)


# -- on disk


def test_each_commit_leaves_a_chain_that_holds(site: AuditSite) -> None:
    root = site.root()
    heads = site.append(some_rows(10))
    heads += site.append(some_rows(5, first=11))
    assert root.first == 1
    verdict = site.verdict(root, heads)
    assert (verdict.whole, verdict.last, verdict.anchored, verdict.limits) == (True, 15, 15, ())
    found = site.rows()[3]
    assert (found.principal, found.at_ms) == ("token:4", round((NOON + 4) * 1000))
    assert json.loads(found.detail) == {"code": "ok", "n": 4}


def test_a_chain_without_a_root_key_begins_by_itself_and_may_get_one_later(site: AuditSite) -> None:
    heads = site.append(some_rows(4))
    assert site.verdict(anchors=heads[-1:]).limits == ()
    first, second = site.root(), None
    assert first.first == 6, "behind a row that says so"
    heads += site.append(some_rows(3))
    assert site.verdict(first).whole
    assert site.verdict(first).limits[-1].startswith("rows up to 5 are older than the root key")
    second = site.root()
    heads += site.append(some_rows(3))
    assert (second.first, site.verdict(second, heads).whole) == (10, True)
    old = site.verdict(first, heads)
    assert old.whole
    assert old.limits == ("rows from 10 on are proven by the root key that was drawn then",) or (
        old.limits[-1] == "rows from 10 on are proven by the root key that was drawn then"
    )
    with site.tampered() as connection:  # a new root does not hide what was changed before
        connection.execute("UPDATE audit SET event = 'x' WHERE number = 2")
        site.make_digests_fit(connection)
    assert not site.verdict(first).whole
    assert not site.verdict(second).whole


def test_the_database_itself_refuses_changes(site: AuditSite) -> None:
    site.append(some_rows(3))
    with closing(sqlite3.connect(site.path)) as connection:
        for change in ("UPDATE audit SET at_ms = 0", "DELETE FROM audit WHERE number = 1"):
            with pytest.raises(sqlite3.IntegrityError, match="only appended"):
                connection.execute(change)


SQL = {
    "at_ms": "7", "event": "'x'", "principal": "NULL", "lock": "'back'", "operation": "'op-x'",
    "detail": "'{}'", "digest": "x'00'", "mac": "zeroblob(32)",
}  # fmt: skip


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(
    number=st.integers(1, 9),
    column=st.sampled_from(sorted(SQL)),
    fitting=st.booleans(),
)
def test_a_change_in_the_file_is_found(
    tmp_path_factory: pytest.TempPathFactory, number: int, column: str, fitting: bool
) -> None:
    site = AuditSite(tmp_path_factory.mktemp("state") / "state")
    root = site.root()
    heads = site.append(some_rows(9))
    with site.tampered() as connection:
        change = f"{column} = {SQL[column]}"
        connection.execute(f"UPDATE audit SET {change} WHERE number = {number}")  # noqa: S608
        if fitting:
            site.make_digests_fit(connection)
    whole = fitting and column == "digest"  # made right again
    assert site.verdict(root).whole is whole
    if column != "mac":
        anchored = site.verdict(anchors=heads).whole
        assert anchored is whole


def test_an_older_copy_of_the_whole_file_is_found_by_an_anchor(
    site: AuditSite, tmp_path: Path
) -> None:
    root = site.root()
    site.append(some_rows(6))
    shutil.copy(site.path, tmp_path / "older")
    heads = site.append(some_rows(6, first=7))
    shutil.copy(tmp_path / "older", site.path)
    assert site.verdict(root).whole
    (told,) = site.verdict(root, heads).broken
    assert told == "the log has row 12, the file ends with 6: cut off, or an older copy"
    heads += site.append(some_rows(6, first=20))  # and when it has grown again
    assert site.verdict(anchors=heads).broken


def test_the_oldest_rows_are_cut_off_and_the_rest_still_verifies(tmp_path: Path) -> None:
    site = AuditSite(tmp_path / "state", bounds=Bounds(rows=20, cut_at_once=8))
    root = site.root()
    heads = site.append(some_rows(200), at_once=5)
    rows = site.rows()
    assert 10 <= len(rows) <= 21
    verdict = site.verdict(root, heads)
    assert (verdict.whole, verdict.broken) == (True, ())
    cut = [row for row in rows if row.event == "audit.cut"]
    assert json.loads(cut[-1].detail)["up_to"] == rows[0].number - 1


def test_rows_cut_off_by_somebody_else_are_found(tmp_path: Path) -> None:
    site = AuditSite(tmp_path / "state", bounds=Bounds(rows=20, cut_at_once=8))
    root = site.root()
    site.append(some_rows(60), at_once=5)
    first = site.rows()[0].number
    with site.tampered() as connection:
        query = "SELECT digest FROM audit WHERE number = ?"
        (digest,) = connection.execute(query, (first + 2,)).fetchone()
        connection.execute("DELETE FROM audit WHERE number <= ?", (first + 2,))
        connection.execute("UPDATE audit_head SET cut = ?, cut_digest = ?", (first + 2, digest))
    verdict = site.verdict(root)
    assert verdict.broken == (f"rows up to {first + 2} are gone, and no row says so",)


def test_old_keys_are_nowhere_in_the_files(site: AuditSite) -> None:
    """Plain ones never, of the sealed ones the last only: the vault's key may be taken, too."""
    root = site.root()
    seen = list[bytes]()
    with site.store() as store:

        async def write() -> None:
            for row in some_rows(6):
                await store.audit.append([row])
                with closing(sqlite3.connect(f"file:{site.path}?mode=ro", uri=True)) as reader:
                    seen.append(reader.execute("SELECT sealed FROM audit_head").fetchone()[0])
            texts = [path.read_bytes() for path in site.folder.glob("audit.db*")]
            assert any(seen[-1] in text for text in texts)
            for old in seen[:-1]:
                assert not any(old in text for text in texts)

        anyio.run(write)
    plain, key = [root.key.reveal()], bytearray(root.key.reveal())
    for _ in range(8):
        evolve(key)
        plain.append(bytes(key))
    for path in site.folder.iterdir():
        content = path.read_bytes()
        assert not any(one in content or one.hex().encode() in content for one in plain)
    opened = a_vault().open(seen[-1], table="audit_head", row=root.chain, column="sealed")
    assert opened.reveal() == plain[6]


def verdict_of(rows: list[AuditRow]) -> Verdict:
    """Of rows as they are told, whatever is in them."""
    digest, held, written = beginning(CHAIN), bytearray(32), list[ChainedRow]()
    for number, row in enumerate(rows, 1):
        written.append(chained(row, number, digest, held))
        digest = written[-1].digest
    return verify(written, kept(written), root=Root(chain=CHAIN, first=1, key=Secret(bytes(32))))


def test_what_is_no_text_and_what_is_long_is_bounded_and_no_secret_is_shown() -> None:
    row = AuditRow(at=NOON, event="x" * 999, lock="\ud800", detail={"a": Secret("CANARY-1")})
    long = AuditRow(at=NOON, event="y", detail={"b": "z" * 9999})
    assert verdict_of([row, long]).whole
    one = chained(row, 1, b"", bytearray(32))
    assert (len(one.event), one.lock, one.detail) == (128, "?", '{"a": "<Secret>"}')
    assert chained(long, 1, b"", bytearray(32)).detail == '{"too_long": 10008}'
