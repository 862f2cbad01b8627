"""A long log that is synthetic but valid: what a service would have recorded in years, written in a minute or two.

`python tests/benchmarks/million_events.py FOLDER [EVENTS]`. Every event goes through the decisions and the one append
path; strategies, facts and metrics are those of a real run (`tests/golden`). Jobs run beside each other, so that their
events are mixed; some are cancelled, fail, lose their worker and are resumed, and the last are queued or run still. The
same seed gives the same log. Models and prices are few and small, and shared by many jobs.
"""

from __future__ import annotations

import sys
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from sqlalchemy import event as engine_event

sys.path.insert(0, str(Path(__file__).parents[1]))

from golden.make import FOLDER
from golden.reading import read_lines, recorded

from ktrdr.clock import to_instant
from ktrdr.jobs import decide
from ktrdr.jobs.decide import Claimant
from ktrdr.jobs.events import (
    BatchProgressed,
    CancelOutcome,
    CheckpointSaved,
    EpochFinished,
    JobClaimed,
    JobCompleted,
    JobEvent,
    JobFailed,
    JobId,
    JobSubmitted,
    ProgressEvent,
    Relation,
    StageFinished,
    StageStarted,
    TrainingResumed,
)
from ktrdr.jobs.identity import make_job_id
from ktrdr.jobs.state import JobState
from ktrdr.store import Store, open_store
from ktrdr.store.catalogue import put_dataset
from ktrdr.store.log import Log, Transaction
from ktrdr.training.model_directory import write_directory

EVENTS_EACH_TRANSACTION = 5_000
BESIDE_EACH_OTHER = 24
#: How many a job may have, from this to below that.
EPOCHS = range(20, 90)
MODELS = 64
#: Submitted last and not claimed any more.
STILL_QUEUED = 30
_BEGAN = datetime(2024, 1, 1, tzinfo=UTC)
_STAGES_BEFORE_TRAINING = 9
#: Of a network with two hidden layers.
_TENSORS = 6

#: What one actor does to a job at once: who, and what is decided.
Step = tuple[str, Callable[[JobState], Sequence[JobEvent]]]


@dataclass(frozen=True, slots=True)
class Examples:
    """What a real run recorded, to be varied."""

    submitted: JobSubmitted
    claimed: JobClaimed
    #: By number, from 1.
    started: dict[int, StageStarted]
    finished: dict[int, StageFinished]
    epoch: EpochFinished
    completed: JobCompleted
    failed: JobFailed


def read_examples() -> Examples:
    events = [entry.event for entry in recorded(read_lines(FOLDER / "0.1.0" / "service.jsonl.gz"))]

    def first(kind: type[Any]) -> Any:
        return next(event for event in events if isinstance(event, kind))

    return Examples(
        submitted=first(JobSubmitted),
        claimed=first(JobClaimed),
        started={event.number: event for event in reversed(events) if isinstance(event, StageStarted)},
        finished={event.number: event for event in reversed(events) if isinstance(event, StageFinished)},
        epoch=first(EpochFinished),
        completed=first(JobCompleted),
        failed=first(JobFailed),
    )


class Writer:
    """The stories of jobs, written step by step into one log."""

    def __init__(self, store: Store, seed: int, *, beside: int = BESIDE_EACH_OTHER, epochs: range = EPOCHS) -> None:
        self._chance = Random(seed)
        self._examples = read_examples()
        self._store = store
        self._beside, self._epochs = beside, epochs
        self._models = [self._make_model(number) for number in range(MODELS)]
        self._prices = [store.prices.add(f"the prices of series {number}".encode()) for number in range(8)]
        self._now = _BEGAN
        self._stories: list[tuple[JobId, Iterator[Step]]] = []
        self._ended: list[JobId] = []
        self._number = 0
        self.written = 0

    def add_datasets(self, transaction: Transaction) -> None:
        for number, digest in enumerate(self._prices):
            put_dataset(
                transaction, symbol=f"S{number}", timeframe="1d", digest=digest, rows=1, first="2000", last="2013"
            )

    def write_some(self, transaction: Transaction, *, until: int) -> None:
        """Appends until the log has so many events, or a few more."""
        while self.written < until:
            if len(self._stories) < self._beside:
                self._stories.append(self._new_story())
            which = self._chance.randrange(len(self._stories))
            job_id, story = self._stories[which]
            step = next(story, None)
            if step is None:
                self._ended.append(job_id)
                self._stories[which] = self._stories[-1]
                self._stories.pop()
            else:
                self._take(transaction, job_id, step)

    def submit_only(self, transaction: Transaction, *, until: int) -> None:
        """Appends until the log has exactly so many events: jobs that wait."""
        while self.written < until:
            job_id, story = self._new_story()
            self._take(transaction, job_id, next(story))

    def _take(self, transaction: Transaction, job_id: JobId, step: Step) -> None:
        self._now += timedelta(microseconds=self._chance.randrange(1_000, 400_000))
        transaction.now = to_instant(self._now)  # one transaction holds what many would
        actor, decision = step
        before = transaction.state(job_id)
        self.written += transaction.append(before, decision(before), actor=actor).version - before.version

    def _new_story(self) -> tuple[JobId, Iterator[Step]]:
        self._number += 1
        milliseconds = int(self._now.timestamp() * 1000) + self._number
        return make_job_id(milliseconds, self._chance.randbytes(10)), self._story()

    def _story(self) -> Iterator[Step]:
        chance = self._chance
        epochs = chance.choice(self._epochs)
        client = f"client:{chance.choice(('anna', 'bela', 'cora', 'nightly'))}"
        yield client, lambda state: decide.submit(state, self._submission(epochs))
        fate = chance.random()
        if fate < 0.04:
            yield client, lambda state: decide.request_cancellation(state, by=client, reason="no longer wanted")
            return
        after = 0
        for _ in range(2 if fate < 0.12 else 1):
            worker = f"box-{chance.randrange(12)}"
            yield from self._attempt(
                worker, epochs, after, until=epochs if fate >= 0.25 else chance.randrange(1, epochs)
            )
            if fate < 0.08:
                yield "scheduler", lambda state: decide.expire_lease(state, state.lease_epoch)
            elif fate < 0.12:
                yield (
                    f"worker:{worker}",
                    lambda state: decide.release(state, state.lease_epoch, message="the worker was told to stop"),
                )
            after = epochs // 2
        if fate < 0.12:
            worker = f"box-{chance.randrange(12)}"
            yield from self._attempt(worker, epochs, after, until=epochs)
        if 0.12 <= fate < 0.18:
            yield client, lambda state: decide.request_cancellation(state, by=client, reason="wrong symbol")
            yield f"worker:{worker}", self._stopped
        elif 0.18 <= fate < 0.25:
            yield f"worker:{worker}", lambda state: decide.fail(state, state.lease_epoch, self._examples.failed)
        else:
            yield f"worker:{worker}", lambda state: decide.complete(state, state.lease_epoch, self._completion(epochs))

    def _attempt(self, worker: str, epochs: int, after: int, until: int) -> Iterator[Step]:
        """A claim and what a worker reports until epoch `until`, going on from epoch `after`."""
        claimed = self._examples.claimed
        claimant = Claimant(
            worker=worker,
            kind="local",
            capabilities=claimed.capabilities,
            numeric_profile=claimed.numeric_profile,
        )
        yield f"worker:{worker}", lambda state: decide.claim(state, claimant)
        for report in self._reports(epochs, after, until):
            yield f"worker:{worker}", partial(self._report, progress=report)

    @staticmethod
    def _report(state: JobState, progress: Sequence[ProgressEvent]) -> Sequence[JobEvent]:
        return decide.report(state, state.lease_epoch, progress)

    @staticmethod
    def _stopped(state: JobState) -> Sequence[JobEvent]:
        return decide.acknowledge_cancellation(
            state, state.lease_epoch, outcome=CancelOutcome.STOPPED, batches_after_request=1, where="batch 4"
        )

    def _reports(self, epochs: int, after: int, until: int) -> Iterator[list[ProgressEvent]]:
        chance, examples = self._chance, self._examples
        for number in range(1, _STAGES_BEFORE_TRAINING):
            seconds = chance.random()
            yield [examples.started[number], replace(examples.finished[number], seconds=seconds)]
        yield [examples.started[_STAGES_BEFORE_TRAINING]]
        if after:
            yield [TrainingResumed(epoch=after, digest=self._digest(), passed_over=())]
        for epoch in range(after + 1, until + 1):
            report: list[ProgressEvent] = [
                BatchProgressed(epoch=epoch, epochs=epochs, batch=batch, batches=70)
                for batch in sorted(chance.sample(range(1, 70), chance.randrange(4)))
            ]
            report.append(self._epoch(epoch, epochs))
            if epoch % 8 == 0:
                report.append(CheckpointSaved(epoch=epoch, digest=self._digest(), bytes=chance.randrange(50_000)))
            yield report
        if until == epochs:
            for number in range(_STAGES_BEFORE_TRAINING, len(examples.finished) + 1):
                begun = [examples.started[number]] if number > _STAGES_BEFORE_TRAINING else []
                yield [*begun, replace(examples.finished[number], seconds=chance.random())]

    def _epoch(self, epoch: int, epochs: int) -> EpochFinished:
        chance = self._chance
        return replace(
            self._examples.epoch,
            epoch=epoch,
            epochs=epochs,
            train_loss=chance.random(),
            validation_loss=chance.random(),
            train_accuracy=chance.random(),
            validation_accuracy=chance.random(),
            seconds=chance.random(),
            weights_digest=self._digest(),
            tensors=b64encode(chance.randbytes(3 * _TENSORS)).decode(),
        )

    def _submission(self, epochs: int) -> JobSubmitted:
        chance, example = self._chance, self._examples.submitted
        series = chance.sample(range(len(self._prices)), 2)
        symbols = tuple(f"S{number}" for number in series)
        is_retry = bool(self._ended) and chance.random() < 0.05
        training = {**example.strategy["training"], "epochs": epochs}
        data = {**example.strategy["training_data"], "symbols": {"list": list(symbols), "mode": "multi_symbol"}}
        return replace(
            example,
            strategy={**example.strategy, "training": training, "training_data": data},
            symbols=symbols,
            prices=tuple({"symbol": f"S{n}", "timeframe": "1d", "digest": self._prices[n]} for n in series),
            seed=chance.randrange(1000),
            priority=chance.choice((0, 0, 0, 5)),
            labels={"desk": chance.choice(("rates", "equities", "fx"))},
            parent=chance.choice(self._ended) if is_retry else None,
            relation=Relation.RETRY if is_retry else None,
            idempotency_key=chance.randbytes(16).hex(),
            request_digest=self._digest(),
        )

    def _completion(self, epochs: int) -> JobCompleted:
        return replace(
            self._examples.completed,
            model_digest=self._chance.choice(self._models),
            weights_digest=self._digest(),
            epochs_trained=epochs,
            best_epoch=self._chance.randrange(1, epochs + 1),
        )

    def _digest(self) -> str:
        return self._chance.randbytes(32).hex()

    def _make_model(self, number: int) -> str:
        staged = self._store.home / "staged" / str(number)
        digest = write_directory(staged, {"weights.safetensors": f"weights {number}".encode(), "model.json": b"{}"})
        self._store.models.adopt(staged, digest)
        return digest


def write_million(home: Path, events: int = 1_000_000, *, seed: int = 0) -> Store:
    """Makes an installation in `home` whose log has exactly so many events (at least 100)."""
    store = open_store(home)
    store.engine.dispose()
    engine_event.listen(store.engine, "connect", _without_sync)
    log = Log(store.engine, store.doorbell, clock=lambda: _BEGAN)
    try:
        writer = Writer(store, seed)
        log.write(writer.add_datasets)
        before_the_last = events - STILL_QUEUED
        while writer.written < before_the_last:
            until = min(writer.written + EVENTS_EACH_TRANSACTION, before_the_last)
            log.write(partial(writer.write_some, until=until))
        log.write(partial(writer.submit_only, until=events))
    finally:
        log.close()
        engine_event.remove(store.engine, "connect", _without_sync)
        store.engine.dispose()
    return store


def _without_sync(connection: Any, _record: Any) -> None:
    """Nothing is lost with this log that could not be written again."""
    connection.execute("PRAGMA synchronous=OFF")


def main(folder: str, events: str = "1000000") -> None:
    began = time.perf_counter()
    write_million(Path(folder), int(events))
    print(f"{int(events):,} events in {time.perf_counter() - began:.1f} s")


if __name__ == "__main__":
    main(*sys.argv[1:])
