"""``bleagent status`` as a process, before the real daemon and where there is none."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from subprocess import CompletedProcess

import anyio
import pytest

from tests.system.daemon import Site

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def status(site: Site, url: str, *arguments: str) -> CompletedProcess[bytes]:
    where = ["--config", str(site.config), "--url", url]
    return await anyio.run_process(
        [sys.executable, "-m", "bleagent", "status", *where, *arguments], check=False
    )


async def test_it_says_how_the_daemon_is(tmp_path: Path) -> None:
    site = Site(tmp_path)
    async with site.up(), site.daemon() as (client, _):
        url = str(client.base_url)
        done = await status(site, url)
        assert (done.returncode, done.stderr) == (0, b"")
        assert done.stdout.decode().startswith("ready: doors can be opened\n")
        assert "\nfront " in done.stdout.decode()
        found = json.loads((await status(site, url, "--json")).stdout)
        assert found["ready"] is True
        assert [one["name"] for one in found["locks"]] == ["front"]
        # Of one who may not read it is only said whether.
        (tmp_path / "other").touch(0o600)
        (tmp_path / "other").write_text("x" * 20)
        refused = await status(site, url, "--token-file", str(tmp_path / "other"))
        assert (refused.returncode, refused.stdout) == (2, b"")
        assert b"does not take this token" in refused.stderr


async def test_doors_that_stay_shut_are_its_exit_status(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.configure("http://127.0.0.1:9", '[radio]\nsocket = "127.0.0.1:9"\n')
    async with site.daemon() as (client, _):
        url = str(client.base_url)
        headers = {"Idempotency-Key": "k"}
        await client.post("/v1/locks/front/unlock", headers=headers, json={"deadline_ms": 1000})
        done = await status(site, url)
        assert done.returncode == 1, done
        assert done.stdout.decode().startswith("NOT READY: doors stay shut: radio\n")


async def test_no_daemon_is_another_exit_status(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.configure("http://127.0.0.1:9", "")
    done = await status(site, "http://127.0.0.1:9")
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"nobody answers" in done.stderr
