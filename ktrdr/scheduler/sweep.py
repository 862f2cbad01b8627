"""One look at everything that falls due by the clock: silent leases and workers, jobs that wait for a GPU in vain.

Imports jobs and the store. Time is the caller's steady clock, never the wall's. What a look finds is decided once more
in the transaction that acts on it, so that two observers do no harm; and each act stands alone: one that fails is
logged, hinders no other, and is due again at the next look.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

from ktrdr.jobs.events import JobId
from ktrdr.jobs.queue import CLASSES_THAT_NEED_GPU, NO_GPU_SECONDS, has_gpu_for
from ktrdr.jobs.refusals import LeaseLostError
from ktrdr.jobs.silence import Silence
from ktrdr.store import leases, workers
from ktrdr.store.database import DatabaseBusyError, NotWrittenError, turn_pauses
from ktrdr.store.log import Log, Operation
from ktrdr.store.reader import Reader

logger = logging.getLogger(__name__)
Result = TypeVar("Result")

#: A worker that said goodbye or was lost is shown for a day.
REMEMBERED_SECONDS = 86_400.0
#: A database that is held for so long is held by someone who does not let go.
TURN_SECONDS = 1.0


class Sweep:
    """An observer and what it remembers from look to look. Belongs to one thread at a time."""

    def __init__(self, log: Log, reader: Reader, lease_seconds: float) -> None:
        self._log = log
        self._reader = reader
        self._lease_seconds = lease_seconds
        #: By the position of the submission: who waits for a worker with a GPU although there is none.
        self._without_gpu: Silence[int] = Silence(NO_GPU_SECONDS)
        self._departed: Silence[str] = Silence(REMEMBERED_SECONDS)
        self._begin_again()

    def __call__(self, now: float) -> None:
        """Looks, at `now` seconds of a steady clock, and does what is due. Raises nothing."""
        try:
            for duty in (self._expire_leases, self._mark_lost, self._give_up_without_gpu, self._forget_departed):
                with _going_on(f"the duty {duty.__name__.strip('_')!r}"):
                    duty(now)
        except NotWrittenError as error:
            logger.warning("%s; looking again", error)
            self._begin_again()

    def _begin_again(self) -> None:
        """Gives everyone the full time again: while nothing can be written, the living cannot be heard either."""
        self._leases: Silence[tuple[JobId, int]] = Silence(self._lease_seconds)
        self._workers: Silence[str] = Silence(self._lease_seconds)

    def _expire_leases(self, now: float) -> None:
        renewals = self._reader.renewals()
        for job_id, epoch in self._leases.observe(renewals, now):
            heard = renewals[job_id, epoch]
            with _going_on(f"taking job {job_id} from its worker"):
                try:
                    state = self._write(partial(leases.expire, job_id=job_id, lease_epoch=epoch, renewals=heard))
                except LeaseLostError:
                    continue  # it ended, or another scheduler was faster
                if state.worker is None:
                    logger.warning("job %s lost its worker and is %s", job_id, state.status)

    def _mark_lost(self, now: float) -> None:
        beats = self._reader.beats()
        for name in self._workers.observe(beats, now):
            with _going_on(f"marking worker {name} as lost"):
                if self._write(partial(workers.mark_lost, name=name, beats=beats[name])):
                    logger.warning("worker %s was not heard of any more", name)

    def _give_up_without_gpu(self, now: float) -> None:
        present = self._reader.present_workers()
        waiting = {
            position: 0
            for waits_for, target in CLASSES_THAT_NEED_GPU.items()
            if not has_gpu_for(present, target)
            for position in self._reader.waiting_positions(waits_for)
        }
        for position in self._without_gpu.observe(waiting, now):
            with _going_on(f"giving up the job that was submitted at position {position}"):
                state = self._write(partial(leases.give_up_without_gpu, submitted_position=position))
                if state is not None:
                    logger.warning("job %s failed: %s", state.job_id, state.failure_message)

    def _forget_departed(self, now: float) -> None:
        beats = self._reader.departed_beats()
        for name in self._departed.observe(beats, now):
            with _going_on(f"forgetting worker {name}"):
                self._write(partial(workers.forget, name=name, beats=beats[name]))

    def _write(self, operation: Operation[Result]) -> Result:
        """Raises NotWrittenError."""
        deadline = time.monotonic() + TURN_SECONDS
        for pause in turn_pauses():
            results = self._log.try_write_all([operation])
            if results is not None:
                return results[0]
            if time.monotonic() > deadline:
                break
            time.sleep(pause)
        raise DatabaseBusyError(f"another process has not let go of the database for {TURN_SECONDS:g} s")


@contextmanager
def _going_on(doing: str) -> Iterator[None]:
    """Logs what goes wrong in the block; raises NotWrittenError, which concerns every other act too."""
    try:
        yield
    except NotWrittenError:
        raise
    except Exception:
        logger.exception("%s failed; it is tried again at the next look", doing)
