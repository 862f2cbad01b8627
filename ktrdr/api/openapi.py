"""The OpenAPI 3.1 document, made from the route table and the models that validate. Imports pydantic."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import chain
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from ktrdr import __version__
from ktrdr.api.requests import Body
from ktrdr.api.routes import OPERATIONS, Operation

_REFERENCE = "#/components/schemas/{model}"
_PROBLEM = {
    "type": "object",
    "description": "What went wrong (RFC 9457).",
    "required": ["type", "title", "status"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "fix": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "path", "detail", "fix"],
                "properties": {name: {"type": "string"} for name in ("pointer", "path", "detail", "fix")},
            },
        },
    },
}
_STATUS_TEXTS = {
    200: "Done", 201: "Stored", 202: "Accepted", 204: "Nothing to give", 304: "Not changed",
    401: "The service wants a token", 404: "Not found",
    409: "The present state does not allow it", 413: "Too large", 415: "Not this kind of content",
    422: "Not valid; every fault is listed", 500: "A fault of the service", 503: "Not at the moment",
    507: "The disk is full",
}  # fmt: skip


def document() -> dict[str, Any]:
    """The whole document as plain data."""
    bodies = list(dict.fromkeys(operation.body for operation in OPERATIONS if operation.body))
    models: list[tuple[type[Body], JsonSchemaMode]] = [(body, "validation") for body in bodies]
    _, definitions = models_json_schema(models, ref_template=_REFERENCE)
    schemas = {**definitions.get("$defs", {}), "Problem": _PROBLEM}
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        path = re.sub(r":int}", "}", operation.path)
        paths.setdefault(path, {})[operation.method.lower()] = _operation(operation, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "ktrdr",
            "version": __version__,
            "description": "Trains neuro-fuzzy trading models as jobs. The event log is the truth.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
        # A service that has no token wants none.
        "security": [{}, {"token": []}],
    }


def _operation(operation: Operation, schemas: dict[str, Any]) -> dict[str, Any]:
    # Whatever writes may find the database held by another process, or no room on the disk.
    also = (401, 500) if operation.method == "GET" else (401, 500, 503, 507)
    described: dict[str, Any] = {
        "operationId": f"{operation.handler.__module__.rpartition('.')[2]}_{operation.name}",
        "summary": (operation.handler.__doc__ or "").strip().splitlines()[0],
        "tags": [operation.tag],
        "parameters": list(_parameters(operation)),
        "responses": {
            **{str(status): _response(status, content, schemas) for status, content in operation.gives.items()},
            **{str(status): _problem(status) for status in sorted({*operation.problems, *also})},
        },
    }
    if operation.body:
        schema = {"$ref": _REFERENCE.format(model=operation.body.__name__)}
        described["requestBody"] = {
            "required": not operation.body_is_optional,
            "content": {"application/json": {"schema": schema}},
        }
    elif operation.raw_body:
        described["requestBody"] = {"required": True, "content": {operation.raw_body: {}}}
    return described


def _parameters(operation: Operation) -> Iterable[dict[str, Any]]:
    for name, kind in re.findall(r"{(\w+)(:int)?}", operation.path):
        schema = {"type": "integer", "minimum": 0} if kind else {"type": "string"}
        yield {"name": name, "in": "path", "required": True, "schema": schema}
    if operation.query:
        query = operation.query.model_json_schema()
        for name, field in query["properties"].items():
            if "$ref" in field.get("items", {}):
                field["items"] = query["$defs"][field["items"]["$ref"].rpartition("/")[2]]
            description = field.pop("description", "")
            required = name in query.get("required", ())
            yield {"name": name, "in": "query", "required": required, "description": description, "schema": field}
    for name, description in operation.headers.items():
        yield {
            "name": name,
            "in": "header",
            "required": False,
            "description": description,
            "schema": {"type": "string"},
        }


def _response(status: int, content: Any, schemas: dict[str, Any]) -> dict[str, Any]:
    if content is None:
        return {"description": _STATUS_TEXTS[status]}
    if isinstance(content, tuple):
        media = [_response(status, one, schemas)["content"].items() for one in content]
        return {"description": _STATUS_TEXTS[status], "content": dict(chain.from_iterable(media))}
    if isinstance(content, str):
        return {"description": _STATUS_TEXTS[status], "content": {content: {}}}
    if content is dict:
        schema: dict[str, Any] = {"type": "object"}
    else:
        schema = TypeAdapter(content).json_schema(mode="serialization", ref_template=_REFERENCE)
        schemas.update(schema.pop("$defs", {}))
        schemas[content.__name__] = schema
        schema = {"$ref": _REFERENCE.format(model=content.__name__)}
    return {"description": _STATUS_TEXTS[status], "content": {"application/json": {"schema": schema}}}


def _problem(status: int) -> dict[str, Any]:
    schema = {"$ref": _REFERENCE.format(model="Problem")}
    return {"description": _STATUS_TEXTS[status], "content": {"application/problem+json": {"schema": schema}}}
