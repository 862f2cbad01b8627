"""After pruning: the tree, its checkpoints and proofs are the same, the log is sound, and every reader copes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from audited_log import CANCELLED_JOB, COMPLETED_JOB, END, EPOCHS, RUNNING_JOB, STAGE, write_log
from history_checker import check_api, check_installation
from running_service import RunningService

from ktrdr.audit import retention, verify
from ktrdr.audit.archive import archive_of
from ktrdr.audit.checking.replay import replay
from ktrdr.audit.signed.notes import SignedNote
from ktrdr.audit.signed.proofs import EventProof, prove_job
from ktrdr.audit.signed.signing import sign_checkpoint
from ktrdr.cli.follow import watch
from ktrdr.cli.history import put_history
from ktrdr.cli.live import show_live
from ktrdr.jobs.codec import PRUNABLE_TYPES
from ktrdr.jobs.merkle import inclusion_proof, root_from_inclusion
from ktrdr.jobs.state import fold
from ktrdr.sentences import sentence
from ktrdr.store import Log, Reader, Store, open_store
from ktrdr.store.history import job_as_of
from ktrdr.store.tree import TreeHead, read_head, subtree_hashes

AGED = timedelta(0)
PRUNED = [STAGE, EPOCHS, EPOCHS + 1]


@dataclass(frozen=True)
class Promised:
    """What was signed and proved before anything was pruned."""

    head: TreeHead
    checkpoint: SignedNote
    proof: EventProof
    leaves: list[bytes]


def promise(store: Store, log: Log, reader: Reader) -> Promised:
    with store.engine.connect() as connection:
        head = read_head(connection)
    leaves = [event.leaf_hash for event in reader.all_events()]
    return Promised(head, sign_checkpoint(store, log), prove_job(store, log, COMPLETED_JOB), leaves)


def prune(store: Store) -> None:
    assert retention.prune(store, retention.ended_before(AGED)).events == len(PRUNED)
    retention.vacuum(store)


def test_every_proof_and_checkpoint_is_as_before(store: Store, log: Log, reader: Reader) -> None:
    before = promise(store, log, reader)
    prune(store)
    assert promise(store, log, reader) == before
    with store.engine.connect() as connection:
        for index, leaf in enumerate(before.leaves):
            proof = inclusion_proof(index, before.head.size, subtree_hashes(connection))
            assert root_from_inclusion(leaf, index, before.head.size, proof) == before.head.root


def test_the_log_is_sound_and_its_replay_equals_what_is_kept_beside_it(store: Store, log: Log) -> None:
    prune(store)
    verdict = verify(store)
    assert verdict.findings == ()
    assert replay(store).differences == ()
    assert check_installation(store, is_over=False) == []


def test_the_past_is_what_is_left_of_it(store: Store, reader: Reader) -> None:
    prune(store)
    for job_id in (COMPLETED_JOB, CANCELLED_JOB, RUNNING_JOB):
        history = [event.recorded for event in reader.job_events(job_id, limit=100)]
        for position in range(1, reader.last_position() + 1):
            told = [recorded for recorded in history if recorded.position <= position]
            assert job_as_of(reader, job_id, position) == (fold(told) if told else None)


def test_what_was_emptied_without_an_end_of_its_job_is_found(store: Store) -> None:
    with store.engine.connect() as connection:
        connection.exec_driver_sql("DROP TRIGGER events_are_never_changed")
        connection.exec_driver_sql(f"UPDATE events SET data = '' WHERE position = {END}")
    assert any(f"event {END}" in told for told in verify(store).findings)


@pytest.fixture
def pruned(tmp_path: Path) -> Iterator[RunningService]:
    """The API over a log of which a job was pruned."""
    service = RunningService(tmp_path / "served")
    prune(write_log(service.home))
    service.start("serve")
    yield service
    service.close()


def test_the_api_gives_what_was_pruned_its_type_and_no_data(pruned: RunningService) -> None:
    page = pruned.http.get(f"/jobs/{COMPLETED_JOB}/events").json()["events"]
    assert [event["position"] for event in page if event["data"] is None] == PRUNED
    assert {event["type"] for event in page if event["data"] is None} <= set(PRUNABLE_TYPES)
    assert list(pruned.client.events(COMPLETED_JOB, follow=True)) == page
    reader = open_store(pruned.home).open_reader()
    log = [event.recorded for event in reader.all_events()]
    reader.close()
    assert list(check_api(log, pruned.http)) == []


def test_people_are_told_what_was_pruned(pruned: RunningService, capsys: pytest.CaptureFixture[str]) -> None:
    events = list(pruned.client.events(COMPLETED_JOB))
    assert [sentence(event).startswith("pruned") for event in events] == [e["position"] in PRUNED for e in events]
    put_history(events)
    assert "events were pruned" in capsys.readouterr().out
    assert watch(pruned.client, COMPLETED_JOB, as_json=False)["type"] == "JobCompleted"
    assert "completed after" in capsys.readouterr().out
    assert list(show_live(events)) == events


def test_the_archive_lies_beside_the_database(store: Store) -> None:
    prune(store)
    assert archive_of(store, COMPLETED_JOB).is_file()
    assert not archive_of(store, RUNNING_JOB).exists()
    assert not archive_of(store, CANCELLED_JOB).exists()  # it had no progress
