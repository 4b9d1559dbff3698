"""``bleagent token`` as a process, against the real daemon before a virtual door."""

from __future__ import annotations

import json
import os
import sys
from datetime import datetime, timedelta
from pathlib import Path
from subprocess import CompletedProcess

import anyio
import httpx
import pytest

from bleagent.simulator.cloud_faults import Fault, FaultKind
from tests.system.daemon import Site, unlock, unlock_when_rested

pytestmark = pytest.mark.anyio

INSTRUCTION = "doorLock.bleOpenInstruction"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def token(
    site: Site, client: httpx.AsyncClient, *arguments: str, **more: str
) -> CompletedProcess[bytes]:
    """The command, to its end."""
    command, *others = arguments
    where = {"--config": str(site.config), "--url": str(client.base_url), **more}
    options = [part for pair in where.items() for part in pair]
    return await anyio.run_process(
        [sys.executable, "-m", "bleagent", "token", command, *options, *others],
        check=False, env=os.environ | {"TZ": "Europe/Berlin"},
    )  # fmt: skip


async def made(site: Site, client: httpx.AsyncClient, *arguments: str) -> str:
    """A new token, as it stands alone on stdout; one with an end when the daemon has the date."""
    done = await token(site, client, "create", *arguments)
    with anyio.fail_after(20):
        while b"(date-unknown)" in done.stderr:
            done = await token(site, client, "create", *arguments)
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.decode().splitlines()
    return line


def of(client: httpx.AsyncClient, shown: str) -> httpx.AsyncClient:
    """A caller with this token."""
    return httpx.AsyncClient(
        base_url=client.base_url, headers={"Authorization": f"Bearer {shown}"}, timeout=30,
        trust_env=False,
    )  # fmt: skip


async def test_a_token_is_made_used_listed_and_taken_back_and_survives_a_restart(
    tmp_path: Path,
) -> None:
    site = Site(tmp_path)
    async with site.up():
        async with site.daemon() as (client, _):
            shown = await made(
                site, client, "--label", "Anna", "--scope", "operate:front", "--expires", "30d"
            )
            async with of(client, shown) as anna:
                assert (await unlock(anna, "one")).json()["outcome"] == "confirmed"
                lacking = await anna.get("/v1/locks")
                assert (lacking.status_code, lacking.json()["code"]) == (403, "scope-missing")
                foreign = await token(site, client, "list", **token_file(tmp_path, shown))
            assert foreign.returncode == 1
            assert b"scope admin" in foreign.stderr
        async with site.daemon() as (client, _), of(client, shown) as anna:
            # The same key of the same token, whose operation was stored by another process.
            again = await unlock(anna, "one")
            with anyio.fail_after(20):
                while again.json().get("code") == "date-unknown":  # it has an end
                    assert again.status_code == 503
                    await anyio.sleep(0.05)
                    again = await unlock(anna, "one")
            assert again.headers["idempotency-replayed"] == "true"
            assert (await unlock_when_rested(client, "one")).json()["outcome"] == "confirmed"
            assert site.opened == 2
            listed = await token(site, client, "list")
            title, row = listed.stdout.decode().splitlines()
            assert title.split() == ["id", "state", "expires", "scopes", "label"]
            token_id = row.split()[0]
            assert row.split()[1] == "good"
            assert row.split()[-2:] == ["operate:front", "Anna"]
            gone = await token(site, client, "revoke", token_id)
            assert (gone.returncode, gone.stderr) == (0, b"")
            assert gone.stdout.startswith(f"{token_id} (Anna), operate:front, until ".encode())
            assert (await unlock(anna, "two")).status_code == 401
            (told,) = (await token(site, client, "list", "--json")).stdout.splitlines()
            assert json.loads(told)["state"] == "revoked"
        async with site.daemon() as (client, _), of(client, shown) as anna:
            assert (await unlock(anna, "three")).status_code == 401
        assert site.opened == 2
    secret = shown.rpartition(f"blk_{token_id}_")[2]
    assert len(secret) == 43
    places = [site.log, *(tmp_path / "state").iterdir()]
    for place in places:
        assert secret.encode() not in place.read_bytes(), place.name
    assert f'"blk_{token_id}"'.encode() in site.log.read_bytes()


def token_file(folder: Path, shown: str) -> dict[str, str]:
    path = folder / "anna"
    path.touch(0o600)
    path.write_text(shown + "\n")
    return {"--token-file": str(path)}


async def test_what_waits_before_its_commit_point_is_not_written_once_its_token_is_revoked(
    tmp_path: Path,
) -> None:
    site = Site(tmp_path)
    async with site.up(), site.daemon() as (client, _), anyio.create_task_group() as tasks:
        shown = await made(site, client, "--scope", "operate:*", "--scope", "read")
        site.cloud.faults.always(INSTRUCTION, Fault(FaultKind.SLOW, seconds=3.0))
        answers: list[httpx.Response] = []

        async def ask() -> None:
            async with of(client, shown) as other:
                answers.append(await unlock(other, "one", deadline_ms=20_000))

        tasks.start_soon(ask)
        with anyio.fail_after(20):
            while not site.cloud.calls[INSTRUCTION]:
                await anyio.sleep(0.02)
        token_id = shown.split("_")[1]
        gone = await client.post(f"/v1/tokens/{token_id}/revoke")
        assert gone.json()["state"] == "revoked"
        assert not answers  # it is on its way still
        with anyio.fail_after(20):
            while not answers:
                await anyio.sleep(0.02)
        assert answers[0].json()["code"] == "token-revoked"
        assert answers[0].json()["outcome"] == "unreached"
        assert site.opened == 0
        assert (await unlock_when_rested(client, "two")).json()["outcome"] == "confirmed"


async def test_a_guest_opens_so_often_and_only_on_the_agreed_days(tmp_path: Path) -> None:
    site = Site(tmp_path)
    # The daemon's days are this machine's; midnight may come while this runs.
    now = datetime.now().astimezone()
    today, tonight, other = (f"{now + timedelta(days=days):%a}".lower() for days in (0, 1, 3))
    async with site.up(), site.daemon() as (client, _):
        once = await made(
            site, client, "--lock", "front", "--until", "2d", "--weekdays", f"{today},{tonight}",
            "--times", "1", "--label", "plumber",
        )  # fmt: skip
        away = await made(site, client, "--lock", "front", "--until", "9d", "--weekdays", other)
        async with of(client, once) as plumber, of(client, away) as cleaner:
            early = await unlock(cleaner, "one")
            assert (early.status_code, early.json()["code"]) == (403, "outside-window")
            assert (await unlock(plumber, "one")).json()["outcome"] == "confirmed"
            again = await unlock_when_rested(plumber, "two")
            assert (again.status_code, again.json()["code"]) == (403, "uses-spent")
        assert site.opened == 1
        (row, _) = (await token(site, client, "list")).stdout.decode().splitlines()[1:]
        assert row.endswith("1 of 1 openings)  plumber")
        assert "operate:front (guest, " in row


async def test_what_cannot_be_a_token_is_said_in_words(tmp_path: Path) -> None:
    site = Site(tmp_path)
    async with site.up(), site.daemon() as (client, _):
        for arguments, status, words in (
            (("create", "--scope", "operate:side"), 1, "expected one of the locks front"),
            (("create", "--scope", "read", "--expires", "soon"), 2, "--expires: found 'soon'"),
            (("create", "--scope", "read", "--expires", "2020-01-01"), 1, "has passed"),
            (("create",), 2, "say --scope, or --lock"),
            (("create", "--scope", "read", "--lock", "front"), 2, "say --scope, or --lock"),
            (("create", "--scope", "read", "--times", "3"), 2, "say --scope, or --lock"),
            (("create", "--lock", "front"), 1, "guest: found no end"),
            (("create", "--lock", "front", "--until", "9d", "--from", "noon"), 2, "--from: found"),
            (("revoke", "00ffee12"), 1, "no token 00ffee12"),
            (("revoke", f"blk_00ffee12_{'CANARY' * 7}x"), 2, "eight hex digits"),
        ):
            done = await token(site, client, *arguments)
            assert (done.returncode, done.stdout) == (status, b"")
            assert words in done.stderr.decode()
            assert b"CANARY" not in done.stderr
        nobody = await token(site, client, "list")
        assert (nobody.returncode, nobody.stdout) == (0, b"")
        assert b"none but" in nobody.stderr
