"""The daemon, which writes down what it has loaded: ``telling_daemon.py FILE run ...``.

One line of module names when it is ready, another one when it has stopped.
"""

from __future__ import annotations

import sys
from pathlib import Path

from bleagent import start


def tell(file: Path) -> None:
    """One line."""
    with file.open("a") as out:
        print(*sorted(name for name in sys.modules if sys.modules[name] is not None), file=out)


if __name__ == "__main__":
    told = Path(sys.argv.pop(1))
    settle = start._settle

    def settled() -> None:
        """When it is ready."""
        tell(told)
        settle()

    start._settle = settled
    status = start.main(sys.argv[2:])
    tell(told)
    raise SystemExit(status)
