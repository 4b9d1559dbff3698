"""The document of the interface as a page: plain HTML that a browser and a terminal can show.

No script, no style of its own, nothing from elsewhere, and nothing of the gateway it is served by.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from html import escape

from .described import Json
from .problem_codes import Code, ending_codes, problem_codes

SCHEMAS = "#/components/schemas/"
SAME = (
    "The same for programs: `GET /openapi.json` with a token that has the scope `read`, or "
    "`bleagent openapi` at a terminal."
)
RESPONSES = "#/components/responses/"


def page(document: Json) -> str:
    """The whole page."""
    info = document["info"]
    lines = [
        "<!doctype html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(info['title'])}: the HTTP interface</title>",
        '<link rel="stylesheet" href="/docs.css">',
        "</head>",
        "<body>",
        f"<h1>{escape(info['title'])}: the HTTP interface</h1>",
        f"<p>{_text(info['description'])}</p>",
        f"<p>{_text(SAME)}</p>",
        f"<p>{_text(document['components']['securitySchemes']['token']['description'])}</p>",
        *_contents(document),
        *_requests(document),
        *_objects(document["components"]["schemas"]),
        *_codes("Why a request was refused", "refused", problem_codes().values(), ""),
        *_codes("How an operation ended", "ended", ending_codes().values(), "ended-"),
        "</body>",
        "</html>",
    ]
    return "\n".join(lines) + "\n"


def _contents(document: Json) -> Iterator[str]:
    yield "<ul>"
    for path, method, one in _operations(document):
        name = f"{method.upper()} {path}"
        yield (
            f'<li><a href="#{one["operationId"]}"><code>{escape(name)}</code></a> '
            f"{escape(one['summary'])}</li>"
        )
    yield '<li><a href="#objects">Objects</a></li>'
    yield '<li><a href="#refused">Why a request was refused</a></li>'
    yield '<li><a href="#ended">How an operation ended</a></li>'
    yield "</ul>"


def _operations(document: Json) -> Iterator[tuple[str, str, Json]]:
    for tag in document["tags"]:
        for path, methods in document["paths"].items():
            for method, one in methods.items():
                if one["tags"] == [tag["name"]]:
                    yield path, method, one


def _requests(document: Json) -> Iterator[str]:
    group = None
    for path, method, one in _operations(document):
        if one["tags"][0] != group:
            group = one["tags"][0]
            yield f"<h2>{escape(group)}</h2>"
        yield f'<section id="{one["operationId"]}">'
        yield f"<h3><code>{method.upper()} {escape(path)}</code></h3>"
        yield f"<p>{escape(one['summary'])}. {_text(one.get('description', ''))}</p>"
        yield f'<p class="soft">{_text(_who(one["security"]))}</p>'
        if "parameters" in one:
            yield from _table(
                ("parameter", "in", "type", ""),
                ((_name(each), each["in"], _type(each["schema"]), _text(each["description"]))
                 for each in one["parameters"]),
            )  # fmt: skip
        if "requestBody" in one:
            body = one["requestBody"]["content"]["application/json"]
            need = "needed" if one["requestBody"]["required"] else "may be left out"
            yield f"<p>Body, {need}: {_type(body['schema'])}, such as</p>"
            yield f"<pre>{escape(json.dumps(body['example']))}</pre>"
        yield from _answers(one["responses"], document["components"]["responses"])
        yield "</section>"


def _who(security: list[Json]) -> str:
    if not security:
        return "For anybody."
    scopes = security[0]["token"]
    return f"Takes a token with the scope `{scopes[0]}`." if scopes else "Takes a token."


def _name(parameter: Json) -> str:
    needed = "" if parameter.get("required") else ' <span class="soft">optional</span>'
    return f"<code>{escape(parameter['name'])}</code>{needed}"


def _answers(responses: Json, shared: Json) -> Iterator[str]:
    rows = []
    for status, given in responses.items():
        one = shared[given["$ref"].removeprefix(RESPONSES)] if "$ref" in given else given
        kinds = [_type(media["schema"]) for media in one.get("content", {}).values()]
        rows.append((status, " or ".join(kinds), _linked(one["description"])))
    yield from _table(("answer", "is", "when"), rows)
    for status, given in responses.items():
        media = given.get("content", {}).get("application/json", {})
        if int(status) < 300 and "example" in media:
            yield f"<pre>{escape(json.dumps(media['example'], ensure_ascii=False, indent=1))}</pre>"
            return


def _objects(schemas: Json) -> Iterator[str]:
    yield '<h2 id="objects">Objects</h2>'
    for name, schema in schemas.items():
        yield f'<section id="{escape(name)}">'
        yield f"<h3>{escape(name)}</h3>"
        yield f"<p>{_text(schema.get('description', ''))}</p>"
        if "enum" in schema:
            yield f"<p>{_type(schema)}</p>"
        if schema.get("properties"):
            needed = schema.get("required", [])
            yield from _table(
                ("field", "type", ""),
                ((_name({"name": field, "required": field in needed}), _type(each),
                  _text(each.get("description", "")))
                 for field, each in schema["properties"].items()),
            )  # fmt: skip
        yield "</section>"


def _codes(title: str, anchor: str, codes: Iterable[Code], prefix: str) -> Iterator[str]:
    yield f'<h2 id="{anchor}">{escape(title)}</h2>'
    for one in codes:
        yield f'<section id="{prefix}{one.name}">'
        yield f"<h3><code>{escape(one.name)}</code></h3>"
        statuses = " or ".join(map(str, one.statuses))
        yield f"<p>{statuses + ': ' if statuses else ''}{_text(one.meaning)}</p>"
        yield f"<p>{_text(one.advice)}</p>"
        yield "</section>"


def _table(titles: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    yield "<table>"
    yield "<tr>" + "".join(f"<th>{title}</th>" for title in titles) + "</tr>"
    for row in rows:
        yield "<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>"
    yield "</table>"


def _type(schema: Json) -> str:
    """A schema in a few words of HTML."""
    if "$ref" in schema:
        name = escape(schema["$ref"].removeprefix(SCHEMAS))
        return f'<a href="#{name}">{name}</a>'
    if "anyOf" in schema:
        return " or ".join(map(_type, schema["anyOf"]))
    if "enum" in schema:
        return ", ".join(f"<code>{escape(str(one))}</code>" for one in schema["enum"])
    if "items" in schema:
        return f"list of {_type(schema['items'])}"
    return escape(schema.get("type", "anything") + _bounds(schema))


def _bounds(schema: Json) -> str:
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    words = [f"from {low}"] if low is not None else []
    words += [f"to {schema['maximum']}"] if "maximum" in schema else []
    words += [f"at most {schema['maxLength']} characters"] if "maxLength" in schema else []
    words += [f"{schema['default']} if not said"] if schema.get("default") is not None else []
    return ", ".join(["", *words])


def _text(text: str) -> str:
    """Words with code in backticks."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text, quote=False))


def _linked(text: str) -> str:
    """The same; what is a problem's code leads to what it means."""
    return re.sub(
        r"<code>([a-z-]+)</code>",
        lambda found: (
            f'<a href="#{found[1]}">{found[0]}</a>' if found[1] in problem_codes() else found[0]
        ),
        _text(text),
    )
