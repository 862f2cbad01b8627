"""Which checkpoints stay on the disk, and what dead attempts leave there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import sha256

import pytest
from job_builders import COMPLETED
from store_steps import cancel, change, claim, running_job, submit

from ktrdr.audit.checking.verify import verify
from ktrdr.jobs import decide
from ktrdr.jobs.events import CancelOutcome, CheckpointSaved, JobFailed, JobId, Relation
from ktrdr.store import Log, Store, checkpoints
from ktrdr.store.checkpoints import Retention


@pytest.fixture
def retention(store: Store, log: Log) -> Iterator[Retention]:
    reader = store.open_reader()
    yield Retention(store, log, reader)
    reader.close()


def put(store: Store, name: str) -> str:
    """Puts a file beside the checkpoints; gives its digest."""
    digest = sha256(name.encode()).hexdigest()
    store.checkpoints.path(digest).write_text(name)
    return digest


def save(store: Store, log: Log, job_id: JobId, *epochs: int) -> dict[int, str]:
    """Saves checkpoints of a job under lease 1; their digests by epoch."""
    digests = {epoch: put(store, f"{job_id} {epoch}") for epoch in epochs}
    events = [CheckpointSaved(epoch=epoch, digest=digest, bytes=1) for epoch, digest in digests.items()]
    change(log, job_id, lambda state: decide.report(state, 1, events))
    return digests


def kept(store: Store, digests: Mapping[int, str]) -> list[int]:
    return [epoch for epoch, digest in digests.items() if store.checkpoints.path(digest).exists()]


def every(epochs: int | None) -> dict[str, float | None]:
    return {"every_epochs": epochs, "every_seconds": 30}


def fail(log: Log, job_id: JobId) -> None:
    failed = JobFailed(kind="x", message="", where="", fix="", retryable=False)
    change(log, job_id, lambda state: decide.fail(state, 1, failed))


def complete(log: Log, job_id: JobId) -> None:
    change(log, job_id, lambda state: decide.complete(state, 1, COMPLETED))


def cancel_running(log: Log, job_id: JobId) -> None:
    cancel(log, job_id)
    change(
        log,
        job_id,
        lambda state: decide.acknowledge_cancellation(
            state, 1, outcome=CancelOutcome.STOPPED, batches_after_request=0, where=""
        ),
    )


def release(log: Log, job_id: JobId) -> None:
    change(log, job_id, lambda state: decide.release(state, 1, message=""))


@pytest.mark.parametrize(
    ("end", "without_wish", "every_four"),
    [
        (None, [8, 9, 10], [4, 8, 9, 10]),
        (release, [8, 9, 10], [4, 8, 9, 10]),
        (fail, [10], [4, 8, 10]),
        (cancel_running, [10], [4, 8, 10]),
        (complete, [], [4, 8]),
    ],
)
def test_what_is_kept_depends_on_how_the_job_stands(
    store: Store, log: Log, end: object, without_wish: list[int], every_four: list[int]
) -> None:
    retention = Retention(store, log, store.open_reader())
    for wish, expected in ((every(None), without_wish), (every(4), every_four)):
        job_id = running_job(log, checkpoints=wish)
        digests = save(store, log, job_id, *range(1, 11))
        if callable(end):
            end(log, job_id)
        retention()
        assert kept(store, digests) == expected
        if end in (None, release):
            cancel(log, job_id)  # the next one shall be claimed


@pytest.mark.parametrize("field", ["starts_from", "forked_from"])
def test_what_an_unfinished_job_begins_with_is_kept_until_it_has_ended(
    store: Store, log: Log, retention: Retention, field: str
) -> None:
    parent = running_job(log)
    digests = save(store, log, parent, 1, 2)
    complete(log, parent)
    origin = {"epoch": 1, "digest": digests[1]}
    child = submit(log, parent=parent, relation=Relation.FORK, **{field: origin})
    retention()
    assert kept(store, digests) == [1]
    assert claim(log)
    own = save(store, log, child, 2, 3, 4, 5)  # it has newer ones of its own, but would fall back on this one
    retention()
    assert kept(store, digests) == [1]
    assert kept(store, own) == [3, 4, 5]
    complete(log, child)
    retention()
    assert kept(store, {**digests, 9: own[5]}) == []


def test_files_that_no_event_names_go_after_a_while(
    store: Store, log: Log, retention: Retention, monkeypatch: pytest.MonkeyPatch
) -> None:
    unnamed = {1: put(store, "unnamed")}
    retention()
    assert kept(store, unnamed) == [1]
    monkeypatch.setattr(checkpoints, "UNNAMED_SECONDS", 0.0)
    Retention(store, log, store.open_reader())()
    assert kept(store, unnamed) == []


def test_what_is_saved_between_two_looks_is_seen(store: Store, log: Log, retention: Retention) -> None:
    job_id = running_job(log)
    digests = save(store, log, job_id, 1, 2, 3)
    retention()
    digests |= save(store, log, job_id, 4, 5)
    retention()
    assert kept(store, digests) == [3, 4, 5]


def test_folders_of_attempts_that_are_over_go(store: Store, log: Log, retention: Retention) -> None:
    ended, running = running_job(log), None
    complete(log, ended)
    running = running_job(log)
    attempts = store.home / "attempts"
    names = [f"{ended}-1", f"{running}-1", f"{running}-0", f"{JobId('unknown')}-1"]
    for name in names:
        (attempts / name / "checkpoints").mkdir(parents=True)
        (attempts / name / "checkpoints" / "part").write_text("half")
    retention()
    assert [path.name for path in attempts.iterdir()] == [f"{running}-1"]


def test_a_missing_checkpoint_is_no_finding_but_a_changed_one_is(store: Store, log: Log) -> None:
    digests = save(store, log, running_job(log), 1, 2)
    store.checkpoints.path(digests[1]).unlink()
    assert not [finding for finding in verify(store).findings if "checkpoint" in finding]
    store.checkpoints.path(digests[2]).write_text("other")
    (finding,) = [finding for finding in verify(store).findings if "checkpoint" in finding]
    assert f"the checkpoint {digests[2]} of job" in finding
    assert "was changed" in finding
