"""The samples of the vendor's documents, and what tests make of them."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import bleagent
from bleagent.cloud.catalogue import Api, Family

DOCUMENTS = Path(bleagent.__file__).parent / "simulator" / "vendor_apis.json"


@cache
def sections() -> tuple[dict[str, Any], ...]:
    """What the documents say, section by section."""
    return tuple(json.loads(DOCUMENTS.read_text(encoding="utf-8")))


def section_of(api: Api) -> dict[str, Any]:
    """The first section about an API."""
    name = api.paths[0].path if api.family is Family.VIDEO_DOOR else api.name
    return next(one for one in sections() if (one["name"], one["version"]) == (name, api.version))


def answer_of(api: Api) -> Any:
    """The sample of an answer, as a whole body."""
    return section_of(api)["response"]
