"""Where a secret is: what the configuration has instead of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from bleagent.vault import read_credential, read_secret
from protocol import Secret

from .base import Section
from .errors import WHOLE


def absolute(path: Path) -> Path:
    """Insist on an absolute path."""
    if not path.is_absolute():
        raise ValueError
    return path


class SecretSource(Section):
    """Where a secret is; exactly one of the two."""

    holds_secret: ClassVar[bool] = True  # somebody may have written it here: never echoed

    credential: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,254}$",
        description="the name of a systemd credential (letters, digits, and . _ -)",
    )
    file: Annotated[Path, AfterValidator(absolute)] | None = Field(
        default=None, description="the absolute path of a file"
    )

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.credential is None) == (self.file is None):
            found = "neither" if self.file is None else "both"
            raise PydanticCustomError(
                WHOLE, "found {found}, expected either credential or file", {"found": found}
            )
        return self

    @property
    def place(self) -> str:
        """What to call it in a message."""
        return f"credential {self.credential}" if self.file is None else str(self.file)

    def read(self, credentials: Path | None) -> Secret:
        """The bytes as they are there. Raises SecretError."""
        if self.file is not None:
            return read_secret(self.file)
        return read_credential(credentials, str(self.credential))
