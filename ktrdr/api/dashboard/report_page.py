"""The report of a finished training as a part of its job's page, and as a page of its own. Imports the report.

It is the data of the API's report; the page of the job fetches it once it is there itself.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from ktrdr.api.context import context_of, job_id_of
from ktrdr.api.dashboard import pictures
from ktrdr.api.dashboard.rendering import as_page, page
from ktrdr.api.models import model_of
from ktrdr.problems import not_found
from ktrdr.report.page import by_symbol, confusion, figures, trading

#: Inputs in the picture of their importance.
_MOST_INPUTS = 20


@as_page
async def show_report(request: Request) -> Response:
    """What a model is worth."""
    context, job_id = context_of(request), job_id_of(request)
    digest, folder = model_of(context, job_id)
    values = await asyncio.to_thread(_read, folder / "report.json")
    if values is None:
        raise not_found(f"the model {digest} has no report")
    return page(request, "report_page.html", job=context.reader.job(job_id), **values)


def _read(path: Path) -> dict[str, Any] | None:
    """What the template shows of a report; None if there is none. In a thread: the file has the whole equity curve."""
    if not path.exists():
        return None
    report = json.loads(path.read_bytes())
    metrics = report["metrics"]
    most = report["importance"][:_MOST_INPUTS]
    return {
        "report": report,
        "figures": figures(metrics),
        "trading": trading(metrics["trading"]),
        "by_symbol": by_symbol(report),
        "confusion": confusion(metrics, report["classes"]),
        "equity": pictures.equity(report["equity"]),
        "calibration": pictures.calibration(report["reliability"]) if report["reliability"] else None,
        "importance": pictures.importance(most) if most else None,
        "inputs_left_out": max(len(report["importance"]) - _MOST_INPUTS, 0),
        "memberships": [(one, pictures.memberships(one)) for one in report["fuzzy_sets"]],
    }
