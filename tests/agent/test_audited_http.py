"""What callers do over HTTP, as rows of the audit; strangers cannot fill it (safety F4)."""

from __future__ import annotations

from itertools import count

import anyio
import httpx
import pytest
from starlette.requests import Request

from bleagent.http.app import guarded
from bleagent.http.auth import Tokens
from bleagent.http.callers import Callers, User, Users
from bleagent.http.guard import AUDITED
from bleagent.http.peer import STATE, Peer
from bleagent.http.requests import principal
from bleagent.records.record import Carriage
from protocol import Secret
from tests.agent.record_shelf import stored
from tests.agent.test_http_tokens import DAY, MASTER, Gate, before_the_door, guest


def test_tokens_and_decisions_are_rows_without_a_secret() -> None:
    async def story(gate: Gate) -> None:
        made = await gate.create("read")
        await gate.ask("POST", f"/v1/tokens/{made['id']}/revoke")
        parked = stored(2, cloud=(Carriage.PARKED, "1109"), old=(Carriage.WAITING, ""))
        gate.shelf.kept.append(parked)
        gate.shelf.gone.add("old")
        await gate.ask("POST", f"/v1/records/{parked.id}/drop")
        await gate.ask("POST", "/v1/outbox/old/forget")
        assert [one["event"] for one in gate.audit.told] == [
            "token.created", "token.revoked", "record.decided",
            "sink.forgotten",
        ]  # fmt: skip
        created, revoked, decided, forgotten = gate.audit.told
        assert created["token"] == revoked["token"]
        assert created["token"].endswith(made["id"])
        assert forgotten["sink"] == "old"
        assert {one["principal"] for one in gate.audit.told} == {"token"}
        assert {one["via"] for one in gate.audit.told} == {"tcp 127.0.0.1"}
        assert (decided["record"], decided["decision"], decided["lock"]) == (
            parked.id, "drop", parked.lock,
        )  # fmt: skip
        assert made["token"] not in str(gate.audit.told)
        assert MASTER not in str(gate.audit.told)

    before_the_door(story)


def test_a_guest_whose_openings_are_used_up_is_a_row() -> None:
    async def story(gate: Gate) -> None:
        once = {"lock": "front", "times": 1}
        answer = await gate.ask("POST", "/v1/tokens", json={"guest": once, "expires_in": DAY})
        token = answer.json()["token"]
        assert (await gate.unlock(token, "key-1")).status_code == 200
        assert gate.audit.of("token.used_up") == []
        await anyio.sleep(20)
        assert (await gate.unlock(token, "key-2")).json()["code"] == "uses-spent"
        (told,) = gate.audit.of("token.used_up")
        assert told["lock"] == "front"
        assert told["principal"].endswith(answer.json()["id"])

    before_the_door(story)


def test_wrong_tokens_are_a_row_for_a_client_and_minute_and_few_in_all() -> None:
    async def story(gate: Gate) -> None:
        app = guarded(gate.parts, allowed_hosts=lambda: ("gate",))

        async def wrong(address: str) -> None:
            transport = httpx.ASGITransport(app, client=(address, 1))
            async with httpx.AsyncClient(transport=transport, base_url="http://gate") as client:
                await client.get("/v1/locks", headers={"Authorization": "Bearer wrong"})

        for _ in range(5):
            await wrong("192.0.2.1")
        (told,) = gate.audit.of("auth.failed")
        assert (told["via"], told["failed_since_start"]) == ("tcp 192.0.2.1", 1)
        await anyio.sleep(61)
        await wrong("192.0.2.1")
        assert gate.audit.of("auth.failed")[-1]["failed_since_start"] == 6
        for _ in range(20):  # and that was all: who stops after a burst is counted, too
            await wrong("192.0.2.1")
        (held_up,) = gate.audit.of("auth.held_up")
        assert held_up["failed_since_start"] > 10
        for number in range(3 * AUDITED.burst):
            await wrong(f"198.51.100.{number}")
        assert len(gate.audit.of("auth.failed")) <= AUDITED.burst + 10

    before_the_door(story)


def test_a_token_in_an_address_is_a_row_that_names_it_also_when_it_is_not_good_now() -> None:
    async def story(gate: Gate) -> None:
        app = guarded(gate.parts, allowed_hosts=lambda: ("gate",))
        transport = httpx.ASGITransport(app, client=("192.0.2.1", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://gate") as client:
            made = await gate.create("read")
            shown = await guest(gate, begins="2023-12-01T00:00:00Z")  # weeks from now
            for token in (made["token"], shown):
                for url in (f"/v1/locks?x={token}", f"/v1/locks/{token}/unlock"):
                    answer = await client.get(url)
                    assert answer.json()["code"] == "credential-in-url"
        told = gate.audit.of("token.exposed")
        assert [row["principal"] for row in told] == [made["token"][:12], shown[:12]]
        assert {row["via"] for row in told} == {"tcp 192.0.2.1"}
        assert made["token"] not in str(gate.audit.told)

    before_the_door(story)


@pytest.mark.anyio
async def test_a_caller_at_the_socket_is_told_by_uid() -> None:
    callers = Callers(Tokens(Secret("t" * 20)), Users([User(uids=frozenset({7}))]))
    request = Request({"type": "http", "state": {STATE: Peer(uid=7)}, "app": _App(callers)})
    found = await principal(request)
    assert (found.id, found.via) == ("uid:7", "socket uid:7")


class _App:
    def __init__(self, callers: Callers) -> None:
        self.state = type("State", (), {"callers": callers})()
        self.numbers = count()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
