"""What every subject has. Imports the standard library only."""

from __future__ import annotations

from dataclasses import dataclass

from ktrdr.jobs.events import Instant, JobId


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Something of the service at one version; version 0 does not exist yet. Every field is plain JSON."""

    #: `kind:name`; its events stand under it in the log.
    id: JobId
    version: int = 0
    #: Position of the last event folded in.
    position: int = 0
    #: When and by whom the last event was recorded.
    updated_at: Instant | None = None
    updated_by: str = ""

    @property
    def name(self) -> str:
        return self.id.partition(":")[2]
