"""What the operator can set while the service runs: where jobs go by default, whose turn it is, how many at once.

Imports jobs and the store's own parts. Not facts about jobs: each job carries what was resolved when it was submitted.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ktrdr.jobs.events import Instant, Target
from ktrdr.jobs.queue import Rules
from ktrdr.store.log import Transaction
from ktrdr.store.statements import Statements

DEFAULT_TARGET, FAIR_BY, CAPS = "default_target", "fair_by", "caps"


@dataclass(frozen=True, slots=True)
class StoredSetting:
    """What was set last; a value of None goes back to the default."""

    value: Any
    changed_at: Instant
    changed_by: str


def read_settings(cursor: Any, statements: Statements) -> dict[str, StoredSetting]:
    """Every setting that was ever set, by name."""
    rows = statements.settings.run(cursor).fetchall()
    return {name: StoredSetting(json.loads(value), Instant(at), by) for name, value, at, by in rows}


def rules_of(settings: Mapping[str, StoredSetting]) -> Rules:
    """Fairness and caps."""
    return Rules(fair_by=_value(settings, FAIR_BY), caps=_value(settings, CAPS) or {})


def default_target_of(settings: Mapping[str, StoredSetting]) -> Target | None:
    """Where jobs go that do not say; None if the environment decides."""
    name = _value(settings, DEFAULT_TARGET)
    return Target(name) if name else None


def put_setting(transaction: Transaction, name: str, value: Any, *, by: str) -> None:
    """Sets one of the settings; None goes back to the default. Who did it is kept either way."""
    transaction.has_written = True
    transaction.statements.delete_setting.run(transaction.cursor, name=name)
    transaction.statements.insert_setting.run(
        transaction.cursor, name=name, value=json.dumps(value), changed_at=transaction.now, changed_by=by
    )


def _value(settings: Mapping[str, StoredSetting], name: str) -> Any:
    return settings[name].value if name in settings else None
