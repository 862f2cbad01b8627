"""What schemathesis does not do to the service: wait for nothing. Long polls are asked to last a moment."""

from __future__ import annotations

from typing import Any

import schemathesis

_MOMENT = 0.05


@schemathesis.hook
def before_call(_context: Any, case: Any, **_kwargs: Any) -> None:
    for asked in (case.query, case.body):
        if isinstance(asked, dict) and isinstance(asked.get("wait"), int | float) and 0 < asked["wait"] <= 60:
            asked["wait"] = _MOMENT
    if "wait" in str((case.headers or {}).get("Prefer", "")):
        case.headers["Prefer"] = "wait=0"
