"""A training that someone asks for, checked in its form but not in its meaning. Imports the event vocabulary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ktrdr.jobs.events import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRequest:
    """The fields of the API's `JobRequest`, which says what each of them means."""

    strategy: str | Mapping[str, Any]
    symbols: Sequence[str] | None = None
    timeframes: Sequence[str] | None = None
    start: str | None = None
    end: str | None = None
    seed: int | None = None
    target: Target | None = None
    require_gpu: bool = False
    prefer_gpu: bool = False
    priority: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)
    max_attempts: int = 3
    strict: bool = False
    checkpoint_every_epochs: int | None = None
    checkpoint_every_seconds: float | None = 30
