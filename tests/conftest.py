"""Settings of the whole suite."""

from __future__ import annotations

import os
import signal

from hypothesis import settings

# A shell that starts the suite in its background has it ignore Ctrl-C, and so would each process
# that a test starts to see what Ctrl-C does to it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# No deadline per example: how fast a machine is says nothing about a codec.
settings.register_profile("explore", deadline=None)

# In CI the same examples every time: a red run there is a fact about the change, and anybody can
# repeat it. Exploring is what every other run is for.
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)

settings.load_profile("ci" if os.environ.get("CI") else "explore")
