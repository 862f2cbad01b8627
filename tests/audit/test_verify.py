"""`ktrdr.audit.checking.verify`: a sound log is found sound, and every class of damage is found and named."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pysqlite3
import pytest
from audited_log import (
    CANCELLED_JOB,
    CLAIM,
    COMPLETED_JOB,
    CONTEXT,
    EPOCHS,
    RUNNING_JOB,
    STAGE,
    SUBMISSION,
    write_log,
)

from ktrdr.audit import verify
from ktrdr.jobs.codec import leaf_hash
from ktrdr.jobs.identity import make_job_id
from ktrdr.store import Store, leases, open_store

LAST = 11
NO_JOB = make_job_id(0, bytes(10))
CONTEXT_DIGEST = sha256(CONTEXT).hexdigest()


@pytest.fixture(scope="module")
def sound_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("audit") / "home"
    write_log(home)
    return home


@pytest.fixture
def store(sound_home: Path, tmp_path: Path) -> Store:
    """A copy to damage."""
    shutil.copytree(sound_home, tmp_path / "home")
    return open_store(tmp_path / "home")


class Tamperer:
    """Someone with the database file in their hands: drops the triggers, and mends the hashes if clever."""

    def __init__(self, store: Store) -> None:
        self.home = store.home
        self._connection = pysqlite3.connect(str(store.home / "ktrdr.db"), isolation_level=None)
        for (name,) in self.run("SELECT name FROM sqlite_master WHERE type = 'trigger'"):
            self.run(f"DROP TRIGGER {name}")

    def run(self, sql: str, *values: object) -> list[Any]:
        found: list[Any] = self._connection.execute(sql, values).fetchall()
        return found

    def change(self, position: int, **columns: object) -> None:
        """Changes an event without a trace in its hash."""
        for column, value in columns.items():
            self.run(f'UPDATE events SET "{column}" = ? WHERE position = ?', value, position)
        names = ("position", "job_id", "version", "type", "schema", "data", "actor", "recorded_at")
        row = self.run(f"SELECT {', '.join(names)} FROM events WHERE position = ?", columns.get("position", position))[
            0
        ]
        event = dict(zip(names, row, strict=True))
        event["event_type"], event["at"] = event.pop("type"), event.pop("recorded_at")
        self.run("UPDATE events SET leaf_hash = ? WHERE position = ?", leaf_hash(**event), event["position"])

    def file(self, kind: str) -> Path:
        """The only price file, or the folder of the only model."""
        (found,) = (path for path in (self.home / kind).iterdir() if path.stem != CONTEXT_DIGEST)
        return found

    def close(self) -> None:
        self._connection.close()


def edit_data(by: Tamperer) -> None:
    by.run("UPDATE events SET data = replace(data, '0.8', '0.1') WHERE position = ?", EPOCHS)


def edit_actor(by: Tamperer) -> None:
    by.run("UPDATE events SET actor = 'client:eve' WHERE position = ?", SUBMISSION)


def space_out_data(by: Tamperer) -> None:
    by.change(CLAIM, data=by.run("SELECT data FROM events WHERE position = ?", CLAIM)[0][0].replace(":", ": ", 1))


def delete_event(by: Tamperer) -> None:
    by.run("DELETE FROM events WHERE position = ?", STAGE)


def delete_stretch(by: Tamperer) -> None:
    by.run("DELETE FROM events WHERE position BETWEEN ? AND ?", STAGE, EPOCHS)


def cut_the_tail(by: Tamperer) -> None:
    by.run("DELETE FROM events WHERE position = ?", LAST)


def skip_a_version(by: Tamperer) -> None:
    by.change(LAST, version=5)


def set_the_clock_back(by: Tamperer) -> None:
    by.change(LAST, recorded_at="2020-01-01T00:00:00.000000Z")


def name_an_unknown_type(by: Tamperer) -> None:
    by.change(STAGE, type="JobBlessed")


def finish_another_way(by: Tamperer) -> None:
    by.run("UPDATE jobs SET status = 'failed' WHERE job_id = ?", COMPLETED_JOB)


def forget_a_label(by: Tamperer) -> None:
    by.run("DELETE FROM job_terms WHERE term = 'label:desk=rates' AND submitted_position = 1")


def forget_a_lease(by: Tamperer) -> None:
    by.run("DELETE FROM leases")


def garble_a_state(by: Tamperer) -> None:
    by.run("UPDATE jobs SET state = '{' WHERE job_id = ?", RUNNING_JOB)


def forget_a_job(by: Tamperer) -> None:
    by.run("DELETE FROM jobs WHERE job_id = ?", CANCELLED_JOB)


def invent_a_job(by: Tamperer) -> None:
    by.run("UPDATE jobs SET job_id = ? WHERE job_id = ?", NO_JOB, CANCELLED_JOB)


def lose_the_model(by: Tamperer) -> None:
    shutil.rmtree(by.file("models"))


def edit_the_model(by: Tamperer) -> None:
    (by.file("models") / "model.json").write_bytes(b"[]")


def add_to_the_model(by: Tamperer) -> None:
    (by.file("models") / "virus.bin").write_bytes(b"x")


def replace_the_model(by: Tamperer) -> None:
    (by.file("models") / "SHA256SUMS").write_text("0" * 64 + "  model.json\n")
    for name in ("weights.safetensors", "model.json"):
        (by.file("models") / name).unlink()
    (by.file("models") / "model.json").write_bytes(b"")
    (by.file("models") / "SHA256SUMS").write_text(
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  model.json\n"
    )


def lose_the_prices(by: Tamperer) -> None:
    by.file("prices").unlink()


def edit_the_prices(by: Tamperer) -> None:
    by.file("prices").write_bytes(b"the prices of MSFT")


def lose_the_context(by: Tamperer) -> None:
    (by.home / "prices" / f"{CONTEXT_DIGEST}.npy").unlink()


def overwrite_a_page(by: Tamperer) -> None:
    by.run("PRAGMA wal_checkpoint(TRUNCATE)")
    (page,) = by.run("SELECT rootpage FROM sqlite_master WHERE name = 'events'")[0]
    (size,) = by.run("PRAGMA page_size")[0]
    with (by.home / "ktrdr.db").open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(bytes(range(256)) * (size // 256))


@pytest.mark.parametrize(
    ("damage", "finding"),
    [
        (edit_data, f"event 4 (EpochFinished of job {COMPLETED_JOB}) does not have the hash that was recorded with it"),
        (edit_actor, "event 1 (JobSubmitted of job .*) does not have the hash"),
        (space_out_data, "event 2 (JobClaimed of job .*) has data that is not canonical JSON"),
        (delete_event, "position 3 is missing before event 4"),
        (delete_stretch, "positions 3 to 4 are missing before event 5"),
        (cut_the_tail, f"jobs of job {RUNNING_JOB}: found .*, the log says .*"),
        (skip_a_version, "event 11 (JobClaimed of job .*) has version 5 of its job, after version 1"),
        (
            set_the_clock_back,
            "event 11 was recorded at 2020-.*, before the event that it follows",
        ),
        (
            name_an_unknown_type,
            f"event 3 (JobBlessed of job {COMPLETED_JOB}) cannot be read: .* does not know JobBlessed",
        ),
        (finish_another_way, f"jobs of job {COMPLETED_JOB}: found .*'failed'.*, the log says .*'completed'"),
        (forget_a_label, f"job_terms of job {COMPLETED_JOB}: found "),
        (forget_a_lease, f"leases of job {RUNNING_JOB}: found None"),
        (garble_a_state, f"jobs of job {RUNNING_JOB}: found {{'state': '{{'}}"),
        (forget_a_job, f"jobs of job {CANCELLED_JOB}: found None"),
        (invent_a_job, f"jobs of job {NO_JOB}: found a row, the log says nothing of that id"),
        (lose_the_model, f"the model .* of job {COMPLETED_JOB} is missing"),
        (edit_the_model, f"the model .* of job {COMPLETED_JOB} is damaged: .*model.json has the SHA-256"),
        (add_to_the_model, f"the model .* of job {COMPLETED_JOB} is damaged: .*virus.bin"),
        (replace_the_model, f"the model .* of job {COMPLETED_JOB} was replaced by another one"),
        (lose_the_prices, f"the price data .* of job {COMPLETED_JOB} is missing"),
        (edit_the_prices, f"the price data .* of job {COMPLETED_JOB} was changed"),
        (lose_the_context, f"the price data .* of job {COMPLETED_JOB} .context series RATE. is missing"),
        (overwrite_a_page, "the database file is damaged: "),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_damage_is_found_and_named(store: Store, damage: Callable[[Tamperer], None], finding: str) -> None:
    tamperer = Tamperer(store)
    damage(tamperer)
    tamperer.close()
    verdict = verify(store)
    assert not verdict.is_sound
    pattern = finding.replace("(", r"\(").replace(")", r"\)")
    assert any(re.search(pattern, found) for found in verdict.findings), verdict.findings
    assert verdict.sentence.startswith("not sound: ")


def test_a_sound_log_is_found_sound(store: Store) -> None:
    verdict = verify(store)
    assert (verdict.findings, verdict.left_out) == ((), 0)
    assert (verdict.events, verdict.jobs, verdict.models, verdict.prices) == (LAST, 3, 1, 2)
    assert verdict.sentence == (
        "sound: 11 events of 3 jobs, 1 model and 2 price files verified, nothing is missing or changed"
    )


def test_an_empty_log_is_sound(tmp_path: Path) -> None:
    assert verify(open_store(tmp_path / "home")).is_sound


def test_progress_is_told(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["ktrdr.audit.checking.folding"], "TOLD_EACH", 4)
    seen: list[int] = []
    assert verify(store, seen.append).is_sound
    assert seen == [4, 8, 11]


def test_nothing_is_changed_and_nobody_is_kept_from_writing(store: Store) -> None:
    log = store.open_log()

    def write(_seen: int) -> None:  # while the scan is under way
        log.write(lambda transaction: leases.renew(transaction, RUNNING_JOB, 1))

    before = pages(store)
    assert verify(store, write).is_sound
    log.close()
    assert pages(store)["events"] == before["events"]


def test_more_findings_than_help_are_counted(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["ktrdr.audit.checking.findings"], "MOST_FINDINGS", 2)
    tamperer = Tamperer(store)
    tamperer.run("UPDATE events SET actor = 'client:eve'")
    tamperer.close()
    verdict = verify(store)
    assert (len(verdict.findings), verdict.left_out) == (2, LAST - 2)
    assert verdict.sentence.startswith(f"not sound: {LAST} findings in ")


def pages(store: Store) -> dict[str, list[Any]]:
    with store.engine.connect() as connection:
        return {name: connection.exec_driver_sql(f"SELECT * FROM {name}").fetchall() for name in ("events", "jobs")}
