"""No secret leaves the daemon: not by a log, an answer, a file, a traceback or a failing start.

Every secret is searched for in every form in which somebody could have written it (``canary``),
and the searcher itself is tested with leaks that were planted.
"""

from __future__ import annotations

import json
import subprocess
import sys
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import anyio
import httpx
import pytest

from bleagent.cloud.sharing import CONFIRM, VERIFY
from bleagent.simulator.cloud_faults import Fault, FaultKind
from protocol.keys import KeyRing, SecurityFlag
from tests.system.canary import Canary, forms
from tests.system.daemon import (
    AUTH_KEY,
    CODE,
    KEYS,
    LOCAL_KEY,
    SEC_KEY,
    TOKEN,
    Site,
    socket_radio,
    unlock,
    unlock_when_rested,
)
from tests.system.faulty_daemon import PLACES
from tests.system.following import follow

FAULTY = Path(__file__).with_name("faulty_daemon.py")
CONFIGURED = {
    "local key": LOCAL_KEY,
    "six characters": LOCAL_KEY[:6],
    "auth key": AUTH_KEY,
    "sec key": SEC_KEY,
    "check code": CODE,
    "token": TOKEN,
}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Watched:
    """A site whose secrets are all known, those that are made on the way too."""

    def __init__(self, site: Site) -> None:
        self.site = site
        secrets = CONFIGURED | {"cloud secret": site.cloud.secret.reveal().decode()}
        self.canary = Canary({name: value.encode() for name, value in secrets.items()})
        self.ticket = site.cloud.sharing.share(KEYS.virtual_id).ticket
        self.canary.add("sharing ticket", self.ticket.encode())
        self._count = 0
        for name, action in site.cloud.actions.names.items():
            site.cloud.actions.names[name] = self._noting(action)

    def _noting(self, action: Callable[..., object]) -> Callable[..., object]:
        def noted(*given: Any) -> object:
            result = action(*given)
            self._note(result)
            return result

        return noted

    def _note(self, result: object) -> None:
        """Whatever is sealed or issued in hexadecimal."""
        for value in result.values() if isinstance(result, dict) else ():
            if isinstance(value, dict):
                self._note(value)
            elif isinstance(value, str) and len(value) >= 16:
                self._add("issued", bytes.fromhex(value))

    def _add(self, name: str, value: bytes) -> None:
        self._count += 1
        self.canary.add(f"{name} {self._count}", value)

    def learn(self) -> None:
        """After a run: the keys of each connection, what was on the air, tokens, vault."""
        site = self.site
        flags = (SecurityFlag.LOGIN, SecurityFlag.SESSION)
        if site.firmware.security_v2:
            flags = (SecurityFlag.V2_LOGIN, SecurityFlag.V2_SESSION)
        for srand in site.srands:
            ring = KeyRing(KEYS)
            ring.learn_srand(srand)
            self._add("srand", srand)
            for flag in flags:
                self._add(flag.name, ring.key(flag))
        for packet in site.packets:
            if len(packet) >= 16:
                self._add("on the air", packet)
        for token in (site.cloud.tokens.access, site.cloud.tokens.refresh):
            if token is not None:
                self._add("cloud token", token.reveal())
        self._add("vault key", (site.folder / "state" / "vault.key").read_bytes())

    def files(self) -> list[tuple[str, bytes]]:
        """Everything that was written, but for the secrets' own files."""
        state = [path for path in (self.site.folder / "state").iterdir() if path.suffix != ".key"]
        return [(path.name, path.read_bytes()) for path in (self.site.log, *state)]


def _told(answer: httpx.Response) -> bytes:
    return answer.content + b"".join(name + value for name, value in answer.headers.raw)


async def _with_tickets(client: httpx.AsyncClient, site: Site, ticket: str) -> list[httpx.Response]:
    """Shown well, badly, in the wrong place, and to a cloud that echoes it."""
    sharing = {"ticket": ticket, "receiver": "guest"}
    site.cloud.sharing.names_lock = True
    answers = [await unlock_when_rested(client, "shared", sharing=sharing)]
    answers.append(await unlock(client, "s1", sharing={**sharing, "device": "x"}))
    answers.append(await unlock(client, "s2", sharing={**sharing, "ticket": ticket + " "}))
    answers.append(await client.post(f"/v1/locks/front/unlock?ticket={ticket}"))
    for action in (VERIFY, CONFIRM):
        echo = Fault(FaultKind.CODE, code=1109, msg=f"illegal {ticket}")
        site.cloud.faults.always(action, echo)
    answers.append(await unlock(client, "s3", sharing=sharing))
    return answers


async def _every_answer(client: httpx.AsyncClient, site: Site) -> list[httpx.Response]:
    """A site seen from outside, with its mistakes."""
    answers = [await unlock(client, "a"), await unlock(client, "a")]
    answers.append(await unlock(client, "b"))  # a moment later: busy
    answers.append(await unlock(client, "a", deadline_ms=9000))
    answers.append(await unlock(client, "c", lock="back"))
    answers.append(await unlock(client, "c", colour=LOCAL_KEY))
    answers.append(await unlock(client, "c", after="x" * 5000))
    wrong = {"Authorization": "Bearer wrong", "Idempotency-Key": "c"}
    answers.append(await client.post("/v1/locks/front/unlock", headers=wrong))
    paths = (
        "/v1/locks", "/readyz", "/metrics", "/livez", "/v1/operations/none",
        "/v1/operations?key=one", "/openapi.json", "/docs", "/docs.css", "/nowhere",
    )  # fmt: skip
    answers += [await client.get(path) for path in paths]
    site.cloud.faults.always("doorLock.bleOpenInstruction", Fault(FaultKind.SLOW, seconds=9))
    await anyio.sleep(2.5)
    answers.append(await unlock(client, "d", deadline_ms=300))
    # The cloud echoes what it was sent.
    echo = Fault(
        FaultKind.CODE, code=1004, msg=f"sign invalid {CODE} {site.cloud.secret.reveal()!r}"
    )
    site.cloud.faults.always("doorLock.bleOpenInstruction", echo)
    await anyio.sleep(2.5)
    answers.append(await unlock(client, "e"))
    answers += [await client.get(path) for path in ("/readyz", "/metrics")]  # what it echoed
    site.cloud.faults.clear()
    return answers


@pytest.mark.anyio
@pytest.mark.parametrize(("firmware", "signer"), [("v3.0", "openapi"), ("secv2-20", "faas")])
async def test_no_secret_is_in_logs_answers_or_files(
    tmp_path: Path, firmware: str, signer: str
) -> None:
    more = {"": "[strategies]\ninstruction_air = 'resealed'\n"} if firmware != "v3.0" else {}
    site = Site(tmp_path, offline="cached", firmware=firmware, signer=signer, more=more)
    watched = Watched(site)
    async with site.up(), site.daemon("debug") as (client, process):
        async with follow(client) as stream:
            answers = await _every_answer(client, site)
            with_tickets = await _with_tickets(client, site, watched.ticket)
            await stream.until("operation", 1)
            await anyio.sleep(0.5)  # the record of the opening is being stored
        live = watched.files()  # with the databases' logs, which a clean end removes
        process.kill()
        await process.wait()
        killed = watched.files()
    watched.learn()
    assert answers[0].json()["outcome"] == "confirmed", answers[0].text
    assert {answer.status_code for answer in answers} >= {200, 401, 404, 409, 413, 422, 503}
    assert with_tickets[0].json()["outcome"] == "confirmed", with_tickets[0].text
    assert [answer.status_code for answer in with_tickets[1:]] == [422, 422, 400, 403]
    answers += with_tickets
    assert any(name.endswith("-wal") for name, _ in live)
    assert {"srand", "issued", "vault key", "on the air"} <= {
        name.rstrip("0123456789 ") for name in watched.canary.names
    }
    assert ("cloud token" in {n.rstrip("0123456789 ") for n in watched.canary.names}) == (
        signer == "openapi"
    )
    texts = [*live, *killed, *((f"answer {n}", _told(one)) for n, one in enumerate(answers))]
    texts.append(("events", stream.text.encode()))
    assert watched.canary.in_all(texts) == []
    # The search does see what is there.
    opened = Canary({"lock": answers[0].json()["id"].encode()})
    assert opened.in_all(texts)
    assert opened.in_all(texts[-1:])


@pytest.mark.anyio
@pytest.mark.parametrize("place", [place for place in PLACES if place != "start"])
async def test_a_fault_of_ours_is_told_by_its_type_and_place_only(
    tmp_path: Path, place: str
) -> None:
    site = Site(tmp_path)
    watched = Watched(site)
    answers: list[bytes] = []
    async with site.up():
        by = [str(FAULTY), place, str(tmp_path)]
        async with site.daemon("debug", by=by) as (client, process):
            try:
                answer = await unlock(client, "one")
                answers.append(_told(answer))
                if place in ("begin", "handler"):
                    assert answer.status_code == 500
                    assert answer.headers["content-type"] == "application/problem+json"
            except httpx.HTTPError:
                assert place == "protocol"
            await anyio.sleep(0.2)
            assert process.returncode is None, "one door's fault is not the end of the others"
    watched.learn()
    log = site.log.read_text()
    assert watched.canary.in_all([*watched.files(), *(("answer", one) for one in answers)]) == []
    faults = [json.loads(line) for line in log.splitlines()]  # nothing else is on stderr
    told = [one for one in faults if one.get("error") == "RuntimeError"]
    assert told
    assert all("faulty_daemon.py" in one["where"][-1] for one in told)
    assert all(one["cause"] == "KeyError" for one in told)
    if place == "background":
        events = {one["event"] for one in told}
        assert events == {"library.message", "thread.fault", "unraisable.fault", "time.fault"}
        assert any(one["event"] == "python.warning" for one in faults)
        assert len([one for one in told if one.get("logger") == "asyncio"]) == 2


def _start(site: Site, *program: str) -> subprocess.CompletedProcess[bytes]:
    command = program or ("-m", "bleagent")
    return subprocess.run(  # noqa: S603 - our own line
        [sys.executable, *command, "run", "--config", str(site.config), "--log-level", "debug"],
        capture_output=True, check=False, timeout=60,
    )  # fmt: skip


def test_a_fault_while_starting_is_told_the_same_way(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.configure("http://127.0.0.1:9", socket_radio(9))
    done = _start(site, str(FAULTY), "start", str(tmp_path))
    assert done.returncode == 1
    assert Watched(site).canary.found(done.stderr + done.stdout) == []
    (line,) = [json.loads(line) for line in done.stderr.splitlines()]
    assert (line["event"], line["error"]) == ("agent.fault", "RuntimeError")


LITERAL = 'local_key = "' + LOCAL_KEY + '"'
BROKEN: dict[str, Callable[[str], str]] = {
    "a secret where a table should be": lambda text: text.replace(
        text[text.index("local_key") : text.index("\n", text.index("local_key"))], LITERAL
    ),
    "a secret in an array": lambda text: text.replace(
        "auth_key = {", f'sec_keys = ["{SEC_KEY}"]\nauth_key = {{'
    ),
    "a misspelt key": lambda text: text.replace("[cloud]", f'[cloud]\nsecrett = "{AUTH_KEY}"'),
    "a secret without quotes": lambda text: text.replace("[cloud]", f"[cloud]\nuid = {TOKEN}"),
    "a secret for a path": lambda text: text.replace(
        "[http]", '[http]\nhost = "127.0.0.1"\n').replace(
        "token = {", f'token = {{ file = "{TOKEN}" }}\n#'),
    "a password in the address": lambda text: text.replace(
        "base_url = \"http://", f'base_url = "http://me:{TOKEN}@'
    ),
    "a secret for a table with a field too many": lambda text: text.replace(
        "token = {", f'token = {{ value = "{TOKEN}",'
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", BROKEN)
def test_a_wrong_configuration_is_explained_without_what_is_in_it(
    tmp_path: Path, what: str
) -> None:
    site = Site(tmp_path)
    site.configure("http://127.0.0.1:9", socket_radio(9))
    before = site.config.read_text()
    after = BROKEN[what](before)
    assert after != before
    site.config.write_text(after)
    done = _start(site)
    assert done.returncode == 2
    assert Watched(site).canary.found(done.stderr + done.stdout) == []
    assert b"config.toml" in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("file", "mode", "value", "said"),
    [
        ("local", 0o644, LOCAL_KEY, "chmod 0600"),
        ("auth", 0o640, AUTH_KEY, "chmod 0600"),
        ("token", 0o604, TOKEN, "chmod 0600"),
        ("local", 0o600, LOCAL_KEY + "z", "found 17 characters, expected the 16"),
        ("sec", 0o600, SEC_KEY[:9], "found 9 characters"),
        ("auth", 0o600, AUTH_KEY + "\r\n\n", "found 34 characters"),
    ],
)
def test_a_wrong_file_of_a_secret_is_explained_without_it(
    tmp_path: Path, file: str, mode: int, value: str, said: str
) -> None:
    site = Site(tmp_path)
    site.configure("http://127.0.0.1:9", socket_radio(9))
    (tmp_path / file).write_text(value)
    (tmp_path / file).chmod(mode)
    done = _start(site)
    assert done.returncode == 2
    assert said in done.stderr.decode()
    assert Watched(site).canary.found(done.stderr + done.stdout) == []
    assert Canary({"nine": SEC_KEY[:9].encode()}).found(done.stderr) == []


# -- the searcher


VALUE = bytes.fromhex("00c3a9ff3f2f3e0a5c22") + b"key"
PLANTED: dict[str, Callable[[bytes], str]] = {
    "hex": lambda value: f"key={value.hex()}",
    "HEX": lambda value: f"<{value.hex().upper()}>",
    "dump": lambda value: value.hex(" "),
    "address": lambda value: value.hex(":").upper(),
    "repr": lambda value: f"{{'key': {value!r}}}",
    "list": lambda value: repr(list(value)),
    "JSON numbers": lambda value: json.dumps(list(value), separators=(",", ":")),
    "JSON text": lambda value: json.dumps({"key": value.decode("latin-1")}),
    "URL": lambda value: f"?key={quote(value, safe='')}&x=1",
    "URL, everything": lambda value: "".join(f"%{byte:02x}" for byte in value),
    **{
        f"{encode.__name__} behind {before}": lambda value, encode=encode, before=before: (  # type: ignore[misc]
            encode(b"user:secret"[:before] + value + b" and more").decode()
        )
        for before in range(8)
        for encode in (b64encode, urlsafe_b64encode)
    },
}


@pytest.mark.parametrize("form", PLANTED)
@pytest.mark.parametrize("value", [VALUE, LOCAL_KEY.encode(), SEC_KEY.encode(), bytes(range(9))])
def test_a_planted_leak_is_found(form: str, value: bytes) -> None:
    canary = Canary({"planted": value, "other": b"something else"})
    text = f'{{"event": "x", "data": {PLANTED[form](value)}}}\n'
    assert {name for name, _ in canary.found(text)} == {"planted"}


@pytest.mark.parametrize("value", [VALUE, LOCAL_KEY.encode()])
def test_a_planted_leak_is_found_in_raw_bytes(value: bytes) -> None:
    canary = Canary({"planted": value})
    assert ("planted", "raw") in canary.found(b"\0\1" + value + b"\xff")
    assert canary.found(b"\0\1" + value[:-1] + b"\xff" + value[1:]) == []


def test_no_form_is_so_short_that_chance_would_find_it() -> None:
    shortest = min(len(form) for form in forms(b"CANARY").values())
    assert shortest >= 6
