"""Tickets and PINs: the vectors of the reference, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from Crypto.Cipher import AES
from Crypto.Util.Padding import pad
from hypothesis import given
from hypothesis import strategies as st

from bleagent.cloud.catalogue import LockKind
from bleagent.cloud.errors import BadAnswer, InvalidArgument, NotSupported
from bleagent.cloud.passwords import digits_of, open_ticket, seal_pin, with_ticket
from protocol import Secret

SECRET = Secret("4OHBOnWOqaEC1mWXOpVL3yV50s0qGSRC")
KEY = Secret(b"0123456789abcdef")
TICKET_KEY = "E8EACE19C6075C139FE8452771A6CF7F9173247C8D56147E406EBA159F6E577A"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.parametrize("ticket_key", [TICKET_KEY, TICKET_KEY.lower()])
def test_a_ticket_is_opened_with_the_whole_secret(ticket_key: str) -> None:
    assert open_ticket(ticket_key, SECRET) == KEY


@pytest.mark.parametrize(
    ("pin", "lock", "sealed"),
    [
        ("1234567", LockKind.WIFI, "8F8AD3F0CFD6ECA192126E4AD28A73F2"),
        ("123456", LockKind.BLUETOOTH, "0FCF43FCEBC5AC8B66C48F5CB7C25B02"),
        ("123456", LockKind.ZIGBEE, "0FCF43FCEBC5AC8B66C48F5CB7C25B02"),
    ],
)
def test_a_pin_is_sealed_with_the_tickets_key(pin: str, lock: LockKind, sealed: str) -> None:
    assert seal_pin(Secret(pin), KEY, lock) == sealed


@pytest.mark.parametrize("lock", LockKind)
@pytest.mark.parametrize(
    "pin", ["", "12345", "12345678", "12345x", "1234567x", "\uff11\uff12\uff13\uff14\uff15\uff16"]
)
def test_a_pin_has_the_digits_of_its_lock(lock: LockKind, pin: str) -> None:
    with pytest.raises(InvalidArgument, match=f"expected {digits_of(lock)} digits") as told:
        seal_pin(Secret(pin), KEY, lock)
    assert not pin or pin not in str(told.value)


def test_another_secret_does_not_open_it() -> None:
    with pytest.raises(BadAnswer, match="not made with this project's secret"):
        open_ticket(TICKET_KEY, Secret("x" * 32))
    with pytest.raises(NotSupported, match="which has 16 signs; expected 32"):
        open_ticket(TICKET_KEY, Secret("x" * 16))


def test_a_key_of_another_size_is_none() -> None:
    sealed = AES.new(SECRET.reveal(), AES.MODE_ECB).encrypt(pad(b"short", 16)).hex()
    with pytest.raises(BadAnswer, match="holds 5 bytes, expected 16"):
        open_ticket(sealed, SECRET)


@given(st.text() | st.binary(max_size=80).map(bytes.hex))
def test_whatever_is_sent_as_a_key_is_refused_in_words(ticket_key: str) -> None:
    try:
        open_ticket(ticket_key, SECRET)
    except BadAnswer:
        return
    assert ticket_key.upper() == TICKET_KEY


class OneTicket:
    """A client that hands out the reference's ticket."""

    def __init__(self, **more: Any) -> None:
        self.told = {"ticket_id": "t1", "ticket_key": TICKET_KEY, **more}
        self.asked: list[tuple[str, Any]] = []

    async def call(self, name: str, /, **arguments: Any) -> Any:
        self.asked.append((name, arguments["device_id"]))
        return self.told


@pytest.mark.anyio
async def test_a_ticket_is_fetched_for_each_pin() -> None:
    client = OneTicket()
    for _ in range(2):
        found = await with_ticket(client, SECRET, device_id="d", pin=Secret("123456"))
        assert found == {
            "ticket_id": "t1",
            "password": "0FCF43FCEBC5AC8B66C48F5CB7C25B02",
            "password_type": "ticket",
        }
    assert client.asked == [("doorLock.passwordTicket", "d")] * 2


@pytest.mark.anyio
async def test_no_ticket_is_wasted_on_a_pin_that_is_none() -> None:
    client = OneTicket()
    with pytest.raises(InvalidArgument):
        await with_ticket(client, SECRET, device_id="d", pin=Secret("1234567"))
    assert client.asked == []


@pytest.mark.anyio
@pytest.mark.parametrize("more", [{"ticket_id": None}, {"ticket_key": ""}, {"ticket_key": None}])
async def test_half_a_ticket_is_none(more: dict[str, Any]) -> None:
    with pytest.raises(BadAnswer):
        await with_ticket(OneTicket(**more), SECRET, device_id="d", pin=Secret("123456"))
