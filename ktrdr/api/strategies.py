"""Strategies over HTTP: validate a file, keep it under its name, read it back. Imports the grammar and the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from ktrdr import sample
from ktrdr.api import heavy
from ktrdr.api.conditions import content_tag, is_unchanged, json_answer, require_match, unchanged
from ktrdr.api.context import Context, context_of
from ktrdr.api.requests import Body, read_json
from ktrdr.api.submissions import StrategySource
from ktrdr.problems import invalid, not_found
from ktrdr.store.catalogue import put_strategy
from ktrdr.store.log import Transaction
from ktrdr.submission.strategies import strategy_source
from ktrdr.training.faults import Fault, InvalidInputError
from ktrdr.training.strategy.findings import Path
from ktrdr.training.strategy.language import file_schema
from ktrdr.training.strategy.parse import Parsed, from_mapping, parse, to_mapping
from ktrdr.training.strategy.places import Place, placed, places_of


class StrategyRequest(Body):
    """A strategy file to look at."""

    strategy: StrategySource = Field(description="YAML or JSON text, an object, or the name of a stored one.")
    strict: bool = Field(False, description="Count warnings as faults.")


class StoreRequest(Body):
    """A strategy file to keep."""

    source: str = Field(max_length=500_000, description="The file as YAML or JSON text.")


async def list_strategies(request: Request) -> Response:
    """Names of the stored strategies and of the samples that come with ktrdr."""
    stored = context_of(request).reader.strategy_names()
    return json_answer(request, {"stored": stored, "samples": sorted(sample.strategies())})


async def validate(request: Request) -> Response:
    """Says everything that is wrong with a strategy file, or what it means with every default filled in."""
    asked = await read_json(request, StrategyRequest)
    source = strategy_source(asked.strategy, context_of(request).reader)
    try:
        parsed = (
            parse(source, strict=asked.strict) if isinstance(source, str) else from_mapping(source, strict=asked.strict)
        )
    except InvalidInputError as error:
        places = _places(source)
        return JSONResponse(
            {"valid": False, "errors": _shown(error.faults, places), "warnings": _shown(error.warnings, places)}
        )
    return JSONResponse({"valid": True, "errors": [], **await described(parsed, source, context_of(request))})


async def put(request: Request) -> Response:
    """Keeps a valid strategy file under its name.

    With If-Match in place of that very one only, with `If-None-Match: *` only if there is none. The ETag is that of
    the source, as GET gives it.
    """
    context, name = context_of(request), request.path_params["name"]
    asked = await read_json(request, StoreRequest)
    parsed = parse(asked.source)
    if parsed.strategy.name != name:
        raise invalid([Fault(("source", "name"), f"{parsed.strategy.name!r} is not the name in the address", name)])
    answer = {"name": name, **await described(parsed, asked.source, context)}

    def keep(transaction: Transaction) -> None:
        row = transaction.statements.strategy.run(transaction.cursor, name=name).fetchone()
        require_match(request, content_tag(row[0]) if row else None, f"strategy {name[:80]!r}")
        put_strategy(transaction, name=name, source=asked.source)

    await context.log.write(keep)
    return JSONResponse(answer, headers={"ETag": content_tag(asked.source)})


async def get(request: Request) -> Response:
    """A stored or sample strategy as it was written."""
    name = request.path_params["name"]
    source = context_of(request).reader.strategy_source(name) or sample.strategies().get(name)
    if source is None:
        raise not_found(f"there is no strategy {name[:80]!r}", fix="list them with: ktrdr strategy list")
    etag = content_tag(source)
    if is_unchanged(request, etag):
        return unchanged(etag)
    return PlainTextResponse(source, media_type="application/yaml", headers={"ETag": etag})


async def schema(request: Request) -> Response:
    """The JSON Schema of strategy files, from which editors complete and check them."""
    answer = json_answer(request, file_schema())
    answer.headers["Content-Type"] = "application/schema+json"
    return answer


async def described(parsed: Parsed, source: str | Mapping[str, Any], context: Context) -> dict[str, Any]:
    """What a strategy means, as plain data: every default filled in, its features, its warm-up, its network's size."""
    summary = await context.compute.run(heavy.summarize, parsed.strategy)
    return {
        "warnings": _shown(parsed.warnings, _places(source) if parsed.warnings else {}),
        "strategy": to_mapping(parsed.strategy),
        "features": list(summary.features),
        "warm_up_bars": summary.warm_up_bars,
        "parameters": summary.parameters,
    }


def _places(source: str | Mapping[str, Any]) -> dict[Path, Place]:
    """Where in the text the values stand; a strategy that came as an object has no lines."""
    return places_of(source) if isinstance(source, str) else {}


def _shown(faults: Sequence[Fault], places: Mapping[Path, Place]) -> list[dict[str, Any]]:
    return [placed(fault, places) for fault in faults]
