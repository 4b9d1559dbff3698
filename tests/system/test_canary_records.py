"""No secret leaves with the records: passwords and codes travel inside of some of them.

An offline password's record has the password, enciphered with a key that is no secret to the
lock's owner; a general opening's has the check code (reference: safety G1).
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from Crypto.Cipher import AES

from bleagent.clock import SystemClock
from bleagent.simulator.lock_app import LockApplication
from protocol import DpName
from tests.often import some
from tests.system.canary import Canary
from tests.system.daemon import CODE, KEYS, Site
from tests.system.telling_door import (
    OPENAPI,
    fingers,
    opened,
    records,
    settled,
    site_with_records,
    until,
)
from tests.system.test_canary import Watched, _told

pytestmark = pytest.mark.anyio
LEAKING = Path(__file__).with_name("leaking_daemon.py")
PASSWORD = "0123450678"
KINDS = ("offline_password", "opened", "bluetooth", "fingerprint")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def _secret_records(site: Site) -> dict[str, bytes]:
    """Somebody used an offline password, and an accessory opened; what is secret of it."""
    app, now = site.lock.app, SystemClock().now()
    assert isinstance(app, LockApplication)
    key = b"0" * 10 + KEYS.login_key.reveal()
    plain = b"000000" + PASSWORD.encode()
    enciphered = AES.new(key, AES.MODE_CBC, bytes(16)).encrypt(plain)
    app.records.record_bytes(DpName.RECORD_OFFLINE_PASSWORD, enciphered, now - 1)
    moment = int(time.time()).to_bytes(4, "big")
    opening = b"\x00\x05\x00\x07" + CODE.encode() + b"\x01" + moment + b"\x02"
    app.records.record_raw(DpName.OPEN_RECORD, opening, now - 1)
    return {"offline password": PASSWORD.encode(), "enciphered password": enciphered}


async def _visited(client: httpx.AsyncClient, site: Site) -> dict[str, bytes]:
    """Everything that tells of records, also where the cloud does not have them."""
    desk = site.cloud.records
    shown = await records(client)
    paths = ["/v1/records", "/v1/outbox", "/v1/records?after=0", "/v1/records?kind=thought"]
    paths += [f"/v1/records/{one['id']}" for one in shown]
    asked = [(path, await client.get(path)) for path in paths]
    verify, kept = "/v1/locks/front/records/verify", list(desk.stored)
    desk.planted[:] = kept  # each twice
    asked.append(("verify twice", await client.post(verify)))
    desk.planted.clear()
    desk.stored.clear()
    asked.append(("verify lacking", await client.post(verify)))
    desk.stored[:] = kept
    for one in shown[:2]:
        path = f"/v1/records/{one['id']}/drop"
        asked.append(("drop", await client.post(path, json={"sink": "nobody"})))
    return {name: _told(answer) for name, answer in asked}


def _by_kind(shown: list[dict[str, Any]]) -> set[str]:
    return {str(one["kind"]) for one in shown}


@pytest.mark.parametrize("leaks", some([False, True], 1))
async def test_no_secret_leaves_with_the_records(tmp_path: Path, leaks: bool) -> None:
    file = tmp_path / "told.jsonl"
    sinks = f'{OPENAPI}[[sinks]]\ntype = "file"\npath = "{file}"\n'
    site = site_with_records(tmp_path, sinks)
    fingers(site, 2)
    secrets = _secret_records(site)
    watched = Watched(site)
    for name, value in secrets.items():
        watched.canary.add(name, value)
    by = [str(LEAKING)] if leaks else []
    async with site.up(), site.daemon("debug", by=by) as (client, process):
        await opened(client, "one")
        await until(lambda: len(site.cloud.records.stored) >= 5)
        for sink in ("openapi", "file"):
            await settled(client, sink)
        assert _by_kind(await records(client)) == set(KINDS)
        answers = await _visited(client, site)
        live = [*watched.files(), (file.name, file.read_bytes())]
        process.kill()
        await process.wait()
        killed = [*watched.files(), (file.name, file.read_bytes())]
    watched.learn()
    assert any(name.startswith("records.db") for name, _ in live)
    assert len(file.read_bytes().splitlines()) == 5
    found = watched.canary.in_all([*live, *killed, *answers.items()])
    if leaks:
        places = {place for place, name, _ in found if name == "enciphered password"}
        assert places >= {"/v1/records", "/v1/records?after=0"}
        assert not places & {name for name, _ in [*live, *killed]}
    else:
        assert found == []
    # The secret did come this far: the cloud alone is told of the one, and nobody of the code.
    told = "\n".join(str(one.value) for one in site.cloud.records.stored)
    assert {name for name, _ in watched.canary.found(told)} == {"enciphered password"}
    assert Canary({"id": answers["/v1/records"][14:30]}).in_all(answers.items())
