"""``python -m bleagent``: the same as the command ``bleagent``."""

from __future__ import annotations

from bleagent.cli import main

if __name__ == "__main__":
    main()
