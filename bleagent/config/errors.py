"""What is wrong in the configuration, in words: key, what was found, what was expected.

What is found is shown only where no secret can be: not under an unknown key (a misspelt one may
hold anything) and nowhere near a secret's place.
"""

from __future__ import annotations

import json
import re
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails

WHOLE = "configuration"  # type of the errors whose text already says found and expected
_LONGEST = 60  # characters of what was found

_LITERAL = (
    "a secret does not stand in this file: put it into a systemd credential or a file of mode "
    "0600, and change it if others could read it here"
)


def explain(root: type[BaseModel], error: ErrorDetails) -> str:
    """One line for one of pydantic's errors about a model of class ``root``."""
    place = error["loc"]
    key = _key_path(place)
    if error["type"] == WHOLE:
        return f"{key}: {error['msg']}"
    holder, field = _walk(root, place[:-1])[0], place[-1] if place else ""
    if error["type"] == "extra_forbidden":
        known = ", ".join(holder.model_fields)
        return f"{key}: found an unknown key, expected one of {known}"
    model, description = _walk(root, place)
    secret = getattr(model, "holds_secret", False)
    found = _found(error, shown=not secret)
    advice = ""
    if secret and not getattr(holder, "holds_secret", False) and error["type"] != "missing":
        advice = f" ({_LITERAL})"
    return f"{key}: found {found}, expected {description or field}{advice}"


def _walk(root: type[BaseModel], place: tuple[int | str, ...]) -> tuple[type[BaseModel], str]:
    """The innermost model around a place, and what its field is said to hold."""
    model, description = root, "TOML"
    for part in place:
        field = model.model_fields.get(str(part))
        if field is None:
            continue  # the number of an entry, or a name in a free table
        description = field.description or ""
        model = _model_in(field.annotation) or model
    return model, description


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    inner = (_model_in(part) for part in get_args(annotation))
    return next((model for model in inner if model is not None), None)


def _found(error: ErrorDetails, *, shown: bool) -> str:
    if error["type"] == "missing":
        return "nothing"
    match error["input"]:
        case dict():
            return "a table"
        case list() | tuple():
            return f"an array of {len(error['input'])}"
        case str() as text:
            masked = re.sub(r"//[^/]*@", "//***@", text)  # a password within a URL
            return _short(json.dumps(masked, ensure_ascii=False)) if shown else "text"
        case value:
            return _short(json.dumps(value, default=str)) if shown else "a value"


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "..."


def _key_path(place: tuple[int | str, ...]) -> str:
    path = ""
    for part in place:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            path += f".{part}" if path else part
    return path or "the file"
