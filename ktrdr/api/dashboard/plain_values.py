"""Values of plain data as pages show them: short, and whole when pointed at. Imports the audit's word for nothing."""

from __future__ import annotations

import json
import re
from typing import Any

from markupsafe import Markup

from ktrdr.api.dashboard.rendering import NONE, digest
from ktrdr.audit.causes import MISSING

_WIDEST = 60
_DIGEST = re.compile("[0-9a-f]{64}")


def shown_value(value: Any) -> str:
    """A value of a strategy, a digest, or what a job does not have, as HTML."""
    if value is MISSING:
        return NONE
    text = _text(value)
    if _DIGEST.fullmatch(text):
        return digest(text)
    if len(text) <= _WIDEST:
        return text
    return Markup('<span title="{}">{}…</span>').format(text, text[: _WIDEST - 1])


def _text(value: Any) -> str:
    """As people write it: lists with commas, labels as `desk=rates`, whatever is nested as JSON."""
    match value:
        case str():
            return value
        case list() | tuple() if value and all(isinstance(one, str) for one in value):
            return ", ".join(value)
        case dict() if value and all(isinstance(one, str) for one in value.values()):
            return ", ".join(f"{name}={one}" for name, one in value.items())
        case dict() | list() | tuple() if not value:
            return "none"
    return json.dumps(value, ensure_ascii=False)
