"""Somebody with a browser before the page of a gateway."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import httpx
from anyio.abc import Process

from tests.system.daemon import TOKEN, Site, socket_radio

if TYPE_CHECKING:
    from playwright.async_api import Browser, BrowserContext, Locator, Page, Route

PHONE = {"width": 390, "height": 844}
DESK = {"width": 900, "height": 760}
BETWEEN_PRESSES = 450
"""Milliseconds: a double click within 400 is one press."""
EXPECTED = ("Failed to load resource", "net::ERR")
"""What Chromium itself writes about an answer that is no success."""


@dataclass
class Visit:
    """One page, and what it has done."""

    site: Site
    page: Page
    client: httpx.AsyncClient
    process: Process
    radio: AsyncExitStack
    """The virtual lock; closed, there is none."""
    posts: list[str] = field(default_factory=list)
    """Idempotency keys of what was asked of doors."""
    asked: list[str] = field(default_factory=list)
    """Each address that was asked for."""
    told: list[str] = field(default_factory=list)
    """Faults that the browser tells of, violations of the policy among them."""

    @property
    def context(self) -> BrowserContext:
        return self.page.context

    @property
    def home(self) -> str:
        return f"{self.client.base_url}/"

    async def sign_in(self, token: str = TOKEN) -> None:
        await self.page.get_by_label("Token").fill(token)
        await self.page.get_by_role("button", name="Sign in").click()

    async def press(self, name: str = "Open") -> None:
        """Twice, as it takes."""
        await self.page.get_by_role("button", name=name, exact=True).click()
        await self.page.wait_for_timeout(BETWEEN_PRESSES)
        await self.page.get_by_role("button", name="Press again").click()

    async def outcome(self, title: str) -> str:
        """Wait for an outcome in these words; what else it says."""
        return await self.outcome_of(self.page.locator("#locks"), title)

    async def outcome_of(self, card: Locator, title: str) -> str:
        """The same of one lock's card."""
        said = card.locator(".outcome", has=self.page.locator("strong", has_text=title))
        await said.wait_for(timeout=20_000)
        return str(await said.inner_text())

    async def answer_with(self, pattern: str, change: Callable[[Any], Any]) -> None:
        """From now on, what the real daemon answers is changed."""

        async def changed(route: Route) -> None:
            answer = await route.fetch()
            body = json.dumps(change(await answer.json()))
            await route.fulfill(response=answer, body=body)

        await self.page.route(pattern, changed)

    async def answer_operations_with(self, status: int, body: dict[str, Any]) -> None:
        """From now on, no request to operate the door gets as far as the daemon."""
        kind = "application/json" if "outcome" in body else "application/problem+json"

        async def answered(route: Route) -> None:
            await route.fulfill(status=status, content_type=kind, body=json.dumps(body))

        await self.page.unroute("**/v1/locks/*/*")
        await self.page.route("**/v1/locks/*/*", answered)


@asynccontextmanager
async def visiting(browser: Browser, site: Site, **context: Any) -> AsyncIterator[Visit]:
    """Lock, cloud, daemon and page. No visit may end with a fault that the browser told of."""
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(site.cloud.serve())
        radio = await stack.enter_async_context(AsyncExitStack())
        site.configure(url, socket_radio(await radio.enter_async_context(site.door.serve())))
        client, process = await stack.enter_async_context(site.daemon())
        opened = await browser.new_context(viewport=PHONE, **context)
        stack.push_async_callback(opened.close)
        page = await opened.new_page()
        visit = Visit(site, page, client, process, radio)
        _listen(visit)
        await page.goto(visit.home)
        yield visit
        assert visit.told == []
        assert TOKEN not in "".join(visit.asked)
        assert all(one.startswith((visit.home, "http://elsewhere.example/")) for one in visit.asked)
    assert TOKEN not in site.log.read_text()


def _listen(visit: Visit) -> None:
    def asked(request: Any) -> None:
        visit.asked.append(request.url)
        if request.method != "GET":
            visit.posts.append(request.headers.get("idempotency-key", ""))

    def said(message: Any) -> None:
        if message.type in ("error", "warning") and not message.text.startswith(EXPECTED):
            visit.told.append(message.text)

    visit.page.on("request", asked)
    visit.page.on("console", said)
    visit.page.on("pageerror", lambda error: visit.told.append(str(error)))
