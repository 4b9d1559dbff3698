"""The command ``bleagent``, and ``python -m bleagent``."""

from __future__ import annotations

import sys


def main() -> None:
    """Entry point. ``run`` gets along without the libraries of the command line."""
    if sys.argv[1:2] == ["run"]:
        from bleagent import start  # noqa: PLC0415

        raise SystemExit(start.main(sys.argv[2:]))
    from bleagent import cli  # noqa: PLC0415

    cli.main()


if __name__ == "__main__":
    main()
