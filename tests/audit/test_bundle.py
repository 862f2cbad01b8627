"""Bundles: what is in them, that the same log gives the same bytes, and that they outlive keys and pruning."""

from __future__ import annotations

import io
import json
import zipfile
from hashlib import sha256

import pytest
from audited_log import CANCELLED_JOB, COMPLETED_JOB, END, EPOCHS, RUNNING_JOB
from job_in_a_bundle import checked, prune_without_archive
from jobs.job_builders import STARTED

from ktrdr.audit.archive import ArchiveError, archive_of, full_history, write_archive
from ktrdr.audit.bundle import bundle_files, make_bundle
from ktrdr.audit.signed.notes import COSIGNATURE, SigningKey
from ktrdr.audit.signed.signing import add_signatures, published_keys, rotate_key, sign_checkpoint
from ktrdr.jobs import decide
from ktrdr.jobs.events import JobId
from ktrdr.jobs.identity import make_job_id
from ktrdr.jobs.refusals import UnknownJobError
from ktrdr.store import Log, Store
from ktrdr.training.model_directory import SavedModelError


def report_progress(log: Log) -> None:
    log.write(
        lambda transaction: transaction.change(
            RUNNING_JOB, lambda state: decide.report(state, state.lease_epoch, (STARTED,)), actor="worker:w1"
        )
    )


def test_a_bundle_holds_everything_that_shows_what_was_so(store: Store, log: Log) -> None:
    with zipfile.ZipFile(io.BytesIO(make_bundle(store, log, COMPLETED_JOB))) as archive:
        names = archive.namelist()
        manifest = json.loads(archive.read("bundle.json"))
        assert manifest["files"] == {
            name: sha256(archive.read(name)).hexdigest() for name in names if name != "bundle.json"
        }
    assert names == [
        "bundle.json", "checkpoint.txt", "data.json", "events.jsonl", "index.html", "job.tlog-proof", "keys.txt",
        "model/SHA256SUMS", "model/model.json", "model/weights.safetensors", "profile.json", "proof.json",
        "provenance.json", "verify.py",
    ]  # fmt: skip
    assert (manifest["format"], manifest["job_id"]) == ("ktrdr-bundle/1", COMPLETED_JOB)


def test_the_lines_of_the_events_are_the_leaves_of_the_tree(store: Store, log: Log) -> None:
    reader = store.open_reader()
    expected = [event.leaf_hash for event in reader.job_events(COMPLETED_JOB, limit=100)]
    reader.close()
    lines = bundle_files(store, log, COMPLETED_JOB)["events.jsonl"].splitlines()
    assert [sha256(b"\0" + line).digest() for line in lines] == expected


@pytest.mark.parametrize("job_id", [COMPLETED_JOB, CANCELLED_JOB, RUNNING_JOB])
def test_the_same_log_gives_the_same_bytes(store: Store, log: Log, job_id: JobId) -> None:
    first = make_bundle(store, log, job_id)
    assert make_bundle(store, log, job_id) == first


def test_an_ended_job_gives_the_same_bytes_after_the_log_has_grown(store: Store, log: Log) -> None:
    first = make_bundle(store, log, CANCELLED_JOB)
    report_progress(log)
    sign_checkpoint(store, log)
    assert make_bundle(store, log, CANCELLED_JOB) == first
    assert checked(bundle_files(store, log, RUNNING_JOB))


def test_a_job_that_runs_is_said_to_have_no_end_yet(store: Store, log: Log) -> None:
    said = checked(bundle_files(store, log, RUNNING_JOB))
    assert said[1] == f"2 events of job {RUNNING_JOB} without a gap; no end yet, so more may have followed"
    assert said[-1] == "there is no model"


def test_whoever_has_the_old_key_or_the_new_one_can_check_bundles_of_before_and_after(store: Store, log: Log) -> None:
    old = published_keys(store)[0]
    before = bundle_files(store, log, COMPLETED_JOB)
    rotate_key(store, log)
    report_progress(log)
    rotate_key(store, log)
    _, middle, new = published_keys(store)
    after = bundle_files(store, log, COMPLETED_JOB)
    grown = bundle_files(store, log, RUNNING_JOB)
    assert checked(before, key=str(old))
    for key in (old, middle, new):
        assert checked(after, key=str(key))
        assert checked(grown, key=str(key))
    assert bundle_files(store, log, COMPLETED_JOB) == after


def test_cosignatures_of_witnesses_go_along(store: Store, log: Log) -> None:
    witness = SigningKey("witness.example", COSIGNATURE, bytes(range(32)))
    note = sign_checkpoint(store, log)
    add_signatures(log, note, [witness.sign(note.text, at=1_790_000_000)])
    files = bundle_files(store, log, CANCELLED_JOB)
    assert checked(files, witnesses=[str(witness.verifier)])
    stranger = SigningKey("witness.example", COSIGNATURE, bytes(32))
    with pytest.raises(ValueError, match="not cosigned by every witness"):
        checked(files, witnesses=[str(witness.verifier), str(stranger.verifier)])


def test_of_an_event_that_was_pruned_the_hash_remains(store: Store, log: Log) -> None:
    whole = bundle_files(store, log, COMPLETED_JOB)["events.jsonl"].splitlines()
    prune_without_archive(store, EPOCHS)
    files = bundle_files(store, log, COMPLETED_JOB)
    lines = files["events.jsonl"].splitlines()
    hash_of_it = sha256(b"\0" + whole[EPOCHS - 1]).hexdigest()
    assert lines[EPOCHS - 1] == f'{{"leaf_hash":"{hash_of_it}","position":{EPOCHS}}}'.encode()
    assert lines[: EPOCHS - 1] + lines[EPOCHS:] == whole[: EPOCHS - 1] + whole[EPOCHS:]
    said = checked(files)
    assert said[1] == (
        f"{END} events of job {COMPLETED_JOB} without a gap, the content of 1 was pruned; the end is JobCompleted"
    )


def test_what_was_pruned_is_taken_from_the_archive(store: Store, log: Log) -> None:
    whole = bundle_files(store, log, COMPLETED_JOB)
    write_archive(store, full_history(store, COMPLETED_JOB))
    prune_without_archive(store, EPOCHS)
    assert bundle_files(store, log, COMPLETED_JOB) == whole
    archive_of(store, COMPLETED_JOB).write_bytes(b"damaged")
    with pytest.raises(ArchiveError, match="cannot be read"):
        make_bundle(store, log, COMPLETED_JOB)


def test_a_job_that_is_not_there_has_no_bundle(store: Store, log: Log) -> None:
    with pytest.raises(UnknownJobError):
        make_bundle(store, log, make_job_id(0, bytes(10)))


def test_a_model_that_is_gone_is_no_bundle_without_a_model(store: Store, log: Log) -> None:
    for folder in (store.home / "models").iterdir():
        folder.rename(store.home / "elsewhere")
    with pytest.raises(SavedModelError, match="is no saved model"):
        make_bundle(store, log, COMPLETED_JOB)
