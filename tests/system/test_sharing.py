"""A door opened with sharing tickets: the real daemon, a virtual door and the virtual cloud."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from bleagent.authority.shared import id_of
from bleagent.cloud.sharing import CONFIRM, VERIFY
from bleagent.simulator.cloud_faults import Fault, FaultKind
from protocol import Secret
from tests.often import some
from tests.system.daemon import KEYS, Site, unlock_when_rested
from tests.system.test_audit import until_told
from tests.system.test_tokens import made, of

pytestmark = pytest.mark.anyio

FINISHED = "operation.finished"
ONLY_LOCK = {"": "[strategies]\nsharing = 'only_lock'\n"}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def shared(site: Site, **detail: Any) -> str:
    """A ticket, as the owner of the lock made it in the app."""
    return site.cloud.sharing.share(KEYS.virtual_id, **detail).ticket


async def show(reader: httpx.AsyncClient, key: str, ticket: str) -> httpx.Response:
    """Pass it on, when the lock has rested and the agent has the date."""
    sharing = {"ticket": ticket, "receiver": "guest"}
    with anyio.fail_after(20):
        while True:
            answer = await unlock_when_rested(reader, key, sharing=sharing)
            if answer.json().get("code") != "date-unknown":
                return answer
            await anyio.sleep(0.05)


def refused(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


@pytest.mark.parametrize("told", some([True, False], 1))
async def test_a_ticket_opens_as_often_as_it_says_over_a_restart_and_not_when_it_is_taken_back(
    tmp_path: Path, told: bool
) -> None:
    site = Site(tmp_path, more={} if told else ONLY_LOCK)
    site.cloud.sharing.names_lock = told
    async with site.up():
        once, other = shared(site, available_times=1), shared(site)
        async with site.daemon() as (client, _):
            token = await made(site, client, "--scope", "share:front")
            async with of(client, token) as reader:
                assert (await show(reader, "1", once)).json()["outcome"] == "confirmed"
                assert refused(await show(reader, "2", once)) == (403, "uses-spent")
            found = await until_told(site, FINISHED)
            (opened,) = [row for row in found if row["event"] == FINISHED]
            assert str(opened["principal"]).startswith("blk_")
            assert id_of(Secret(once)) in str(opened["detail"])
        async with site.daemon() as (client, _), of(client, token) as reader:
            again = await show(reader, "1", once)
            assert again.headers["idempotency-replayed"] == "true"
            assert refused(await show(reader, "1", other)) == (422, "idempotency-key-reused")
            assert refused(await show(reader, "3", once)) == (403, "uses-spent")
            site.cloud.sharing.shares[other].cancelled = True
            assert refused(await show(reader, "4", other)) == (403, "sharing-refused")
            bare = await reader.post("/v1/locks/front/unlock", headers={"Idempotency-Key": "5"})
            assert refused(bare) == (403, "scope-missing")
        assert site.opened == 1
    log = site.log.read_text()
    assert id_of(Secret(once)) in log
    assert once not in log


async def test_without_the_clouds_yes_for_this_lock_nothing_is_opened(tmp_path: Path) -> None:
    site = Site(tmp_path, offline="cached")
    async with site.up(), site.daemon() as (client, _):
        token = await made(site, client, "--scope", "share:front")
        async with of(client, token) as reader:
            assert refused(await show(reader, "1", shared(site))) == (403, "sharing-refused")
            site.cloud.sharing.names_lock = True
            for action in (VERIFY, CONFIRM):
                site.cloud.faults.always(action, Fault(FaultKind.CUT_BEFORE))
                answer = await show(reader, f"down {action}", shared(site))
                assert refused(answer) == (503, "sharing-unverified")
                site.cloud.faults.clear()
            away = shared(site, effective_time=9 * 10**12)
            assert refused(await show(reader, "away", away)) == (403, "outside-window")
            assert site.opened == 0
            assert (await show(reader, "2", shared(site))).json()["outcome"] == "confirmed"
        assert site.opened == 1
