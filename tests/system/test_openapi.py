"""The running daemon keeps what its own document says, whatever is asked of it."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import anyio
import httpx
import pytest

from bleagent.simulator.quirks import Quirks
from tests.system.daemon import TOKEN, Site, unlock

pytestmark = pytest.mark.anyio
SECONDS = os.environ.get("BLEAGENT_SCHEMATHESIS_SECONDS")
"""For so long; 20 by default, and then by the same seed each time."""
PATIENT = (str(Path(__file__).with_name("patient_daemon.py")),)
CONFIG = Path(__file__).with_name("schemathesis.toml")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_what_the_daemon_answers_is_what_its_document_says(tmp_path: Path) -> None:
    """All checks of schemathesis, on all requests; more of it with another number of seconds."""
    # Without the quirk each locking takes 20 s; the sink asks the cloud what it has.
    sink = '[[sinks]]\ntype = "openapi"\n'
    site = Site(tmp_path, quirks=Quirks(reports_bolt=True), more={"": sink})
    async with site.up(), site.daemon("info", by=PATIENT) as (client, _):
        document = (await client.get("/openapi.json")).text
        path = tmp_path / "openapi.json"
        path.write_text(document.replace("front-door", "front"))  # the examples' lock is ours
        command = [
            str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(CONFIG),
            "run", str(path), "--url", str(client.base_url), "--checks", "all",
            "--header", f"Authorization: Bearer {TOKEN}", "--max-time", SECONDS or "20",
            "--output-truncate", "false", "--request-timeout", "60",
            *(() if SECONDS else ("--seed", "1")),
        ]  # fmt: skip
        done = await anyio.run_process(command, check=False, cwd=tmp_path, stderr=-2)
        assert done.returncode == 0, done.stdout.decode()
        assert (await client.get("/livez")).status_code == 200
    told = site.log.read_text()
    assert '"outcome": "confirmed"' in told  # it got as far as the door
    assert "Traceback" not in told
    assert TOKEN not in told


async def test_who_may_see_the_document_and_what_the_page_says(tmp_path: Path) -> None:
    site = Site(tmp_path)
    async with site.up(), site.daemon() as (client, _):
        document = await client.get("/openapi.json")
        assert document.json()["openapi"] == "3.1.0"
        async with httpx.AsyncClient(base_url=client.base_url, trust_env=False) as anybody:
            assert (await anybody.get("/openapi.json")).status_code == 401
            page = await anybody.get("/docs")
            style = await anybody.get("/docs.css")
        assert page.headers["content-security-policy"].startswith("default-src 'none'; style-src")
        assert page.headers["cache-control"] == "no-store"
        assert style.headers["content-type"].startswith("text/css")
        for ours in ('front"', "canary", site.cloud.client_id):
            assert ours not in page.text
        opened = await unlock(client, "one")
        assert opened.status_code == 200  # and a door opens as before


async def test_a_caller_may_hang_up_who_was_told_where_to_look(tmp_path: Path) -> None:
    site = Site(tmp_path)
    async with site.up(), site.daemon() as (client, _):
        headers = {"Idempotency-Key": "one", "Prefer": "respond-async"}
        begun = await client.post("/v1/locks/front/unlock", headers=headers)
        assert (begun.status_code, begun.json()["outcome"]) == (202, None)
        with anyio.fail_after(20):
            while (await client.get(begun.headers["location"])).json()["outcome"] is None:
                await anyio.sleep(0.05)
        found = await client.get("/v1/operations", params={"key": "one"})
        assert (found.json()["id"], found.json()["outcome"]) == (begun.json()["id"], "confirmed")
        assert site.opened == 1


async def test_the_command_prints_the_same_without_a_daemon(tmp_path: Path) -> None:
    site = Site(tmp_path)
    async with site.up(), site.daemon() as (client, _):
        served = (await client.get("/openapi.json")).json()
    done = await anyio.run_process([sys.executable, "-m", "bleagent", "openapi"])
    assert json.loads(done.stdout) == served
