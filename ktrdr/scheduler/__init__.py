"""What happens by the clock: schedules fire, silent leases are taken from their workers, the log is signed, and so on.

Imports jobs, the store, submissions and the audit. APScheduler is an alarm clock only; what it sets off is decided and
recorded in the log, so two schedulers at once do no harm. One of them leads and does the work (`leading`); leases are
watched by all, because each needs its own time to notice a silence.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from apscheduler.schedulers.background import BackgroundScheduler

from ktrdr.audit.retention import Pruner
from ktrdr.audit.signed.notes import NoteError
from ktrdr.audit.signed.publishing import AskedWitness, Publisher, parse_witnesses
from ktrdr.scheduler.alarm import ScheduleAlarm
from ktrdr.scheduler.firing import Firing
from ktrdr.scheduler.leading import Leadership
from ktrdr.scheduler.sweep import Sweep
from ktrdr.settings import SETTINGS, Settings
from ktrdr.store import Store
from ktrdr.store.checkpoints import Retention
from ktrdr.store.stopped_writer import StoppedWriters
from ktrdr.training.faults import Fault, InvalidInputError

#: With a lease of 15 s, a lost worker's job is queued again within 17 s.
SWEEP_SECONDS = 1.0
#: Checkpoints that nobody needs any more stay for no longer than that.
RETENTION_SECONDS = 60.0
PRUNE_SECONDS = 86_400.0


def run_scheduler(store: Store, settings: Settings) -> None:
    """Runs until SIGTERM or SIGINT. Raises InvalidInputError for a witness whose key is damaged."""
    log, reader = store.open_log(), store.open_reader()
    sweep = Sweep(log, reader, store.lease_seconds)
    # Sweep and retention may run at once, so each has a reader of its own.
    files_reader = store.open_reader()
    retention = Retention(store, log, files_reader)
    publisher = Publisher(store, log, copy=settings.checkpoint_push, witnesses=_witnesses(settings))
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    signal.signal(signal.SIGINT, lambda *_: stopping.set())
    leadership = Leadership(store.home / "scheduler.lead")
    leadership.observe(time.monotonic())

    def leading(duty: Callable[[], object]) -> Callable[[], object]:
        return lambda: duty() if leadership.leads else None

    alarms = BackgroundScheduler(timezone="UTC")
    # A look that comes late is as good as one in time, and two that were missed are one.
    alarms.add_job(
        leading(retention),
        "interval",
        seconds=RETENTION_SECONDS,
        misfire_grace_time=None,
        coalesce=True,
        max_instances=1,
    )
    alarms.add_job(
        leading(publisher),
        "interval",
        seconds=settings.sign_seconds,
        next_run_time=datetime.now(UTC),
        misfire_grace_time=None,
        coalesce=True,
        max_instances=1,
    )
    if settings.prune_days is not None:
        alarms.add_job(
            leading(Pruner(store, timedelta(days=settings.prune_days), stopping)),
            "interval",
            seconds=PRUNE_SECONDS,
            next_run_time=datetime.now(UTC),
            misfire_grace_time=None,
            coalesce=True,
            max_instances=1,
        )
    schedules_reader = store.open_reader()
    firing = Firing(log, schedules_reader, default_target=settings.default_target, stopping=stopping)
    schedules = ScheduleAlarm(firing, alarms, store.open_watch(), stopping, may_look=lambda: leadership.leads)
    alarms.start()
    schedules.start()
    # APScheduler goes by the wall clock: set back by an hour, it rings an hour late, and no lease may wait so long.
    stopped_writers = StoppedWriters(store.engine.url.database)
    while not stopping.wait(SWEEP_SECONDS):
        leadership.observe(time.monotonic())
        stopped_writers.end_stopped(time.monotonic())
        sweep(time.monotonic())
    alarms.shutdown()
    schedules.join()
    leadership.close()
    for connection in (reader, files_reader, schedules_reader, log):
        connection.close()


def _witnesses(settings: Settings) -> list[AskedWitness]:
    try:
        return parse_witnesses(settings.witnesses or "")
    except NoteError as error:
        setting = SETTINGS["witnesses"]
        raise InvalidInputError([Fault((setting.variable,), str(error), f"give {setting.expected}")]) from None
