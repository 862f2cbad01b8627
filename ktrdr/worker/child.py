"""Inside the job process: waits for a job, trains it, tells what happens. Imports training; no database, no HTTP.

The process stays warm between jobs, with torch imported, so that a job starts within milliseconds; it trains one job
at a time, because two trainings in one process would share torch's random generator.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ktrdr.logs import bind, configure_logs_of_child
from ktrdr.orphans import end_with_parent
from ktrdr.training.progress import (
    BatchFinished,
    CancellationToken,
    Progress,
    StageStarted,
    TrainingCancelledError,
)
from ktrdr.worker.breakage import UNEXPECTED, told
from ktrdr.worker.messages import Ended, Paused, Ready, Stopped, Train, Trained
from ktrdr.worker.stop_signal import StopSignal

if TYPE_CHECKING:
    from ktrdr.worker.checkpoints import CheckpointKeeper

logger = logging.getLogger(__name__)

#: The log holds at most one progress event of a batch per this time.
BATCH_SECONDS = 0.3
#: Halfway from what a process usually has (0) to the certain first victim (1000).
_OOM_SCORE = 500


@dataclass(frozen=True, slots=True)
class Request:
    """A cancellation request that was seen."""

    #: When it was made, by this machine's steady clock; None where the wall clocks that tell it were set meanwhile.
    made_at: float | None


class RequestLook(Protocol):
    """Looks for a cancellation request: None while there is none."""

    def __call__(self) -> Request | None: ...


class CountingToken(CancellationToken):
    """Answers the training's looks, and knows afterwards how many batches began although the request was there."""

    def __init__(self, look: RequestLook, stop: StopSignal) -> None:
        self._look = look
        self._stop = stop
        self._request: Request | None = None
        #: When the training was last told to go on: the beginnings of its newest batches.
        self._begun: deque[float] = deque(maxlen=100_000)

    def is_cancellation_requested(self) -> bool:
        self._request = self._look()
        if self._request is not None or self._stop.is_set:
            return True
        self._begun.append(time.monotonic())
        return False

    def begin_stage(self) -> None:
        self._begun.clear()

    @property
    def was_requested(self) -> bool:
        """Whether it was a cancellation that stopped the training."""
        return self._request is not None

    @property
    def batches_after_request(self) -> int | None:
        """None if that cannot be known."""
        made_at = self._request.made_at if self._request else None
        return None if made_at is None else sum(begun > made_at for begun in self._begun)


def run_child(make_look: Callable[[Train, Connection], RequestLook]) -> None:
    """The whole life of a job process, whose pipe is the descriptor in its first argument.

    `make_look` gives the way to see a cancellation of a job, which differs between local and host workers.
    """
    end_with_parent()
    configure_logs_of_child("job process", os.environ)
    _go_first_when_memory_ends()
    stop = StopSignal()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the worker decides what it means
    pipe = Connection(int(sys.argv[1]))
    from ktrdr.training.determinism import make_deterministic, numeric_profile
    from ktrdr.training.device_manager import DeviceManager, accelerator_of
    from ktrdr.training.run import train  # noqa: F401  # imported now, so that the first job does not wait for it

    make_deterministic()
    capabilities = asdict(DeviceManager().capabilities())
    gc.freeze()  # what was imported stays: no collection during a training has to walk through it
    profile = numeric_profile(accelerator_of(capabilities["device"]))
    pipe.send(Ready(capabilities=capabilities, numeric_profile=profile))
    while True:
        try:
            message = pipe.recv()
        except (EOFError, ConnectionResetError):
            return  # the worker has gone
        if isinstance(message, Train):
            bind(message.log_fields)
            ended = _train(message, pipe, CountingToken(make_look(message, pipe), stop))
            stop.clear()
            with contextlib.suppress(BrokenPipeError):  # the worker has gone, and the next `recv` tells it
                pipe.send(ended)


def _train(job: Train, pipe: Connection, token: CountingToken) -> Ended:
    from ktrdr.worker.checkpoints import CheckpointKeeper

    keeper = CheckpointKeeper(job, pipe.send)
    latest: StageStarted | BatchFinished | None = None
    last_batch_sent = 0.0

    def tell(progress: Progress) -> None:
        nonlocal latest, last_batch_sent
        match progress:
            case BatchFinished():
                latest = progress  # put into words only if it is asked for: a batch takes a quarter of a millisecond
                now = time.monotonic()
                if now - last_batch_sent < BATCH_SECONDS:
                    return
                last_batch_sent = now
            case StageStarted():
                token.begin_stage()
                latest = progress
        pipe.send(progress)

    try:
        return _run(job, tell, token, keeper)
    except TrainingCancelledError:
        keeper.write()
        if not token.was_requested:
            return Paused()
        return Stopped(batches_after_request=token.batches_after_request, where=_place(latest))
    except Exception as error:
        broke = told(error, where=_place(latest), output=job.output)
        if broke.kind == UNEXPECTED:
            logger.exception("job %s broke", job.job_id)
        return broke


def _place(latest: StageStarted | BatchFinished | None) -> str:
    """Where a training stands, for people."""
    match latest:
        case None:
            return ""
        case StageStarted():
            return latest.name
        case BatchFinished():
            return f"epoch {latest.epoch}, batch {latest.batch}"


def _run(job: Train, tell: Callable[[Progress], None], token: CancellationToken, keeper: CheckpointKeeper) -> Trained:
    from ktrdr.training.data_folder import DataFolder
    from ktrdr.training.device_manager import DeviceManager
    from ktrdr.training.run import train
    from ktrdr.training.specification import specification_of
    from ktrdr.worker.checkpoints import origins_of

    specification = specification_of(job.strategy, prices=job.prices, context=job.context, seed=job.seed)
    data = DataFolder(specification, job.price_folder)
    result = train(
        specification,
        read_prices=data.read_prices,
        read_context=data.read_context,
        output=job.output,
        capabilities=DeviceManager().capabilities(),
        progress_callback=tell,
        cancellation_token=token,
        origins=origins_of(job),
        checkpoint_callback=keeper.note,
    )
    return Trained(
        model_digest=result.model_digest,
        weights_digest=result.weights_digest,
        metrics=result.metrics,
        symbol_metrics=result.per_symbol_metrics,
        epochs_trained=result.epochs_trained,
        best_epoch=result.best_epoch,
    )


def _go_first_when_memory_ends() -> None:
    """Lets the kernel choose this process rather than its worker or the API when memory runs out (proc(5), Linux)."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):  # nobody's training shall fail for it
            Path("/proc/self/oom_score_adj").write_text(str(_OOM_SCORE))
