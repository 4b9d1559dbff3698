"""``bleagent openapi``: the document of the HTTP interface, without a daemon."""

from __future__ import annotations

from typing import Annotated

import typer


def openapi(
    *,
    problems: Annotated[
        bool, typer.Option("--problems", help="The codes of problems instead, as Markdown.")
    ] = False,
) -> None:
    """Print what can be asked over HTTP, as OpenAPI 3.1. `GET /openapi.json` answers the same."""
    # FastAPI and pydantic, only here.
    from bleagent.http.openapi import as_text  # noqa: PLC0415
    from bleagent.http.problem_codes import as_markdown  # noqa: PLC0415

    typer.echo(as_markdown() if problems else as_text(), nl=False)
