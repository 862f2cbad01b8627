"""The local worker as a process: its slots, its signals. Imports the store."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from types import FrameType

from ktrdr.settings import Settings
from ktrdr.store import Store
from ktrdr.worker.local import LocalTrainingOrchestrator

logger = logging.getLogger(__name__)


def run_worker(store: Store, settings: Settings) -> bool:
    """Works until SIGTERM or SIGINT; running jobs are then given back to the queue. False if a slot broke."""
    stopping = threading.Event()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        stopping.set()
        store.doorbell.ring()  # wakes the slots

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    log = store.open_log()
    name = f"{socket.gethostname()}-{os.getpid()}"
    broken = threading.Event()

    def run_slot(number: int) -> None:
        try:
            LocalTrainingOrchestrator(store, log, f"{name}-{number}", stopping).run()
        except Exception:
            # The disk, the database or this program: whoever started the worker starts it again, and leases expire.
            logger.exception("slot %d of the worker broke", number)
            broken.set()
            stopping.set()

    slots = [threading.Thread(target=run_slot, args=(number,)) for number in range(1, settings.slots + 1)]
    for slot in slots:
        slot.start()
    for slot in slots:
        slot.join()
    log.close()
    return not broken.is_set()
