"""From what was submitted to what the job process is told. Imports jobs and the messages only."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ktrdr.jobs.events import JobId, JobSubmitted, Json
from ktrdr.worker.messages import Train


def order_to_train(
    job_id: JobId,
    submitted: JobSubmitted,
    checkpoints: Sequence[Json],
    *,
    price_folder: Path,
    checkpoint_folder: Path,
    attempt_folder: Path,
    log_fields: Json,
) -> Train:
    """The order for one attempt; `checkpoints` are the job's newest, newest first (`JobState.checkpoints`).

    Model and new checkpoints shall appear in `attempt_folder`, which belongs to the attempt alone.
    """
    return Train(
        job_id=job_id,
        strategy=dict(submitted.strategy),
        prices=submitted.prices,
        context=submitted.context,
        seed=submitted.seed,
        price_folder=price_folder,
        output=attempt_folder / "model",
        checkpoints=usable_checkpoints(submitted, checkpoints),
        fork_digest=submitted.forked_from["digest"] if submitted.forked_from else None,
        checkpoint_folder=checkpoint_folder,
        drop_folder=attempt_folder / "checkpoints",
        every_epochs=submitted.checkpoints["every_epochs"],
        every_seconds=submitted.checkpoints["every_seconds"],
        log_fields=log_fields,
    )


def usable_checkpoints(submitted: JobSubmitted, checkpoints: Sequence[Json]) -> tuple[Json, ...]:
    """What an attempt may go on from, the best first: the job's own, then those that it was submitted with."""
    usable = list(checkpoints)
    for given in (submitted.starts_from, submitted.forked_from):
        if given is not None and given not in usable:
            usable.append(given)
    return tuple(usable)
