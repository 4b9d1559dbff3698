"""The daemon as a process: HTTP outside, SQLite inside, killed and started again."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import anyio
import anyio.to_thread
import httpx
import pytest

from bleagent.doors import REST
from bleagent.simulator.cloud_faults import Fault, FaultKind
from tests.system.daemon import Site, socket_radio, unlock, unlock_when_rested

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_a_request_opens_the_door_once_and_its_key_opens_nothing_more(tmp_path: Path) -> None:
    site = Site(tmp_path)
    async with site.up(), site.daemon() as (client, _):
        first = await unlock(client, "one")
        assert first.status_code == 200, first.text
        body = first.json()
        assert (body["outcome"], body["by"], body["retryable"]) == ("confirmed", "lock", False)
        assert list(body["steps"])[-1] == "ack"
        again = await unlock(client, "one")
        assert again.headers["Idempotency-Replayed"] == "true"
        assert again.json() == body
        shown = await client.get(first.headers["Location"])
        assert shown.json() == body
        assert site.opened == 1


async def test_after_a_kill_the_same_key_answers_the_stored_truth(tmp_path: Path) -> None:
    site = Site(tmp_path)
    async with site.up():
        async with site.daemon() as (client, process):
            body = (await unlock(client, "one")).json()
            process.kill()
            await process.wait()
        async with site.daemon() as (client, _):
            again = await unlock(client, "one")
            assert again.json() == body
        assert site.opened == 1


async def test_killed_while_the_cloud_seals_it_is_unreached_and_safe_to_ask_again(
    tmp_path: Path,
) -> None:
    site = Site(tmp_path)
    async with site.up():
        site.cloud.faults.always("doorLock.bleOpenInstruction", Fault(FaultKind.SLOW))
        async with site.daemon() as (client, process), anyio.create_task_group() as tasks:

            async def ask() -> None:
                with pytest.raises(httpx.HTTPError):
                    await unlock(client, "one")

            tasks.start_soon(ask)
            with anyio.fail_after(20):
                while not site.cloud.calls["doorLock.bleOpenInstruction"]:
                    await anyio.sleep(0.02)
            process.kill()
            await process.wait()
        site.cloud.faults.clear()
        async with site.daemon() as (client, _):
            again = await unlock(client, "one")
            assert again.status_code == 503
            body = again.json()
            assert (body["outcome"], body["retryable"]) == ("unreached", True)
            assert site.opened == 0
            assert (await unlock(client, "two")).json()["outcome"] == "confirmed"
        assert site.opened == 1


async def test_what_is_wrong_with_a_request_is_said_and_nothing_happens(tmp_path: Path) -> None:
    site = Site(tmp_path)
    async with site.up(), site.daemon() as (client, _):
        bare = await client.post("/v1/locks/front/unlock")
        assert (bare.status_code, bare.json()["code"]) == (400, "idempotency-key-missing")
        wrong = await client.post("/v1/locks/front/unlock", headers={"Authorization": "Bearer x"})
        assert (wrong.status_code, wrong.json()["code"]) == (401, "unauthorized")
        nowhere = await unlock(client, "k", lock="back")
        assert (nowhere.status_code, nowhere.json()["code"]) == (404, "unknown-lock")
        odd = await unlock(client, "k", deadline_ms=0)
        assert odd.status_code == 422
        unknown = await unlock(client, "k", colour="red")
        assert unknown.status_code == 422
        first = await unlock(client, "k")
        assert first.status_code == 200
        reused = await unlock(client, "k", deadline_ms=9000)
        assert (reused.status_code, reused.json()["code"]) == (422, "idempotency-key-reused")
        for answer in (bare, wrong, nowhere, odd, unknown, reused):
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["advice"]
        for path, status in (("/v1/locks/front/unlock", 405), ("/nowhere", 404)):
            answer = await client.get(path)
            assert answer.status_code == status
            assert answer.headers["content-type"] == "application/problem+json"
            assert "/docs" in answer.json()["advice"]
        assert site.opened == 1


async def test_two_at_once_open_once(tmp_path: Path) -> None:
    site = Site(tmp_path)
    async with site.up(), site.daemon() as (client, _):
        answers: list[httpx.Response] = []

        async def ask(key: str) -> None:
            answers.append(await unlock(client, key))

        async with anyio.create_task_group() as tasks:
            for key in ("a", "b", "c"):
                tasks.start_soon(ask, key)
        assert sorted(answer.status_code for answer in answers) == [200, 409, 409]
        assert site.opened == 1


async def test_a_caller_that_hangs_up_before_the_commit_point_stops_the_opening(
    tmp_path: Path,
) -> None:
    site = Site(tmp_path)
    async with site.up(), site.daemon() as (client, _):
        site.cloud.faults.always("doorLock.bleOpenInstruction", Fault(FaultKind.SLOW, seconds=3.0))
        with pytest.raises(httpx.ReadTimeout):
            await client.post(
                "/v1/locks/front/unlock", headers={"Idempotency-Key": "gone"}, timeout=1.0
            )
        with anyio.fail_after(10):
            while (answer := await unlock(client, "gone")).status_code == 202:
                await anyio.sleep(0.05)
        assert answer.json()["code"] == "cancelled"
        assert answer.json()["outcome"] == "unreached"
        await anyio.sleep(3.0)
        assert site.opened == 0


async def test_readiness_tells_and_liveness_needs_nobody(tmp_path: Path) -> None:
    site = Site(tmp_path)
    async with site.up(), site.daemon() as (client, _):
        del client.headers["Authorization"]
        assert (await client.get("/livez")).status_code == 200
        ready = await client.get("/readyz")
        assert (ready.status_code, ready.json()) == (200, {"ready": True})
        assert (await client.get("/v1/locks")).status_code == 401


async def test_what_cannot_be_reached_is_told_with_host_and_reason(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.configure("http://127.0.0.1:9", socket_radio(9))
    async with site.daemon() as (client, _):
        with anyio.fail_after(10):
            while "cloud.unreachable" not in site.log.read_text():
                await anyio.sleep(0.05)
        (line, *_) = [
            line for line in site.log.read_text().splitlines() if "cloud.unreachable" in line
        ]
        said = json.loads(line)
        assert (said["host"], said["detail"]) == ("127.0.0.1", "Not connected: Connection refused")
        assert (await client.get("/readyz")).json()["ready"] is True  # nobody has looked yet
        answer = await unlock(client, "one", deadline_ms=500)
        assert answer.json()["outcome"] == "unreached"
        ready = await client.get("/readyz")
        assert (ready.status_code, ready.json()["ready"]) == (503, False)
        assert ready.json()["wrong"] == ["radio", "cloud", "clock"]
        parts = ready.json()["parts"]
        assert [name for name in parts if parts[name]["keeps_doors_shut"]] == ["radio"]
        (said,) = parts["cloud"]["wrong"]
        assert (said["code"], parts["cloud"]["asked"]) == ("cloud-unreachable", True)
        assert said["advice"] == "Check the gateway's network and the configured base URL."


async def test_a_second_daemon_on_the_same_state_names_the_first(tmp_path: Path) -> None:
    site = Site(tmp_path)
    async with site.up(), site.daemon() as (_, process):
        with pytest.raises(AssertionError, match=f"{process.pid}"):
            async with site.daemon():
                pass


async def test_told_to_stop_right_after_an_opening_it_stays_for_the_record(tmp_path: Path) -> None:
    """The lock sends the record of an opening once and later; nobody else will get it (A6)."""
    site = Site(tmp_path)
    async with site.up(), site.daemon() as (client, process):
        assert (await unlock(client, "one")).json()["outcome"] == "confirmed"
        process.terminate()
        assert await process.wait() == 0
    with sqlite3.connect(f"file:{tmp_path}/state/records.db?mode=ro", uri=True) as database:
        assert database.execute("SELECT lock FROM reports").fetchall() == [("front",)]


async def test_a_request_that_came_while_the_daemon_stood_still_opens_nothing(
    tmp_path: Path,
) -> None:
    """A gateway that wakes up must not open an empty house (A3)."""
    site = Site(tmp_path)
    async with site.up(), site.daemon() as (client, process), anyio.create_task_group() as tasks:
        answers: list[httpx.Response] = []

        async def ask() -> None:
            answers.append(await unlock(client, "old"))

        process.send_signal(signal.SIGSTOP)
        tasks.start_soon(ask)
        await anyio.sleep(1.5)
        process.send_signal(signal.SIGCONT)
        with anyio.fail_after(10):
            while not answers:
                await anyio.sleep(0.02)
        assert (answers[0].status_code, answers[0].json()["code"]) == (503, "too-late")
        assert site.opened == 0
        await anyio.sleep(1.5)
        assert (await unlock(client, "old")).json()["outcome"] == "confirmed"  # it left no trace


async def test_a_replaced_token_stops_what_is_on_its_way_and_lets_nobody_in(
    tmp_path: Path,
) -> None:
    site = Site(tmp_path)
    async with site.up(), site.daemon() as (client, process), anyio.create_task_group() as tasks:
        site.cloud.faults.always("doorLock.bleOpenInstruction", Fault(FaultKind.SLOW, seconds=1.0))
        answers: list[httpx.Response] = []

        async def ask() -> None:
            answers.append(await unlock(client, "one"))

        tasks.start_soon(ask)
        with anyio.fail_after(20):
            while not site.cloud.calls["doorLock.bleOpenInstruction"]:
                await anyio.sleep(0.02)
        (tmp_path / "token").write_text("another-token-01\n")
        process.send_signal(signal.SIGHUP)
        with anyio.fail_after(20):
            while not answers:
                await anyio.sleep(0.02)
        assert answers[0].json()["code"] == "token-revoked"
        assert answers[0].json()["outcome"] == "unreached"
        assert site.opened == 0
        assert (await unlock(client, "two")).status_code == 401
        client.headers["Authorization"] = "Bearer another-token-01"
        assert (await unlock(client, "three")).json()["outcome"] == "confirmed"


async def test_a_token_that_cannot_be_read_again_leaves_the_old_one_good(tmp_path: Path) -> None:
    site = Site(tmp_path)
    async with site.up(), site.daemon() as (client, process):
        (tmp_path / "token").chmod(0o644)
        process.send_signal(signal.SIGHUP)
        with anyio.fail_after(20):
            while b"token.not_read" not in site.log.read_bytes():
                await anyio.sleep(0.02)
        assert (await unlock(client, "one")).json()["outcome"] == "confirmed"


async def test_a_hint_connects_a_warm_lock_before_anybody_asks(tmp_path: Path) -> None:
    site = Site(tmp_path)
    async with site.up(), site.daemon() as (client, _):
        cold = await client.post("/v1/locks/front/hint")
        assert (cold.status_code, cold.json()["code"]) == (409, "connection-on-demand")
        assert (await client.post("/v1/locks/back/hint")).status_code == 404
        del client.headers["Authorization"]
        assert (await client.post("/v1/locks/front/hint")).status_code == 401
    site = Site(tmp_path, connection="warm")
    async with site.up(), site.daemon() as (client, _):
        assert (await client.get("/v1/locks")).json()["locks"][0]["connected"] is False
        hint = await client.post("/v1/locks/front/hint")
        assert (hint.status_code, hint.json()) == (202, {"lock": "front", "seconds": 120.0})
        with anyio.fail_after(20):
            while not (await client.get("/v1/locks")).json()["locks"][0]["connected"]:
                await anyio.sleep(0.02)
        body = (await unlock(client, "one")).json()
        assert body["outcome"] == "confirmed"
        assert "connect" not in body["steps"]
        assert site.opened == 1


async def test_the_vaults_key_is_changed_by_configuration(tmp_path: Path) -> None:
    old, state = tmp_path / "old.key", tmp_path / "state"
    site = Site(tmp_path)
    async with site.up(), site.daemon() as (client, _):
        assert (await unlock(client, "one")).json()["outcome"] == "confirmed"
    (state / "vault.key").rename(old)
    site.log.unlink()
    async with site.up():
        with pytest.raises(AssertionError) as caught:
            async with site.daemon():
                pass
    said = str(caught.value)
    assert f"was sealed with another key (version 1) than those that are here ({state}" in said
    assert "Name the key that sealed it in [vault] previous" in said
    site.more = {"vault": f'previous = [{{ file = "{old}" }}]\n'}
    async with site.up(), site.daemon() as (client, _):
        assert (await unlock_when_rested(client, "two")).json()["outcome"] == "confirmed"
        with anyio.fail_after(5):
            while '"vault.sealed_anew"' not in site.log.read_text():
                await anyio.sleep(0.02)
        assert '"previous_needed": false' in site.log.read_text()
    site.more = {}
    old.unlink()
    async with site.up(), site.daemon() as (client, _):
        assert (await unlock(client, "one")).json()["outcome"] == "confirmed"
        assert site.opened == 2


def _spoil(state: Path, name: str) -> bytes:
    path = state / name
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version=99")
    return path.read_bytes()


async def test_records_of_a_newer_version_keep_no_door_shut(tmp_path: Path) -> None:
    site = Site(tmp_path)
    async with site.up():
        async with site.daemon():
            pass
        before = _spoil(tmp_path / "state", "records.db")
        async with site.daemon() as (client, _):
            assert (await unlock(client, "one")).json()["outcome"] == "confirmed"
            ready = await client.get("/readyz")
            assert (ready.status_code, ready.json()["wrong"]) == (200, ["records"])
            (said,) = ready.json()["parts"]["records"]["wrong"]
            assert said["code"] == "store-too-new"
        assert '"code": "store-too-new"' in site.log.read_text()
        assert (tmp_path / "state" / "records.db").read_bytes() == before


async def test_operations_of_a_newer_version_are_refused_with_advice(tmp_path: Path) -> None:
    site = Site(tmp_path)
    async with site.up():
        async with site.daemon():
            pass
        before = _spoil(tmp_path / "state", "operations.db")
        with pytest.raises(AssertionError) as caught:
            async with site.daemon():
                pass
    said = str(caught.value)
    assert "operations.db was written by a newer agent: found schema 99, expected at most" in said
    assert "Install the agent again that wrote it" in said
    assert (tmp_path / "state" / "operations.db").read_bytes() == before


async def test_a_lock_rests_over_a_restart(tmp_path: Path) -> None:
    site = Site(tmp_path)
    async with site.up():
        async with site.daemon() as (client, process):
            assert (await unlock(client, "one")).json()["outcome"] == "confirmed"
            ended = time.monotonic()
            process.kill()
            await process.wait()
        async with site.daemon() as (client, _):
            answer = await unlock(client, "two")
            if time.monotonic() - ended < REST:  # a slow machine may have rested already
                assert (answer.status_code, answer.json()["code"]) == (409, "lock-busy")
            assert (await unlock_when_rested(client, "two")).json()["outcome"] == "confirmed"
            assert time.monotonic() - ended >= REST
        assert site.opened == 2


async def test_a_no_that_the_store_did_not_take_is_not_forgotten(tmp_path: Path) -> None:
    site = Site(tmp_path, offline="cached")
    seal = "doorLock.bleOpenInstruction"
    async with site.up(), site.daemon() as (client, _):
        assert (await unlock(client, "one")).json()["outcome"] == "confirmed"
        with closing(sqlite3.connect(tmp_path / "state" / "operations.db")) as database:
            database.execute(
                "CREATE TRIGGER fails BEFORE UPDATE ON issued_configs "
                "BEGIN SELECT RAISE(ABORT, 'no space'); END"
            )
        site.cloud.faults.always(seal, Fault(FaultKind.CODE, code=1106, msg="permission deny"))
        refused = (await unlock_when_rested(client, "two")).json()
        assert (refused["outcome"], refused["by"]) == ("refused", "cloud")
        for action in (seal, "doorLock.getIssuedConfig"):
            site.cloud.faults.always(action, Fault(FaultKind.HTTP_ERROR, status=503))
        kept = (await unlock_when_rested(client, "three")).json()
        assert (kept["outcome"], kept["offline"]) == ("unreached", False)
        assert site.opened == 1


def _forget(site: Site, lock: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bleagent", "forget", lock, "--config", str(site.config)]
    return subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603


async def test_a_replaced_lock_is_operated_after_it_was_forgotten(tmp_path: Path) -> None:
    site = Site(tmp_path)
    async with site.up():
        async with site.daemon() as (client, _):
            assert (await unlock(client, "one")).json()["outcome"] == "confirmed"
            running = await anyio.to_thread.run_sync(_forget, site, "front")
            assert (running.returncode, "process" in running.stderr) == (2, True)
        with sqlite3.connect(tmp_path / "state" / "operations.db") as database:
            database.execute("UPDATE proven_locks SET virtual_id = 'another'")
        async with site.daemon() as (client, _):
            body = (await unlock_when_rested(client, "two")).json()
            assert (body["outcome"], body["code"]) == ("unreached", "lock-changed")
        nowhere = await anyio.to_thread.run_sync(_forget, site, "back")
        assert nowhere.returncode == 2
        assert "there are: front" in nowhere.stderr
        done = await anyio.to_thread.run_sync(_forget, site, "front")
        assert (done.returncode, done.stdout) == (0, "front will be proven anew\n")
        again = await anyio.to_thread.run_sync(_forget, site, "front")
        assert again.stdout == "nothing was remembered of front\n"
        async with site.daemon() as (client, _):
            assert (await unlock(client, "three")).json()["outcome"] == "confirmed"
        assert site.opened == 2
