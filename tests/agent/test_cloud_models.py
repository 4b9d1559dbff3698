"""Results of the calls an unlock needs. Samples are those of the vendor's document."""

from __future__ import annotations

from typing import Any

import pytest

from bleagent.cloud import models
from bleagent.cloud.errors import BadAnswer, UnknownCloudError
from protocol import Secret

WAKE_UP = "ffff0005000000000000000000ffff3532373737393530"
ISSUED: dict[str, Any] = {
    "lock_random": {
        "dev_unlock_id": "0005",
        "dp_id": 70,
        "wake_up_ins": WAKE_UP,
        "distributed": True,
        "ins": "3532373737393530",
    },
    "lock_record": {"dpId": 56, "distributed": True, "ins": WAKE_UP},
}
# Shortened by the document's own sample: flag 4, IV, three blocks.
INSTRUCTION = (
    "0472426c51476e714b336a333462764b6a635518a38ae29bf3fdc9f60261c15bf725cbb171921b7c129e6adf4e7d"
    "ee390bf0dc17dca7c51f44eae4d51d1bd102ea"
)


def test_the_documents_sample_of_the_issued_config_is_read() -> None:
    config = models.read_issued_config(ISSUED, 1.0)
    assert config.lock_random is not None
    assert config.lock_record is not None
    assert config.lock_random.ins == Secret("52777950")
    assert config.lock_random.wake_up_ins == Secret(bytes.fromhex(WAKE_UP))
    assert (config.lock_random.dp_id, config.lock_random.peripheral) == (70, 5)
    assert config.lock_random.distribute
    assert (config.lock_record.dp_id, config.lock_record.peripheral) == (56, 5)
    assert config.fetched_at == 1.0


@pytest.mark.parametrize(
    "change",
    [
        {"distributed": None, "distribute": "true"},
        {"dp_id": None, "dpId": "70"},
        {"dev_unlock_id": None},
        {"dev_unlock_id": "something opaque"},
        {"wake_up_ins": WAKE_UP.upper()},
        {"surprise": {"new": 1}},
    ],
    ids=str,
)
def test_the_traps_of_the_document_change_nothing(change: dict[str, object]) -> None:
    changed = ISSUED | {"lock_random": ISSUED["lock_random"] | change}
    assert models.read_issued_config(changed, 1.0) == models.read_issued_config(ISSUED, 1.0)


@pytest.mark.parametrize("result", [{}, {"lock_random": None, "lock_record": {}}])
def test_either_part_may_be_absent(result: dict[str, object]) -> None:
    config = models.read_issued_config(result, 1.0)
    assert config.lock_random is None
    assert config.lock_record is None


def test_distribution_is_only_asked_for_when_the_cloud_says_so() -> None:
    config = models.read_issued_config({"lock_random": {"dp_id": 70}}, 1.0)
    assert config.lock_random is not None
    assert not config.lock_random.distribute


@pytest.mark.parametrize(
    "row", [{"dp_id": 256}, {"dp_id": "x"}, {}, {"dp_id": 70, "ins": "xyz"}, "text", [1]], ids=str
)
def test_an_issued_config_that_cannot_be_read_is_refused(row: object) -> None:
    with pytest.raises(BadAnswer):
        models.read_issued_config({"lock_random": row or {"x": 1}}, 1.0)


def test_the_documents_sample_of_an_instruction_is_read() -> None:
    sealed = models.read_sealed_instruction({"next_sn": 123, "instruction": INSTRUCTION})
    assert len(sealed.message) == 65
    assert sealed.next_sn == 123


@pytest.mark.parametrize(
    "instruction",
    ["9wxxoLM", "", None, "04" * 17, "04" * 32, "04" * 64, "04" * 66, 4],
    ids=lambda value: str(value)[:8],
)
def test_an_instruction_is_flag_iv_and_whole_blocks_or_refused(instruction: object) -> None:
    with pytest.raises(BadAnswer):
        models.read_sealed_instruction({"instruction": instruction, "next_sn": 1})


@pytest.mark.parametrize("next_sn", [None, "x", [], True])
def test_a_missing_next_sn_is_no_reason_to_stay_outside(next_sn: object) -> None:
    found = models.read_sealed_instruction({"instruction": INSTRUCTION, "next_sn": next_sn})
    assert found.next_sn == models.NO_NEXT_SN


def test_the_empty_list_of_the_helper_layer_is_a_failure_where_an_object_is_due() -> None:
    with pytest.raises(UnknownCloudError):
        models.read_issued_config([], 1.0)
    assert models.read_devices([]) == ()


@pytest.mark.parametrize("wrap", [lambda r: [r], lambda r: {"devices": [r]}, lambda r: r])
def test_devices_come_bare_in_a_page_or_alone(wrap: Any) -> None:
    row = {
        "id": "6c59dc783afa9dfc27abcd",
        "local_key": "ede14e228a7d7c85",
        "uuid": "378fb516c5b80000",
        "active_time": 1622000424,
        "online": 1,
        "lon": "114.03",
        "status": [],
    }
    (device,) = models.read_devices(wrap(row))
    assert device.local_key == Secret("ede14e228a7d7c85")
    assert device.active_time == 1622000424.0
    assert device.online
    assert device.keys.virtual_id == "6c59dc783afa9dfc27abcd"


def test_a_device_that_is_no_lock_of_ours_is_said_to_be_none_when_its_keys_are_wanted() -> None:
    (device,) = models.read_devices([{"id": 7, "uuid": "masked ****", "local_key": "x"}])
    assert device.device_id == "7"
    with pytest.raises(BadAnswer, match="uuid"):
        _ = device.keys


@pytest.mark.parametrize(
    "odd", [{"dp_id": 300, "ins": "01"}, {"dp_id": 69, "ins": "x"}, "abc", [1], 7]
)
def test_an_odd_part_about_records_stops_no_opening(odd: object) -> None:
    part = {"dp_id": 70, "distribute": True, "ins": "010203"}
    config = models.read_issued_config({"lock_random": part, "lock_record": odd}, 1.0)
    assert config.lock_random is not None
    assert config.lock_record is None


@pytest.mark.parametrize("odd", ["soon", -1, True, [], {}, 1.5])
def test_a_date_that_nobody_understands_takes_no_key_away(odd: object) -> None:
    rows = [{"id": "a", "local_key": "k" * 16, "active_time": odd}, {"id": "b", "active_time": 7}]
    one, other = models.read_devices(rows)
    assert (one.active_time, one.local_key) == (None, Secret("k" * 16))
    assert other.active_time == 7.0
