"""The local worker as a process: its slots, its signals, its word that it lives. Imports the store."""

from __future__ import annotations

import logging
import signal
import threading
from functools import partial
from types import FrameType

from ktrdr.jobs.workers import Beat, WorkerState
from ktrdr.settings import Settings
from ktrdr.spans import open_spans
from ktrdr.store import Store, workers
from ktrdr.worker.local import LocalTrainingOrchestrator
from ktrdr.worker.messages import Ready
from ktrdr.worker.presence import Presence, first_beat

logger = logging.getLogger(__name__)


def run_worker(store: Store, settings: Settings) -> bool:
    """Works until SIGTERM or SIGINT; running jobs are then given back to the queue. False if a slot broke."""
    stopping, broken = threading.Event(), threading.Event()
    log = store.open_log()
    first = first_beat("local", settings.slots)
    spans = open_spans("worker")

    def tell(said: Beat) -> float:
        log.write(partial(workers.beat, said=said))
        return store.lease_seconds / 3

    presence = Presence(first, tell)

    def stop(_signal: int, _frame: FrameType | None) -> None:
        stopping.set()
        presence.change(WorkerState.DRAINING)
        store.doorbell.ring()  # wakes the slots

    def is_ready(ready: Ready) -> None:
        presence.change(WorkerState.ALIVE, ready.capabilities)

    def run_slot(number: int) -> None:
        try:
            LocalTrainingOrchestrator(store, log, first.name, stopping=stopping, on_ready=is_ready, spans=spans).run()
        except Exception:
            # The disk, the database or this program: whoever started the worker starts it again, and leases expire.
            logger.exception("slot %d of the worker broke", number)
            broken.set()
            stopping.set()
            presence.change(WorkerState.DRAINING)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    presence.start()
    slots = [threading.Thread(target=run_slot, args=(number,)) for number in range(1, settings.slots + 1)]
    for slot in slots:
        slot.start()
    for slot in slots:
        slot.join()
    presence.end()
    log.close()
    if spans is not None:
        spans.close()
    return not broken.is_set()
