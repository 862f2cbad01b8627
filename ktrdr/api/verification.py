"""Verifying the whole log at the request of a page: one at a time, in a process of its own, with its progress at hand.

Imports the audit, in the process that verifies.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection as Pipe
from multiprocessing.context import SpawnProcess
from pathlib import Path
from threading import Lock, Thread
from typing import TYPE_CHECKING

from ktrdr.clock import system_clock, to_instant
from ktrdr.jobs.events import Instant
from ktrdr.orphans import end_with_parent

if TYPE_CHECKING:
    from ktrdr.audit import Verdict

#: How often the process says how far it is.
_TELL_SECONDS = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """One verification, as far as it went."""

    #: Who asked for it.
    by: str
    started_at: Instant
    #: Events that the log had when it began.
    events: int
    #: How many of them have been looked at.
    done: int = 0
    ended_at: Instant | None = None
    verdict: Verdict | None = None
    #: Why it came to no verdict; empty if it did.
    trouble: str = ""

    @property
    def is_running(self) -> bool:
        return self.ended_at is None


class Verification:
    """The newest verification of this service's log. What it found is no part of the log and ends with the service."""

    def __init__(self, home: Path, database_url: str | None) -> None:
        self._home = home
        self._database_url = database_url
        self._lock = Lock()
        self._course: Course | None = None
        self._process: SpawnProcess | None = None
        self._is_closed = False

    @property
    def course(self) -> Course | None:
        """The one that runs or ran last; None before the first."""
        return self._course

    def start(self, *, by: str, events: int) -> bool:
        """Begins one; False if one runs already."""
        with self._lock:
            if self._is_closed or (self._course is not None and self._course.is_running):
                return False
            self._course = Course(by=by, started_at=to_instant(system_clock()), events=events)
        Thread(target=self._watch, name="verification", daemon=True).start()
        return True

    def close(self) -> None:
        """Ends the one that runs."""
        with self._lock:
            self._is_closed = True
            if self._process is not None:
                self._process.terminate()

    def _watch(self) -> None:
        """Follows the process from another thread until it has said all."""
        # Forking a process with threads and open databases is not safe; a fresh one is.
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_verify, args=(self._home, self._database_url, theirs))
        with self._lock:
            if self._is_closed:
                return
            process.start()
            self._process = process
        theirs.close()
        said: int | str | Verdict = "its process was ended; is there enough memory?"
        try:
            while isinstance(said := ours.recv(), int):
                self._change(done=said)
        except (EOFError, OSError):
            said = "its process was ended; is there enough memory?"
        process.join()
        if isinstance(said, str):
            self._end(trouble=said)
        elif not isinstance(said, int):
            self._end(verdict=said)

    def _change(self, *, done: int) -> None:
        assert self._course is not None
        self._course = replace(self._course, done=done)

    def _end(self, *, verdict: Verdict | None = None, trouble: str = "") -> None:
        assert self._course is not None
        with self._lock:
            self._process = None
        self._course = replace(self._course, ended_at=to_instant(system_clock()), verdict=verdict, trouble=trouble)


def _verify(home: Path, database_url: str | None, pipe: Pipe) -> None:
    """In the process: says how many events it has looked at, then the verdict, or in words why there is none."""
    end_with_parent()
    from ktrdr.audit import verify
    from ktrdr.store import open_store

    try:
        pipe.send(verify(open_store(home, database_url), _at_times(pipe.send)))
    except Exception as error:  # it is for the page to say, whatever it was
        pipe.send(f"{type(error).__name__}: {error}"[:500])


def _at_times(tell: Callable[[int], None]) -> Callable[[int], None]:
    """Passes on what it is told, not more often than anyone looks."""
    told = 0.0

    def progress(done: int) -> None:
        nonlocal told
        if time.monotonic() - told >= _TELL_SECONDS:
            told = time.monotonic()
            tell(done)

    return progress
