"""Jobs that went every way a job can go are trained again from the log alone, and the models are the same."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from ended_jobs import cancelled_then_retried, completed, failed, forked, resumed
from running_service import RunningService

from ktrdr.audit.rederivation.rederive import Outcome, Rederivation, rederive
from ktrdr.jobs.events import JobId
from ktrdr.store import Store, open_store


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A service whose workers may be stopped."""
    service = RunningService(tmp_path_factory.mktemp("again") / "home")
    try:
        service.start("serve", "worker")
        service.import_samples()
        yield service
    finally:
        service.close()


@pytest.fixture(scope="module")
def store(running: RunningService) -> Store:
    return open_store(running.home)


def identical(store: Store, job_id: str) -> Rederivation:
    verdict = rederive(store, JobId(job_id))
    assert verdict.outcome is Outcome.IDENTICAL, verdict.sentence
    return verdict


def test_a_training_that_another_worker_went_on_with(running: RunningService, store: Store) -> None:
    assert identical(store, resumed(running, "lstm")).epochs == 12


def test_a_training_that_was_cancelled_and_one_that_went_on_from_its_checkpoint(
    running: RunningService, store: Store
) -> None:
    cancelled, retried = cancelled_then_retried(running, "regression")
    assert 0 < identical(store, cancelled).epochs < 30
    assert identical(store, retried).epochs == 30  # those before the break are the cancelled job's


def test_a_training_on_a_host_worker(running: RunningService, store: Store) -> None:
    running.start("host-worker")
    assert identical(store, completed(running, "gru", target="host")).stages == 11


def test_a_fork_whose_origin_is_there_and_then_gone(running: RunningService, store: Store) -> None:
    parent = completed(running, "mlp")
    fork = forked(running, parent)
    assert identical(store, fork).notes == ()
    for checkpoint in running.client.checkpoints(parent):
        store.checkpoints.path(checkpoint["digest"]).unlink()
    assert identical(store, fork).notes == (
        f"the checkpoint of epoch 3 that it goes on from was made again from job {parent}",
    )


def test_a_training_that_cannot_give_a_model(running: RunningService, store: Store) -> None:
    assert identical(store, failed(running)).sentence.startswith("identical: it fails as it did, after 0 epochs: ")


def test_a_training_with_portable_numerics(running: RunningService, store: Store) -> None:
    running.stop("worker")
    running.start("worker", KTRDR_NUMERICS="portable")
    identical(store, completed(running, "mlp"))
