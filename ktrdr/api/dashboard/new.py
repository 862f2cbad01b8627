"""The page on which a job is made: strategy editor, data, and everything that a submission can say.

Imports the store and this package's own parts.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode

from pydantic import ValidationError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from ktrdr import sample
from ktrdr.api.context import Context, actor_of, context_of
from ktrdr.api.dashboard.forms import read_form
from ktrdr.api.dashboard.rendering import as_page, page
from ktrdr.api.dashboard.submission import Looked, Typed, look_at, read_typed
from ktrdr.api.datasets import FILE_LIMIT, ImportQuery, import_file
from ktrdr.api.jobs import submit_once
from ktrdr.api.requests import faults_of, read_body
from ktrdr.api.strategies import described
from ktrdr.jobs.state import JobState
from ktrdr.problems import Problem, invalid, unsupported_media_type
from ktrdr.store.catalogue import put_strategy
from ktrdr.store.log import Transaction
from ktrdr.store.reader import PRICES, Dataset, Reader
from ktrdr.training.faults import Fault, InvalidInputError
from ktrdr.training.strategy.model import TIMEFRAMES

#: What stands in the editor at first, and what new strategies begin with.
_FIRST = "trend_follower"
_STARTERS = {"mlp": "a network of dense layers", "lstm": "an LSTM", "gru": "a GRU"}
_STARTER_NAME = "my_strategy"
#: More symbols than these are typed, not ticked.
_MOST_TICKED = 24


@as_page
async def show_new(request: Request) -> Response:
    """The empty form, or one with the strategy that `strategy` names."""
    context = context_of(request)
    chosen = request.query_params.get("strategy", _FIRST)
    source = _source(chosen, request, context.reader)
    told = [] if source is not None else [f"There is no strategy {chosen[:80]!r}; this is {_FIRST}."]
    typed = Typed(strategy=source or sample.strategies()[_FIRST])
    return await _form(request, typed, chosen=chosen if source else _FIRST, told=told)


@as_page
async def submit_new(request: Request) -> Response:
    """What the buttons of the form do: load another strategy, import the sample prices, check, or submit."""
    form = await read_form(request)
    typed, chosen = read_typed(form), form.text("from")
    match form.text("action"):
        case "load":
            source = _source(chosen, request, context_of(request).reader)
            told = [] if source is not None else [f"There is no strategy {chosen[:80]!r}."]
            return await _form(
                request, replace(typed, strategy=typed.strategy if source is None else source), chosen=chosen, told=told
            )
        case "sample":
            notes = await _import_samples(context_of(request))
            return await _form(request, typed, chosen=chosen, done=notes)
        case "check":
            looked = look_at(request, typed)
            return await _form(request, typed, chosen=chosen, looked=looked, with_meaning=True)
        case _:
            return await _submit(request, typed, chosen)


@as_page
async def check_new(request: Request) -> Response:
    """What is wrong with a form as it stands, and what its strategy means, for the page's script."""
    typed = read_typed(await read_form(request))
    looked = look_at(request, typed)
    return page(request, "new_findings.html", **await _findings(request, typed, looked, with_meaning=True))


@as_page
async def import_prices(request: Request) -> Response:
    """Imports a price file that the form uploads; then the page again, or it with what is wrong with the file."""
    context = context_of(request)
    fields, file = await _uploaded(request)
    faults: list[Fault] = []
    if file is None or not file.filename:
        faults.append(Fault(("file",), "no file was chosen", "choose a CSV, gzipped CSV or Parquet file"))
    else:
        try:
            query = ImportQuery(
                filename=file.filename[-255:],
                symbol=fields.get("symbol") or None,
                timeframe=fields.get("timeframe") or None,
                timezone=fields.get("timezone") or "UTC",
            )
            imported = await import_file(context, await file.read(), query)
            return RedirectResponse(f"/new?{urlencode({'imported': _named(imported['datasets'])[:1000]})}", 303)
        except InvalidInputError as error:
            faults += error.faults
        except ValidationError as error:
            faults += faults_of(error)
    typed = Typed(strategy=sample.strategies()[_FIRST])
    return await _form(request, typed, chosen=_FIRST, status=422, file_faults=faults, file_fields=fields)


async def _uploaded(request: Request) -> tuple[dict[str, str], UploadFile | None]:
    """The texts of an uploaded form, and its file."""
    kind = request.headers.get("content-type", "")
    if not kind.startswith("multipart/form-data"):
        raise unsupported_media_type(kind.partition(";")[0], "multipart/form-data")
    body = await read_body(request, FILE_LIMIT)

    async def stream() -> AsyncGenerator[bytes, None]:
        yield body

    try:
        form = await MultiPartParser(request.headers, stream(), max_files=1, max_fields=20).parse()
    except (MultiPartException, KeyError):
        raise invalid([Fault((), "the form cannot be read", "send it as a browser does")]) from None
    texts = {name: value.strip() for name, value in form.items() if isinstance(value, str)}
    file = form.get("file")
    return texts, file if isinstance(file, UploadFile) else None


async def _submit(request: Request, typed: Typed, chosen: str) -> Response:
    """Creates the job and leads to it, or tells what is wrong."""
    context, actor = context_of(request), actor_of(request)
    looked = look_at(request, typed, sha256(repr(typed).encode()).hexdigest())
    submitted, parsed = looked.submitted, looked.parsed
    if submitted is None or parsed is None:
        return await _form(request, typed, chosen=chosen, looked=looked, status=422)

    def create(transaction: Transaction) -> JobState:
        if typed.keep:
            put_strategy(transaction, name=parsed.strategy.name, source=typed.strategy)
        return submit_once(transaction, submitted, actor)

    state = await context.log.write(create)
    return RedirectResponse(f"/jobs/{state.job_id}", 303)


async def _form(
    request: Request,
    typed: Typed,
    *,
    chosen: str,
    looked: Looked | None = None,
    status: int = 200,
    with_meaning: bool = False,
    **values: Any,
) -> Response:
    """The whole page. What the strategy means is left to the page's script unless asked for: it can take a second."""
    context = context_of(request)
    reader = context.reader
    datasets = [one for one in reader.datasets() if one.kind == PRICES]
    if not typed.key:
        typed = replace(typed, key=secrets.token_urlsafe(12))
    # Beside the fields only once somebody has asked for it.
    is_told = looked is not None
    looked = looked or look_at(request, typed)
    defaults: dict[str, Any] = {"told": [], "done": [], "file_faults": [], "file_fields": {}}
    if imported := request.query_params.get("imported"):
        defaults["done"] = [f"Imported: {imported[:1000]}."]
    symbols = sorted({one.symbol for one in datasets})
    return page(
        request,
        "new.html",
        status=status,
        **defaults
        | values
        | await _findings(request, typed, looked, with_meaning=with_meaning)
        | {
            "typed": typed,
            "is_told": is_told,
            "chosen": chosen,
            "starters": _STARTERS,
            "samples": sorted(sample.strategies()),
            "stored": reader.strategy_names(),
            "datasets": datasets,
            "symbols": symbols,
            "are_ticked": len(symbols) <= _MOST_TICKED,
            "timeframes": _timeframes(datasets),
            "default_target": reader.default_target() or context.settings.default_target,
        },
    )


async def _findings(request: Request, typed: Typed, looked: Looked, *, with_meaning: bool) -> dict[str, Any]:
    """What the page says beside the editor."""
    meaning: dict[str, Any] | None = None
    trouble = ""
    if with_meaning and looked.parsed is not None:
        try:
            meaning = await described(looked.parsed, typed.strategy, context_of(request))
        except Problem as problem:  # of the process that computes it: no reason not to show the rest
            trouble = problem.detail
    lint = [
        {"line": fault["line"], "column": fault["column"], "text": _in_words(fault), "severity": severity}
        for severity, found in (("error", looked.strategy_faults), ("warning", looked.warnings))
        for fault in found
    ]
    return {
        "looked": looked,
        "lint": lint,
        "meaning": meaning,
        "trouble": trouble,
        "bars": _bars(looked, context_of(request).reader),
    }


def _in_words(fault: Mapping[str, Any]) -> str:
    text = f"{fault['path']}: {fault['detail']}" if fault["path"] else str(fault["detail"])
    return f"{text}. What helps: {fault['fix']}" if fault["fix"] else text


def _bars(looked: Looked, reader: Reader) -> int | None:
    """How many bars the job's prices have on its shortest timeframe, before any dates are left out."""
    if looked.submitted is None:
        return None
    rows = {one.digest: one.rows for one in reader.datasets()}
    base = min(looked.submitted.timeframes, key=TIMEFRAMES.index)
    return sum(rows.get(price["digest"], 0) for price in looked.submitted.prices if price["timeframe"] == base) or None


def _timeframes(datasets: Sequence[Dataset]) -> list[str]:
    """Those that prices were imported on, the shortest first."""
    return sorted({one.timeframe for one in datasets}, key=TIMEFRAMES.index)


def _source(name: str, request: Request, reader: Reader) -> str | None:
    """The text of a stored or sample strategy, or of one to begin with."""
    kind, _, model = name.partition(":")
    schema = f"{str(request.base_url).rstrip('/')}{sample.SCHEMA_PATH}"
    match model:
        case "mlp" | "lstm" | "gru" if kind == "starter":
            return sample.starter(_STARTER_NAME, model, schema=schema)
    return reader.strategy_source(name) or sample.strategies().get(name)


async def _import_samples(context: Context) -> list[str]:
    imported = await import_file(context, sample.prices(), ImportQuery(filename="prices.csv.gz"))
    return [f"The sample prices were imported: {_named(imported['datasets'])}.", *imported["notes"]]


def _named(datasets: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(f"{one['symbol']} {one['timeframe']}" for one in datasets)
