"""The real daemon in a process of its own, before a virtual lock and a virtual cloud."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import httpx
from anyio.abc import Process

from bleagent.clock import SystemClock
from bleagent.simulator.cloud_actions import CloudLock
from bleagent.simulator.profiles import profile
from bleagent.simulator.quirks import Quirks
from bleagent.simulator.socket_lock import SocketLock
from bleagent.simulator.virtual_cloud import ActionAuth, VirtualCloud
from bleagent.simulator.virtual_lock import VirtualLock
from protocol import LockKeys, Secret
from tests.system.warm import open_cold, open_warm

LOCAL_KEY, AUTH_KEY, SEC_KEY, TOKEN = (
    "CANARYlocalkey01",
    "CANARYauthkey" + "x" * 19,
    "CANARYsec+key/01",
    "CANARY-token-0123456789",
)
CODE = "90817263"
KEYS = LockKeys(
    uuid="tuya0123456789ab",
    virtual_id="canary-device",
    local_key=Secret(LOCAL_KEY),
    sec_key=Secret(SEC_KEY),
    auth_key=Secret(AUTH_KEY),
)


CRASHING = Path(__file__).with_name("crashing_daemon.py")


class Site:
    """A gateway, its door and its cloud.

    With more than one of ``locks`` the others are configured only: no radio reaches them.
    ``more`` are lines of the configuration: of its beginning (""), of a section or of the lock.
    ``srands`` and ``packets`` are what the lock drew and what went through the air. ``aged`` is
    for how many seconds the lock has had power: before ``up`` things can happen to it since then.
    """

    def __init__(
        self, folder: Path, *, offline: str = "never", locks: int = 1, firmware: str = "v3.0",
        signer: str = "faas", more: Mapping[str, str] | None = None,
        connection: str = "on_demand", aged: float = 0.0, quirks: Quirks | None = None,
    ) -> None:  # fmt: skip
        self.folder = folder
        self.connection = connection
        self.offline = offline
        self.locks = locks
        self.signer = signer
        self.more = more or {}
        self.firmware = profile(firmware)
        self.srands: list[bytes] = []
        self.packets: list[bytes] = []
        clock = SystemClock()
        self.lock = VirtualLock(
            KEYS, self.firmware, quirks=quirks, now=clock.now() - aged,
            clock=int(time.time() - aged), new_srand=self._srand,
        )  # fmt: skip
        self.lock.preset_check_code(5, CODE.encode())
        self.door = SocketLock(
            self.lock, clock, att_payload=self.firmware.att_payload, tap=self._tap
        )
        self.cloud_ahead = 0.0
        """Seconds by which the cloud's clock is wrong."""
        self.cloud = VirtualCloud(
            unix=lambda: time.time() + self.cloud_ahead, action_auth=ActionAuth(signer)
        )
        self.cloud.register(
            CloudLock(
                device_id=KEYS.virtual_id, keys=KEYS, code=Secret(CODE),
                major=self.firmware.protocol[0], security_v2=self.firmware.security_v2,
            )
        )  # fmt: skip
        self.log = folder / "daemon.log"
        self.config = folder / "config.toml"

    def _srand(self) -> bytes:
        self.srands.append(secrets.token_bytes(6))
        return self.srands[-1]

    def _tap(self, mark: str, packet: bytes) -> None:
        if mark in "<>":
            self.packets.append(packet)

    @property
    def opened(self) -> int:
        """By the lock's own count."""
        return int(self.lock.dump()["opened"])

    @asynccontextmanager
    async def up(self) -> AsyncIterator[None]:
        """Lock and cloud."""
        async with self.cloud.serve() as base_url, self.door.serve() as port:
            self.configure(base_url, socket_radio(port))
            yield

    @asynccontextmanager
    async def daemon(
        self,
        level: str = "debug",
        *,
        dies: str | None = None,
        by: Sequence[str] = (),
        cold: bool = False,
    ) -> AsyncIterator[tuple[httpx.AsyncClient, Process]]:
        """The daemon, and a client that has the token; it kills itself at the point ``dies``.

        ``by``: a program of ours that runs it, and what that program wants to be told. Such a
        one changes what is loaded, and so it begins with nothing loaded; ``cold``: anyway.
        """
        ready = self.folder / "port"
        ready.unlink(missing_ok=True)
        command = ["run", "--config", str(self.config), "--port-file", str(ready)]
        program = list(by) or (["-m", "bleagent"] if dies is None else [str(CRASHING), dies])
        with self.log.open("ab") as output:
            open_process = open_cold if by or cold else open_warm
            process = await open_process([*program, *command, "--log-level", level], output)
        try:
            with anyio.fail_after(60):
                while not (ready.exists() and ready.read_text()):
                    assert process.returncode is None, self.log.read_text()
                    await anyio.sleep(0.02)
            headers = {"Authorization": f"Bearer {TOKEN}"}
            url = f"http://127.0.0.1:{ready.read_text()}"
            async with httpx.AsyncClient(
                base_url=url, headers=headers, timeout=60, trust_env=False
            ) as client:
                yield client, process
        finally:
            if process.returncode is None:
                process.terminate()
            with anyio.CancelScope(shield=True):
                await process.wait()
                await process.aclose()

    def configure(self, base_url: str, radio: str) -> None:
        """Write the configuration; ``radio`` is its section, if any."""
        for name, value in (
            ("token", TOKEN), ("local", LOCAL_KEY), ("auth", AUTH_KEY), ("sec", SEC_KEY),
            ("cloud", self.cloud.secret.reveal().decode()),
        ):  # fmt: skip
            path = self.folder / name
            path.touch(0o600)
            path.write_text(value)
        more = self.more
        self.config.write_text(
            f'state_dir = "{self.folder}/state"\n{more.get("", "")}'
            f'[http]\nport = 0\ntoken = {{ file = "{self.folder}/token" }}\n'
            f'[cloud]\nbase_url = "{base_url}"\nclient_id = "{self.cloud.client_id}"\n'
            f'secret = {{ file = "{self.folder}/cloud" }}\nsigner = "{self.signer}"\n'
            f"{radio}[vault]\n{more.get('vault', '')}" + "".join(map(self._lock, range(self.locks)))
        )

    def _lock(self, number: int) -> str:
        name, device, uuid = "front", KEYS.virtual_id, KEYS.uuid
        if number:
            name, device, uuid = f"door-{number}", f"device-{number}", f"tuya{number:012x}"
        major, minor = self.firmware.protocol
        return (
            f'[[locks]]\nname = "{name}"\ndevice_id = "{device}"\nuuid = "{uuid}"\n'
            f'local_key = {{ file = "{self.folder}/local" }}\n'
            f'auth_key = {{ file = "{self.folder}/auth" }}\nprotocol = "{major}.{minor}"\n'
            f'sec_key = {{ file = "{self.folder}/sec" }}\n'
            f"security_v2 = {str(self.firmware.security_v2).lower()}\n"
            f'connection = "{self.connection}"\n'
            f'strategies = {{ offline = "{self.offline}" }}\n'
        )


def socket_radio(port: int) -> str:
    """The configuration's section for a virtual lock."""
    return f'[radio]\nsocket = "127.0.0.1:{port}"\n'


async def unlock(
    client: httpx.AsyncClient, key: str, lock: str = "front", **body: object
) -> httpx.Response:
    """Ask for an opening."""
    return await client.post(
        f"/v1/locks/{lock}/unlock", headers={"Idempotency-Key": key}, json=body
    )


async def unlock_when_rested(
    client: httpx.AsyncClient, key: str, lock: str = "front", **body: object
) -> httpx.Response:
    """Ask again while the lock rests between two operations, by itself two seconds, and while the
    agent does not trust what it reads right after it stood still (A3).

    Asks seldom enough not to use up what one caller may ask of the doors in a minute (F4)."""
    turned_away = ("lock-busy", "too-late", "too-many-requests")
    with anyio.fail_after(20):
        while True:
            answer = await unlock(client, key, lock, **body)
            if answer.json().get("code") not in turned_away or "id" in answer.json():
                return answer
            await anyio.sleep(float(answer.headers.get("retry-after", 0.5)))
