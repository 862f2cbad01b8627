"""Writing to the log for as long as it takes: a training of hours is not lost for a disk that was full for a minute.

Imports the store.
"""

from __future__ import annotations

import logging
import random
import threading
from typing import TypeVar

from ktrdr.store.database import DatabaseUnwritableError, NotWrittenError
from ktrdr.store.log import Log, Operation

Result = TypeVar("Result")
logger = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 0.05
#: Far shorter than any lease: whoever can write again must be heard of before it counts as lost.
LONGEST_PAUSE_SECONDS = 1.0


def write_patiently(log: Log, operation: Operation[Result], stopping: threading.Event) -> Result:
    """`Log.write`, tried again while the disk is full or another process holds the database.

    Whether that took too long is for the lease to say: the operation then raises LeaseLostError. Raises NotWrittenError
    once the worker has to stop.
    """
    pause, is_held_up = FIRST_PAUSE_SECONDS, False
    while True:
        try:
            result = log.write(operation)
        except NotWrittenError as error:
            if not is_held_up:
                is_held_up = True
                fix = f" ({error.fix})" if isinstance(error, DatabaseUnwritableError) else ""
                logger.warning("%s%s; trying again until it can be written", error, fix)
            if stopping.wait(random.uniform(pause / 2, pause)):
                raise
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
        else:
            if is_held_up:
                logger.warning("the log can be written again")
            return result
