"""Questions at a terminal. What was said on the command line is not asked for."""

from __future__ import annotations

import json
import sys
import termios
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import typer
from pydantic import ValidationError

from bleagent.cloud.data_centres import DATA_CENTRES
from bleagent.config.file import CloudConfig
from bleagent.printable import printable
from protocol import Secret

from .faults import InitError, NotSaid
from .locks import Candidate


class Asking:
    """Asks, unless nobody may be asked: then whatever has no default is a mistake."""

    def __init__(self, *, quiet: bool) -> None:
        self.quiet = quiet

    def text(self, question: str, *, default: str | None, flag: str) -> str:
        """A line of text; ``default`` on an empty one. Raises NotSaid."""
        if not self.quiet:
            return str(typer.prompt(question, default=default)).strip()
        if default is None:
            raise NotSaid("nothing", question.lower(), f"say {flag}, or leave --yes out")
        return default

    def secret(self, *, kept: Secret | None, flag: str) -> Secret:
        """The cloud's secret, not shown while it is typed. Raises NotSaid."""
        if self.quiet:
            if kept is None:
                raise NotSaid("nothing", "the secret of the client id", f"say {flag}")
            return kept
        hint = " (nothing: the one that is there)" if kept is not None else ""
        said = typer.prompt(
            f"Its secret (Access Secret){hint}",
            hide_input=True,
            default="" if kept is not None else None,
            show_default=False,
        ).strip()
        return kept if kept is not None and not said else Secret(said)

    def sure(self, question: str) -> bool:
        """Yes, if nobody may be asked."""
        return self.quiet or typer.confirm(question, default=True)

    def which(
        self, shown: Sequence[Candidate], fresh: Sequence[Candidate], *, default: str
    ) -> list[Candidate]:
        """Those of ``fresh`` that are wanted, by their numbers in what is shown.

        Asks until it is understood.
        """
        if self.quiet:
            return list(fresh)
        numbers = {str(number): one for number, one in enumerate(shown, 1) if one in fresh}
        question = f"Which of them ({', '.join(numbers)}; all; none)"
        while True:
            said = typer.prompt(question, default=default).replace(",", " ").lower().split()
            if said in (["all"], ["none"]):
                return list(fresh) if said == ["all"] else []
            if said and all(one in numbers for one in said):
                return [one for number, one in numbers.items() if number in said]
            typer.echo(f"  expected all, none, or numbers of {', '.join(numbers)}")


def drop_typed() -> None:
    """Forget the keys that were pressed while nothing was asked: they are no answers."""
    with suppress(OSError, ValueError, termios.error):  # no terminal: nobody types ahead
        termios.tcflush(sys.stdin.fileno(), termios.TCIFLUSH)


def read_secret(path: Path) -> Secret:
    """A secret of one line, from a file or, for ``-``, from standard input. Raises InitError."""
    try:
        content = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except OSError as error:
        raise InitError(
            f"{path}: {error.strerror}", "a file with the secret", "name another --secret-file"
        ) from None
    if not (secret := content.strip()):
        raise InitError(f"nothing in {path}", "the secret of the client id", "put it in")
    return Secret(secret)


def base_url(said: str) -> str:
    """The address of a data centre by its name, or an address as it is. Raises InitError."""
    if said.lower() in DATA_CENTRES:
        return DATA_CENTRES[said.lower()]
    with suppress(ValidationError):
        asked = json.dumps({"base_url": said.rstrip("/"), "signer": "none"})
        return CloudConfig.model_validate_json(asked).base_url
    raise InitError(
        f"data centre {printable(said)!r}",
        f"{', '.join(DATA_CENTRES)}, or an https:// address (http:// on loopback)",
        "the project's overview at the vendor's developer platform names it",
    )
