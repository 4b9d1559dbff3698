"""A real mosquitto for the tests, and the vendor's cloud behind it."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiomqtt
import anyio

CLOUD_USER, CLOUD_PASSWORD = "cloud", "cloud-password"


PATH = os.environ.get("PATH", "") + ":/usr/sbin"  # where Debian has it, and not everybody looks


def has_mosquitto() -> bool:
    """Whether there is one on this machine (Debian: mosquitto), or has to be."""
    return _which("mosquitto") is not None or bool(os.environ.get("BLEAGENT_NEEDS_MOSQUITTO"))


def _which(command: str) -> str | None:
    return shutil.which(command, path=PATH)


def free_port() -> int:
    """A port that nobody has now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@dataclass
class Broker:
    """One mosquitto with users; ``tls`` with a certificate made for the test."""

    folder: Path
    users: dict[str, str]
    tls: bool = False
    port: int = field(default_factory=free_port)

    @property
    def ca_file(self) -> Path:
        """Who signed its certificate."""
        return self.folder / "ca.pem"

    @contextmanager
    def up(self) -> Iterator[None]:
        """It listens."""
        process = subprocess.Popen(  # noqa: S603 - our own command line
            [str(_which("mosquitto")), "-c", str(self._configured())],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            self._wait()
            yield
        finally:
            process.terminate()
            process.wait()

    def _wait(self) -> None:
        until = time.monotonic() + 20
        while time.monotonic() < until:
            with socket.socket() as one:
                if one.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise RuntimeError("mosquitto does not listen")

    def _configured(self) -> Path:
        passwords = self.folder / "passwords"
        passwords.unlink(missing_ok=True)
        passwords.touch(0o600)
        for user, password in (self.users | {CLOUD_USER: CLOUD_PASSWORD}).items():
            _run("mosquitto_passwd", "-b", str(passwords), user, password)
        lines = [
            f"listener {self.port} 127.0.0.1", "allow_anonymous false",
            f"password_file {passwords}", "user root", "persistence false",
        ]  # fmt: skip
        if self.tls:
            self._certify()
            lines += [f"certfile {self.folder}/cert.pem", f"keyfile {self.folder}/key.pem"]
        config = self.folder / "mosquitto.conf"
        config.write_text("\n".join(lines) + "\n")
        return config

    def _certify(self) -> None:
        folder = str(self.folder)
        _run("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
             "-subj", "/CN=test ca", "-keyout", f"{folder}/ca.key", "-out", f"{folder}/ca.pem",
             "-addext", "keyUsage=critical,keyCertSign")  # fmt: skip
        _run("openssl", "req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost",
             "-keyout", f"{folder}/key.pem", "-out", f"{folder}/cert.csr")  # fmt: skip
        extensions = self.folder / "extensions"
        extensions.write_text(
            "subjectAltName=DNS:localhost,IP:127.0.0.1\nauthorityKeyIdentifier=keyid\n"
        )
        _run("openssl", "x509", "-req", "-in", f"{folder}/cert.csr", "-CA", f"{folder}/ca.pem",
             "-CAkey", f"{folder}/ca.key", "-CAcreateserial", "-days", "2",
             "-extfile", str(extensions), "-out", f"{folder}/cert.pem")  # fmt: skip


def _run(*command: str) -> None:
    subprocess.run(  # noqa: S603 - our own command lines
        [str(_which(command[0])), *command[1:]], check=True, capture_output=True
    )


Judge = Callable[[dict[str, Any]], int | None]
"""The code for a message; None: nothing is answered."""


@dataclass
class MqttCloud:
    """Takes history reports and answers them, as the vendor's cloud does.

    Remembers message ids: what comes again is answered and not stored again.
    """

    broker: Broker
    judge: Judge = lambda _: 0
    seen: list[dict[str, Any]] = field(default_factory=list)
    stored: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    @property
    def values(self) -> list[Any]:
        """What was stored, in order."""
        return [next(iter(one.values()))["value"] for many in self.stored.values() for one in many]

    @asynccontextmanager
    async def up(self) -> AsyncIterator[None]:
        """It listens."""
        ready = anyio.Event()

        async def serve() -> None:
            async with aiomqtt.Client(
                "127.0.0.1", self.broker.port, username=CLOUD_USER, password=CLOUD_PASSWORD,
                tls_params=aiomqtt.TLSParameters(ca_certs=str(self.broker.ca_file))
                if self.broker.tls else None,
            ) as client:  # fmt: skip
                await client.subscribe("tylink/+/thing/data/history_report", qos=1)
                ready.set()
                async for message in client.messages:
                    await self._answer(client, message)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(serve)
            await ready.wait()
            yield
            tasks.cancel_scope.cancel()

    async def _answer(self, client: aiomqtt.Client, message: aiomqtt.Message) -> None:
        assert isinstance(message.payload, bytes)
        report = json.loads(message.payload)
        self.seen.append(report)
        code = self.judge(report)
        if code == 0 or code is None:
            (device,) = report["data"]["subDevices"]
            self.stored.setdefault(report["msgId"], device["properties"])
        if code is not None and report["sys"]["ack"] == 1:
            answer = {"msgId": report["msgId"], "time": report["time"], "code": code}
            await client.publish(f"{message.topic}_response", json.dumps(answer), qos=1)
