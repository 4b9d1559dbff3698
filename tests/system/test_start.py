"""What a start loads, and that its command line is the same in both places."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.system.daemon import Site, socket_radio, unlock

TELLING = Path(__file__).with_name("telling_daemon.py")
NEVER = re.compile(r"(typer|rich|pygments|bumble|bleagent\.(cli|simulator|demo|decode))(\.|$)")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.anyio
async def test_the_daemon_loads_nothing_of_the_command_line_or_the_simulator(
    tmp_path: Path,
) -> None:
    site, told = Site(tmp_path), tmp_path / "modules"
    async with site.up(), site.daemon(by=[str(TELLING), str(told)]) as (client, _):
        assert (await unlock(client, "one")).json()["outcome"] == "confirmed"
    ready, stopped = (set(line.split()) for line in told.read_text().splitlines())
    assert {"bleagent.app", "fastapi", "httpx", "structlog", "sqlite3"} <= ready
    assert [name for name in stopped if NEVER.match(name)] == []
    # Nothing that a first opening needs is loaded only then; httpx's own parts come beside the
    # start, with the first question for the time.
    ours = ("bleagent", "protocol", "fastapi", "starlette", "pydantic", "structlog", "anyio")
    assert [name for name in stopped - ready if name.startswith(ours)] == []


LATER = """
from bleagent.start import models_built_when_used
with models_built_when_used():
    import fastapi
from pydantic import BaseModel
class Model(BaseModel): pass
assert Model.__pydantic_complete__
app = fastapi.FastAPI()
app.get("/here")(lambda: None)
print(list(app.openapi()["paths"]))
"""


def test_models_that_are_built_later_are_built_when_they_are_wanted() -> None:
    done = subprocess.run(  # noqa: S603 - our own lines
        [sys.executable, "-c", LATER], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "['/here']"


@pytest.mark.parametrize("detour", [(), ("--",)], ids=["run", "by typer"])
def test_run_explains_itself(detour: tuple[str, ...]) -> None:
    done = subprocess.run(  # noqa: S603 - our own line
        [sys.executable, "-m", "bleagent", *detour, "run", "--help"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "usage: bleagent run" in done.stdout
    assert "--port-file" in done.stdout


def test_run_is_in_the_list_of_commands() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bleagent", "--help"], capture_output=True, text=True, check=True
    )
    assert "Run the daemon" in done.stdout


@pytest.mark.parametrize(
    "wrong", [["--colour", "red"], [], ["--config", "/none", "--log-level", "loud"]]
)
def test_what_run_does_not_understand_ends_with_2(wrong: list[str]) -> None:
    done = subprocess.run(  # noqa: S603 - our own line
        [sys.executable, "-m", "bleagent", "run", *wrong],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.configure("http://127.0.0.1:9", socket_radio(9))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        place = "{}:{}".format(*taken.getsockname())
        port = f"port = {taken.getsockname()[1]}"
        site.config.write_text(site.config.read_text().replace("port = 0", port, 1))
        done = subprocess.run(  # noqa: S603 - our own line
            [sys.executable, "-m", "bleagent", "run", "--config", str(site.config)],
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
    assert done.returncode == 2
    assert f"bleagent run: {place} cannot be listened on: Address already in use" in done.stderr
    assert done.stderr.count("in use") == 1  # and by nobody else
    assert "Traceback" not in done.stderr
