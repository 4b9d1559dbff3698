"""The audit of the real daemon: written, shown, verified; dead at each point; without its file."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from subprocess import CompletedProcess

import anyio
import httpx
import pytest

from tests.often import some
from tests.system.crashing_daemon import AUDIT_POINTS
from tests.system.daemon import Site, unlock, unlock_when_rested

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def audit(site: Site, *arguments: str, given: bytes = b"") -> CompletedProcess[bytes]:
    """The command, to its end."""
    command, *others = arguments
    return await anyio.run_process(
        [sys.executable, "-m", "bleagent", "audit", command, "--config", str(site.config), *others],
        input=given, check=False, env=os.environ | {"TZ": "Europe/Berlin"},
    )  # fmt: skip


async def rows(site: Site) -> list[dict[str, object]]:
    done = await audit(site, "show", "--json", "--last", "0")
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


async def until_told(site: Site, event: str) -> list[dict[str, object]]:
    with anyio.fail_after(15):
        while True:
            found = await rows(site)
            if event in [row["event"] for row in found]:
                return found
            await anyio.sleep(0.1)


async def verdict(site: Site, *arguments: str, given: bytes = b"") -> tuple[int, str]:
    done = await audit(site, "verify", *arguments, given=given)
    return done.returncode, done.stdout.decode() + done.stderr.decode()


async def test_what_is_done_is_told_and_what_is_changed_shows(tmp_path: Path) -> None:
    site = Site(tmp_path)
    log = str(site.log)
    async with site.up():
        done = await audit(site, "init")
        root = done.stdout
        assert done.returncode == 0, done.stderr
        assert b"from row 1 on" in done.stderr
        async with site.daemon("info") as (client, _):
            running = await audit(site, "init")
            assert running.returncode == 2
            assert b"process" in running.stderr
            opened = (await unlock(client, "a-key")).json()
            made = (await client.post("/v1/tokens", json={"scopes": ["read"]})).json()
            await client.post(f"/v1/tokens/{made['id']}/revoke")
            await client.get("/v1/locks", headers={"Authorization": "Bearer wrong"})
            found = await until_told(site, "auth.failed")
    events = [row["event"] for row in found]
    assert events[0] == "agent.started"
    assert {"operation.finished", "token.created", "token.revoked", "auth.failed"} <= set(events)
    (finished,) = [row for row in found if row["event"] == "operation.finished"]
    assert (finished["principal"], finished["lock"]) == ("token", "front")
    assert finished["operation"] == opened["id"]
    detail = finished["detail"]
    assert isinstance(detail, dict)
    assert (detail["via"], detail["outcome"], detail["late"]) == (
        "tcp 127.0.0.1", "confirmed", False,
    )  # fmt: skip
    texts = [path.read_bytes() for path in (tmp_path / "state").glob("audit.db*")]
    assert not any(made["token"].encode() in text or b"a-key" in text for text in texts)
    assert (await rows(site))[-1]["event"] == "agent.stopped"

    shown = (await audit(site, "show", "--lock", "front")).stdout.decode()
    assert shown.splitlines()[0].split() == ["row", "time", "event", "who", "lock", "what"]
    assert f"operation.finished  token  front  {opened['id']} action=unlock" in shown
    assert "agent.started" not in shown

    status, said = await verdict(site, "--root-key", "-", "--anchor", log, given=root)
    assert (status, "note:" in said) == (0, False), said
    assert said.startswith(f"rows 1 to {len(found) + 1} are whole, anchored up to {len(found) + 1}")
    status, said = await verdict(site)
    assert status == 0
    assert "without an anchor it is not excluded that the end was cut off" in said

    await tampered(site, root, log)


async def tampered(site: Site, root: bytes, log: str) -> None:
    """Row 2 never happened; somebody clever has made all digests fit, and cut off the end."""
    path = site.folder / "state" / "audit.db"
    shutil.copy(path, site.folder / "copy.db")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TRIGGER audit_is_not_changed")
        connection.execute("UPDATE audit SET event = 'nothing' WHERE number = 2")
        connection.commit()
    status, said = await verdict(site, "--root-key", "-", given=root)
    assert status == 1
    assert "BROKEN: row 2 is not what was written" in said
    copied = str(site.folder / "copy.db")
    command = [sys.executable, "-m", "bleagent", "audit", "verify", "--file", copied]
    of_copy = await anyio.run_process([*command, "--root-key", "-"], input=root, check=False)
    assert of_copy.returncode == 0, of_copy.stderr
    shutil.copy(site.folder / "copy.db", path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TRIGGER audit_is_cut_where_it_says")
        connection.execute("DELETE FROM audit WHERE number > 2")
        connection.execute(
            "UPDATE audit_head SET number = 2, digest = (SELECT digest FROM audit WHERE number = 2)"
        )
        connection.commit()
    assert (await verdict(site, "--root-key", "-", given=root))[0] == 0
    status, said = await verdict(site, "--anchor", log)
    assert status == 1
    assert "the file ends with 2: cut off, or an older copy" in said


async def test_what_cannot_be_used_ends_with_2(tmp_path: Path) -> None:
    site = Site(tmp_path)
    async with site.up():
        pass
    status, said = await verdict(site)
    assert (status, "audit.db" in said) == (2, True)
    assert (await audit(site, "show")).returncode == 2
    assert (await verdict(site, "--anchor", "-", given=b"nothing"))[0] == 2
    assert (await verdict(site, "--root-key", "-", given=b"nothing"))[0] == 2
    assert (await verdict(site, "--file", "x"))[0] == 2


@pytest.mark.parametrize(
    "point",
    some((f"{point}#{time}" for time in (1, 2) for point in AUDIT_POINTS), len(AUDIT_POINTS)),
)
async def test_dead_at_any_point_the_chain_holds(point: str, tmp_path: Path) -> None:
    site = Site(tmp_path)
    async with site.up():
        root = (await audit(site, "init")).stdout
        command = [
            sys.executable, str(Path(__file__).with_name("crashing_daemon.py")), point, "run",
            "--config", str(site.config), "--port-file", str(tmp_path / "port"),
        ]  # fmt: skip
        with site.log.open("ab") as output:
            async with await anyio.open_process(command, stdout=output, stderr=output) as process:
                with anyio.fail_after(60):
                    await _opened_unless_dead(tmp_path / "port", process)
                    assert await process.wait() == -signal.SIGKILL
        async with site.daemon("info") as (client, _):
            await unlock_when_rested(client, "two")
        status, said = await verdict(site, "--root-key", "-", "--anchor", str(site.log), given=root)
        assert (status, "note:" in said) == (0, False), said
        assert len([row for row in await rows(site) if row["event"] == "agent.started"]) >= 1


def _text_of(path: Path) -> str:
    return path.read_text() if path.exists() else ""


async def _opened_unless_dead(port: Path, process: anyio.abc.Process) -> None:
    while process.returncode is None and not _text_of(port):
        await anyio.sleep(0.02)
    if process.returncode is not None:
        return
    headers = {"Authorization": "Bearer CANARY-token-0123456789"}
    try:
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{_text_of(port)}", headers=headers, timeout=60,
            trust_env=False,
        ) as client:  # fmt: skip
            await unlock(client, "one")
    except httpx.HTTPError:
        assert await process.wait() == -signal.SIGKILL


def newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version=99")


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(("spoil", "code"), [(newer, "store-too-new"), (a_folder, "store-failed")])
async def test_doors_open_without_an_audit_and_it_is_said(
    spoil: Callable[[Path], None], code: str, tmp_path: Path
) -> None:
    site = Site(tmp_path)
    async with site.up():
        async with site.daemon("info"):
            pass
        spoil(tmp_path / "state" / "audit.db")
        async with site.daemon("info") as (client, _):
            assert (await unlock(client, "one")).json()["outcome"] == "confirmed"
            ready = await client.get("/readyz")
            assert (ready.status_code, ready.json()["wrong"]) == (200, ["audit"])
            assert [one["code"] for one in ready.json()["parts"]["audit"]["wrong"]] == [code]
    assert f'"code": "{code}"' in site.log.read_text()
    assert "audit.not_kept" in site.log.read_text()


async def test_doors_open_when_the_file_is_taken_away_meanwhile(tmp_path: Path) -> None:
    site = Site(tmp_path)
    async with site.up(), site.daemon("info") as (client, _):
        await until_told(site, "agent.started")
        (tmp_path / "state" / "audit.db").unlink()
        assert (await unlock(client, "one")).json()["outcome"] == "confirmed"
        with anyio.fail_after(15):
            while "audit" not in (await client.get("/readyz")).json()["wrong"]:
                await anyio.sleep(0.1)
    assert "audit-gone" in site.log.read_text()
