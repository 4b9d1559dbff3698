"""The port ``Cloud`` over HTTP: the calls an unlock needs, asked as often as is safe.

Reads are repeated with back-off inside the caller's deadline. An instruction call is repeated
only after a failure that proves that it was not carried out: never the same reservation twice
(reference: safety B6, cloud §9). Nothing is logged; what happened goes to ``on_event``, without
addresses, parameters or results.
"""

from __future__ import annotations

import random
import secrets
from base64 import b64encode
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import anyio

from bleagent.model import InstructionRequest, IssuedConfig, SealedInstruction
from bleagent.ports import Clock
from protocol import Secret

from . import codec, fields, models
from .calls import Call, Moment, build_request, check_possible, needs_token, token_call
from .errors import (
    BadAnswer,
    ClockSkew,
    CloudDown,
    CloudError,
    CloudTimeout,
    NotSupported,
    QuotaExhausted,
    RateLimited,
    Retry,
    error_of,
)
from .models import DeviceFacts
from .named_calls import NamedCalls
from .pace import Breaker
from .records import RecordCalls
from .settings import CloudSettings, InstructionCall, Transport
from .sharing import SharingCalls
from .token import Token, TokenKeeper, read_token
from .transport import HttpAnswer, HttpTransport

ISSUED_CONFIG = "doorLock.getIssuedConfig"
BLE_OPEN_INSTRUCTION = "doorLock.bleOpenInstruction"
UNLOCK_INSTRUCTION = "doorLock.unlockInstruction"
LIST_BY_IDS = "device.getListByIds"
CURRENT_TIME = "timer.currentTime"
_DEVICES_PATH = "/v1.0/devices"
_MASK = "***"
_SHORTEST_SECRET = 4
"""Shorter texts are not masked in messages: they occur by chance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudEvent:
    """One request and what became of it. ``outcome`` is ``ok`` or an error's ``code``."""

    call: str
    attempt: int
    seconds: float
    outcome: str
    cloud_code: int | str | None = None
    tid: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudState:
    """What the client holds at the moment."""

    token: bool
    """Whether there is an access token that has not ended; not every transport needs one."""
    quota_pause: float
    """Seconds for which nothing is asked, because the quota was exhausted; 0 otherwise."""


def _ignore(_event: CloudEvent) -> None:
    pass


class CloudClient(RecordCalls, SharingCalls, NamedCalls):
    """Implements ``ports.Cloud``, and what its other bases have beyond it.

    Every method raises ``CloudError`` and nothing else.

    ``deadline``, where a method takes one, is a time of ``clock.now()``: nothing is begun after
    it, no request lasts beyond it.

    Args:
        settings: which cloud, how.
        transport: sends HTTP requests.
        clock: monotonic clock and date.
        on_event: is told of every request.
        sleep: waits between attempts.
        chance: 0 .. 1, the jitter.
        new_nonce: a fresh text for each signature.
    """

    def __init__(
        self,
        settings: CloudSettings,
        transport: HttpTransport,
        clock: Clock,
        *,
        on_event: Callable[[CloudEvent], None] = _ignore,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
        chance: Callable[[], float] = random.random,
        new_nonce: Callable[[], str] = lambda: secrets.token_hex(16),
    ) -> None:
        self._settings = settings
        self._transport = transport
        self._clock = clock
        self._on_event = on_event
        self._sleep = sleep
        self._chance = chance
        self._new_nonce = new_nonce
        self._good_paths = {}
        self._breaker = Breaker(settings.quota_pause)
        self._breaker_of_what_can_wait = Breaker(settings.quota_pause)
        self._tokens = TokenKeeper(self._fetch_token, clock.now)
        self._ahead: float | None = None
        """The cloud's unix time minus ``clock.now()``: no jump of our date disturbs it."""

    # -- the port

    async def issued_config(self, device_id: str, *, deadline: float | None = None) -> IssuedConfig:
        """``doorLock.getIssuedConfig``."""
        call = Call(name=ISSUED_CONFIG, params={"device_id": device_id})
        answer = await self._ask(call, deadline)
        return models.read_issued_config(answer.result, self._unix(answer))

    async def open_instruction(
        self, request: InstructionRequest, *, deadline: float | None = None
    ) -> SealedInstruction:
        """``doorLock.bleOpenInstruction``, or its predecessor where that is configured.

        An ``ambiguous`` error means: give the reservation up, this number may be sealed.
        """
        which = self._settings.instruction_call
        if which is InstructionCall.UNLOCK:
            return await self._seal(_unlock_call(request), deadline)
        try:
            return await self._seal(_ble_open_call(request), deadline)
        except NotSupported:
            if which is InstructionCall.BLE_OPEN or self._settings.transport is Transport.OPENAPI:
                raise
        return await self._seal(_unlock_call(request), deadline)

    async def unix_time(self, *, deadline: float | None = None) -> float:
        """``timer.currentTime``; over OpenAPI the time that came with the token."""
        if self._settings.transport is Transport.OPENAPI:
            await self._tokens.get(deadline)
            return self._unix(None)
        answer = await self._ask(Call(name=CURRENT_TIME), deadline)
        if isinstance(answer.result, int | str) and not isinstance(answer.result, bool):
            return fields.seconds(answer.result, "currentTime")
        if answer.t is not None:
            return answer.t
        raise BadAnswer("currentTime without a time")

    # -- beyond the port

    async def lock_facts(
        self, device_ids: Sequence[str], *, deadline: float | None = None
    ) -> tuple[DeviceFacts, ...]:
        """``device.getListByIds``: what the cloud knows of these devices, keys included.

        No opening needs it, and none is stopped where the quota for it is exhausted.
        """
        params = {"device_ids": ",".join(device_ids)}
        call = Call(
            name=LIST_BY_IDS, params=params, path=_DEVICES_PATH, query=params, can_wait=True
        )
        answer = await self._ask(call, deadline)
        return models.read_devices(answer.result)

    def state(self) -> CloudState:
        """Whether it could ask now."""
        now = self._clock.now()
        return CloudState(token=self._tokens.held, quota_pause=self._breaker.left(now))

    # -- asking

    async def _seal(self, call: Call, deadline: float | None) -> SealedInstruction:
        answer = await self._ask(call, deadline)
        try:
            return models.read_sealed_instruction(answer.result)
        except BadAnswer as error:
            error.tid, error.ambiguous = answer.tid, True
            raise

    async def _ask(self, call: Call, deadline: float | None) -> codec.Answer:
        check_possible(call, self._settings)
        attempt, cured = 1, set[Retry]()
        while True:
            self._breaker.check(self._clock.now())
            if call.can_wait:
                self._breaker_of_what_can_wait.check(self._clock.now())
            token = await self._token_for(call, deadline)
            try:
                return await self._once(call, token, attempt, deadline)
            except CloudError as error:
                if not await self._may_go_on(call, error, token, attempt, cured, deadline):
                    raise
            attempt += 1

    async def _token_for(self, call: Call, deadline: float | None) -> Token | None:
        return await self._tokens.get(deadline) if needs_token(call, self._settings) else None

    async def _may_go_on(
        self,
        call: Call,
        error: CloudError,
        token: Token | None,
        attempt: int,
        cured: set[Retry],
        deadline: float | None,
    ) -> bool:
        """Cure what can be cured, once each, or wait; false where the error stands."""
        match error.retry:
            case Retry.NEW_TOKEN if token is not None and error.retry not in cured:
                self._tokens.reject(token)
                cured.add(error.retry)
                return True
            case Retry.NEW_CLOCK if self._ahead is not None and error.retry not in cured:
                # The answer brought the cloud's time along; the next signature uses it.
                cured.add(error.retry)
                return True
            case Retry.BACKOFF if not call.once and (call.repeatable or not error.ambiguous):
                return await self._wait(attempt - len(cured), deadline)
            case _:
                return False

    async def _wait(self, attempt: int, deadline: float | None) -> bool:
        policy = self._settings.retry
        if attempt >= policy.attempts:
            return False
        delay = policy.delay(attempt, self._chance())
        if deadline is not None and self._clock.now() + delay >= deadline:
            return False
        await self._sleep(delay)
        return True

    async def _once(
        self, call: Call, token: Token | None, attempt: int, deadline: float | None
    ) -> codec.Answer:
        """One request. Whatever it ends in is told to ``on_event`` first."""
        started = self._clock.now()
        outcome, found = "cancelled", None
        try:
            answer = await self._send(call, token, started, deadline)
            outcome = "ok"
        except CloudError as error:
            outcome, found = error.code, error
            if isinstance(error, QuotaExhausted):
                breaker = self._breaker_of_what_can_wait if call.can_wait else self._breaker
                breaker.open(error, self._clock.now())
            raise
        finally:
            self._on_event(
                CloudEvent(
                    call=call.name,
                    attempt=attempt,
                    seconds=self._clock.now() - started,
                    outcome=outcome,
                    cloud_code=found.cloud_code if found else None,
                    tid=found.tid if found else answer.tid if outcome == "ok" else None,
                )
            )
        return answer

    async def _send(
        self, call: Call, token: Token | None, now: float, deadline: float | None
    ) -> codec.Answer:
        limit = self._settings.call_timeout
        limit = limit if deadline is None else min(limit, deadline - now)
        if limit <= 0:
            raise CloudTimeout(f"No time left to ask {call.name}")
        moment = Moment(t=str(round(self._unix(None) * 1000)), nonce=self._new_nonce())
        request = build_request(call, self._settings, moment, token.access if token else None)
        http = await self._transport.send(
            request.method,
            request.url,
            headers=request.headers,
            content=request.content,
            time_limit=limit,
        )
        answer = _open(http, call)
        if answer.t is not None:
            self._ahead = answer.t - self._clock.now()
        if answer.success:
            return answer
        hidden = [self._settings.secret, *call.secrets, *([token.access] if token else [])]
        error = error_of(answer.code, msg=_masked(answer.msg, hidden), tid=answer.tid)
        if isinstance(error, ClockSkew) and answer.t is None:
            error.retry = Retry.NEVER  # nothing to correct it by
        raise error

    async def _fetch_token(self, refresh: Secret | None, deadline: float | None) -> Token:
        started = self._clock.now()
        answer = await self._ask(token_call(refresh), deadline)
        return read_token(answer.result, started)

    def _unix(self, answer: codec.Answer | None) -> float:
        """The cloud's time: of this answer, else counted on from the last, else our date."""
        if answer is not None and answer.t is not None:
            return answer.t
        return self._clock.unix() if self._ahead is None else self._clock.now() + self._ahead


def _ble_open_call(request: InstructionRequest) -> Call:
    return _instruction_call(
        BLE_OPEN_INSTRUCTION,
        request,
        # Both always: the document does not say what a missing ``open`` means.
        open=request.open,
        bluetooth_major_version=request.major,
    )


def _unlock_call(request: InstructionRequest) -> Call:
    if not request.open or request.major >= 4:
        raise NotSupported("unlockInstruction only opens, and only locks of protocol 3")
    return _instruction_call(UNLOCK_INSTRUCTION, request)


def _instruction_call(name: str, request: InstructionRequest, **more: bool | int) -> Call:
    return Call(
        name=name,
        params={
            "device_id": request.device_id,
            "bluetooth_sn": request.bluetooth_sn,
            "device_random": request.device_random.reveal().decode(),
            **more,
        },
        repeatable=False,
        secrets=(request.device_random,),
    )


def _open(http: HttpAnswer, call: Call) -> codec.Answer:
    """The answer in a response. ``success`` decides, not the status, where there is one."""
    try:
        answer = codec.read_answer(http.body)
    except BadAnswer as error:
        failure = _by_status(http.status, call)
        if failure is None:
            failure = BadAnswer(f"{call.name}: {error} (HTTP {http.status})", ambiguous=True)
            failure.retry = Retry.BACKOFF
        raise failure from None
    if http.status >= 300 and (answer.success or answer.code in (None, http.status)):
        raise _by_status(http.status, call) or BadAnswer(
            f"{call.name}: HTTP {http.status}", ambiguous=True
        )
    return answer


def _by_status(status: int, call: Call) -> CloudError | None:
    if status >= 500:
        return CloudDown(f"{call.name}: HTTP {status}", cloud_code=status, ambiguous=True)
    if status == 429:
        return RateLimited(f"{call.name}: HTTP 429", cloud_code=429)
    return None


def _masked(msg: str, hidden: Sequence[Secret]) -> str:
    """A message without the secrets of its call, in the forms that a cloud may echo."""
    for secret in hidden:
        raw = secret.reveal()
        base64 = b64encode(raw).decode()
        for text in (raw.decode("utf-8", "replace"), raw.hex(), raw.hex().upper(), base64):
            if len(text) >= _SHORTEST_SECRET:
                msg = msg.replace(text, _MASK)
        try:
            inner = bytes.fromhex(raw.decode("ascii")).decode("ascii")
        except ValueError:
            continue
        if len(inner) >= _SHORTEST_SECRET:
            msg = msg.replace(inner, _MASK)
    return msg
