"""A real Chromium before the real daemon. `make test-page` installs what these tests need."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.page.visit import Visit, visiting
from tests.system.daemon import Site

if TYPE_CHECKING:
    from playwright.async_api import Browser

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


def _lacking() -> str | None:
    """What of it is not on this machine."""
    if find_spec("playwright") is None or find_spec("axe_playwright_python") is None:
        return "playwright is not installed: `make test-page` does it"
    if CHROMIUM is None:
        return "there is no Chromium (Debian: chromium)"
    return None


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
async def browser(anyio_backend: str) -> AsyncIterator[Browser]:  # noqa: ARG001 - its loop
    """One for all tests; each has a context of its own in it."""
    if (lacking := _lacking()) is not None:
        if os.environ.get("BLEAGENT_NEEDS_CHROMIUM"):
            pytest.fail(lacking)
        pytest.skip(lacking)
    from playwright.async_api import async_playwright  # noqa: PLC0415 - not everybody has it

    # Chromium's own sandbox does not start for root.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    async with async_playwright() as started:
        yield await started.chromium.launch(executable_path=CHROMIUM, args=arguments)


@pytest.fixture
async def visit(browser: Browser, tmp_path: Path) -> AsyncIterator[Visit]:
    """The page of a gateway with one door, opened and not signed in."""
    async with visiting(browser, Site(tmp_path)) as found:
        yield found
