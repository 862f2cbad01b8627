"""Makes the model of a job again, from the log and content-addressed inputs alone, and says whether it is the same.

Imports the store. Nothing of the store is changed: the second model lies elsewhere. The training runs in a fresh
process under the numeric profile that was recorded (`fresh_training`), from the very start, whatever breaks and retries
the first one went through. There are three verdicts and no guess among them: what cannot be tried in a way that would
show something is not attemptable (`attemptable`), with the reason.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from ktrdr.audit.archive import ArchiveError
from ktrdr.audit.histories import read_history
from ktrdr.audit.rederivation.attemptable import (
    NotAttemptableError,
    doubts,
    only_conditions,
    require_data,
    require_something_to_compare,
)
from ktrdr.audit.rederivation.fresh_training import FreshTraining, Order, TrainingProcessDiedError
from ktrdr.audit.rederivation.training_comparison import Comparison, Difference
from ktrdr.audit.rederivation.training_record import TrainingRecord, record_of
from ktrdr.files import file_digest
from ktrdr.jobs.events import CheckpointSaved, JobId, Json, Recorded
from ktrdr.jobs.refusals import UnknownJobError
from ktrdr.store import Store

#: Told how many epochs were as recorded, and of how many.
Progress = Callable[[int, int], None]


class Outcome(StrEnum):
    IDENTICAL = "identical"
    DIFFERS = "differs"
    NOT_ATTEMPTABLE = "not_attemptable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rederivation:
    """The verdict on one job."""

    job_id: JobId
    outcome: Outcome
    sentence: str
    #: Epochs and stages that were as recorded.
    epochs: int
    stages: int
    #: The first one; also of those that cannot be attempted in a way that would show something.
    difference: Difference | None
    #: What would be right, of those that cannot be attempted.
    fix: str
    #: What else is worth knowing.
    notes: tuple[str, ...]
    seconds: float


def rederive(
    store: Store, job_id: JobId, *, progress: Progress | None = None, keep: Path | None = None
) -> Rederivation:
    """Trains a job again and compares. Raises UnknownJobError.

    `keep` is a folder in which the second model stays, under the job's id; it must not be there yet (FileExistsError).
    """
    kept = None if keep is None else keep / job_id
    if kept is not None and kept.exists():
        raise FileExistsError(f"{kept} exists already; name another folder for the second model")
    with tempfile.TemporaryDirectory(prefix="ktrdr-rederive-") as folder:
        return _Rederiver(store, Path(folder), progress).judge(job_id, kept)


@dataclass(slots=True)
class _Trial:
    """One training again, as far as it went."""

    comparison: Comparison
    difference: Difference | None = None
    #: What is not here as it was and may be why it differs.
    doubts: tuple[str, ...] = ()


class _Rederiver:
    def __init__(self, store: Store, folder: Path, progress: Progress | None) -> None:
        self._store = store
        #: For everything that is made; removed afterwards.
        self._folder = folder
        self._progress = progress
        self._notes: list[str] = []

    def judge(self, job_id: JobId, kept: Path | None) -> Rederivation:
        started = time.monotonic()
        trial: _Trial | None = None
        fix = ""
        try:
            record = self._record(job_id)
            require_something_to_compare(record)
            self._note_contradictions(record)
            trial = self._try(record, self._folder / "model", to_the_end=kept is not None)
            if trial.difference is not None and trial.doubts:
                why = " and ".join(trial.doubts)
                raise NotAttemptableError(
                    f"it differs ({trial.difference}), but {why}, which may be the reason",
                    "try where these are as they were",
                )
        except NotAttemptableError as error:
            outcome, sentence, fix = Outcome.NOT_ATTEMPTABLE, f"not attemptable, because {error}", error.fix
        else:
            outcome = Outcome.DIFFERS if trial.difference else Outcome.IDENTICAL
            sentence = f"differs first at {trial.difference}" if trial.difference else _identical(record, trial)
        if kept is not None and (self._folder / "model").exists():
            kept.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(self._folder / "model", kept)
        return Rederivation(
            job_id=job_id,
            outcome=outcome,
            sentence=sentence,
            epochs=trial.comparison.epochs if trial else 0,
            stages=trial.comparison.stages if trial else 0,
            difference=trial.difference if trial else None,
            fix=fix,
            notes=tuple(self._notes),
            seconds=time.monotonic() - started,
        )

    def _record(self, job_id: JobId) -> TrainingRecord:
        history = self._history(job_id)
        record = record_of(history)
        parent = record.submitted.parent
        if parent is not None and record.went_on_from is not None:
            return record_of(history, before=self._record(parent))
        return record

    def _history(self, job_id: JobId) -> list[Recorded]:
        try:
            return read_history(self._store, job_id)
        except (ValueError, ArchiveError) as error:  # of a newer version, or damaged
            raise NotAttemptableError(str(error)) from error

    def _note_contradictions(self, record: TrainingRecord) -> None:
        for number, records in record.epochs.items():
            said = {one.finished.weights_digest: one for one in records}
            if len(said) > 1:
                told = ", ".join(
                    f"{digest[:16]}… by attempt {one.attempt.claimed.attempt} of job {one.job_id}"
                    for digest, one in said.items()
                )
                self._notes.append(f"the log holds different weights for epoch {number}: {told}")

    def _try(
        self, record: TrainingRecord, output: Path, *, to_the_end: bool = False, checkpoint: Json | None = None
    ) -> _Trial:
        """Trains again and compares until there is a difference or nothing left to compare, unless wanted `to_the_end`.

        With `checkpoint` (`{epoch, file}`) until that is written.
        """
        require_data(record, self._store.prices)
        conditions = only_conditions(record)
        order = Order(
            strategy=record.submitted.strategy,
            prices=record.submitted.prices,
            context=record.submitted.context,
            seed=record.submitted.seed,
            price_folder=str(self._store.home / "prices"),
            output=str(output),
            capabilities=conditions.capabilities,
            origin=self._origin(record),
            checkpoint=checkpoint,
        )
        trial = _Trial(Comparison(record))
        with _attempt_only():
            environment = conditions.profile["environment"]
            with FreshTraining(environment=environment, device=conditions.capabilities["device"]) as training:
                trial.doubts = doubts(training.ready, conditions, record)
                for message in training.train(order):
                    if message["said"] == "Broke" and record.failure is None:
                        raise NotAttemptableError(f"the training broke: {message['message']}")
                    if trial.difference is None:
                        trial.difference = trial.comparison.take(message)
                    if self._progress and message["said"] == "EpochFinished":
                        self._progress(trial.comparison.epochs, len(record.epochs))
                    has_seen_enough = trial.difference is not None or (checkpoint is None and trial.comparison.is_done)
                    if has_seen_enough and not to_the_end:
                        break
        return trial

    def _origin(self, record: TrainingRecord) -> Json | None:
        """The checkpoint that a fork goes on from: the one that was kept, or else made again."""
        fork = record.submitted.forked_from
        if fork is None:
            return None
        kept = self._store.checkpoints.path(fork["digest"])
        if not kept.exists() or file_digest(kept) != fork["digest"]:
            kept = self._make_checkpoint(record, fork)
        return {"epoch": fork["epoch"], "digest": fork["digest"], "file": str(kept)}

    def _make_checkpoint(self, record: TrainingRecord, fork: Json) -> Path:
        """Trains the job that saved a checkpoint again, up to there. Accepted only if it has the digest recorded."""
        what = f"the checkpoint of epoch {fork['epoch']} that it goes on from"
        parent = self._saved_by(record, fork["digest"])
        if parent is None:
            raise NotAttemptableError(f"{what} is gone, and the log does not say who saved it")
        file = self._folder / f"{fork['digest']}.safetensors"
        progress, self._progress = self._progress, None  # of another training than the one that was asked for
        trial = self._try(
            parent.up_to(fork["epoch"]),
            self._folder / f"model of {parent.job_id}",
            checkpoint={"epoch": fork["epoch"], "file": str(file)},
        )
        self._progress = progress
        if not file.exists() or file_digest(file) != fork["digest"]:
            told = f": it differs first at {trial.difference}" if trial.difference else ""
            raise NotAttemptableError(f"{what} is gone, and job {parent.job_id} does not give it again{told}")
        self._notes.append(f"{what} was made again from job {parent.job_id}")
        return file

    def _saved_by(self, record: TrainingRecord, digest: str) -> TrainingRecord | None:
        """The nearest ancestor that saved a checkpoint."""
        parent = record.submitted.parent
        while parent is not None:
            try:
                history = self._history(parent)
            except UnknownJobError:
                return None
            if any(isinstance(one.event, CheckpointSaved) and one.event.digest == digest for one in history):
                return self._record(parent)
            parent = record_of(history).submitted.parent
        return None


@contextmanager
def _attempt_only() -> Iterator[None]:
    """A process that cannot train makes no verdict on the job."""
    try:
        yield
    except TrainingProcessDiedError as error:
        raise NotAttemptableError(str(error), "look at the memory and the installation of this machine") from error


def _identical(record: TrainingRecord, trial: _Trial) -> str:
    count = trial.comparison.epochs
    epochs = "1 epoch" if count == 1 else f"{count} epochs"
    if record.has_model:
        return f"identical: {epochs}, the weights, the metrics and every byte of the model"
    if record.failure is not None:
        return f"identical: it fails as it did, after {epochs}: {record.failure.message}"
    return f"identical as far as it went: {epochs if count else f'{trial.comparison.stages} stages'}"
