"""Finished models over HTTP: download one, say where it is from, predict with one. Imports the audit and the store."""

from __future__ import annotations

import asyncio
import logging
from hashlib import sha256
from pathlib import Path
from typing import Any

from pydantic import Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from ktrdr.api import heavy
from ktrdr.api.audit_proofs import with_log
from ktrdr.api.context import Context, context_of, job_id_of
from ktrdr.api.requests import Body, read_json
from ktrdr.audit.bundle import pack
from ktrdr.audit.provenance import provenance_of
from ktrdr.jobs.events import JobId
from ktrdr.jobs.state import JobState, Status
from ktrdr.problems import Problem, conflict, invalid, unavailable
from ktrdr.store import Store
from ktrdr.store.database import NotWrittenError
from ktrdr.submission.stored_data import References, context_of_strategy, find_context, find_prices
from ktrdr.training.faults import Fault
from ktrdr.training.model_directory import PROVENANCE
from ktrdr.training.strategy.parse import from_mapping

logger = logging.getLogger(__name__)

#: What DSSE calls an envelope.
PROVENANCE_TYPE = "application/vnd.dsse.envelope.v1+json"


class Bar(Body):
    time: str = Field(max_length=40, description="When the bar opens, ISO 8601; UTC unless it says otherwise.")
    open: float
    high: float
    low: float
    close: float
    volume: float


class PredictRequest(Body):
    """What to predict from: stored prices of a symbol, or bars."""

    symbol: str | None = Field(None, max_length=64, description="Its newest stored prices.")
    bars: list[Bar] | None = Field(
        None, min_length=1, max_length=100_000, description="Of the base timeframe, oldest first, warm-up included."
    )
    last: int = Field(1, ge=1, le=10_000, description="How many of the newest bars to predict at.")


async def download(request: Request) -> Response:
    """The model's folder as a zip, with the signed statement where it comes from.

    Unpacked, `ktrdr model verify` checks all of it, and `sha256sum -c SHA256SUMS` the model.
    """
    context, job_id = context_of(request), job_id_of(request)
    _, folder = model_of(context, job_id)
    content = await asyncio.to_thread(_zip, folder, context.store, job_id)
    headers = {
        "Content-Disposition": f'attachment; filename="model-{job_id}.zip"',
        "ETag": f'"{sha256(content).hexdigest()}"',
    }
    return Response(content, media_type="application/zip", headers=headers)


async def provenance(request: Request) -> Response:
    """The signed statement where a model comes from: in-toto with SLSA provenance, in a DSSE envelope."""
    context, job_id = context_of(request), job_id_of(request)
    model_of(context, job_id)
    statement = await asyncio.to_thread(_statement, context.store, job_id)
    return Response(statement, media_type=PROVENANCE_TYPE)


async def predict(request: Request) -> Response:
    """Probabilities and decisions of a finished model."""
    context, job_id = context_of(request), job_id_of(request)
    asked = await read_json(request, PredictRequest)
    _, folder = model_of(context, job_id)
    if (asked.symbol is None) == (asked.bars is None):
        raise invalid([Fault((), "exactly one of symbol and bars is needed")])
    strategy = from_mapping(context.reader.submission(job_id).strategy).strategy
    series = files_of(context, "name", find_context(context_of_strategy(strategy), context.reader))
    rows: list[dict[str, Any]]
    if asked.bars is not None:
        bars = [bar.model_dump() for bar in asked.bars]
        rows = await context.compute.run(heavy.predict_bars, folder, bars, series, asked.last)
    else:
        found = find_prices([asked.symbol or ""], strategy.data.timeframes, context.reader)
        prices = files_of(context, "timeframe", found)
        rows = await context.compute.run(heavy.predict, folder, prices, series, asked.last)
    return JSONResponse({"job_id": job_id, "symbol": asked.symbol, "predictions": rows})


def files_of(context: Context, key: str, references: References) -> dict[str, tuple[Path, str]]:
    """The files of stored data, by what the references call them."""
    return {one[key]: (context.store.prices.path(one["digest"]), one["digest"]) for one in references}


def model_of(context: Context, job_id: JobId) -> tuple[str, Path]:
    """The digest and the folder of a completed job's model. Raises a problem for any other job."""
    state: JobState = context.reader.job(job_id)
    if state.status is not Status.COMPLETED or state.model_digest is None:
        fix = "wait until it has completed" if not state.status.is_final else "submit it again"
        raise conflict(f"job {job_id} is {state.status}, so it has no model", fix=fix)
    folder = context.store.models.path(state.model_digest)
    if not folder.exists():
        raise unavailable(f"the model {state.model_digest} is not in {folder.parent}")
    return state.model_digest, folder


def _statement(store: Store, job_id: JobId) -> str:
    return with_log(store, lambda log: str(provenance_of(store, log, job_id)))


def _zip(folder: Path, store: Store, job_id: JobId) -> bytes:
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    try:
        files[PROVENANCE] = _statement(store, job_id).encode()
    except (Problem, NotWrittenError, OSError) as error:
        # A full disk, or a key that is gone, is no reason to keep the model from its owner.
        logger.warning("the model of job %s is given without %s: %s", job_id, PROVENANCE, error)
    return pack(files)
