"""The demo as a newcomer runs it, and as a program reads it."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import anyio
import pytest

from bleagent.commands.daemon_client import find_daemon
from bleagent.demo.play import CLAIMS, Demo, Story
from tests.system.canary import Canary

COMMAND = [sys.executable, "-m", "bleagent", "demo"]


def test_every_claim_of_the_demo_is_true() -> None:
    done = subprocess.run(  # noqa: S603 - our own command line
        [*COMMAND, "--json"], capture_output=True, text=True, check=False, timeout=200
    )
    assert done.returncode == 0, done.stderr
    last = json.loads(done.stdout.splitlines()[-1])
    assert last["ok"] is True
    assert [claim["name"] for claim in last["claims"]] == [
        "opened once",
        "a repeated key opened nothing",
        "a second opening, through the Unix socket without a token, needed no connecting",
        "what the lock remembered stands in the cloud, once and in order",
        "next_sn adopted",
        "a replayed number was thrown out by the lock",
        "opened without the cloud, from what it had issued",
    ]
    assert all(claim["ok"] and claim["seen"] for claim in last["claims"])
    assert last["duration_s"] > 0
    assert len(done.stdout.splitlines()) == 1, "the story goes to stderr"


def test_the_story_shows_every_frame_and_no_secret() -> None:
    lines: list[str] = []

    async def show() -> Demo:
        demo = Demo(Story(lines.append, verbose=True))
        await demo.show(keep=False)
        return demo

    demo = anyio.run(show)
    told = "\n".join(lines)
    assert "open door, check code ****" in told
    assert "instruction " in told
    assert len(demo.story.claims) == CLAIMS
    assert [claim for claim in demo.story.claims if not claim.ok] == []
    keys = (demo.keys.local_key, demo.keys.auth_key, demo.code, demo.cloud.secret)
    canary = Canary({str(n): key.reveal() for n, key in enumerate(keys) if key is not None})
    canary.add("six characters", demo.keys.login_key.reveal())
    canary.add("token", demo.token.encode())
    assert len(canary.names) == 6
    claims = json.dumps([vars(claim) for claim in demo.story.claims])
    for text in (told, told.lower(), claims):
        assert canary.found(text) == []


def test_what_is_kept_can_be_asked_for_its_records(tmp_path: Path) -> None:
    lines: list[str] = []
    demo = Demo(Story(lines.append))
    demo._configure(tmp_path, "http://127.0.0.1:1", 1)

    async def stay() -> None:
        with anyio.move_on_after(0.01):
            await demo._stay("http://127.0.0.1:2", tmp_path)

    anyio.run(stay)
    once, on = (shlex.split(line) for line in lines if " records " in line)
    assert on == [*once, "--follow"]
    assert once[:3] == ["bleagent", "records", "--url"]
    assert once[4] == "--token-file"
    found = find_daemon(None, once[3], Path(once[5]))
    assert found.token is not None
    assert (found.url, found.token.reveal()) == ("http://127.0.0.1:2", demo.token.encode())


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_ctrl_c_in_the_middle_leaves_at_once_and_nothing_behind() -> None:
    process = subprocess.Popen(  # noqa: S603
        COMMAND, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    for line in process.stdout:
        if "the daemon is ready" in line:
            break
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 1
    assert time.monotonic() - began < 15
    assert "Traceback" not in errors
