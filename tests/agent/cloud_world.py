"""What the tests of the cloud share: a clock that stands still, a transport that is told what
to answer, and a lock with recognisable secrets."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import anyio

from bleagent.cloud.client import CloudClient, CloudEvent
from bleagent.cloud.settings import CloudSettings, Signer
from bleagent.cloud.transport import HttpAnswer, HttpTransport
from bleagent.model import InstructionRequest
from bleagent.simulator.cloud_actions import CloudLock
from bleagent.simulator.virtual_cloud import CLIENT_ID, CLIENT_SECRET
from protocol import LockKeys, Secret

DEVICE = "6c59dc783afa9dfc27test"
CODE = Secret("52777950")  # the sample of the vendor's document
SRAND = bytes.fromhex("0102030405a6")
UNIX = 1_780_000_000.0
T_MS = 1_780_000_000_000


@dataclass(slots=True)
class StillClock:
    """A clock that only tests move."""

    seconds: float = 1000.0
    date: float = UNIX
    trusted: bool = True
    slept: list[float] = field(default_factory=list)

    def now(self) -> float:
        return self.seconds

    def unix(self) -> float:
        return self.date

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.pass_time(seconds)
        await anyio.lowlevel.checkpoint()

    def pass_time(self, seconds: float) -> None:
        self.seconds += seconds
        self.date += seconds


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as the fake transport got it."""

    method: str
    url: str
    headers: Mapping[str, str]
    content: bytes
    time_limit: float

    @property
    def is_token(self) -> bool:
        return "/v1.0/token" in self.url


Answering = Callable[[Asked], Awaitable[HttpAnswer]]


@dataclass(slots=True)
class FakeTransport:
    """Answers as told; keeps what it was asked."""

    answer: Answering
    asked: list[Asked] = field(default_factory=list)

    async def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        content: bytes,
        time_limit: float,
    ) -> HttpAnswer:
        asked = Asked(method, url, dict(headers), content, time_limit)
        self.asked.append(asked)
        await anyio.lowlevel.checkpoint()
        return await self.answer(asked)


def in_turn(*answers: HttpAnswer | Exception) -> Answering:
    """These, one after the other."""
    left = list(answers)

    async def answer(_asked: Asked) -> HttpAnswer:
        await anyio.lowlevel.checkpoint()
        found = left.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    return answer


def ok(result: object, **more: object) -> HttpAnswer:
    return said({"success": True, "t": T_MS, "result": result} | more)


def no(code: int | str, msg: str = "no", **more: object) -> HttpAnswer:
    return said({"success": False, "code": code, "msg": msg, "t": T_MS, "tid": "tid1"} | more)


def said(value: object, status: int = 200) -> HttpAnswer:
    return HttpAnswer(status, {}, json.dumps(value).encode())


def settings_for(base_url: str = "https://cloud.test", **more: Any) -> CloudSettings:
    return CloudSettings(base_url=base_url, client_id=CLIENT_ID, secret=CLIENT_SECRET, **more)


OPENAPI_SIGNED: dict[str, Any] = {"signer": Signer.OPENAPI}


def client_over(
    http: HttpTransport,
    clock: StillClock,
    /,
    *,
    events: list[CloudEvent] | None = None,
    **settings: Any,
) -> CloudClient:
    return CloudClient(
        settings_for(**settings),
        http,
        clock,
        on_event=(events if events is not None else []).append,
        sleep=clock.sleep,
        chance=lambda: 0.0,
        new_nonce=lambda: "5138cc3a9033d69856923fd07b491173",
    )


def keys(*, security_v2: bool = False) -> LockKeys:
    return LockKeys(
        uuid="virtualuuid00001",
        virtual_id=DEVICE,
        local_key=Secret("LOCALKEYcanary00"),
        sec_key=Secret("SECKEYcanary0000") if security_v2 else None,
        auth_key=Secret("AUTHKEYcanary0000000000000000000"),
    )


def lock(*, major: int = 3, security_v2: bool = False) -> CloudLock:
    return CloudLock(
        device_id=DEVICE,
        keys=keys(security_v2=security_v2),
        code=CODE,
        major=major,
        security_v2=security_v2,
    )


def request(sn: int = 33, *, opens: bool = True, major: int = 3) -> InstructionRequest:
    return InstructionRequest(
        device_id=DEVICE,
        bluetooth_sn=sn,
        device_random=Secret(CODE.reveal().decode()),
        open=opens,
        major=major,
    )
