"""What the operator can set while the service runs: where jobs go by default, whose turn it is, how many at once.

Imports jobs and the store's own parts. Each setting is a subject of the log, so that it can be said what held when and
who set it; each job carries what was resolved when it was submitted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ktrdr.jobs.events import Instant, Target
from ktrdr.jobs.queue import Rules
from ktrdr.jobs.service.events import SettingChanged
from ktrdr.jobs.service.settings import Setting
from ktrdr.store.log import Transaction
from ktrdr.store.statements import Statements
from ktrdr.store.subjects import all_subjects

DEFAULT_TARGET, FAIR_BY, CAPS = "default_target", "fair_by", "caps"


@dataclass(frozen=True, slots=True)
class StoredSetting:
    """What was set last; a value of None goes back to the default."""

    value: Any
    changed_at: Instant
    changed_by: str


def read_settings(cursor: Any, statements: Statements) -> dict[str, StoredSetting]:
    """Every setting that was ever set, by name."""
    return {
        setting.name: StoredSetting(setting.value, setting.updated_at or Instant(""), setting.updated_by)
        for setting in all_subjects(cursor, statements, Setting)
    }


def rules_of(settings: Mapping[str, StoredSetting]) -> Rules:
    """Fairness and caps."""
    return Rules(fair_by=_value(settings, FAIR_BY), caps=_value(settings, CAPS) or {})


def default_target_of(settings: Mapping[str, StoredSetting]) -> Target | None:
    """Where jobs go that do not say; None if the environment decides."""
    name = _value(settings, DEFAULT_TARGET)
    return Target(name) if name else None


def put_setting(transaction: Transaction, name: str, value: Any, *, by: str) -> None:
    """Sets one of the settings; None goes back to the default. Who did it is kept either way."""
    changed = SettingChanged(name=name, value=value)
    transaction.change_subject(Setting, name, lambda _: [changed], actor=by)


def _value(settings: Mapping[str, StoredSetting], name: str) -> Any:
    return settings[name].value if name in settings else None
