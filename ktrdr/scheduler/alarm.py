"""When to look for schedules that are due: at the moment itself, after a change of the log, and every second.

Imports APScheduler, which is an alarm clock here and nothing more. It goes by the wall clock and does not notice when
that is set, so a look every second of the steady clock makes up for it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime

from apscheduler.schedulers.background import BackgroundScheduler

from ktrdr.store.doorbell import Watch

#: A schedule that was created or changed takes effect within this time, even if its ring was lost.
LOOK_SECONDS = 1.0
#: The doorbell rings with every commit; one look is enough for all that come within this time.
REST_SECONDS = 0.1


class ScheduleAlarm:
    """Calls `look`, which gives the moment to look next, while it may."""

    def __init__(
        self,
        look: Callable[[], datetime | None],
        alarms: BackgroundScheduler,
        watch: Watch,
        stopping: threading.Event,
        *,
        may_look: Callable[[], bool],
    ) -> None:
        self._look = look
        self._alarms = alarms
        self._watch = watch
        self._stopping = stopping
        self._may_look = may_look
        self._turn = threading.Lock()
        self._set_for: datetime | None = None
        self._thread = threading.Thread(target=self._run, name="schedules")

    def start(self) -> None:
        """Looks until it is told to stop, on a thread of its own."""
        self._thread.start()

    def join(self) -> None:
        self._thread.join()
        self._watch.close()

    def ring(self) -> None:
        """Looks now."""
        with self._turn:
            if self._stopping.is_set() or not self._may_look():
                return
            moment = self._look()
            if moment is not None and moment != self._set_for:
                self._alarms.add_job(
                    self.ring,
                    "date",
                    run_date=moment,
                    id="schedules",
                    replace_existing=True,
                    misfire_grace_time=None,
                )
            self._set_for = moment

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._watch.clear()
            self.ring()
            self._watch.wait(LOOK_SECONDS)
            self._stopping.wait(REST_SECONDS)
