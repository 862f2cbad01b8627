"""Inside the job process: waits for a job, trains it, tells what happens. Imports training; no database, no HTTP.

The process stays warm between jobs, with torch imported, so that a job starts within milliseconds; it trains one job
at a time, because two trainings in one process would share torch's random generator.
"""

from __future__ import annotations

import ctypes
import gc
import logging
import signal
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable
from dataclasses import asdict
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Protocol

from ktrdr.training.progress import (
    BatchFinished,
    CancellationToken,
    Progress,
    StageStarted,
    TrainingCancelledError,
    TrainingFailedError,
)
from ktrdr.worker.messages import Broke, Ended, Ready, Stopped, Train, Trained

logger = logging.getLogger(__name__)

#: The log holds at most one progress event of a batch per this time.
BATCH_SECONDS = 0.3
_PR_SET_PDEATHSIG = 1


class RequestLook(Protocol):
    """Looks for a cancellation request: None, or when it was made, in seconds since 1970."""

    def __call__(self) -> float | None: ...


class CountingToken(CancellationToken):
    """Answers the training's looks, and knows afterwards how many batches began although the request was there."""

    def __init__(self, look: RequestLook) -> None:
        self._look = look
        self._requested_at: float | None = None
        #: When the training was last told to go on: the beginnings of its newest batches.
        self._begun: deque[float] = deque(maxlen=100_000)

    def is_cancellation_requested(self) -> bool:
        self._requested_at = self._look()
        if self._requested_at is not None:
            return True
        self._begun.append(time.time())
        return False

    def begin_stage(self) -> None:
        self._begun.clear()

    @property
    def batches_after_request(self) -> int:
        return sum(begun > self._requested_at for begun in self._begun) if self._requested_at else 0


def run_child(make_look: Callable[[Train, Connection], RequestLook]) -> None:
    """The whole life of a job process, whose pipe is the descriptor in its first argument.

    `make_look` gives the way to see a cancellation of a job, which differs between local and host workers.
    """
    _end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the worker decides what it means
    pipe = Connection(int(sys.argv[1]))
    from ktrdr.training.determinism import make_deterministic, numeric_profile
    from ktrdr.training.device_manager import DeviceManager
    from ktrdr.training.run import train  # noqa: F401  # imported now, so that the first job does not wait for it

    make_deterministic()
    capabilities = asdict(DeviceManager().capabilities())
    gc.freeze()  # what was imported stays: no collection during a training has to walk through it
    pipe.send(Ready(capabilities=capabilities, numeric_profile=numeric_profile()))
    while True:
        try:
            message = pipe.recv()
        except EOFError:
            return  # the worker has gone
        if isinstance(message, Train):
            pipe.send(_train(message, pipe, CountingToken(make_look(message, pipe))))


def _train(job: Train, pipe: Connection, token: CountingToken) -> Ended:
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
        return _run(job, tell, token)
    except TrainingCancelledError:
        return Stopped(batches_after_request=token.batches_after_request, where=_place(latest))
    except TrainingFailedError as error:
        where = error.where or _place(latest)
        return Broke(kind=error.kind, message=str(error), where=where, fix=error.fix, retryable=False)
    except MemoryError:
        return Broke(
            kind="out_of_memory",
            message="the training needs more memory than there is",
            where=_place(latest),
            fix="use fewer bars, features or hidden units, or run it on a larger machine",
            retryable=True,
        )
    except OSError as error:
        fix = "free some space and retry"
        return Broke(kind="storage", message=str(error), where=_place(latest), fix=fix, retryable=True)
    except Exception as error:
        logger.exception("job %s broke", job.job_id)
        frame = traceback.extract_tb(error.__traceback__)[-1]
        return Broke(
            kind="unexpected_error",
            message=f"{type(error).__name__}: {error} ({Path(frame.filename).name}:{frame.lineno})",
            where=_place(latest),
            fix="this is a fault of ktrdr; the worker's log has the details",
            retryable=False,
        )


def _place(latest: StageStarted | BatchFinished | None) -> str:
    """Where a training stands, for people."""
    match latest:
        case None:
            return ""
        case StageStarted():
            return latest.name
        case BatchFinished():
            return f"epoch {latest.epoch}, batch {latest.batch}"


def _run(job: Train, tell: Callable[[Progress], None], token: CancellationToken) -> Trained:
    from ktrdr.training import prices, series
    from ktrdr.training.device_manager import DeviceManager
    from ktrdr.training.run import train
    from ktrdr.training.specification import ContextReference, PriceReference, Specification
    from ktrdr.training.strategy.parse import from_mapping

    strategy = from_mapping(job.strategy).strategy
    specification = Specification(
        strategy=strategy,
        prices=tuple(PriceReference(**price) for price in job.prices),
        context=tuple(ContextReference(**one) for one in job.context),
        seed=job.seed,
    )

    def path(reference: PriceReference | ContextReference) -> Path:
        return job.price_folder / f"{reference.digest}.npy"

    result = train(
        specification,
        read_prices=lambda price: prices.read(path(price), price.digest),
        read_context=lambda one: series.read(path(one), strategy.context[one.name].kind, one.digest),
        output=job.output,
        capabilities=DeviceManager().capabilities(),
        progress_callback=tell,
        cancellation_token=token,
    )
    return Trained(
        model_digest=result.model_digest,
        weights_digest=result.weights_digest,
        metrics=result.metrics,
        symbol_metrics=result.per_symbol_metrics,
        epochs_trained=result.epochs_trained,
        best_epoch=result.best_epoch,
    )


def _end_with_parent() -> None:
    """Lets the kernel end this process when the worker dies (prctl(2), Linux): an orphan would train for nobody."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
