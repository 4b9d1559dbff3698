"""The vendor's own client, which nobody here wrote, against the virtual cloud.

It signs, sorts and encodes by its own reading of the documents: what the virtual cloud takes from
it, it takes for the same reasons as the real one.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from tuya_connector import TuyaOpenAPI

from bleagent.cloud.catalogue import LockKind
from bleagent.cloud.passwords import open_ticket, seal_pin
from bleagent.simulator.virtual_cloud import CLIENT_ID, CLIENT_SECRET, VirtualCloud
from protocol import Secret
from tests.agent.api_world import MEMBER, served
from tests.agent.cloud_world import DEVICE

DOOR = f"/v1.0/devices/{DEVICE}/door-lock"


@pytest.fixture
def cloud() -> Iterator[VirtualCloud]:
    with served() as running:
        yield running


@pytest.fixture
def vendor(cloud: VirtualCloud) -> Iterator[Any]:
    client = TuyaOpenAPI(cloud.base_url, CLIENT_ID, CLIENT_SECRET.reveal().decode())
    with client.session:
        yield client


def test_it_gets_a_token_and_asks_with_it(cloud: VirtualCloud, vendor: Any) -> None:
    assert vendor.connect()["success"]
    found = vendor.get("/v1.0/devices", {"device_ids": DEVICE})
    assert [one["id"] for one in found["result"]] == [DEVICE]
    users = vendor.get(
        f"/v1.0/smart-lock/devices/{DEVICE}/users",
        {"page_size": 10, "page_no": 1, "codes": "unlock_fingerprint,unlock_card"},
    )
    assert [one["user_id"] for one in users["result"]["records"]] == [MEMBER]
    assert cloud.done == {"token": 1, "device.getListByIds": 1, "doorLock.listUsers": 1}


def test_without_a_token_or_with_another_secret_it_gets_nothing(
    cloud: VirtualCloud, vendor: Any
) -> None:
    assert vendor.get("/v1.0/devices", {"device_ids": DEVICE})["code"] == 1002
    other = TuyaOpenAPI(cloud.base_url, CLIENT_ID, "another")
    with other.session:
        assert other.connect()["code"] == 1004


def test_a_password_of_its_making_lives_like_one_of_ours(cloud: VirtualCloud, vendor: Any) -> None:
    vendor.connect()
    ticket = vendor.post(f"{DOOR}/password-ticket")["result"]
    key = open_ticket(ticket["ticket_key"], CLIENT_SECRET)
    now = int(time.time())
    made = vendor.post(
        f"{DOOR}/temp-password",
        {
            "name": "J\u00fcrgen",
            "password": seal_pin(Secret("123456"), key, LockKind.BLUETOOTH),
            "password_type": "ticket",
            "ticket_id": ticket["ticket_id"],
            "effective_time": now,
            "invalid_time": now + 3600,
        },
    )
    password_id = made["result"]["id"]
    assert cloud.passwords.passwords[password_id].pin == Secret("123456")
    path = f"{DOOR}/temp-passwords/{password_id}"
    assert vendor.put(f"{path}/modify-password", {"name": "Jane"})["result"] is True
    listed = vendor.get(f"{DOOR}/temp-passwords", {"valid": "true"})["result"]
    assert [one["name"] for one in listed] == ["Jane"]
    assert vendor.delete(path)["result"] is True
    assert vendor.get(f"{DOOR}/temp-passwords")["result"] == []


def test_it_gets_another_token_when_its_own_is_dead(cloud: VirtualCloud, vendor: Any) -> None:
    vendor.connect()
    cloud.tokens.kill()
    # It answers what failed, and connects: asked again, it goes on.
    assert vendor.get(f"{DOOR}/dynamic-password")["code"] == 1010
    assert vendor.get(f"{DOOR}/dynamic-password")["success"]


def test_it_opens_a_video_door(cloud: VirtualCloud, vendor: Any) -> None:
    vendor.connect()
    doors = "/v1.0/iot-02/third/doors/d/persons"
    assert vendor.post(f"{doors}/p/actions/open")["result"]["sn"]
    body = {"sn": "1", "type": 1, "person_id_list": ["p"]}
    assert vendor.post(f"{doors}/actions/call", body)["result"]["device_id"]
    assert cloud.done["videoDoor.call"] == 1
