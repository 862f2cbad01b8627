"""The subjects of the service as they stand: settings, tokens, schedules. Imports jobs and the store's statements.

Works on a reader's cursor as on a transaction's.
"""

from __future__ import annotations

import json
from typing import Any, TypeVar, cast

from ktrdr.jobs.service.subject import Subject
from ktrdr.jobs.service.subjects import kind_name, subject_from_data, subject_id
from ktrdr.store.statements import Statements

SubjectType = TypeVar("SubjectType", bound=Subject)


def find_subject(cursor: Any, statements: Statements, subject: type[SubjectType], name: str) -> SubjectType:
    """One subject; version 0 if there is none. Raises ValueError for a name that cannot be one."""
    stream = subject_id(subject, name)
    row = statements.subject.run(cursor, id=stream).fetchone()
    return cast("SubjectType", subject_from_data(json.loads(row[0]))) if row else subject(id=stream)


def all_subjects(cursor: Any, statements: Statements, subject: type[SubjectType]) -> list[SubjectType]:
    """Every subject of a kind, by name."""
    kind = kind_name(subject)
    rows = statements.subjects_between.run(cursor, after=f"{kind}:", before=f"{kind};").fetchall()
    return [cast("SubjectType", subject_from_data(json.loads(row[0]))) for row in rows]


def newest_of(cursor: Any, statements: Statements, subject: type[Subject]) -> int:
    """The position of the newest event about any subject of a kind; 0 if there is none."""
    kind = kind_name(subject)
    return int(statements.newest_of_subjects.run(cursor, after=f"{kind}:", before=f"{kind};").fetchone()[0])
