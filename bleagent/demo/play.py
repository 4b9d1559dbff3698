"""``bleagent demo``: a virtual lock, a virtual cloud and the real daemon, and what they do.

The daemon runs as a process of its own, as it does on a gateway; the lock and the cloud live
here. The demo checks its own claims against the lock's log and fails if one is false.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import httpx

from bleagent.clock import SystemClock
from bleagent.simulator.cloud_actions import CloudLock
from bleagent.simulator.cloud_faults import Fault, FaultKind
from bleagent.simulator.profiles import profile
from bleagent.simulator.quirks import Quirks
from bleagent.simulator.socket_lock import SocketLock
from bleagent.simulator.virtual_cloud import VirtualCloud
from bleagent.simulator.virtual_lock import VirtualLock
from protocol import (
    DpMap,
    LockKeys,
    Secret,
    Sender,
)
from protocol.dpmap import LockGeneration
from protocol.meaning import describe
from protocol.observer import Observer, Seen

from .hand import by_hand
from .records import ALONE, POWERED_FOR, people, remembered
from .stay import SOCKET, ways_in

PROFILE = "v3.0"
DEVICE = "virtual-front-door"
DOOR = "front"
READY_TIMEOUT = 60.0
"""Seconds for the daemon to come up on the slowest gateway."""
LEAVES_WITHIN = 20.0
"""Seconds, at most, for the daemon to end a connection that nobody uses."""
REST = 3.5
"""Seconds between two openings; the daemon insists on two, and on the record of the first."""


@dataclass
class Claim:
    """Something that the demo says, and what was seen."""

    name: str
    ok: bool
    seen: str


@dataclass
class Story:
    """What is told, and to whom."""

    say: Callable[[str], None]
    verbose: bool = False
    claims: list[Claim] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    def tell(self, text: str) -> None:
        """One line with the time since the beginning."""
        self.say(f"{time.monotonic() - self.started:7.2f} s  {text}")

    def claim(self, name: str, *, ok: bool, seen: str) -> None:
        """Check a claim."""
        self.claims.append(Claim(name, ok, seen))
        self.tell(f"{'✓' if ok else '✗ FALSE:'} {name}: {seen}")


class Frames:
    """Shows the frames that pass by, secrets masked."""

    def __init__(self, keys: LockKeys, story: Story) -> None:
        self._observer = Observer(keys, protocol=profile(PROFILE).name, bound=True)
        self._story = story
        self._dps = DpMap.default(LockGeneration.V3_3)

    def tap(self, mark: str, packet: bytes) -> None:
        """One packet, or a change of the link."""
        if not self._story.verbose or mark == "!":
            return
        if mark == "|":
            self._observer.link_changed()
            return
        sender = Sender.CENTRAL if mark == ">" else Sender.LOCK
        for seen in self._observer.feed(sender, packet, 0):
            if isinstance(seen, Seen):
                frame = seen.opened.frame
                self._story.tell(f"   {mark} sn {frame.sn:<4} {describe(sender, frame, self._dps)}")


def _ascii(length: int) -> str:
    return secrets.token_hex(length)[:length]


class Demo:
    """One showing."""

    def __init__(self, story: Story) -> None:
        self.story = story
        self.keys = LockKeys(
            uuid=_ascii(16),
            virtual_id=DEVICE,
            local_key=Secret(_ascii(16)),
            auth_key=Secret(_ascii(32)),
        )
        self.code = Secret(f"{secrets.randbelow(10**8):08}")
        self.token = _ascii(43)
        self.clock = SystemClock()
        # As most locks in the field, and other than the recorded firmware, it tells of its bolt.
        quirks = Quirks(reports_bolt=True)
        powered_at = self.clock.now() - POWERED_FOR
        self.lock = VirtualLock(self.keys, profile(PROFILE), quirks=quirks, now=powered_at)
        self.cloud = VirtualCloud()
        self.cloud.register(
            CloudLock(device_id=DEVICE, keys=self.keys, code=self.code, distributed=True)
        )
        self.cloud.records.users[DEVICE] = people()
        frames = Frames(self.keys, story)
        att_payload = profile(PROFILE).att_payload
        self.door = SocketLock(self.lock, self.clock, att_payload=att_payload, tap=frames.tap)

    @property
    def opened(self) -> int:
        """How often the door opened, by the lock's own count."""
        return int(self.lock.dump()["opened"])

    async def show(self, *, keep: bool) -> None:
        """The whole story."""
        with tempfile.TemporaryDirectory(prefix="bleagent-demo-") as folder:
            async with self.cloud.serve() as base_url, self.door.serve() as lock_port:
                config = self._configure(Path(folder), base_url, lock_port)
                self.story.tell("a virtual lock and a virtual cloud are up")
                async with self._daemon(config) as port:
                    url = f"http://127.0.0.1:{port}"
                    headers = {"Authorization": f"Bearer {self.token}"}
                    async with httpx.AsyncClient(
                        base_url=url, headers=headers, timeout=40, trust_env=False
                    ) as client:
                        await self._scenes(client, base_url, Path(folder) / SOCKET)
                    if keep:
                        await self._stay(url, Path(folder))

    async def _scenes(self, client: httpx.AsyncClient, base_url: str, socket: Path) -> None:
        await self._alone()
        await self._open(client)
        await self._again(client)
        await self._still_connected(socket)
        await remembered(self, client)
        await self._sealed_twice(base_url)
        await self._offline(client)

    # -- scenes

    async def _alone(self) -> None:
        now = self.clock.now()
        for ago, dp, value, what in ALONE:
            self.lock.local({"local": {"action": "record", "dp": dp, "value": value}}, now - ago)
            self.story.tell(f"{ago // 60} minutes ago nobody was connected, and {what}")
        self.story.tell(f"the lock remembers {self.lock.dump()['records']} records")

    async def _open(self, client: httpx.AsyncClient) -> None:
        self.story.tell(f"POST /v1/locks/{DOOR}/unlock")
        answer = await self._unlock(client, "first-key")
        body = answer.json()
        self._steps(body)
        self.story.claim(
            "opened once",
            ok=answer.status_code == 200
            and body.get("outcome") == "confirmed"
            and self.opened == 1,
            seen=f"the daemon says {body.get('outcome') or body}, the lock counts {self.opened}",
        )

    async def _again(self, client: httpx.AsyncClient) -> None:
        answer = await self._unlock(client, "first-key")
        replayed = answer.headers.get("idempotency-replayed") == "true"
        self.story.claim(
            "a repeated key opened nothing",
            ok=replayed and answer.json().get("outcome") == "confirmed" and self.opened == 1,
            seen=f"the same answer again, the lock still counts {self.opened}",
        )

    async def _still_connected(self, socket: Path) -> None:
        await anyio.sleep(REST)
        before = self.opened
        through = httpx.AsyncHTTPTransport(uds=str(socket))
        async with httpx.AsyncClient(
            transport=through, base_url="http://localhost", timeout=40
        ) as client:
            answer = await self._unlock(client, "second-key")
        body = answer.json()
        self._steps(body)
        self.story.claim(
            "a second opening, through the Unix socket without a token, needed no connecting",
            ok=body.get("outcome") == "confirmed"
            and "connect" not in body.get("steps", {})
            and self.opened == before + 1,
            seen=f"{body.get('outcome')} {1000 * max(body.get('steps', {0: 0}).values()):.0f} ms "
            f"after it was asked for, the lock counts {self.opened}",
        )

    async def _offline(self, client: httpx.AsyncClient) -> None:
        await anyio.sleep(REST)
        self._cloud(up=False)
        self.story.tell("the cloud goes down")
        before = self.opened
        answer = await self._unlock(client, "offline-key")
        body = answer.json()
        self._steps(body)
        self.story.claim(
            "opened without the cloud, from what it had issued",
            ok=body.get("outcome") == "confirmed"
            and body.get("offline") is True
            and self.opened == before + 1,
            seen=f"{body.get('outcome')}, offline {body.get('offline')}, "
            f"the lock counts {self.opened}",
        )
        self._cloud(up=True)

    async def _sealed_twice(self, base_url: str) -> None:
        """By hand, with the codec alone: numbers go on at next_sn, and none is taken twice."""
        with anyio.fail_after(LEAVES_WITHIN):
            await self.door.until_left()
        self.story.tell("the daemon leaves the lock to the owner's phone")
        before = self.opened
        async with by_hand(self, base_url) as hand:
            following, answered = await hand.open_and_go_on()
            self.story.claim(
                "next_sn adopted",
                ok=answered and self.opened == before + 1,
                seen=f"the cloud said {following}, our next frame had it and was answered",
            )
            hung_up = hand.write_again()
            self.story.claim(
                "a replayed number was thrown out by the lock",
                ok=hung_up and self.opened == before + 1,
                seen="the same frame again: the lock hung up and stayed shut",
            )

    # -- around it

    def _cloud(self, *, up: bool) -> None:
        fault = None if up else Fault(FaultKind.HTTP_ERROR, status=503)
        for action in ("doorLock.bleOpenInstruction", "doorLock.getIssuedConfig"):
            self.cloud.faults.always(action, fault)

    async def _unlock(self, client: httpx.AsyncClient, key: str) -> httpx.Response:
        return await client.post(
            f"/v1/locks/{DOOR}/unlock",
            headers={"Idempotency-Key": key},
            json={"deadline_ms": 20_000},
        )

    def _steps(self, body: dict[str, Any]) -> None:
        last = 0.0
        for step, at in sorted(body.get("steps", {}).items(), key=lambda one: one[1]):
            self.story.tell(f"   {step:12} {1000 * (at - last):8.1f} ms")
            last = at

    def _configure(self, folder: Path, base_url: str, lock_port: int) -> Path:
        values = {
            "token": self.token.encode(),
            "cloud-secret": self.cloud.secret.reveal(),
            "local-key": _revealed(self.keys.local_key),
            "auth-key": _revealed(self.keys.auth_key),
        }
        for name, value in values.items():
            path = folder / name
            path.touch(0o600)
            path.write_bytes(value)
        config = folder / "config.toml"
        config.write_text(
            _CONFIG.format(
                folder=folder,
                base_url=base_url,
                client_id=self.cloud.client_id,
                lock_port=lock_port,
                door=DOOR,
                device=DEVICE,
                uuid=self.keys.uuid,
                socket=SOCKET,
                uid=os.getuid(),
            )
        )
        return config

    @asynccontextmanager
    async def _daemon(self, config: Path) -> AsyncIterator[int]:
        """The real daemon, in a process of its own."""
        log = config.with_name("daemon.log")
        ready = config.with_name("port")
        command = [sys.executable, "-m", "bleagent", "run", "--config", str(config)]
        with log.open("wb") as output:
            process = await anyio.open_process(
                [*command, "--port-file", str(ready)],
                stdout=output,
                stderr=output,
                env={**os.environ, "PYTHONWARNINGS": "ignore"},
            )
        try:
            began = time.monotonic()
            with anyio.fail_after(READY_TIMEOUT):
                while not (ready.exists() and ready.read_text().strip()):
                    if process.returncode is not None:
                        raise RuntimeError(f"the daemon stopped at once:\n{log.read_text()}")
                    await anyio.sleep(0.02)
            took = time.monotonic() - began
            self.story.tell(f"the daemon is ready after {took:.2f} s")
            yield int(ready.read_text())
        finally:
            process.terminate()
            with anyio.CancelScope(shield=True), anyio.move_on_after(10):
                await process.wait()
            await process.aclose()

    async def _stay(self, url: str, folder: Path) -> None:
        for line in ("", *ways_in(url, folder, self.token, DOOR)):
            self.story.say(line)
        await anyio.sleep_forever()


def _revealed(secret: Secret | None) -> bytes:
    return b"" if secret is None else secret.reveal()


_CONFIG = """\
state_dir = "{folder}/state"

[http]
port = 0
socket = "{folder}/{socket}"
token = {{ file = "{folder}/token" }}

[[http.users]]
uid = {uid}

[cloud]
base_url = "{base_url}"
client_id = "{client_id}"
secret = {{ file = "{folder}/cloud-secret" }}

[[sinks]]
type = "openapi"

[radio]
socket = "127.0.0.1:{lock_port}"

[[locks]]
name = "{door}"
device_id = "{device}"
uuid = "{uuid}"
local_key = {{ file = "{folder}/local-key" }}
auth_key = {{ file = "{folder}/auth-key" }}
protocol = "3.0"
linger = 4.0
strategies = {{ offline = "cached" }}
"""


async def show(*, keep: bool = False, verbose: bool = False, as_json: bool = False) -> bool:
    """Show it; returns whether every claim was true."""

    def say(text: str) -> None:
        print(text, file=sys.stderr if as_json else sys.stdout, flush=True)

    story = Story(say, verbose=verbose)
    await Demo(story).show(keep=keep)
    ok = len(story.claims) == CLAIMS and all(claim.ok for claim in story.claims)
    took = time.monotonic() - story.started
    if len(story.claims) < CLAIMS and all(claim.ok for claim in story.claims):
        story.tell(f"stopped after {len(story.claims)} of {CLAIMS} claims")
    else:
        story.tell("every claim was true" if ok else "NOT every claim was true")
    if as_json:
        claims = [{"name": one.name, "ok": one.ok, "seen": one.seen} for one in story.claims]
        print(json.dumps({"ok": ok, "claims": claims, "duration_s": round(took, 2)}), flush=True)
    return ok


CLAIMS = 7
"""How many claims a complete showing makes."""
