"""What the operator can set while the service runs, as a subject of the log. Imports the standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ktrdr.jobs.events import Recorded
from ktrdr.jobs.service.events import SettingChanged
from ktrdr.jobs.service.subject import Subject


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting(Subject):
    #: JSON; None is the default.
    value: Any = None


def setting_changes(_setting: Setting, recorded: Recorded) -> Mapping[str, Any]:
    match recorded.event:
        case SettingChanged(value=value):
            return {"value": value}
    return {}
