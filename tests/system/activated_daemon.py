"""The daemon as systemd would start it by its socket: ``activated_daemon.py PATH ANSWER run ...``.

The socket at ``PATH`` listens for a while already, and somebody has asked there for an opening;
what that caller gets in the end goes to the file ``ANSWER``.
"""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

from bleagent import start

if __name__ == "__main__":
    path, told = sys.argv.pop(1), Path(sys.argv.pop(1))
    request = told.read_bytes()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    if listener.fileno() != 3:
        os.dup2(listener.fileno(), 3)
    caller = socket.socket(socket.AF_UNIX)
    caller.connect(path)
    caller.sendall(request)
    os.environ |= {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())}
    status = start.main(sys.argv[2:])
    caller.settimeout(5)
    try:
        told.write_bytes(caller.recv(100_000))
    except ConnectionResetError:
        told.write_bytes(b"")
    raise SystemExit(status)
