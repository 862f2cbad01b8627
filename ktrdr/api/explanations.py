"""Why a finished model says what it says, over HTTP. Imports the store and this package's own parts."""

from __future__ import annotations

from pydantic import Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ktrdr.api import heavy
from ktrdr.api.context import context_of, job_id_of
from ktrdr.api.models import files_of, model_of
from ktrdr.api.requests import Body, read_json
from ktrdr.submission.stored_data import context_of_strategy, find_context, find_prices
from ktrdr.training.strategy.parse import from_mapping


class ExplainRequest(Body):
    """What to explain: a bar of a symbol's stored prices, and how the model uses its inputs over the newest bars."""

    symbol: str = Field(max_length=64)
    at: str | None = Field(None, max_length=40, description="The bar that is open then, ISO 8601; else the newest.")
    last: int = Field(200, ge=1, le=2_000, description="So many bars up to it say how the model uses its inputs.")


async def explain(request: Request) -> Response:
    """Which memberships fired, what each contributed to the decision, and the strongest rules in words."""
    context, job_id = context_of(request), job_id_of(request)
    asked = await read_json(request, ExplainRequest)
    _, folder = model_of(context, job_id)
    strategy = from_mapping(context.reader.submission(job_id).strategy).strategy
    series = files_of(context, "name", find_context(context_of_strategy(strategy), context.reader))
    prices = files_of(context, "timeframe", find_prices([asked.symbol], strategy.data.timeframes, context.reader))
    explanation = await context.compute.run(heavy.explain, folder, prices, series, asked.at, asked.last)
    return JSONResponse({"job_id": job_id, "symbol": asked.symbol, **explanation})
