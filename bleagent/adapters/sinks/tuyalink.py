"""Records to the vendor's cloud over MQTT, as a TuyaLink gateway for its locks (cloud §5, R2).

``tylink/{gateway}/thing/data/history_report`` with ``sys.ack = 1``: without it the cloud says
nothing, and without its word nothing is done. A connection lives for one call: records are rare,
and a connection that stays would have to be watched.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiomqtt
import anyio

from bleagent.ports import Clock
from bleagent.records.record import DONE, Receipt, ReceiptKind, StoredRecord
from bleagent.records.standard_codes import code_of, value_of
from protocol import Secret

CONNECT_LIMIT = 15.0
"""Seconds to connect, log in and subscribe, TLS included."""
ANSWER_LIMIT = 10.0
"""Seconds for the cloud's word about one message."""
REFUSED_LOGIN = 300.0
"""Seconds before a login that was refused is tried again: nobody mends it within a minute."""
CORRECT = "Correct gateway_id or secret of this sink; the clock must be right, too."
_QOS = 1
_OK = 0
_PARTLY = frozenset({2121, 2122})
"""Some of a message's records failed, or all: they are sent again one by one."""
_MEANING: Mapping[int, tuple[ReceiptKind, str]] = {
    1003: (ReceiptKind.POISON, "the cloud cannot read it"),
    1004: (ReceiptKind.NO_ROUTE, "the lock is no sub-device of this gateway"),
    2002: (ReceiptKind.POISON, "the product's model has no such property"),
    2004: (ReceiptKind.POISON, "the product's model has no such event"),
    2006: (ReceiptKind.POISON, "the value does not fit the product's model"),
    2121: (ReceiptKind.POISON, "the cloud refuses it by itself"),
    2122: (ReceiptKind.POISON, "the cloud refuses it by itself"),
}
_OF_THE_LOCK = frozenset({1004})
"""Codes that are about the lock, so that sending its records singly changes nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TuyaLinkSettings:
    """Which broker, as which gateway. ``ca_file``: certificates besides the system's."""

    host: str
    port: int
    gateway_id: str
    secret: Secret
    tls: bool = True
    ca_file: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """What a gateway logs in with; good for some minutes around its time."""

    client_id: str
    username: str
    password: Secret


def login(settings: TuyaLinkSettings, unix: int) -> Login:
    """Signed by the gateway's secret over its id and the time, in seconds (cloud §5)."""
    gateway = settings.gateway_id
    signed = f"deviceId={gateway},timestamp={unix},secureMode=1,accessType=1"
    password = hmac.new(settings.secret.reveal(), signed.encode(), hashlib.sha256).hexdigest()
    return Login(
        client_id=f"tuyalink_{gateway}",
        username=f"{gateway}|signMethod=hmacSha256,timestamp={unix},secureMode=1,accessType=1",
        password=Secret(password),
    )


def message_of(
    records: Sequence[StoredRecord], codes: Mapping[int, str], *, unix_ms: int
) -> dict[str, Any]:
    """One message about one lock; its id is the record's, or made of theirs."""
    properties = [
        {code_of(one, codes): {"value": value_of(one), "time": round(one.at * 1000)}}
        for one in records
    ]
    return {
        "msgId": message_id_of(records),
        "time": unix_ms,
        "sys": {"ack": 1},
        "data": {
            "subDevices": [{"deviceId": records[0].device_id, "properties": properties}],
        },
    }


def message_id_of(records: Sequence[StoredRecord]) -> str:
    """32 characters, the same whenever the same records are sent."""
    if len(records) == 1:
        return records[0].id
    return hashlib.sha256("|".join(one.id for one in records).encode()).hexdigest()[:32]


class TuyaLinkSink:
    """Implements ``ports.RecordSink``. ``codes``: a product's own codes, by lock and datapoint."""

    batch = 100  # a message may have fewer than 500 values and 64 KB

    def __init__(
        self,
        name: str,
        settings: TuyaLinkSettings,
        codes: Mapping[str, Mapping[int, str]],
        clock: Clock,
    ) -> None:
        self.name = name
        self._settings = settings
        self._codes = codes
        self._clock = clock
        self._topic = f"tylink/{settings.gateway_id}/thing/data/history_report"

    async def deliver(self, records: Sequence[StoredRecord]) -> list[Receipt]:
        """All in one message; one by one where the cloud took only some of them."""
        try:
            return await self._deliver(records)
        except TimeoutError:
            word = _later("timeout", "the cloud did not answer in time")
        except (aiomqtt.MqttCodeError, aiomqtt.MqttError) as error:
            word = _of_error(error)
        except (OSError, ssl.SSLError) as error:
            word = _later("unreachable", type(error).__name__)
        return [word] * len(records)

    async def _deliver(self, records: Sequence[StoredRecord]) -> list[Receipt]:
        with anyio.fail_after(CONNECT_LIMIT + ANSWER_LIMIT * (1 + len(records))):
            async with self._client() as client:
                await client.subscribe(f"{self._topic}_response", qos=_QOS)
                code = await self._ask(client, records)
                if code == _OK:
                    return [DONE] * len(records)
                if len(records) == 1 or code in _OF_THE_LOCK or code not in _MEANING:
                    return [_word(code)] * len(records)
                return await self._one_by_one(client, records)

    async def _one_by_one(
        self, client: aiomqtt.Client, records: Sequence[StoredRecord]
    ) -> list[Receipt]:
        receipts: list[Receipt] = []
        for record in records:
            word = _word(await self._ask(client, [record]))
            receipts.append(word)
            if word.kind in (ReceiptKind.LATER, ReceiptKind.NO_ROUTE):
                break  # what is behind waits, so that the order holds
        behind = Receipt(kind=ReceiptKind.LATER, code="behind")
        return receipts + [behind] * (len(records) - len(receipts))

    async def _ask(self, client: aiomqtt.Client, records: Sequence[StoredRecord]) -> int:
        """The cloud's code for a message. Raises TimeoutError."""
        codes = self._codes.get(records[0].lock, {})
        message = message_of(records, codes, unix_ms=int(self._clock.unix() * 1000))
        payload = json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()
        with anyio.fail_after(ANSWER_LIMIT):
            await client.publish(self._topic, payload, qos=_QOS)
            async for answer in client.messages:
                code = _code_in(answer.payload, message["msgId"])
                if code is not None:
                    return code
        raise TimeoutError

    def _client(self) -> aiomqtt.Client:
        settings, as_gateway = self._settings, login(self._settings, int(self._clock.unix()))
        context = None
        if settings.tls:
            context = ssl.create_default_context()
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            if settings.ca_file is not None:
                context.load_verify_locations(settings.ca_file)
        return aiomqtt.Client(
            settings.host,
            settings.port,
            identifier=as_gateway.client_id,
            username=as_gateway.username,
            password=as_gateway.password.reveal().decode(),
            protocol=aiomqtt.ProtocolVersion.V311,
            timeout=CONNECT_LIMIT,
            tls_context=context,
        )


def _code_in(payload: object, message_id: str) -> int | None:
    """The code of an answer to this message; None for anything else that comes by."""
    try:
        answer = json.loads(payload) if isinstance(payload, bytes | bytearray | str) else None
        if not isinstance(answer, dict) or answer.get("msgId") != message_id:
            return None
        return int(answer["code"])
    except (ValueError, TypeError, KeyError):
        return None


def _word(code: int) -> Receipt:
    if code == _OK:
        return DONE
    kind, detail = _MEANING.get(code, (ReceiptKind.LATER, "the cloud refused it"))
    return Receipt(kind=kind, code=str(code), detail=detail)


def _of_error(error: aiomqtt.MqttError) -> Receipt:
    code = getattr(error, "rc", None)
    refused = {4, 5, 134, 135}  # bad user name or password, not authorised
    if (isinstance(code, int) and code in refused) or getattr(code, "value", None) in refused:
        return _later("login-refused", "the broker refused the login", REFUSED_LOGIN, CORRECT)
    # Its text may name the user, and with it the gateway.
    return _later("mqtt", type(error).__name__)


def _later(code: str, detail: str, after: float = 0.0, advice: str = "") -> Receipt:
    return Receipt(kind=ReceiptKind.LATER, code=code, detail=detail, after=after, advice=advice)
