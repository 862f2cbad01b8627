"""What happens by the clock: leases that ran out are taken from their workers.

Imports jobs and the store. APScheduler is an alarm clock only; what it sets off is decided and recorded in the log,
so two schedulers at once do no harm.
"""

from __future__ import annotations

import logging
import signal
import threading

from apscheduler.schedulers.background import BackgroundScheduler

from ktrdr.store import Store, leases

logger = logging.getLogger(__name__)

#: With a lease of 15 s, a lost worker's job is queued again within 17 s.
SWEEP_SECONDS = 2.0


def run_scheduler(store: Store) -> None:
    """Runs until SIGTERM or SIGINT."""
    log, reader = store.open_log(), store.open_reader()
    # The process's sweeps come from one thread of the alarm clock, so reader and log are never used by two.

    def sweep() -> None:
        if not reader.has_expired_leases():
            return  # the usual case, and it takes no lock
        for state in log.write(leases.expire_leases):
            logger.warning("job %s lost its worker and is %s", state.job_id, state.status)

    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    signal.signal(signal.SIGINT, lambda *_: stopping.set())
    alarms = BackgroundScheduler(timezone="UTC")
    # A sweep that comes late is as good as one in time, and two that were missed are one.
    alarms.add_job(sweep, "interval", seconds=SWEEP_SECONDS, misfire_grace_time=None, coalesce=True, max_instances=1)
    alarms.start()
    stopping.wait()
    alarms.shutdown()
    reader.close()
    log.close()
