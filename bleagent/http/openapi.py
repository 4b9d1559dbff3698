"""The document of the interface, OpenAPI 3.1: made of the table of requests when somebody asks."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, models_json_schema

from bleagent import __version__

from .api import ROWS
from .described import BODY, CALLER, HEAD, HEADERS, Answer, Json, Row
from .problem_codes import Code, problem_codes
from .problems import problem_body
from .schemas import Problem

PROBLEM_JSON = "application/problem+json"
ABOUT = (
    "Opens and locks doors with Tuya Bluetooth locks, and tells what they recorded. No GET acts. "
    "A refused request is answered with `application/problem+json`: go by its `code`, each is "
    "explained in /docs and docs/problems.md. Each answer has `Cache-Control: no-store`. A path "
    "that is not here is answered 404 `not-found`, another method of one that is 405 "
    "`method-not-allowed` with `Allow`. Bodies have at most 4096 bytes, heads 8192."
)
TOKEN = (
    "`Authorization: Bearer TOKEN`. The names beside it are the scopes that the token needs. A "
    "program whose uid is mapped in `[[http.users]]` needs none over the Unix socket; its scopes "
    "are there."
)


class _Plain(GenerateJsonSchema):
    """Without titles that only repeat the names of fields."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        """No."""
        del schema
        return False


def document() -> Json:
    """All of it. Takes a tenth of a second or more: for the event loop, ask in a thread."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "bleagent", "version": __version__, "description": ABOUT},
        "servers": [{"url": "/", "description": "This agent."}],
        "tags": [{"name": name} for name in dict.fromkeys(row.group for row in ROWS)],
        "paths": _paths(),
        "components": {
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": TOKEN}
            },
            "schemas": _schemas(),
            "responses": {
                _shared(status): _refusal(status, codes)
                for status, codes in _by_status(HEAD).items()
            },
        },
    }


def as_text() -> str:
    """The document as JSON, for a file or a pipe."""
    return json.dumps(document(), indent=1, ensure_ascii=False) + "\n"


def _paths() -> Json:
    paths: Json = defaultdict(dict)
    for row in ROWS:
        paths[row.path][row.method] = _operation(row)
    return dict(paths)


def _operation(row: Row) -> Json:
    return {
        "operationId": re.sub(r"[^a-z0-9]+", "-", f"{row.method} {row.path}").strip("-"),
        "tags": [row.group],
        "summary": row.title,
        **({"description": row.words} if row.words else {}),
        "security": [] if row.scope is None else [{"token": [row.scope] if row.scope else []}],
        **({"parameters": list(row.parameters)} if row.parameters else {}),
        **({"requestBody": _body(row)} if row.body is not None else {}),
        "responses": _responses(row),
    }


def _body(row: Row) -> Json:
    content = {"schema": _ref(row.body), "example": row.body_example}
    return {"required": row.body_needed, "content": {"application/json": content}}


def _responses(row: Row) -> Json:
    codes = {*HEAD, *row.codes}
    codes |= set(CALLER) if row.scope is not None else set()
    codes |= set(BODY) if row.body is not None else set()
    refused, common = _by_status(codes), _by_status(HEAD)
    found: Json = {}
    for status in sorted({*row.answers, *refused}):
        answer, problems = row.answers.get(status), refused.get(status, [])
        if answer is None and problems == common.get(status):
            found[str(status)] = {"$ref": f"#/components/responses/{_shared(status)}"}
        elif answer is None:
            found[str(status)] = _refusal(status, problems)
        else:
            found[str(status)] = _both(status, answer, problems)
    return found


def _both(status: int, answer: Answer, problems: list[Code]) -> Json:
    """An answer that, under the same status, may be a problem instead."""
    told: Json = {"description": answer.words}
    if answer.headers:
        told["headers"] = {name: HEADERS[name] for name in answer.headers}
    if answer.model is not None:
        told["content"] = {answer.kind: {"schema": _ref(answer.model), "example": answer.example}}
    elif answer.example is not None:
        told["content"] = {answer.kind: {"schema": {"type": "object"}, "example": answer.example}}
    elif answer.kind != "application/json":
        told["content"] = {answer.kind: {"schema": {"type": "string"}}}
    if problems:
        refusal = _refusal(status, problems)
        told["description"] += f" Or refused: {refusal['description']}"
        told["content"] |= refusal["content"]
    return told


def _refusal(status: int, codes: list[Code]) -> Json:
    first = codes[0]
    told: Json = {
        "description": ", ".join(f"`{one.name}`" for one in codes),
        "content": {
            PROBLEM_JSON: {
                "schema": _ref(Problem),
                "example": problem_body(status, first.name, first.meaning, first.advice),
            }
        },
    }
    if status == 429:
        told["headers"] = {"Retry-After": HEADERS["Retry-After"]}
    return told


def _by_status(names: Iterable[str]) -> dict[int, list[Code]]:
    wanted, found = set(names), defaultdict(list)
    for code in problem_codes().values():
        if code.name in wanted:
            for status in code.statuses:
                found[status].append(code)
    return dict(found)


def _shared(status: int) -> str:
    return f"Refused{status}"


def _ref(model: type[BaseModel] | None) -> Json:
    return {} if model is None else {"$ref": f"#/components/schemas/{_name(model)}"}


def _name(model: type[BaseModel]) -> str:
    return model.__name__


def _schemas() -> Json:
    named: list[type[BaseModel]] = [row.body for row in ROWS if row.body is not None]
    named += [one.model for row in ROWS for one in row.answers.values() if one.model is not None]
    named.append(Problem)
    models: list[tuple[type[BaseModel], JsonSchemaMode]]
    models = [(one, "validation") for one in sorted(set(named), key=_name)]
    _, found = models_json_schema(
        models, ref_template="#/components/schemas/{model}", schema_generator=_Plain
    )
    schemas: Json = found["$defs"]
    return dict(sorted(schemas.items()))
