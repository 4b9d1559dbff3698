"""What is done to the records by the way ends nobody else's work."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any, cast

import anyio
import pytest

from bleagent.adapters.sinks.in_time import InTime
from bleagent.clock import SystemClock
from bleagent.config.file import Config
from bleagent.config.sinks import SinkType
from bleagent.errors import ConfigError
from bleagent.records.outbox import FAULT_WAIT
from bleagent.simulator import virtual_time
from bleagent.wiring.carrying import Carrying
from protocol import Secret


def test_a_duty_goes_on_after_a_fault() -> None:
    tried: list[float] = []

    async def duty() -> None:
        tried.append(anyio.current_time())
        if len(tried) < 3:
            raise ValueError("a secret")
        await anyio.sleep_forever()

    async def main() -> None:
        nobody = cast("Any", None)
        config = cast("Config", type("Empty", (), {"locks": (), "sinks": ()})())
        carrying = Carrying(config, nobody, nobody, nobody, SystemClock())
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(carrying._faithfully, duty)
            await anyio.sleep(10 * FAULT_WAIT)
            tasks.cancel_scope.cancel()
        assert [at - tried[0] for at in tried] == [0, FAULT_WAIT, 2 * FAULT_WAIT]

    virtual_time.run(main)


def test_a_package_that_is_missing_is_told_before_the_agent_is_ready(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "aiomqtt", None)
    sink = type("Sink", (), {"type": SinkType.TUYALINK, "named": "mqtt"})()
    config = cast("Config", type("Configured", (), {"locks": (), "sinks": (sink,)})())
    nobody = cast("Any", None)
    with pytest.raises(ConfigError, match=r"sinks\.mqtt: found tuyalink"):
        Carrying(config, nobody, nobody, nobody, SystemClock())


@pytest.mark.parametrize("kind", [SinkType.OPENAPI, SinkType.TUYALINK])
def test_the_vendors_cloud_is_told_in_time_or_not_at_all(kind: SinkType) -> None:
    nobody = cast("Any", None)
    config = cast("Config", type("Empty", (), {"locks": (), "sinks": ()})())
    found = cast("Any", SimpleNamespace(sinks={"there": Secret("x")}))
    carrying = Carrying(config, found, nobody, nobody, SystemClock())
    sink = SimpleNamespace(
        type=kind, named="there", broker_at=("broker", 8883), gateway_id="g", tls=False,
        ca_file=None,
    )  # fmt: skip
    assert isinstance(carrying._sink(cast("Any", sink)), InTime)
