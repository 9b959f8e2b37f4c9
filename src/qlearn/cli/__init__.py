"""The `qlearn` command: one file a command, found and run by `main`."""

import time

BEGUN = time.perf_counter()  # as nearly as a process can tell when it began
