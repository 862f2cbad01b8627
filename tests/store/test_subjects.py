"""Settings, tokens and schedules are subjects of the log: their events stand in it, and their rows follow from them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from job_strategies import json_values
from store_steps import differences, raw, submit

from ktrdr.audit.checking.replay import replay
from ktrdr.audit.checking.verify import verify
from ktrdr.jobs.events import JobId
from ktrdr.jobs.service.events import SettingChanged, TokenCreated, TokenRevoked
from ktrdr.jobs.service.settings import Setting
from ktrdr.jobs.service.subjects import fold_subject, no_subject, subject_data, subject_from_data, subject_id
from ktrdr.jobs.service.tokens import Token
from ktrdr.store import Log, Reader, Store

CREATED = TokenCreated(name="ci", scopes=("read", "submit"), hash="ab" * 32, expires_at=None)


def change(log: Log, value: Any, name: str = "caps") -> Setting:
    changed = SettingChanged(name=name, value=value)
    return log.write(
        lambda transaction: transaction.change_subject(Setting, name, lambda _: [changed], actor="client:anna")
    )


def create_token(log: Log, *, revoke: bool = False) -> Token:
    events = [CREATED, TokenRevoked(reason="lost")] if revoke else [CREATED]
    return log.write(lambda transaction: transaction.change_subject(Token, "ci", lambda _: events, actor="operator"))


def test_an_event_of_a_subject_takes_the_next_position_and_says_who(log: Log, reader: Reader) -> None:
    submit(log)
    change(log, {"desk=rates": 2})
    change(log, {"desk=rates": 3})
    submitted, first, second = reader.events(limit=10)
    assert [one.position for one in (submitted, first, second)] == [1, 2, 3]
    assert [(one.job_id, one.version, one.actor) for one in (first, second)] == [
        ("setting:caps", 1, "client:anna"),
        ("setting:caps", 2, "client:anna"),
    ]
    setting = reader.subject(Setting, "caps")
    assert (setting.value, setting.version, setting.position, setting.updated_by) == (
        {"desk=rates": 3}, 2, 3, "client:anna",
    )  # fmt: skip


def test_each_kind_is_read_by_itself(log: Log, reader: Reader) -> None:
    change(log, "desk", name="fair_by")
    token = create_token(log)
    assert reader.subjects(Token) == [token]
    assert token.scopes == ("read", "submit")
    assert [one.name for one in reader.subjects(Setting)] == ["fair_by"]
    assert reader.subject(Token, "other").version == 0


@pytest.mark.parametrize("name", ["", "Caps", "a b", "a:b", "-a", "a" * 64, "ä", 'a"b'])
def test_a_name_that_could_not_stand_in_an_id_is_refused(log: Log, reader: Reader, name: str) -> None:
    with pytest.raises(ValueError, match="1 to 63 characters"):
        change(log, 1, name=name)
    assert reader.last_position() == 0


def test_a_subject_at_any_position_is_a_fold_of_its_events(log: Log, reader: Reader) -> None:
    change(log, 1)
    submit(log)
    change(log, 2)
    history = [one.recorded for one in reader.job_events(JobId("setting:caps"), limit=10)]
    until = [one for one in history if one.position <= 2]
    first = Setting(id=subject_id(Setting, "caps"), version=1, position=1, value=1, updated_by="client:anna")
    assert fold_subject(until, no_subject("setting:caps")) == replace(first, updated_at=history[0].at)
    assert fold_subject(history, no_subject("setting:caps")) == reader.subject(Setting, "caps")


@settings(max_examples=50)
@given(value=json_values)
def test_a_subject_survives_the_journey_through_its_row(value: Any) -> None:
    setting = Setting(id=subject_id(Setting, "caps"), version=3, position=9, value=value)
    assert subject_from_data(subject_data(setting)) == setting


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM subjects",
        "UPDATE subjects SET state = replace(state, 'submit', 'admin')",
        "UPDATE subjects SET version = 7",
    ],
)
def test_a_row_that_does_not_follow_from_the_events_is_found_and_made_again(
    store: Store, log: Log, reader: Reader, damage: str
) -> None:
    right = create_token(log, revoke=True)
    assert verify(store).is_sound
    assert replay(store).is_equal
    connection = raw(store)
    connection.execute(damage)
    connection.close()
    assert "subjects of token:ci: found" in verify(store).findings[0]
    assert not replay(store).is_equal
    assert [one.job_id for one in differences(store)] == ["token:ci"]
    assert reader.subject(Token, "ci") == right
    assert verify(store).is_sound


def test_a_row_without_events_is_found_and_removed(store: Store, log: Log, reader: Reader) -> None:
    create_token(log)
    connection = raw(store)
    connection.execute(
        "INSERT INTO subjects SELECT 'token:planted', version, position, replace(state, ':ci', ':x') FROM subjects"
    )
    connection.close()
    assert verify(store).findings == ("subjects of token:planted: found a row, the log says nothing of that id",)
    assert len(differences(store)) == 1
    assert [token.name for token in reader.subjects(Token)] == ["ci"]


def test_the_state_digest_tells_subjects_apart(store: Store, log: Log) -> None:
    submit(log)
    before = replay(store).state_digest
    create_token(log)
    created = replay(store).state_digest
    gone = TokenRevoked(reason="")
    log.write(lambda transaction: transaction.change_subject(Token, "ci", lambda _: [gone], actor="operator"))
    assert len({before, created, replay(store).state_digest}) == 3


def test_an_event_under_the_wrong_kind_of_id_is_found(store: Store, log: Log) -> None:
    job_id = submit(log)
    create_token(log)
    connection = raw(store)
    for trigger in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        connection.execute(f"DROP TRIGGER {trigger[0]}")
    connection.execute("UPDATE events SET job_id = 'token:aa' WHERE position = 1")
    connection.execute("UPDATE events SET job_id = ? WHERE position = 2", (job_id,))
    connection.close()
    findings = "\n".join(verify(store).findings)
    assert "event 1 (JobSubmitted of token:aa) is an event of a job under the id of something else" in findings
    assert f"event 2 (TokenCreated of job {job_id}) is no event of a job" in findings
