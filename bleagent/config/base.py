"""What every section of the configuration has in common."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict
from pydantic_core import PydanticCustomError

from .errors import WHOLE


class Section(BaseModel):
    """Base of all: unknown keys are refused, nothing is converted, nothing changes."""

    holds_secret: ClassVar[bool] = False

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False,
        defer_build=True,  # sections are read as parts of the whole, whose build has them all
    )  # fmt: skip


def mismatch(found: str, expected: str) -> PydanticCustomError:
    """An error about several values that do not fit together."""
    return PydanticCustomError(
        WHOLE, "found {found}, expected {expected}", {"found": found, "expected": expected}
    )
