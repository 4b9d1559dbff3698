"""What the page looks like: no serious finding of axe-core, and pictures in build/page.

BLEAGENT_PICTURES=docs make test-page    the pictures of the README anew
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.page.visit import DESK, PHONE, Visit, visiting
from tests.system.daemon import Site

if TYPE_CHECKING:
    from playwright.async_api import Browser, Route

pytestmark = pytest.mark.anyio
PICTURES = Path(os.environ.get("BLEAGENT_PICTURES", "build/page"))
LARGEST = 100 * 1024  # bytes
NOW = datetime.now(UTC)


async def require_accessible(visit: Visit) -> None:
    """No finding of axe-core that is serious or worse."""
    axe = files("axe_playwright_python").joinpath("axe.min.js").read_text()
    await visit.page.evaluate(axe)
    found = await visit.page.evaluate("axe.run().then((it) => it.violations)")
    assert [
        (one["id"], one["impact"], [node["html"] for node in one["nodes"]])
        for one in found
        if one["impact"] in ("serious", "critical")
    ] == []


def told(number: int, minutes: float, title: str, who: str | None = None, **more: Any) -> Any:
    """A record as the API has it."""
    at = (NOW - timedelta(minutes=minutes)).isoformat(timespec="milliseconds")
    return {
        "id": f"{number:032x}", "seq": number, "lock": "front", "title": title, "who": who,
        "at": at, "category": "opening", "severity": None, "operation": None, "released": True,
        "deliveries": [{"sink": "cloud", "state": "done", "attempts": 1, "code": ""}],
    } | more  # fmt: skip


OF_OLD = [
    told(4, 3, "opened by fingerprint 21", "Anna"),
    told(3, 25, "opened by Bluetooth, member 1", "Carla", operation="op-2"),
    *(told(10 + n, 40 + 9 * n, "opened by Bluetooth, member 1", "Carla", operation=f"op-{n}")
      for n in range(4)),
    told(2, 64, "alarm: wrong password", category="alarm", severity="warning",
         deliveries=[{"sink": "cloud", "state": "waiting", "attempts": 2, "code": ""}]),
    told(1, 180, "alarm: pried at (tamper)", lock="back", category="alarm", severity="critical"),
]  # fmt: skip
SINK = {
    "sink": "cloud", "configured": True, "waiting": 1, "held": 0, "done": 212, "parked": 0,
    "dropped": 0, "oldest_waiting_s": 3840.0, "routes_closed": [],
}  # fmt: skip


async def furnish(visit: Visit) -> None:
    """A virtual lock has no radio and no history: what the page is told of them is made up."""
    heard = iter([-71, -72, -70, -74, -78, -76, -73, -71, -70, -72] * 40)

    def locks(answer: Any) -> Any:
        (front,) = answer["locks"]
        rssi = next(heard)
        return {
            "locks": [
                front | {"radio": {"rssi": rssi, "heard_s_ago": 1.2}},
                front | {"name": "back", "connection": "held", "connected": True, "busy": False,
                         "radio": {"rssi": rssi - 14, "heard_s_ago": 130.0}},
            ]
        }  # fmt: skip

    def records(answer: Any) -> Any:
        new = [one | {"who": "Carla"} for one in answer["records"]]
        return answer | {"records": [*new, *OF_OLD] if len(answer["records"]) != 1 else new}

    async def operation(route: Route) -> None:
        number = 1 + int(route.request.url[-1])
        at = (NOW - timedelta(minutes=20 * number)).isoformat()
        await route.fulfill(json={
            "id": f"op-{number}", "lock": "front", "action": "unlock", "outcome": "confirmed",
            "requested_at": at, "steps": {"ack": 0.3 + number * 3 % 7 / 20},
        })  # fmt: skip

    await visit.answer_with("**/v1/locks", locks)
    await visit.answer_with("**/v1/records*", records)
    await visit.answer_with("**/v1/outbox", lambda it: it | {"sinks": [SINK]})
    await visit.page.route("**/v1/operations/*", operation)


async def show(visit: Visit) -> None:
    """A few polls in, and a door that has just been opened."""
    page = visit.page
    await page.clock.install()
    await furnish(visit)
    await visit.sign_in()
    await page.locator("#records li", has_text="Anna").wait_for()
    for _ in range(6):
        async with page.expect_response("**/v1/locks"):
            await page.clock.run_for(5_000)
    front = page.get_by_role("listitem").filter(has=page.get_by_role("heading", name="front"))
    await front.get_by_role("button", name="Open", exact=True).click()
    await page.clock.run_for(1_000)
    await front.get_by_role("button", name="Press again").click()
    await visit.outcome_of(front, "Confirmed: opened")
    await page.clock.run_for(200)


async def picture(visit: Visit, name: str) -> None:
    taken = await visit.page.screenshot(scale="css")
    assert len(taken) < LARGEST
    keep(taken, name)


def keep(taken: bytes, name: str) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    (PICTURES / f"{name}.png").write_bytes(taken)


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_at_a_desk_it_is_accessible_in_light_and_dark(
    browser: Browser, tmp_path: Path, scheme: str
) -> None:
    async with visiting(
        browser, Site(tmp_path), color_scheme=scheme, reduced_motion="reduce"
    ) as visit:
        await visit.page.set_viewport_size(DESK)
        await require_accessible(visit)
        await show(visit)
        await require_accessible(visit)
        await picture(visit, f"page-{scheme}")


async def test_on_a_phone_nothing_is_wider_than_it_and_every_outcome_can_be_read(
    browser: Browser, tmp_path: Path
) -> None:
    async with visiting(browser, Site(tmp_path), color_scheme="light") as visit:
        page = visit.page
        await page.set_viewport_size(PHONE)
        await show(visit)
        await require_accessible(visit)
        await picture(visit, "page-phone")
        for narrow in (PHONE["width"], 320):
            await page.set_viewport_size({"width": narrow, "height": 700})
            wide = await page.evaluate("document.documentElement.scrollWidth")
            assert wide <= narrow
        for kind in ("refused", "unconfirmed", "working"):
            await page.locator(".outcome").first.evaluate(
                "(it, kind) => { it.className = `outcome ${kind}` }", kind
            )
            await require_accessible(visit)


# -- pages of others


async def test_a_link_on_another_page_leads_here_and_no_frame_does(
    browser: Browser, tmp_path: Path
) -> None:
    async with visiting(browser, Site(tmp_path)) as visit:
        home = visit.home

        async def elsewhere(route: Route) -> None:
            await route.fulfill(
                content_type="text/html",
                body=f'<a href="{home}">Doors</a><iframe src="{home}"></iframe>'
                f'<img src="{home}page/icon.svg">',
            )

        await visit.page.route("http://elsewhere.example/*", elsewhere)
        await visit.page.goto("http://elsewhere.example/")
        framed = visit.page.frames[-1]
        assert await framed.locator("#token").count() == 0
        assert await visit.page.evaluate("document.querySelector('img').naturalWidth") == 0
        await visit.page.get_by_role("link", name="Doors").click()
        await visit.page.get_by_role("heading", name="Sign in").wait_for()
        assert visit.page.url == home
        await visit.sign_in()
        await visit.page.get_by_role("heading", name="front").wait_for()
        visit.told.clear()  # of the other page: its frame was refused
