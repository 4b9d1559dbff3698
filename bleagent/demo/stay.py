"""What somebody can try at the demo's gateway, when it goes on running."""

from __future__ import annotations

import sys
from pathlib import Path

SOCKET = "http.sock"
"""Of the demo's folder."""


def ways_in(url: str, folder: Path, token: str, door: str) -> list[str]:
    """Lines for a shell, and the page."""
    opened = f"/v1/locks/{door}/unlock"
    key = '-H "Idempotency-Key: $RANDOM"'
    # Out of a venv that nobody has entered, its name alone would not be found.
    us = sys.argv[0] if Path(sys.argv[0]).name == "bleagent" else "bleagent"
    records = f"  {us} records --url {url} --token-file {folder}/token"
    return [
        "It goes on running until you press Ctrl-C. The page for people, and a token for it:",
        f"  {url}/",
        f"  {token}",
        "Or in a shell; through the Unix socket you need no token:",
        f"  curl --unix-socket {folder}/{SOCKET} -X POST {key} http://localhost{opened}",
        f"  curl -X POST -H 'Authorization: Bearer {token}' {key} {url}{opened}",
        f"  curl -H 'Authorization: Bearer {token}' {url}/v1/locks",
        records,
        f"{records} --follow",
        f"  tail -f {folder}/daemon.log",
    ]
