"""What a person sees and does at the page, with the lock's own count of openings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest

from bleagent.simulator.cloud_faults import Fault, FaultKind
from tests.page.visit import BETWEEN_PRESSES, Visit, visiting
from tests.system.daemon import TOKEN, Site

if TYPE_CHECKING:
    from anyio.abc import SocketStream
    from playwright.async_api import Browser, Route

pytestmark = pytest.mark.anyio
INSTRUCTION = "doorLock.bleOpenInstruction"
HTML = '<img src=x onerror="document.title=1"><b>Eve</b>'


UNCONFIRMED = (
    "retry: 10\nid: a1\n\nid: a2\nevent: operation\n"
    'data: {"id": "op-9", "lock": "front", "action": "unlock", "outcome": "unconfirmed",\r\n'
    'data:  "code": "link-lost", "requested_at": "2026-01-31T18:30:00Z"}\n\n: beat\n\n'
)
ALARM = (
    'id: a3\nevent: record\ndata: {"id": "r1", "lock": "front", "title": "alarm: shock", '
    '"category": "alarm", "severity": "critical", "who": null, "deliveries": [], '
    '"released": true, "operation": null, "at": "2030-01-31T18:30:00Z"}\n\n'
)


def operation(outcome: str | None, **more: Any) -> dict[str, Any]:
    """As ``GET /v1/operations/ID`` has it."""
    return {
        "id": "op-1", "lock": "front", "action": "unlock", "phase": "finished",
        "requested_at": "2026-01-31T18:30:00.000+00:00", "outcome": outcome, "code": "ok",
        "by": "lock", "result": 0, "moved": "no", "retryable": outcome == "unreached",
        "late": False, "offline": False, "evidence": [], "steps": {},
        "finished_at": "2026-01-31T18:30:01.000+00:00",
    } | more  # fmt: skip


def problem(status: int, code: str) -> dict[str, Any]:
    return {"status": status, "code": code, "detail": f"the detail of {code}", "advice": "Advice."}


# -- opening


async def test_two_presses_open_the_door_once_and_the_page_says_that_the_lock_said_so(
    visit: Visit,
) -> None:
    await visit.sign_in()
    await visit.press()
    said = await visit.outcome("Confirmed: opened")
    assert "The lock reported carrying it out" in said
    assert visit.site.opened == 1
    assert [len(key) for key in visit.posts] == [32]
    await visit.page.locator("#records li", has_text="asked for over HTTP").wait_for()
    await visit.page.get_by_text("The gateway is ready.").wait_for()


async def test_one_press_and_a_double_click_open_nothing(visit: Visit) -> None:
    await visit.sign_in()
    page = visit.page
    await page.get_by_role("button", name="Open", exact=True).dblclick()
    await page.get_by_role("button", name="Press again to open").wait_for()
    await page.keyboard.press("Escape")
    await page.get_by_role("button", name="Open", exact=True).click()
    await page.get_by_role("button", name="Sign out").focus()  # it went elsewhere
    await page.get_by_role("button", name="Open", exact=True).wait_for()
    assert (visit.posts, visit.site.opened) == ([], 0)


async def test_it_can_be_done_with_the_keyboard_alone(visit: Visit) -> None:
    page, keyboard = visit.page, visit.page.keyboard
    await keyboard.type(TOKEN)  # the field has the focus
    await keyboard.press("Enter")
    await page.get_by_role("heading", name="front").wait_for()
    await keyboard.press("Tab")
    await keyboard.press("Enter")
    await page.wait_for_timeout(BETWEEN_PRESSES)
    await keyboard.press("Space")
    await visit.outcome("Confirmed: opened")
    focused = await page.evaluate("document.activeElement.textContent")
    assert (focused, visit.site.opened) == ("Open", 1)


async def test_each_press_has_a_key_of_its_own_and_a_lock_that_rests_says_so(visit: Visit) -> None:
    await visit.sign_in()
    await visit.press()
    await visit.outcome("Confirmed")
    await visit.press()
    said = await visit.outcome("Not now")
    assert "Nothing was sent to the lock" in said
    assert "Ask again a little later" in said  # the daemon's advice
    assert len(set(visit.posts)) == 2
    assert visit.site.opened == 1


# -- what else can come of it


async def test_a_no_of_the_cloud_is_said(visit: Visit) -> None:
    visit.site.cloud.faults.always(INSTRUCTION, Fault(FaultKind.CODE, code=1106))
    await visit.sign_in()
    await visit.press()
    said = await visit.outcome("Refused: not opened")
    assert "The cloud said no" in said
    assert "Nothing moved" in said
    listed = visit.page.locator("#records li", has_text="Refused: not opened")
    await listed.wait_for()  # by the stream: no lock has a record of it
    assert await listed.count() == 1
    assert visit.site.opened == 0


async def test_a_lock_out_of_reach_is_said_and_may_be_asked_again(visit: Visit) -> None:
    await visit.radio.aclose()

    async def sooner(route: Route) -> None:
        await route.continue_(post_data='{"deadline_ms": 1500}')

    await visit.page.route("**/v1/locks/*/*", sooner)
    await visit.sign_in()
    await visit.press()
    said = await visit.outcome("Not reached: not opened")
    assert "certainly not delivered" in said
    assert "You may try again" in said
    assert len(visit.posts) == 1  # by a person, not by the page
    await visit.page.reload()
    await visit.sign_in()
    await visit.page.get_by_text("Doors stay shut at the moment. Radio:").wait_for()


async def test_a_lock_that_opens_and_falls_silent_is_unconfirmed_until_somebody_has_looked(
    visit: Visit,
) -> None:
    door, cut = visit.site.door, anyio.Event()
    streams: list[SocketStream] = []

    def opened(mark: str, _packet: bytes) -> None:
        if mark == "!" and door._central is not None and not streams:
            streams.append(door._central)
            door._gone("its power went")
            cut.set()

    door._tap = opened
    await visit.sign_in()
    await visit.press()
    with anyio.fail_after(20):
        await cut.wait()
    await streams[0].send(b"disconnect\n")
    said = await visit.outcome("Unconfirmed: look at the door")
    assert "The door may be open" in said
    assert visit.site.opened == 1
    await visit.press("I have looked at the door: open")
    await visit.page.locator(".working").wait_for(state="detached")
    while "Not now" in await visit.page.locator(".outcome").inner_text():  # the lock rests
        await visit.page.wait_for_timeout(500)
        await visit.press("I have looked at the door: open")
        await visit.page.locator(".working").wait_for(state="detached")
    await visit.outcome("Confirmed: opened")
    assert visit.site.opened == 2


async def test_a_daemon_that_dies_meanwhile_leaves_it_unknown_and_nothing_is_asked_again(
    visit: Visit,
) -> None:
    visit.site.cloud.faults.always(INSTRUCTION, Fault(FaultKind.SLOW))
    await visit.sign_in()
    await visit.press()
    await visit.outcome("Opening")
    with anyio.fail_after(20):
        while not visit.site.cloud.calls[INSTRUCTION]:
            await anyio.sleep(0.02)
    visit.process.kill()
    said = await visit.outcome("Unknown: look at the door")
    assert "It may be open" in said
    assert "does not ask again by itself" in said
    await visit.page.get_by_text("What you see may be old").wait_for(timeout=8_000)
    assert (len(visit.posts), visit.site.opened) == (1, 0)


async def test_an_answer_that_got_lost_is_looked_up_and_not_asked_for_again(visit: Visit) -> None:
    async def lost(route: Route) -> None:
        await route.fetch()  # the daemon has it, and has answered
        await route.abort()

    await visit.page.route("**/v1/locks/*/*", lost)
    await visit.sign_in()
    await visit.press()
    await visit.outcome("Unknown: look at the door")
    await visit.outcome("Confirmed: opened")
    assert (len(visit.posts), visit.site.opened) == (1, 1)


@pytest.mark.parametrize(
    ("status", "body", "title", "text"),
    [
        (409, operation("refused", code="lock-result-1", moved="possible"),
         "Refused: not opened", "The motor may have run: look at the door"),
        (504, operation("unconfirmed", code="lock-silent", moved="possible"),
         "Unconfirmed: look at the door", "The door may be open"),
        (200, operation("sideways"), "Unknown: look at the door", "It may be open"),
        (200, operation("confirmed", offline=True), "Confirmed: opened", "cloud could not be"),
        (503, problem(503, "too-late"), "Not now", "Nothing was sent to the lock"),
        (403, problem(403, "scope-missing"), "Not accepted", "Advice."),
        (503, problem(503, "store-failed"), "Unknown: look at the door", "It may be open"),
        (500, problem(500, "agent-error"), "Unknown: look at the door", "It may be open"),
        (502, {}, "Unknown: look at the door", "the gateway answered 502"),
        (200, {}, "Unknown: look at the door", "No answer came back"),
    ],
)  # fmt: skip
async def test_no_answer_is_taken_for_more_than_it_is(
    still: Visit, status: int, body: dict[str, Any], title: str, text: str
) -> None:
    await still.answer_operations_with(status, body)
    await still.press()
    assert text in await still.outcome(title)
    assert still.site.opened == 0


@pytest.fixture(scope="module")
async def _door(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Any:
    async with visiting(browser, Site(tmp_path_factory.mktemp("still"))) as visit:
        yield visit


@pytest.fixture
async def still(_door: Visit) -> Visit:
    """Signed in anew, before a door that nobody gets to."""
    if await _door.page.get_by_role("button", name="Sign out").is_visible():
        await _door.page.get_by_role("button", name="Sign out").click()
    await _door.sign_in()
    return _door


# -- who may


async def test_a_wrong_token_and_one_that_is_revoked_lead_back_to_signing_in(visit: Visit) -> None:
    page = visit.page
    await visit.sign_in("wrong")
    await page.get_by_role("alert").get_by_text("does not accept this token").wait_for()
    await visit.sign_in("no töken")
    await page.get_by_role("alert").get_by_text("That is no token").wait_for()
    made = await visit.client.post(
        "/v1/tokens", json={"scopes": ["read", "records", "operate:front"]}
    )
    await visit.sign_in(made.json()["token"])
    await page.get_by_role("heading", name="front").wait_for()
    await visit.client.post(f"/v1/tokens/{made.json()['id']}/revoke")
    # Nobody presses anything: the stream of events ends with its token.
    await page.get_by_role("alert").get_by_text("does not accept").wait_for()
    assert await page.locator("#locks li").count() == 0
    assert visit.site.opened == 0


async def test_the_token_is_kept_nowhere_and_forgotten(visit: Visit) -> None:
    page = visit.page
    await visit.sign_in()
    await page.get_by_role("heading", name="front").wait_for()
    kept = "JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, name])"
    assert await page.evaluate(kept) == '[{},{},"",""]'
    assert await page.evaluate("indexedDB.databases().then((all) => all.length)") == 0
    assert TOKEN not in await page.content()
    assert await page.get_by_label("Token").input_value() == ""
    await page.get_by_role("button", name="Sign out").click()
    await page.get_by_role("heading", name="Sign in").wait_for()
    assert "front" not in await page.inner_text("main")
    await visit.sign_in()
    await page.get_by_role("heading", name="front").wait_for()
    await page.reload()
    await page.get_by_role("heading", name="Sign in").wait_for()


async def test_a_token_for_one_door_opens_that_one(visit: Visit) -> None:
    made = await visit.client.post("/v1/tokens", json={"scopes": ["operate:front"]})
    await visit.sign_in(made.json()["token"])
    await visit.page.get_by_label("Name of the lock").fill("front")
    await visit.page.keyboard.press("Enter")
    await visit.press()
    await visit.outcome("Confirmed: opened")
    assert visit.site.opened == 1


# -- what is shown


async def test_names_are_text_whatever_is_in_them(visit: Visit) -> None:
    await visit.client.post("/v1/locks/front/unlock", headers={"Idempotency-Key": "k"})

    def named(answer: Any) -> Any:
        for one in answer["records"]:
            one.update(who=HTML, title=f"opened {HTML}")
        return answer

    async def none(route: Route) -> None:
        await route.abort()  # records are asked for then

    await visit.page.route("**/v1/events", none)
    await visit.answer_with("**/v1/records*", named)
    await visit.answer_with(
        "**/v1/locks", lambda it: {"locks": [one | {"name": HTML} for one in it["locks"]]}
    )
    await visit.sign_in()
    page = visit.page
    await page.locator("#records li", has_text=HTML).wait_for()
    await page.get_by_role("heading", name=HTML).wait_for()
    assert await page.locator("img, main b b, main span b").count() == 0
    assert await page.title() == "Doors"


async def test_events_are_followed_and_taken_up_again_by_the_last_id(visit: Visit) -> None:
    seen: list[str | None] = []
    streams = [
        UNCONFIRMED,
        ALARM,
    ]

    async def stream(route: Route) -> None:
        assert route.request.headers["authorization"] == f"Bearer {TOKEN}"
        seen.append(route.request.headers.get("last-event-id"))
        if len(seen) > 3:
            await route.fulfill(status=404, body="{}")
            return
        body = streams[len(seen) - 1] if len(seen) <= 2 else ""
        await route.fulfill(status=200, content_type="text/event-stream", body=body)

    await visit.page.route("**/v1/events", stream)
    await visit.sign_in()
    page = visit.page
    await page.locator("#records li", has_text="Unconfirmed: look at the door").wait_for()
    await page.get_by_role("button", name="I have looked at the door: open").wait_for()
    await page.locator("#records li.critical", has_text="alarm: shock").wait_for()
    await page.locator("dd", has_text="shock").first.wait_for()
    assert seen[:3] == [None, "a2", "a3"][: len(seen)]


async def test_what_the_lock_has_told_of_itself_is_shown(visit: Visit) -> None:
    page = visit.page
    await visit.answer_with(
        "**/v1/locks",
        lambda it: {"locks": [
            one | {"state": {"battery": {"value": 64, "told_s_ago": 3.0},
                             "bolt": {"value": "open", "told_s_ago": 200.0}},
                   "offline_until": "2026-01-31T18:30:00+00:00"}
            for one in it["locks"]
        ]},
    )  # fmt: skip
    await visit.sign_in()
    for words in ("64 %, told 3 s ago", "open, told 3 min ago", "opens until"):
        await page.locator("dd", has_text=words).wait_for()
    assert await page.locator("dt", has_text="Door").count() == 0  # it has said nothing of it


async def test_signal_is_drawn_over_time_and_nothing_is_drawn_that_is_not_known(
    visit: Visit,
) -> None:
    page = visit.page
    await page.clock.install()
    await visit.sign_in()
    await page.get_by_role("heading", name="front").wait_for()
    assert await page.locator("figure:visible").count() == 0
    assert await page.get_by_text("Signal", exact=True).count() == 0
    rssi = iter(range(-90, -50, 5))
    await visit.answer_with(
        "**/v1/locks",
        lambda it: {"locks": [
            one | {"radio": {"rssi": next(rssi), "heard_s_ago": 1.5}} for one in it["locks"]
        ]},
    )  # fmt: skip
    for words in ("weak, -90 dBm", "weak, -85 dBm", "fair, -80 dBm"):
        await page.clock.run_for(5_000)
        await page.get_by_text(words).wait_for()
    drawn = page.get_by_role("img", name="Signal -90 to -80 dBm, last -80")
    assert len((await drawn.locator("polyline").get_attribute("points") or "").split()) == 3
    assert "attery" not in await page.inner_text("body")
