"""The files of the page: who may have them, under which policy, and what is not in them."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, cast

import anyio
import httpx
import pytest
from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from bleagent.http import page_files
from bleagent.http.page_files import FOLDER, KINDS, add_page
from bleagent.http.peer import Peer
from tests.agent.test_http_guard import LOCAL, TCP, code

FILES = sorted(one.name for one in FOLDER.iterdir())
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)


def ask(
    path: str, peer: Peer = TCP, *, scheme: str = "http", method: str = "GET", folder: Path = FOLDER
) -> httpx.Response:
    app = FastAPI(openapi_url=None)
    add_page(app, folder)

    async def from_peer(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "state": {"peer": peer}}, receive, send)

    async def main() -> httpx.Response:
        transport = httpx.ASGITransport(cast("Any", from_peer))
        async with httpx.AsyncClient(transport=transport, base_url=f"{scheme}://gate") as client:
            return await client.request(method, path)

    return anyio.run(main)


# -- who may have it


@pytest.mark.parametrize("path", ["/", "/page/page.js", "/page/page.css", "/page/icon.svg"])
def test_it_is_there_on_loopback_with_the_policy_of_the_safety_rules(path: str) -> None:
    answer = ask(path)
    assert answer.status_code == 200
    assert answer.headers["content-security-policy"] == CSP
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"
    assert answer.headers["content-type"] in KINDS.values()
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
def test_loopback_has_many_addresses(address: str) -> None:
    assert ask("/", Peer(address=address)).status_code == 200


@pytest.mark.parametrize("address", ["192.168.1.7", "::ffff:10.0.0.1", "fe80::1", "testclient", ""])
def test_from_elsewhere_it_takes_tls(address: str) -> None:
    peer = Peer(address=address)
    assert ask("/", peer).status_code == 404
    assert ask("/page/page.js", peer).status_code == 404
    assert ask("/", peer, scheme="https").status_code == 200


def test_through_the_socket_there_is_none() -> None:
    assert ask("/", LOCAL).status_code == 404
    assert ask("/", LOCAL, scheme="https").status_code == 404


@pytest.mark.parametrize(
    "path", ["/page", "/page/", "/page/index.html", "/page/page_files.py", "/page/%2e%2e/app.py"]
)
def test_nothing_else_is_served(path: str) -> None:
    assert ask(path).status_code == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_it_is_only_looked_at(method: str) -> None:
    assert ask("/", method=method).status_code == 405


def test_without_its_files_there_is_no_page_and_the_rest_goes_on(tmp_path: Path) -> None:
    assert ask("/", folder=tmp_path / "gone").status_code == 404


def test_no_request_reads_the_disk(tmp_path: Path) -> None:
    app = FastAPI(openapi_url=None)
    (tmp_path / "index.html").write_text("once")
    add_page(app, tmp_path)
    (tmp_path / "index.html").unlink()

    async def main() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://gate") as client:
            return await client.get("/")

    assert anyio.run(main).text == "once"


# -- a link to it


def visit(target: str = "/", method: str = "GET", peer: Peer = TCP, **more: str) -> str | None:
    """What is said to somebody who follows a link on another page."""
    named = {
        "sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "document",
    } | more  # fmt: skip
    return code(method, target, peer=peer, **named)


def test_a_link_to_the_page_may_be_followed() -> None:
    assert visit() is None
    assert visit(sec_fetch_site="same-site") is None


@pytest.mark.parametrize(
    "target", ["/v1/locks", "/page/page.js", "/?a=b", "//", "/v1/locks/front/unlock", "/readyz"]
)
def test_a_link_to_anything_else_may_not(target: str) -> None:
    assert visit(target) is not None


def test_nor_may_the_page_be_framed_fetched_or_posted_to_by_others() -> None:
    assert visit(sec_fetch_dest="iframe") == "origin-foreign"
    assert visit(sec_fetch_dest="empty") == "origin-foreign"
    assert visit(sec_fetch_mode="no-cors", sec_fetch_dest="image") == "origin-foreign"
    assert visit(sec_fetch_mode="cors", sec_fetch_dest="document") == "origin-foreign"
    assert visit(method="POST") == "origin-foreign"
    assert visit(origin="http://evil.example") == "origin-foreign"
    assert visit(peer=LOCAL) == "origin-foreign"
    assert visit(host="evil.example") == "host-not-allowed"


# -- what is in the files


class References(HTMLParser):
    """What a document refers to, and what the policy would not let run."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.inline: list[str] = []
        self.names: list[str | None] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.found += [value or "" for key, value in attrs if key in ("src", "href", "action")]
        self.inline += [key for key in given if key == "style" or key.startswith("on")]
        if tag == "input":
            self.names.append(given.get("name"))
        if tag == "style" or (tag == "script" and "src" not in given):
            self.inline.append(tag)


def test_the_document_refers_to_files_of_ours_and_has_nothing_inline() -> None:
    seen = References((FOLDER / "index.html").read_text())
    assert set(seen.found) == {"/page/icon.svg", "/page/page.css", "/page/page.js"}
    assert seen.inline == []
    # Without a name nothing of a form gets into an address, whatever becomes of the script.
    assert seen.names == [None, None]


@pytest.mark.parametrize("name", FILES)
def test_a_file_makes_no_markup_of_text_keeps_nothing_and_asks_no_other_host(name: str) -> None:
    text = (FOLDER / name).read_text()
    assert FOLDER / name in FOLDER.iterdir()
    assert Path(name).suffix in KINDS
    assert len(text.splitlines()) <= 400
    without = text.replace('"http://www.w3.org/2000/svg"', "")
    banned = (
        r"innerHTML|outerHTML|insertAdjacent|document\.write|DOMParser|eval\(|new Function|"
        r"[lL]ocalStorage|sessionStorage|indexedDB|cookie|serviceWorker|https?://|@import|"
        r"postMessage|sendBeacon"
    )
    assert re.findall(banned, without) == []


def test_scripts_import_only_what_is_there() -> None:
    for one in FOLDER.glob("*.js"):
        imported = re.findall(r'from "([^"]+)"', one.read_text())
        assert {name.removeprefix("./") for name in imported} <= set(FILES), one.name


def test_the_policy_is_the_one_of_the_module() -> None:
    assert page_files.HEADERS["Content-Security-Policy"] == CSP
