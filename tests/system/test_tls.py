"""TLS and the scopes of users, on the real daemon before a virtual door."""

from __future__ import annotations

import json
import os
import re
import signal
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

import anyio
import httpx
import pytest
from anyio.abc import Process

from tests.agent.certificates import Authority
from tests.system.attacker import rest
from tests.system.daemon import TOKEN, unlock, unlock_when_rested
from tests.system.following import follow
from tests.system.test_http_attacks import HASTY, WITHIN, SocketSite, through_socket

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class SecuredSite(SocketSite):
    """Open to the network, with a certificate of an authority of its own."""

    host = "0.0.0.0"  # noqa: S104 - with TLS

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.authority = Authority()
        self.authority.issue("gate.lan", "127.0.0.1").write(folder)

    def configure(self, base_url: str, radio: str) -> None:
        super().configure(base_url, radio)
        self.edit(
            "[http]\n",
            f'[http]\nhost = "{self.host}"\ntls = {{ certificate = "{self.folder}/certificate.pem",'
            f' key = {{ file = "{self.folder}/key.pem" }} }}\n',
        )  # fmt: skip

    def edit(self, old: str, new: str) -> None:
        text = self.config.read_text()
        assert old in text
        self.config.write_text(text.replace(old, new, 1))

    @asynccontextmanager
    async def secured(
        self, by_tcp: httpx.AsyncClient, context: ssl.SSLContext | None = None
    ) -> AsyncIterator[httpx.AsyncClient]:
        """A client with the token that trusts the authority."""
        async with httpx.AsyncClient(
            base_url=f"https://127.0.0.1:{by_tcp.base_url.port}", headers=by_tcp.headers,
            verify=context or self.authority.trusted(), trust_env=False, timeout=30,
        ) as client:  # fmt: skip
            yield client

    async def is_told(self, event: str, *, after: int = 0) -> str:
        """The line of the log."""
        with anyio.fail_after(10):
            while not (found := re.findall(f".*{event}.*", self.log.read_text())[after:]):
                await anyio.sleep(0.02)
        return str(found[-1])

    async def refused(self) -> str:
        """What it says when it does not start."""
        with anyio.fail_after(30):
            done = await anyio.run_process(
                [sys.executable, "-m", "bleagent", "run", "--config", str(self.config)], check=False
            )  # fmt: skip
        assert done.returncode == 2, done.stderr
        assert b"BEGIN" not in done.stderr
        return done.stderr.decode()


async def test_a_door_opens_over_tls_and_beside_it_through_the_socket(tmp_path: Path) -> None:
    site = SecuredSite(tmp_path)
    site.users = f"[[http.users]]\nuid = {os.getuid()}\n"
    async with site.up(), site.daemon() as (by_tcp, _), site.secured(by_tcp) as client:
        answer = await unlock(client, "one")
        assert (answer.status_code, answer.json()["outcome"]) == (200, "confirmed")
        async with through_socket(tmp_path) as local:
            answer = await unlock_when_rested(local, "two")
            assert (answer.status_code, answer.json()["outcome"]) == (200, "confirmed")
        del client.headers["Authorization"]
        assert (await client.get("/v1/locks")).status_code == 401
        assert site.opened == 2
    told = site.log.read_text()
    assert "Traceback" not in told
    assert TOKEN not in told
    assert "PRIVATE KEY" not in told


async def test_who_follows_over_tls_is_told_and_holds_up_no_stop(tmp_path: Path) -> None:
    site = SecuredSite(tmp_path)
    daemon = site.daemon()
    async with site.up(), daemon as (by_tcp, process), site.secured(by_tcp) as client:
        await _follows_until_the_stop(client, process)


async def _follows_until_the_stop(client: httpx.AsyncClient, process: Process) -> None:
    async with follow(client) as followed:
        assert (await unlock(client, "one")).json()["outcome"] == "confirmed"
        await followed.until("operation", 1)
        begun = anyio.current_time()
        process.terminate()
        with anyio.fail_after(10):
            await process.wait()
        assert anyio.current_time() - begun < 5
        await followed.ended.wait()


async def test_by_its_names_it_is_asked_for_and_by_no_other(tmp_path: Path) -> None:
    site = SecuredSite(tmp_path)
    async with site.up(), site.daemon() as (by_tcp, _), site.secured(by_tcp) as client:
        port = client.base_url.port
        for host, status in (
            ("gate.lan", 200), ("GATE.LAN:8580", 200), ("localhost", 200),
            (f"127.0.0.1:{port}", 200), ("0.0.0.0", 421), ("x.gate.lan", 421),  # noqa: S104
            ("evil.example", 421),
        ):  # fmt: skip
            answer = await client.get("/v1/locks", headers={"Host": host})
            assert answer.status_code == status, host
        for origin, status in (("https://gate.lan", 200), ("http://gate.lan", 403)):
            headers = {"Host": "gate.lan", "Origin": origin}
            assert (await client.get("/v1/locks", headers=headers)).status_code == status


async def test_without_tls_and_without_trust_nothing_opens(tmp_path: Path) -> None:
    site = SecuredSite(tmp_path)
    async with site.up(), site.daemon() as (by_tcp, _):
        with pytest.raises(httpx.TransportError):
            await unlock(by_tcp, "plain")  # it speaks http
        async with site.secured(by_tcp, Authority().trusted()) as client:
            with pytest.raises(httpx.ConnectError, match="VERIFY_FAILED"):
                await unlock(client, "mistrusted")
        old = site.authority.trusted()
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
        old.set_ciphers("ALL:@SECLEVEL=0")
        async with site.secured(by_tcp, old) as client:
            with pytest.raises(httpx.ConnectError):
                await unlock(client, "old")
        async with site.secured(by_tcp) as client:
            assert (await client.get("/v1/locks")).status_code == 200
    assert site.opened == 0
    told = site.log.read_text()
    assert "HTTP_REQUEST" in told
    assert "UNSUPPORTED_PROTOCOL" in told


async def test_who_is_slow_with_the_handshake_is_cut_off(tmp_path: Path) -> None:
    site = SecuredSite(tmp_path)
    async with site.up(), site.daemon(by=HASTY) as (by_tcp, _):
        port = by_tcp.base_url.port or 0
        held = [await anyio.connect_tcp("127.0.0.1", port) for _ in range(20)]
        await held[-1].send(b"\x16\x03\x01\x02\x00\x01")
        async with site.secured(by_tcp) as client:
            assert (await unlock(client, "one")).json()["outcome"] == "confirmed"
        begun = anyio.current_time()
        for stream in held:
            with anyio.fail_after(5):
                assert await rest(stream) == b""
            await stream.aclose()
        assert anyio.current_time() - begun < WITHIN * 5


async def test_a_new_certificate_is_read_on_hangup_and_a_wrong_one_is_not(tmp_path: Path) -> None:
    site, other = SecuredSite(tmp_path), Authority()
    async with site.up(), site.daemon() as (by_tcp, process):
        (tmp_path / "key.pem").write_bytes(other.issue("x").key.reveal())
        process.send_signal(signal.SIGHUP)
        assert "is not that of its certificate" in await site.is_told("certificate.not_read")
        (tmp_path / "key.pem").chmod(0o644)
        process.send_signal(signal.SIGHUP)
        assert "http.tls.key" in await site.is_told("certificate.not_read", after=1)
        async with site.secured(by_tcp) as client:
            assert (await client.get("/v1/locks")).status_code == 200
            (tmp_path / "key.pem").chmod(0o600)
            other.issue("new.lan", "127.0.0.1", rsa=True).write(tmp_path)
            process.send_signal(signal.SIGHUP)
            assert "new.lan" in await site.is_told("certificate.read")
            assert (await client.get("/v1/locks")).status_code == 200  # as it began
        async with site.secured(by_tcp) as client:
            with pytest.raises(httpx.ConnectError, match="VERIFY_FAILED"):
                await client.get("/v1/locks")
        async with site.secured(by_tcp, other.trusted()) as client:
            for host, status in (("new.lan", 200), ("gate.lan", 421)):
                answer = await client.get("/v1/locks", headers={"Host": host})
                assert answer.status_code == status
            assert (await unlock(client, "one")).json()["outcome"] == "confirmed"
    assert "PRIVATE KEY" not in site.log.read_text()


async def test_it_does_not_start_with_what_cannot_be_used(tmp_path: Path) -> None:
    site = SecuredSite(tmp_path)
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    good = key.read_bytes()
    site.configure("http://127.0.0.1:1", "")
    key.chmod(0o640)
    assert "http.tls.key" in await site.refused()
    key.chmod(0o600)
    key.write_bytes(site.authority.issue("x").key.reveal())
    assert "is not that of its certificate" in await site.refused()
    key.write_bytes(good)
    certificate.rename(tmp_path / "elsewhere")
    assert "certificate.pem cannot be read: No such file" in await site.refused()
    site.edit("tls =", "# tls =")
    assert 'found host "0.0.0.0" without tls, expected a loopback' in await site.refused()


async def test_one_that_is_over_is_told_and_shown(tmp_path: Path) -> None:
    site = SecuredSite(tmp_path)
    over = datetime(2020, 1, 1)  # noqa: DTZ001 - as trustme has it
    site.authority.issue("127.0.0.1", until=over, since=False).write(tmp_path)
    async with site.up(), site.daemon() as (by_tcp, _):
        assert "2020-01-01" in await site.is_told("certificate.ends")
        async with site.secured(by_tcp) as client:
            with pytest.raises(httpx.ConnectError, match="expired"):
                await client.get("/v1/locks")


async def test_our_commands_trust_that_certificate_and_no_other(tmp_path: Path) -> None:
    site = SecuredSite(tmp_path)
    async with site.up(), site.daemon() as (by_tcp, _):
        asking = [
            sys.executable, "-m", "bleagent", "records", "outbox", "--json", "--config",
            str(site.config), "--url", f"https://localhost:{by_tcp.base_url.port}",
        ]  # fmt: skip
        asked = await anyio.run_process(asking)  # whatever names are in it
        assert json.loads(asked.stdout)["sinks"] == []
        site.authority.issue("localhost").write(tmp_path)
        asked = await anyio.run_process(asking, check=False)
        assert asked.returncode != 0
        assert b"a certificate that is not trusted here" in asked.stderr


# -- sockets of systemd

ACTIVATED = """
import os, socket, sys
from bleagent import start
one = socket.create_server(("0.0.0.0", 0))
if one.fileno() != 3:
    os.dup2(one.fileno(), 3)
os.environ |= {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())}
raise SystemExit(start.main(sys.argv[2:]))
"""


async def test_a_socket_of_systemd_is_open_to_the_network_with_tls_only(tmp_path: Path) -> None:
    site = SecuredSite(tmp_path)
    handed = [sys.executable, "-c", ACTIVATED]
    async with site.up():
        async with site.daemon(by=handed[1:]) as (by_tcp, _), site.secured(by_tcp) as client:
            assert (await unlock(client, "one")).json()["outcome"] == "confirmed"
        site.edit('host = "0.0.0.0"\n', "")
        site.edit("tls =", "# tls =")
        done = await anyio.run_process([*handed, "run", "--config", str(site.config)], check=False)
        assert done.returncode == 2
        assert b"expected loopback: there is no [http] tls" in done.stderr


# -- what a user may do


async def test_a_user_does_what_it_may_and_nothing_else(tmp_path: Path) -> None:
    site = SocketSite(tmp_path)
    site.users = f'[[http.users]]\nuid = {os.getuid()}\nscopes = ["operate:front"]\n'
    async with site.up(), site.daemon() as (by_tcp, _), through_socket(tmp_path) as client:
        answer = await unlock(client, "one")
        assert (answer.status_code, answer.json()["outcome"]) == (200, "confirmed")
        own = await client.get(answer.headers["location"])
        assert own.json()["outcome"] == "confirmed"
        for method, path in (
            ("GET", "/v1/locks"), ("GET", "/v1/records"), ("GET", "/v1/tokens"),
            ("POST", "/v1/locks/back/unlock"),
        ):  # fmt: skip
            refused = await client.request(method, path)
            assert (refused.status_code, refused.json()["code"]) == (403, "scope-missing")
        assert (await by_tcp.get("/v1/locks")).status_code == 200
        client.headers["Authorization"] = f"Bearer {TOKEN}"  # a token that is shown decides alone
        assert (await client.get("/v1/locks")).status_code == 200
    assert site.opened == 1


async def test_a_user_who_may_only_read_opens_nothing(tmp_path: Path) -> None:
    site = SocketSite(tmp_path)
    site.users = f'[[http.users]]\nuid = {os.getuid()}\nscopes = ["read"]\n'
    async with site.up(), site.daemon(), through_socket(tmp_path) as client:
        assert (await client.get("/v1/locks")).status_code == 200
        assert (await unlock(client, "one")).json()["code"] == "scope-missing"
    assert site.opened == 0


async def test_it_does_not_start_with_a_scope_of_no_lock(tmp_path: Path) -> None:
    site = SecuredSite(tmp_path)
    site.users = '[[http.users]]\nuid = 1\nscopes = ["operate:attic"]\n'
    site.configure("http://127.0.0.1:1", "")
    assert "http.users[0]: scope: found 'operate:attic'" in await site.refused()
