"""Pruning: what may leave the log, what the database refuses, and that nothing is lost however it is interrupted."""

from __future__ import annotations

import gzip
import random
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pysqlite3
import pytest
from job_builders import BATCH, CHECKPOINT, COMPLETED, EPOCH, FINISHED, STARTED
from running_service import RunningService, wait_until
from store_steps import SettableClock, cancel, change, differences, raw, running_job, start_process, submit

from ktrdr.audit import retention, verify
from ktrdr.audit.archive import ArchiveError, archive_of, full_history, read_archive
from ktrdr.audit.retention import WORTH_A_VACUUM, Emptied, Pruner, file_bytes, prunable, prune, vacuum
from ktrdr.clock import later, system_clock
from ktrdr.jobs import decide
from ktrdr.jobs.codec import PRUNABLE_TYPES, decode
from ktrdr.jobs.events import Instant, JobId, Pruned
from ktrdr.store import Log, Reader, Store
from ktrdr.store.reader import StoredEvent

NOW = Instant("2027-01-01T00:00:00.000000Z")
PRUNE_AND_TELL = """
import sys
from pathlib import Path
from ktrdr.audit import retention
from ktrdr.store import open_store

empty = retention._empty

def empty_and_tell(*what, **how):
    is_emptied = empty(*what, **how)
    print("emptied", flush=True)
    return is_emptied

retention.CHUNK, retention._empty = 2, empty_and_tell
retention.prune(open_store(Path(sys.argv[1])), sys.argv[2])
"""


def ended_job(log: Log, epochs: int = 3) -> JobId:
    """A job with a stage, so many epochs and a checkpoint behind it."""
    job_id = running_job(log)
    said = [STARTED, *(one for epoch in range(1, epochs + 1) for one in (BATCH, replace(EPOCH, epoch=epoch))), FINISHED]
    change(log, job_id, lambda state: decide.report(state, 1, [*said, CHECKPOINT]))
    change(log, job_id, lambda state: decide.complete(state, 1, replace(COMPLETED, metrics={"accuracy": 0.7})))
    return job_id


def history(reader: Reader, job_id: JobId) -> list[StoredEvent]:
    return reader.job_events(job_id, limit=1000)


def without_data(events: list[StoredEvent]) -> list[StoredEvent]:
    """Events as pruning leaves them."""
    return [replace(event, data="") if event.type in PRUNABLE_TYPES else event for event in events]


def violations(store: Store) -> list[str]:
    """What is wrong with a log, but for the models and prices that its jobs only name."""
    return [told for told in verify(store).findings if " is missing" not in told] + [*map(str, differences(store))]


def empty(connection: Any, job_id: JobId, changes: str = "data = ''", where: str = "1") -> int:
    return int(connection.execute(f"UPDATE events SET {changes} WHERE job_id = ? AND {where}", (job_id,)).rowcount)


@pytest.mark.parametrize("event_type", ["StageStarted", "StageFinished", "BatchProgressed", "EpochFinished"])
def test_the_database_lets_progress_of_an_ended_job_be_emptied(log: Log, store: Store, event_type: str) -> None:
    job_id = ended_job(log)
    assert empty(raw(store), job_id, where=f"type = '{event_type}'") > 0


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ("data = ''", "type = 'JobSubmitted'"),
        ("data = ''", "type = 'JobClaimed'"),
        ("data = ''", "type = 'CheckpointSaved'"),
        ("data = ''", "type = 'JobCompleted'"),
        ("data = '{}'", "type = 'EpochFinished'"),
        ("data = NULL", "type = 'EpochFinished'"),
        ("data = '', leaf_hash = x''", "type = 'EpochFinished'"),
        ("data = '', schema = 9", "type = 'EpochFinished'"),
        ("data = '', version = version + 100", "type = 'EpochFinished'"),
        ("data = '', recorded_at = ''", "type = 'EpochFinished'"),
        ("data = '', type = 'StageStarted'", "type = 'EpochFinished'"),
    ],
)
def test_the_database_refuses_every_other_change_of_an_ended_job(
    log: Log, store: Store, reader: Reader, changes: str, where: str
) -> None:
    job_id = ended_job(log)
    before = history(reader, job_id)
    with pytest.raises(pysqlite3.IntegrityError, match=r"an event is never changed|NOT NULL"):
        empty(raw(store), job_id, changes, where)
    assert history(reader, job_id) == before


def test_the_database_refuses_to_empty_the_progress_of_a_job_that_runs(log: Log, store: Store) -> None:
    job_id = running_job(log)
    change(log, job_id, lambda state: decide.report(state, 1, [EPOCH]))
    with pytest.raises(pysqlite3.IntegrityError, match="an event is never changed"):
        empty(raw(store), job_id, where="type = 'EpochFinished'")


def test_what_was_emptied_is_not_filled_again(log: Log, store: Store) -> None:
    job_id = ended_job(log)
    empty(raw(store), job_id, where="type = 'EpochFinished'")
    with pytest.raises(pysqlite3.IntegrityError, match="an event is never changed"):
        empty(raw(store), job_id, "data = '{}'", "type = 'EpochFinished'")


def test_what_was_pruned_is_read_as_that_and_recorded_by_nobody(log: Log, reader: Reader) -> None:
    pruned = decode("EpochFinished", 1, "")
    assert pruned == Pruned(type="EpochFinished", schema=1)
    with pytest.raises(ValueError, match=r"Expecting value|no JSON object"):
        decode("JobSubmitted", 1, "")
    job_id = running_job(log)
    state, before = reader.job(job_id), reader.last_position()
    with pytest.raises(TypeError, match="cannot be recorded"):
        log.write(lambda transaction: transaction.append(state, [pruned], actor="test"))  # type: ignore[list-item]
    assert reader.last_position() == before
    assert reader.job(job_id) == state


def test_progress_leaves_the_log_and_nothing_else_does(store: Store, log: Log, reader: Reader) -> None:
    job_id = ended_job(log)
    before, state = history(reader, job_id), reader.job(job_id)
    size = sum(len(event.data) for event in before if event.type in PRUNABLE_TYPES)
    assert prunable(store, NOW) == Emptied(jobs=1, events=8, bytes=size)
    assert prune(store, NOW) == Emptied(jobs=1, events=8, bytes=size)
    assert history(reader, job_id) == without_data(before)
    after = reader.job(job_id)
    assert (after.version, after.status, after.reported) == (state.version, state.status, state.reported)
    assert (after.metrics, after.model_digest, after.checkpoints) == (
        state.metrics, state.model_digest, state.checkpoints,
    )  # fmt: skip
    assert (after.stage, after.epoch, after.train_loss) == (None, 0, None)
    assert violations(store) == []
    assert prune(store, NOW) == Emptied()


def test_the_archive_gives_back_every_event_as_it_was(store: Store, log: Log, reader: Reader) -> None:
    job_id = ended_job(log)
    before = history(reader, job_id)
    assert full_history(store, job_id) == before
    prune(store, NOW)
    assert full_history(store, job_id) == before
    lines = gzip.decompress(archive_of(store, job_id).read_bytes()).splitlines()
    assert lines == [event.entry for event in before]
    archive_of(store, job_id).unlink()
    assert full_history(store, job_id) == without_data(before)


def test_jobs_that_run_or_ended_lately_keep_everything(
    store: Store, log: Log, reader: Reader, clock: SettableClock
) -> None:
    old = ended_job(log)
    clock.advance(10 * 86400)
    late, running = ended_job(log), running_job(log)
    change(log, running, lambda state: decide.report(state, 1, [STARTED, EPOCH]))
    queued = submit(log)
    before = {job_id: history(reader, job_id) for job_id in (late, running, queued)}
    last = history(reader, late)[-1]
    assert prune(store, Instant(last.recorded_at)).jobs == 1
    assert {job_id: history(reader, job_id) for job_id in before} == before
    assert "" in [event.data for event in history(reader, old)]
    assert prune(store, later(Instant(last.recorded_at), 1)).jobs == 1
    assert history(reader, running) == before[running]


def test_a_cancelled_job_is_pruned_and_one_without_progress_has_nothing_to_give(store: Store, log: Log) -> None:
    job_id = running_job(log)
    change(log, job_id, lambda state: decide.report(state, 1, [STARTED]))
    cancel(log, submit(log))
    cancel(log, job_id)
    change(
        log,
        job_id,
        lambda state: decide.acknowledge_cancellation(
            state, 1, outcome=decide.CancelOutcome.STOPPED, batches_after_request=0, where=""
        ),
    )
    assert (prune(store, NOW).jobs, prunable(store, NOW)) == (1, Emptied())
    assert violations(store) == []


def test_of_a_long_job_the_states_of_the_past_stay_within_reach(
    store: Store, log: Log, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "CHUNK", 70)
    job_id = ended_job(log, epochs=200)
    versions = [event.position for event in history(reader, job_id)]
    assert prune(store, NOW).events == 402
    assert violations(store) == []
    kept = raw(store).execute("SELECT version FROM snapshots WHERE job_id = ? ORDER BY 1", (job_id,)).fetchall()
    assert kept == [(100,), (200,), (300,), (400,)]
    assert [reader.state_at(job_id, position).version for position in versions] == list(range(1, len(versions) + 1))


def _tear(content: bytes) -> bytes:
    return content[: len(content) // 2]


def _forge(content: bytes) -> bytes:
    return gzip.compress(gzip.decompress(content).replace(b'"train_loss":0.9', b'"train_loss":0.1', 1))


def _shorten(content: bytes) -> bytes:
    return gzip.compress(b"".join(gzip.decompress(content).splitlines(keepends=True)[:-1]))


@pytest.mark.parametrize("damage", [_tear, _forge, _shorten, None])
def test_nothing_more_is_emptied_of_a_job_whose_archive_is_damaged(
    store: Store, log: Log, reader: Reader, damage: Callable[[bytes], bytes] | None
) -> None:
    job_id = ended_job(log)
    prune(store, NOW)
    other, file = ended_job(log), archive_of(store, job_id)
    if damage:
        file.write_bytes(damage(file.read_bytes()))
        with pytest.raises(ArchiveError, match=str(job_id)):
            full_history(store, job_id)
    else:
        file.unlink()
    with pytest.raises(ArchiveError, match=str(job_id)):
        read_archive(store, history(reader, job_id))
    # As if pruning had been interrupted before the last of its events.
    connection = raw(store)
    connection.execute("DROP TRIGGER events_are_never_changed")
    empty(connection, job_id, "data = '{}'", "type = 'StageFinished'")
    done = prune(store, NOW)
    assert (done.jobs, len(done.left)) == (1, 1)
    assert str(job_id) in done.left[0]
    assert [event.data for event in history(reader, job_id) if event.type == "StageFinished"] == ["{}"]
    assert "" in [event.data for event in history(reader, other)]


def test_an_id_that_is_no_id_names_no_file(store: Store) -> None:
    with pytest.raises(ArchiveError, match="no id of a job"):
        archive_of(store, "../../etc/passwd")


def test_a_pruner_that_is_killed_at_any_moment_loses_nothing(store: Store, log: Log, reader: Reader) -> None:
    chance = random.Random(9)
    jobs = [ended_job(log, epochs=20) for _ in range(4)]
    before = {job_id: history(reader, job_id) for job_id in jobs}
    interrupted = 0
    for _ in range(4):
        process = start_process(PRUNE_AND_TELL, store.home, NOW)
        assert process.stdout is not None
        for _ in range(chance.randint(0, 12)):
            assert process.stdout.readline() == "emptied\n"
        process.kill()
        with process:
            pass
        pruned = {job_id: [event.data == "" for event in history(reader, job_id)] for job_id in jobs}
        interrupted += any(0 < sum(which) < 42 for which in pruned.values())
        assert differences(store) == ()
        assert {job_id: full_history(store, job_id) for job_id in jobs} == before
    assert interrupted > 0
    assert prune(store, NOW).left == ()
    assert {job_id: history(reader, job_id) for job_id in jobs} == {
        job_id: without_data(events) for job_id, events in before.items()
    }
    assert {job_id: full_history(store, job_id) for job_id in jobs} == before
    assert violations(store) == []


def test_two_pruners_and_a_writer_at_once_do_no_harm(
    store: Store, log: Log, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "CHUNK", 3)
    jobs = [ended_job(log) for _ in range(20)]
    before = {job_id: history(reader, job_id) for job_id in jobs}
    done: list[Emptied] = []
    pruners = [threading.Thread(target=lambda: done.append(prune(store, NOW))) for _ in range(2)]
    for pruner in pruners:
        pruner.start()
    others = [submit(log) for _ in range(50)]
    for pruner in pruners:
        pruner.join()
    assert sum(one.events for one in done) + prune(store, NOW).events == 20 * 8
    assert {job_id: full_history(store, job_id) for job_id in jobs} == before
    assert violations(store) == []
    assert all(reader.job(job_id).version == 1 for job_id in others)


def test_a_pruner_stops_where_it_is_told_to(store: Store, log: Log) -> None:
    for _ in range(3):
        ended_job(log)
    assert prune(store, NOW, lambda done: done.jobs < 2).jobs == 2
    assert prunable(store, NOW).jobs == 1


def test_the_disk_has_the_room_back_although_a_reader_looks_at_an_older_state(store: Store, log: Log) -> None:
    for _ in range(20):
        ended_job(log, epochs=100)
    emptied = prune(store, NOW).bytes
    before = file_bytes(store)
    watching = raw(store)
    watching.execute("BEGIN")
    rows = watching.execute("SELECT count(*) FROM events").fetchone()
    freed = vacuum(store)
    assert watching.execute("SELECT count(*) FROM events").fetchone() == rows
    watching.execute("ROLLBACK")
    assert before - file_bytes(store) == freed
    assert freed > emptied / 2
    assert violations(store) == []


def test_the_scheduler_prunes_by_age_and_gives_the_room_back_once_that_is_worth_it(
    store: Store, reader: Reader
) -> None:
    log, stopping = store.open_log(), threading.Event()
    job_id = ended_job(log, epochs=300)
    before, stored = file_bytes(store), history(reader, job_id)
    Pruner(store, timedelta(days=1), stopping)()
    assert history(reader, job_id) == stored
    Pruner(store, timedelta(0), stopping)()
    assert history(reader, job_id) == without_data(stored)
    assert file_bytes(store) < before * (1 - WORTH_A_VACUUM)
    smaller = file_bytes(store)
    ended_job(log, epochs=3)
    grown = file_bytes(store)
    Pruner(store, timedelta(0), stopping)()
    assert prunable(store, NOW) == Emptied()
    assert smaller <= grown == file_bytes(store)  # so little was emptied that the file is left alone
    log.close()


def test_the_scheduler_of_a_service_prunes_if_its_setting_says_so(store: Store, reader: Reader) -> None:
    log = Log(store.engine, store.doorbell, clock=lambda: system_clock() - timedelta(days=2))
    job_id = ended_job(log)
    log.close()
    stored = history(reader, job_id)
    service = RunningService(store.home, KTRDR_PRUNE_DAYS="1")
    try:
        service.start("scheduler")
        wait_until(lambda: history(reader, job_id) == without_data(stored))
        assert service.stop("scheduler") == 0
    finally:
        service.close()
    assert violations(store) == []
