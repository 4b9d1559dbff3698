"""What becomes of operations, told by the real daemon to a receiver over real sockets."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from tests.often import some
from tests.system.daemon import Site
from tests.system.receiver import SECRET, Receiver
from tests.system.telling_door import opened, until
from tests.system.test_canary import Watched

pytestmark = pytest.mark.anyio
PRIVATE = "allow_private = true"
PROMPT = 5.0
"""Seconds that an opening takes at most, whatever the receiver does; it has ten of its own."""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def site_with_receiver(folder: Path, receiver: Receiver, *more: str, **options: str) -> Site:
    section = receiver.section(*(more or (PRIVATE,)), folder=folder, **options)
    return Site(folder, more={"": section})


async def part(client: httpx.AsyncClient) -> dict[str, Any]:
    """What is said of subscriptions."""
    return dict((await client.get("/readyz")).json()["parts"]["webhooks"])


async def wrong(client: httpx.AsyncClient, code: str) -> dict[str, Any]:
    """What is said is wrong, as soon as it is that."""
    with anyio.fail_after(30):
        while True:
            found = (await part(client))["wrong"]
            if [one["code"] for one in found] == [code]:
                return dict(found[0])
            await anyio.sleep(0.05)


def told(receiver: Receiver) -> list[Any]:
    """The operations, in order, each with what was told of it later."""
    ends = [dict(one) for one in receiver.of("operation")]
    for one in receiver.of("evidence"):
        (of,) = [end for end in ends if end["id"] == one["operation"]]
        of["evidence"] = [*of["evidence"], one["evidence"]]
    return ends


async def all_told(client: httpx.AsyncClient, receiver: Receiver, *names: str) -> None:
    """The receiver knows what everybody can ask for."""
    with anyio.fail_after(30):
        while True:
            asked = [(await client.get(f"/v1/operations/{one}")).json() for one in names]
            if told(receiver) == asked:
                return
            await anyio.sleep(0.1)


async def test_everything_is_told_signed_in_order_also_when_the_daemon_was_killed(
    tmp_path: Path,
) -> None:
    receiver = Receiver()
    site = site_with_receiver(tmp_path, receiver)
    async with site.up(), receiver.up():
        async with site.daemon() as (client, process):
            first = await opened(client, "one")
            await until(lambda: bool(receiver.took))
            receiver.answer = lambda: None
            second = await opened(client, "two")
            await until(lambda: any(one.status == 0 for one in receiver.requests))
            process.kill()  # it was sent, and whether it was taken is not known
            await process.wait()
        receiver.answer = lambda: 204
        async with site.daemon() as (client, _):
            third = await opened(client, "three")
            await all_told(client, receiver, first, second, third)
            await until(lambda: "webhook.delivered" in site.log.read_text())
    assert all(one.signed for one in receiver.requests)
    assert {one.target for one in receiver.requests} == {"/doors"}
    again = {one.name for one in receiver.requests if one.status == 0}
    bodies = [{one.body for one in receiver.requests if one.name == name} for name in again]
    assert bodies
    assert all(len(one) == 1 for one in bodies)  # a repetition is one
    assert receiver.of("lost") == []


async def test_a_receiver_that_is_not_there_yet_gets_it_later(tmp_path: Path) -> None:
    receiver = Receiver()
    site = site_with_receiver(tmp_path, receiver)
    async with site.up(), site.daemon() as (client, _):
        first = await opened(client, "one")
        trouble = await wrong(client, "unreachable")
        assert trouble["of"] == "home"
        assert "Connection refused" in trouble["detail"]
        async with receiver.up():
            await all_told(client, receiver, first)
            await until_well(client)


async def until_well(client: httpx.AsyncClient) -> None:
    with anyio.fail_after(30):
        while not (await part(client))["ok"]:
            await anyio.sleep(0.05)


@pytest.mark.parametrize(
    ("answer", "code"),
    some(
        [
            (lambda: 302, "http-302"),
            (lambda: 400, "http-400"),
            (lambda: 401, "http-401"),
            (lambda: 503, "http-503"),
        ],
        2,
    ),
)
async def test_a_receiver_that_says_no_is_asked_again_and_keeps_no_door_shut(
    tmp_path: Path, answer: Callable[[], int], code: str
) -> None:
    receiver = Receiver(answer)
    site = site_with_receiver(tmp_path, receiver)
    async with site.up(), receiver.up(), site.daemon() as (client, _):
        first = await opened(client, "one")
        await wrong(client, code)
        ready = await client.get("/readyz")
        assert (ready.status_code, ready.json()["wrong"]) == (200, ["webhooks"])
        second = await opened(client, "two")
        await until(lambda: len(receiver.requests) > 1)
        assert {one.target for one in receiver.requests} == {"/doors"}  # not "/elsewhere"
        assert len({one.name for one in receiver.requests}) == 1
        receiver.answer = lambda: 200
        await all_told(client, receiver, first, second)
        await until_well(client)


async def test_a_receiver_that_never_answers_delays_no_opening(tmp_path: Path) -> None:
    receiver = Receiver(lambda: None)
    site = site_with_receiver(tmp_path, receiver)
    async with site.up(), receiver.up(), site.daemon() as (client, process):
        await opened(client, "one")
        await until(lambda: bool(receiver.requests))
        await anyio.sleep(2.5)  # the lock rests between two operations
        began = time.monotonic()
        await opened(client, "two")
        assert time.monotonic() - began < PROMPT
        assert len(receiver.requests) == 1
        with anyio.fail_after(60):  # the agent stays for the record that follows an opening
            while (await client.get("/v1/locks")).json()["locks"][0]["connected"]:
                await anyio.sleep(0.2)
        process.terminate()
        with anyio.fail_after(PROMPT):  # nor the end
            await process.wait()
    assert process.returncode == 0


async def test_a_receiver_that_is_gone_is_left_alone_until_the_next_start(tmp_path: Path) -> None:
    receiver = Receiver(lambda: 410)
    site = site_with_receiver(tmp_path, receiver)
    async with site.up(), receiver.up():
        async with site.daemon() as (client, _):
            first = await opened(client, "one")
            assert "start the agent anew" in (await wrong(client, "http-410"))["advice"]
            second = await opened(client, "two")
            await anyio.sleep(1.5)
            assert len(receiver.requests) == 1
        receiver.answer = lambda: 204
        async with site.daemon() as (client, _):
            await all_told(client, receiver, first, second)
    assert '"webhook.stopped"' in site.log.read_text()


async def test_nothing_is_sent_to_a_place_inside_unless_that_was_asked_for(tmp_path: Path) -> None:
    receiver = Receiver()
    site = site_with_receiver(tmp_path, receiver, "allow_private = false", scheme="https")
    async with site.up(), receiver.up(), site.daemon() as (client, _):
        await opened(client, "one")
        trouble = await wrong(client, "address-refused")
    assert "allow_private = true" in trouble["advice"]
    assert receiver.connections == 0


async def test_only_what_was_subscribed_to_is_told(tmp_path: Path) -> None:
    receiver = Receiver()
    site = site_with_receiver(tmp_path, receiver, PRIVATE, 'events = ["operation"]')
    async with site.up(), receiver.up(), site.daemon() as (client, _):
        names = [await opened(client, "one"), await opened(client, "two")]
        await until(lambda: len(receiver.took) == 2)
    assert [one.name for one in receiver.took] == names
    assert {one.told["type"] for one in receiver.requests} == {"operation"}


async def test_a_file_that_cannot_be_used_keeps_no_door_shut(tmp_path: Path) -> None:
    receiver = Receiver()
    site = site_with_receiver(tmp_path, receiver)
    (state := tmp_path / "state").mkdir(0o700)
    foreign = sqlite3.connect(state / "webhooks.db")
    foreign.execute("CREATE TABLE theirs (one INTEGER)")
    foreign.close()
    async with site.up(), receiver.up(), site.daemon() as (client, _):
        await opened(client, "one")
        await wrong(client, "store-foreign")
        ready = await client.get("/readyz")
        assert (ready.status_code, ready.json()["wrong"]) == (200, ["webhooks"])
    assert receiver.requests == []


async def test_a_damaged_file_is_made_anew_and_that_is_said(tmp_path: Path) -> None:
    receiver = Receiver()
    site = site_with_receiver(tmp_path, receiver)
    async with site.up(), receiver.up():
        async with site.daemon() as (client, _):
            first = await opened(client, "one")
            await all_told(client, receiver, first)
        (tmp_path / "state" / "webhooks.db").write_bytes(b"nothing of ours" * 1000)
        async with site.daemon() as (client, _):
            second = await opened(client, "two")
            await all_told(client, receiver, first, second)
    (lost,) = receiver.of("lost")
    assert (lost["of"], lost["count"]) == ("operations", None)


async def test_no_secret_leaves_with_what_is_told(tmp_path: Path) -> None:
    receiver = Receiver(lambda: 503)
    site = site_with_receiver(tmp_path, receiver)
    watched = Watched(site)
    watched.canary.add("webhook secret", SECRET.encode())
    async with site.up(), receiver.up(), site.daemon("debug") as (client, process):
        first = await opened(client, "one")
        await wrong(client, "http-503")
        shown = [(await client.get(path)).content for path in ("/readyz", "/metrics")]
        receiver.answer = lambda: 204
        await all_told(client, receiver, first)
        live = watched.files()
        process.kill()
        await process.wait()
    watched.learn()
    sent = [(one.name, json.dumps(one.headers).encode() + one.body) for one in receiver.requests]
    answers = [("answer", one) for one in shown]
    assert any(name.startswith("webhooks.db") for name, _ in live)
    assert watched.canary.in_all([*live, *watched.files(), *answers, *sent]) == []
    watched.canary.add("operation", first.encode())
    assert {place for place, *_ in watched.canary.in_all(sent)} >= {first}
