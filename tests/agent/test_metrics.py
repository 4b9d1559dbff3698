"""GET /metrics: what is counted, by which labels, and for whom."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import anyio
import pytest
from prometheus_client.parser import text_string_to_metric_families

from bleagent.cloud.client import CloudEvent
from bleagent.doors import Listener
from bleagent.everyone import everyone
from bleagent.health.metrics import (
    BOUNDS,
    MOST_CODES,
    OTHER,
    Counts,
    Latencies,
    Tally,
    durations_of,
)
from bleagent.model import Action, Ending, OperationRecord, Outcome, Phase
from bleagent.radio.airtime import AdapterAir, LockAir, RadioAir
from bleagent.radio.recovery import Rung, Symptom
from bleagent.records.record import SinkState
from tests.agent.watched import MASTER, Gateway, at_the_gateway, sample
from tests.agent.world import DOOR, KEYS

AIR = RadioAir(
    adapters={
        "hci0": AdapterAir(
            usable=True, scanning=False, links=1, waiting=2, last_advertisement_age=3.5,
            symptoms=(Symptom.BUSY,), rungs={Rung.POWER_CYCLE: 4},
        )
    },
    locks={
        DOOR: LockAir(
            attempts=5, connections=4, failures={"lock-not-found": 1},
            connected_s={19675: 12.5, 1: 99.0}, connected=True, adapter="hci0",
            last_heard_age=None, rssi=-70.5,
        )
    },
)  # fmt: skip


def finished(
    steps: dict[str, float] | None = None, *, code: str = "ok", seconds: float = 0.5
) -> OperationRecord:
    ending = Ending(outcome=Outcome.CONFIRMED, code=code, steps=steps or {})
    return OperationRecord(
        id="op-1", lock=DOOR, action=Action.UNLOCK, principal="p", key="k", fingerprint="f",
        phase=Phase.FINISHED, requested_at=100.0, finished_at=100.0 + seconds, ending=ending,
    )  # fmt: skip


# -- what is counted


def test_an_opening_is_counted_and_its_steps_are_timed() -> None:
    async def story(gateway: Gateway) -> None:
        unlock = f"/v1/locks/{DOOR}/unlock"
        body = (await gateway.ask(unlock, method="POST", **{"Idempotency-Key": "one"})).json()
        assert body["outcome"] == "confirmed"
        await anyio.sleep(1)
        await gateway.readiness.shelf.once()
        found = await gateway.scrape()
        counted = sample(
            "operations_total", lock=DOOR, action="unlock", outcome="confirmed", code="ok"
        )
        assert found[counted] == 1
        assert {name for name, _ in found if "operations" in name} == {"bleagent_operations_total"}
        whole = {"action": "unlock", "outcome": "confirmed"}
        assert found[sample("operation_seconds_count", **whole)] == 1
        assert found[sample("operation_seconds_bucket", **whole, le="+Inf")] == 1
        for step in body["steps"]:
            assert found[sample("operation_step_seconds_count", step=step)] == 1, step
        took = [one for (name, _), one in found.items() if name.endswith("step_seconds_sum")]
        assert sum(took) == pytest.approx(body["steps"]["ack"], abs=0.001)
        assert found[sample("records_taken_total", lock=DOOR)] == 1
        assert found[sample("http_answers_total", status="2xx")] == 1

    at_the_gateway(story)


def test_a_step_took_from_the_end_of_the_one_before() -> None:
    ended = {"connect": 0.5, "write": 2.0, "pair": 0.75, "unheard-of": 1.0}
    assert durations_of(ended) == {"connect": 0.5, "pair": 0.25, "write": 1.0}


def test_a_duration_stands_in_its_bucket_and_in_all_above_it() -> None:
    latencies = Latencies()
    for seconds in (0.01, 0.0101, 39.0, 100.0):
        latencies.add(seconds, "write")
    (found,) = latencies.copy().values()
    assert found.at_most == (1, *[2] * (len(BOUNDS) - 2), 3, 4)
    assert found.seconds == pytest.approx(139.0201)


@pytest.mark.parametrize("seconds", [-3600.0, 3600.0])
def test_an_operation_in_which_the_date_was_set_has_no_duration(seconds: float) -> None:
    tally = Tally()
    tally.finished(finished(seconds=seconds))
    assert tally.durations.copy() == {}
    assert sum(tally.operations.copy().values()) == 1


def test_the_cloud_is_counted_by_our_code_and_never_by_the_vendors() -> None:
    tally = Tally()
    for outcome in ("ok", "cloud-timeout", "cloud-timeout"):
        tally.called(
            CloudEvent(call="a", attempt=1, seconds=1, outcome=outcome, cloud_code="x", tid="t")
        )
    assert tally.calls.copy() == {("a", "ok"): 1, ("a", "cloud-timeout"): 2}


def test_problems_are_counted_by_code_and_throttled_ones_among_them() -> None:
    async def story(gateway: Gateway) -> None:
        for _ in range(12):
            await gateway.ask("/v1/locks", "wrong")
        await gateway.ask("/nowhere")
        found = await gateway.scrape()
        assert found[sample("http_problems_total", code="unauthorized")] == 10
        assert found[sample("http_problems_total", code="too-many-requests")] == 2
        assert found[sample("http_problems_total", code="not-found")] == 1
        assert found[sample("http_answers_total", status="4xx")] == 13

    at_the_gateway(story)


def test_radio_sinks_and_cloud_are_shown() -> None:
    class Shelf:
        async def sinks(self) -> list[SinkState]:
            return [
                SinkState(
                    sink="cloud", waiting=3, held=1, done=7, parked=2, dropped=1,
                    oldest_waiting=1_700_000_000.0 - 60, routes_closed={DOOR: "1106"},
                ),
                SinkState(
                    sink="file", waiting=0, held=0, done=7, parked=0, dropped=0,
                    oldest_waiting=None, routes_closed={},
                ),
            ]  # fmt: skip

        async def counts(self) -> dict[str, Any]:
            return {}

    async def story(gateway: Gateway) -> None:
        await gateway.readiness.shelf.once()
        found = await gateway.scrape()

        def of(name: str, **labels: str) -> float:
            return found[sample(name, **labels)]

        assert of("lock_connected", lock=DOOR) == 0
        assert of("lock_signal_dbm", lock=DOOR) == -70.5
        assert of("lock_connected_today_seconds", lock=DOOR) == 12.5
        assert of("lock_connection_attempts_total", lock=DOOR) == 5
        assert of("lock_connections_total", lock=DOOR) == 4
        assert of("lock_connection_failures_total", lock=DOOR, code="lock-not-found") == 1
        assert sample("lock_last_heard_seconds", lock=DOOR) not in found  # it was not
        adapter = {"adapter": "hci0"}
        assert [of(f"adapter_{name}", **adapter) for name in ("usable", "scanning")] == [1, 0]
        assert [of(f"adapter_{name}", **adapter) for name in ("links", "waiting")] == [1, 2]
        assert of("adapter_last_heard_seconds", **adapter) == 3.5
        assert of("adapter_symptom", **adapter, symptom="busy") == 1
        assert of("recoveries_total", **adapter, rung="power-cycle") == 4
        sink = {"sink": "cloud"}
        names = ("waiting", "held", "parked", "done_total", "dropped_total", "closed_routes")
        assert [of(f"outbox_{name}", **sink) for name in names] == [3, 1, 2, 7, 1, 1]
        assert of("outbox_oldest_waiting_seconds", **sink) == pytest.approx(60, abs=1)
        assert sample("outbox_oldest_waiting_seconds", sink="file") not in found
        assert [of("cloud_token"), of("cloud_quota_pause_seconds")] == [1, 30]
        assert of("build_info", version="1.2.3") == 1
        assert found["process_resident_memory_bytes", frozenset()] > 1e6
        assert found["process_start_time_seconds", frozenset()] > 1e9
        assert of("ready") == 1
        assert of("part_ok", part="outbox") == 0  # a closed route

    at_the_gateway(story, air=lambda: AIR, shelf=Shelf())


# -- how it is told


def test_no_scrape_reads_the_store() -> None:
    class Untouched:
        def __getattr__(self, name: str) -> Any:
            raise AssertionError(name)

    async def story(gateway: Gateway) -> None:
        found = await gateway.scrape()
        assert not [name for name, _ in found if name.startswith("bleagent_outbox")]
        assert found[sample("ready")] == 1

    at_the_gateway(story, shelf=Untouched())


def test_every_family_has_a_help_and_a_type() -> None:
    async def story(gateway: Gateway) -> None:
        answer = await gateway.ask("/metrics")
        assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert answer.headers["cache-control"] == "no-store"
        families = list(text_string_to_metric_families(answer.text))
        assert len(families) > 20
        for one in families:
            assert one.name.startswith(("bleagent_", "process_"))
            assert one.documentation
            assert one.type in ("counter", "gauge", "histogram")

    at_the_gateway(story, air=lambda: AIR)


def test_two_scrapes_are_of_one_story() -> None:
    async def story(gateway: Gateway) -> None:
        unlock = f"/v1/locks/{DOOR}/unlock"
        await gateway.ask(unlock, method="POST", **{"Idempotency-Key": "one"})
        first, second = await gateway.scrape(), await gateway.scrape()
        grown = {at: second[at] - first[at] for at in first if second[at] != first[at]}
        ours = {at: by for at, by in grown.items() if at[0].startswith("bleagent_")}
        assert ours == {sample("http_answers_total", status="2xx"): 1}
        assert second.keys() == first.keys()

    at_the_gateway(story)


def test_it_takes_the_scope_read() -> None:
    async def story(gateway: Gateway) -> None:
        assert (await gateway.ask("/metrics", None)).status_code == 401
        other = await gateway.token("records", "admin", "operate:*")
        assert (await gateway.ask("/metrics", other)).json()["code"] == "scope-missing"
        assert (await gateway.ask("/metrics", await gateway.token("read"))).status_code == 200

    at_the_gateway(story)


def test_the_library_is_loaded_by_the_first_scrape_and_not_before() -> None:
    line = "import sys, bleagent.app; sys.exit('prometheus_client' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", line], check=False)  # noqa: S603 - our own line
    assert done.returncode == 0


# -- labels


def test_codes_beyond_the_bound_are_counted_together() -> None:
    counts = Counts()
    for number in range(300):
        counts.add(DOOR, f"lock-result-{number}")
        counts.add("back", f"lock-result-{number}")
    found = counts.copy()
    assert len(found) == 2 * (MOST_CODES + 1)
    assert sum(found.values()) == 600
    assert found[DOOR, OTHER] == 300 - MOST_CODES


def test_no_address_id_or_secret_is_in_it() -> None:
    async def story(gateway: Gateway) -> None:
        token = await gateway.token("read", f"operate:{DOOR}")
        for key in ("CANARY-key", "CANARY-key", "CANARY-other"):
            unlock = f"/v1/locks/{DOOR}/unlock"
            await gateway.ask(unlock, token, method="POST", **{"Idempotency-Key": key})
        await gateway.readiness.shelf.once()
        for url in ("/metrics", "/readyz"):
            text = (await gateway.ask(url, token)).text
            assert "CANARY" not in text
            hidden = (
                MASTER, token, token.split("_")[1], "op-1", "virtual-door", KEYS.uuid, "abcdef01",
                str(KEYS.virtual_id),
            )  # fmt: skip
            assert [one for one in hidden if one in text] == []
            assert not re.search(r"([0-9A-F]{2}:){5}[0-9A-F]{2}", text)

    at_the_gateway(story, air=lambda: AIR)


# -- several listeners


def test_everyone_is_told_in_order() -> None:
    told: list[str] = []

    class Noting(Listener):
        def __init__(self, name: str) -> None:
            self.name = name

        def finished(self, record: OperationRecord) -> None:
            told.append(f"{self.name} {record.id}")

    both = everyone(Listener, Noting("first"), Noting("second"))
    both.finished(finished())
    both.failed("op-1", ValueError())
    assert told == ["first op-1", "second op-1"]
    with pytest.raises(AttributeError):
        both.forgotten()  # type: ignore[attr-defined]
