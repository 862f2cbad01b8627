"""Strategies over HTTP: validate a file, keep it under its name, read it back. Imports the grammar and the store."""

from __future__ import annotations

from typing import Any

from pydantic import Field
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from ktrdr import sample
from ktrdr.api import heavy
from ktrdr.api.context import Context, context_of
from ktrdr.api.requests import Body, read_json
from ktrdr.api.submissions import StrategySource, strategy_source
from ktrdr.problems import invalid, not_found
from ktrdr.store.catalogue import put_strategy
from ktrdr.training.faults import Fault, InvalidInputError
from ktrdr.training.strategy.language import file_schema
from ktrdr.training.strategy.parse import Parsed, from_mapping, parse, to_mapping


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
    return JSONResponse({"stored": stored, "samples": sorted(sample.strategies())})


async def validate(request: Request) -> Response:
    """Says everything that is wrong with a strategy file, or what it means with every default filled in."""
    asked = await read_json(request, StrategyRequest)
    source = strategy_source(asked.strategy, context_of(request).reader)
    try:
        parsed = (
            parse(source, strict=asked.strict) if isinstance(source, str) else from_mapping(source, strict=asked.strict)
        )
    except InvalidInputError as error:
        return JSONResponse({"valid": False, "errors": _shown(error.faults), "warnings": _shown(error.warnings)})
    return JSONResponse({"valid": True, "errors": [], **await _described(parsed, context_of(request))})


async def put(request: Request) -> Response:
    """Keeps a valid strategy file under its name."""
    context, name = context_of(request), request.path_params["name"]
    asked = await read_json(request, StoreRequest)
    parsed = parse(asked.source)
    if parsed.strategy.name != name:
        raise invalid([Fault(("source", "name"), f"{parsed.strategy.name!r} is not the name in the address", name)])
    described = await _described(parsed, context)
    await context.log.write(lambda transaction: put_strategy(transaction, name=name, source=asked.source))
    return JSONResponse({"name": name, **described})


async def get(request: Request) -> Response:
    """A stored or sample strategy as it was written."""
    name = request.path_params["name"]
    source = context_of(request).reader.strategy_source(name) or sample.strategies().get(name)
    if source is None:
        raise not_found(f"there is no strategy {name[:80]!r}", fix="list them with: ktrdr strategy list")
    return PlainTextResponse(source, media_type="application/yaml")


async def schema(request: Request) -> Response:
    """The JSON Schema of strategy files, from which editors complete and check them."""
    return JSONResponse(file_schema(), media_type="application/schema+json")


async def _described(parsed: Parsed, context: Context) -> dict[str, Any]:
    summary = await context.compute.run(heavy.summarize, parsed.strategy)
    return {
        "warnings": _shown(parsed.warnings),
        "strategy": to_mapping(parsed.strategy),
        "features": list(summary.features),
        "warm_up_bars": summary.warm_up_bars,
        "parameters": summary.parameters,
    }


def _shown(faults: tuple[Fault, ...]) -> list[dict[str, str]]:
    return [{"path": fault.dotted, "detail": fault.problem, "fix": fault.fix} for fault in faults]
