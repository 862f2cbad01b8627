"""Checkpoints inside the job process: kept in memory, written when they are due, read again. Imports training."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from hashlib import sha256

from ktrdr.files import Checkpoints, write_whole
from ktrdr.training.checkpoint import Checkpoint, read_checkpoint
from ktrdr.training.resuming import Origin
from ktrdr.worker.messages import CheckpointWritten, Train

logger = logging.getLogger(__name__)


class CheckpointKeeper:
    """Holds a copy of the training after its last epoch, and writes it when it is due or when the training stops."""

    def __init__(self, job: Train, tell: Callable[[CheckpointWritten], None]) -> None:
        self._job = job
        self._tell = tell
        #: Of the last epoch; None if it is written already.
        self._unwritten: Checkpoint | None = None
        self._tried_at = time.monotonic()

    def note(self, epoch: int, take: Callable[[], Checkpoint]) -> None:
        """Takes note of an epoch: the training's checkpoint callback."""
        self._unwritten = take()
        if self._is_due(epoch):
            self.write()

    def _is_due(self, epoch: int) -> bool:
        every_epochs, every_seconds = self._job.every_epochs, self._job.every_seconds
        if every_epochs is not None and epoch % every_epochs == 0:
            return True
        return every_seconds is not None and time.monotonic() - self._tried_at >= every_seconds

    def write(self) -> None:
        """Writes the last epoch's checkpoint, unless it is written already.

        One that cannot be written, because the disk is full, ends no training: it is logged, and the next one is tried
        when it is due.
        """
        if self._unwritten is None:
            return
        self._tried_at = time.monotonic()
        data = self._unwritten.to_bytes()
        digest = sha256(data).hexdigest()
        file = self._job.drop_folder / digest
        try:
            self._job.drop_folder.mkdir(parents=True, exist_ok=True)
            write_whole(file, data)
        except OSError as error:
            logger.warning("the checkpoint of epoch %d was not written: %s", self._unwritten.epoch, error)
            return
        self._tell(CheckpointWritten(epoch=self._unwritten.epoch, digest=digest, bytes=len(data), file=file))
        self._unwritten = None


def origins_of(job: Train) -> tuple[Origin, ...]:
    """What the training may go on from."""
    folder = Checkpoints(job.checkpoint_folder)

    def origin(epoch: int, digest: str) -> Origin:
        return Origin(
            epoch=epoch,
            digest=digest,
            read=lambda: read_checkpoint(folder.path(digest), digest),
            is_fork=digest == job.fork_digest,
        )

    return tuple(origin(one["epoch"], one["digest"]) for one in job.checkpoints)
