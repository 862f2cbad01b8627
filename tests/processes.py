"""Looking at processes and stopping them as a kernel, an operator or bad luck would. Linux: reads /proc."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def children(pid: int) -> list[int]:
    """The processes that a process has started."""
    threads = Path(f"/proc/{pid}/task")
    while True:
        try:
            return [int(child) for thread in threads.iterdir() for child in (thread / "children").read_text().split()]
        except (FileNotFoundError, ProcessLookupError):
            if not threads.exists():
                raise
            # A thread has ended between the two looks; its children are another one's now.


@contextmanager
def standing_still(*pids: int) -> Iterator[None]:
    """Keeps processes from running, as a machine that sleeps or a batch that takes a minute would."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            go_on(pid)


def go_on(pid: int) -> None:
    """Lets a process run again, if it still exists."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)
