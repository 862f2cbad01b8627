"""The OpenAPI 3.1 document, made from the route table and the models that validate. Imports pydantic."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from itertools import chain
from typing import Any

from pydantic.json_schema import JsonSchemaMode, models_json_schema

from ktrdr import __version__
from ktrdr.api import examples
from ktrdr.api.answer_schemas import REFERENCE, schema_of
from ktrdr.api.requests import Body
from ktrdr.api.routes import OPERATIONS, Operation

_TOKEN = {
    "type": "http",
    "scheme": "bearer",
    "description": "A token of the service with the scope that the operation names: read, submit (which includes read),"
    " work (of workers) or admin (everything). `ktrdr tokens create` makes one.",
}
_PROBLEM = {
    "type": "object",
    "description": "What went wrong (RFC 9457).",
    "required": ["type", "title", "status", "request_id"],
    "properties": {
        "type": {
            "type": "string",
            "description": "An address of this service: it says what that means and what helps.",
        },
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What went wrong this time."},
        "fix": {"type": "string", "description": "What can be done about it."},
        "request_id": {"type": "string", "description": "As in the header X-Request-Id and the log of the service."},
        "errors": {
            "type": "array",
            "description": "Every fault of the request.",
            "items": {
                "type": "object",
                "required": ["pointer", "path", "detail", "fix"],
                "properties": {
                    "pointer": {"type": "string", "description": "Its place as a JSON Pointer (RFC 6901)."},
                    "path": {"type": "string", "description": "Its place for people: `strategy.training.epochs`."},
                    "detail": {"type": "string", "description": "What is wrong."},
                    "fix": {"type": "string", "description": "What would be right; may be empty."},
                },
            },
        },
    },
    "examples": [examples.PROBLEM],
}
_STATUS_TEXTS = {
    200: "Done", 201: "Stored", 202: "Accepted", 204: "Nothing to give", 206: "A part of the file", 303: "Elsewhere",
    304: "Not changed", 400: "A token in the address", 401: "The service wants a token",
    403: "The token lacks the scope, or a page of another site asks", 404: "Not found",
    409: "The present state does not allow it", 412: "It changed since it was read", 413: "Too large",
    414: "The address is too long", 415: "Not this kind of content", 416: "Nothing is in this range",
    421: "The service does not go by that name", 422: "Not valid; every fault is listed", 429: "Too many requests",
    431: "The headers are too large", 500: "A fault of the service", 503: "Not at the moment", 507: "The disk is full",
}  # fmt: skip
#: What every request can be answered with, whatever it asks.
_ALWAYS = (400, 403, 414, 421, 431, 500)
_TEXT, _SECONDS = {"type": "string"}, {"type": "integer", "minimum": 0}
_ANSWER_HEADERS: dict[str, tuple[dict[str, Any], str]] = {
    "Content-Range": (_TEXT, "Which bytes these are, and of how many."),
    "ETag": (_TEXT, "What the answer can be known by in If-None-Match and, without `W/`, in If-Match."),
    "Link": (_TEXT, 'The next page, as `<address>; rel="next"`; left out on the last.'),
    "Location": (_TEXT, "Address of the job."),
    "Preference-Applied": (_TEXT, "The preference that was honoured: `wait=N`."),
    "Retry-After": (_SECONDS, "Seconds after which it is worth asking again."),
    "WWW-Authenticate": (_TEXT, "How to show a token."),
    "X-Request-Id": (_TEXT, "The id of this request: the client's own, or a new one."),
}
_OF_PROBLEMS = {401: ("WWW-Authenticate",), 429: ("Retry-After",), 503: ("Retry-After",)}
_STREAM = "text/event-stream"


def document() -> dict[str, Any]:
    """The whole document as plain data."""
    bodies = list(dict.fromkeys(operation.body for operation in OPERATIONS if operation.body))
    models: list[tuple[type[Body], JsonSchemaMode]] = [(body, "validation") for body in bodies]
    _, definitions = models_json_schema(models, ref_template=REFERENCE)
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
            "summary": "Trains neuro-fuzzy trading models as jobs. The event log is the truth.",
            "description": "Every error is a problem document (RFC 9457) whose `type` leads to a page of this service. "
            "Every answer carries `X-Request-Id`; a W3C `traceparent` is continued through the job and its worker. "
            "Lists come in pages, which `Link` leads through. What was read can be asked for again with "
            "`If-None-Match`, and changed only as it was with `If-Match`. HEAD is answered like GET without the body.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/", "description": "This service."}],
        "tags": [{"name": name} for name in dict.fromkeys(operation.tag for operation in OPERATIONS)],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "headers": {name: {"description": text, "schema": kind} for name, (kind, text) in _ANSWER_HEADERS.items()},
            "securitySchemes": {"token": _TOKEN},
        },
    }


def name_of(operation: Operation) -> str:
    """The operation's id: `jobs_submit`."""
    return f"{operation.handler.__module__.rpartition('.')[2]}_{operation.name}"


def _operation(operation: Operation, schemas: dict[str, Any]) -> dict[str, Any]:
    # Whatever writes may find the database held by another process, or no room on the disk.
    also = {*operation.problems, *_ALWAYS, *(() if operation.method == "GET" else (503, 507))}
    if operation.scope:
        also |= {401, 429}
    summary, _, more = inspect.cleandoc(operation.handler.__doc__ or "").partition("\n\n")
    described: dict[str, Any] = {
        "operationId": name_of(operation),
        "summary": summary.replace("\n", " "),
        "tags": [operation.tag],
        # A service that has no token wants none.
        "security": [{}, {"token": [str(operation.scope)]}] if operation.scope else [{}],
        "parameters": list(_parameters(operation)),
        "responses": {
            **{
                str(status): _response(operation, status, content, schemas)
                for status, content in operation.gives.items()
            },
            **{str(status): _problem(status) for status in sorted(also - operation.gives.keys())},
        },
    }
    if more:
        described["description"] = more
    if body := _request_body(operation):
        described["requestBody"] = body
    return described


def _request_body(operation: Operation) -> dict[str, Any] | None:
    if operation.body:
        media: dict[str, Any] = {"schema": {"$ref": REFERENCE.format(model=operation.body.__name__)}}
        if example := examples.BODIES.get(name_of(operation)):
            media["example"] = example
        limit = f"At most {operation.body.LIMIT:,} bytes."
        content = {"application/json": media}
        return {"description": limit, "required": not operation.body_is_optional, "content": content}
    if operation.raw_body:
        # Bytes, which a schema of JSON does not describe.
        return {"required": not operation.body_is_optional, "content": {operation.raw_body: {}}}
    return None


def _parameters(operation: Operation) -> Iterable[dict[str, Any]]:
    for name, kind in re.findall(r"{(\w+)(:int)?}", operation.path):
        schema = _PATH_SCHEMAS.get(name, {"type": "string", "minLength": 1})
        if kind:
            schema = {"type": "integer", "minimum": 0}
        yield _parameter(name, "path", schema, operation.path_parameters.get(name, _PATH_TEXTS.get(name, "")), True)
    if operation.query:
        query = operation.query.model_json_schema()
        for name, field in query["properties"].items():
            if "$ref" in field.get("items", {}):
                field["items"] = query["$defs"][field["items"]["$ref"].rpartition("/")[2]]
            description = field.pop("description", "")
            yield _parameter(name, "query", field, description, name in query.get("required", ()))
    for name, description in operation.headers.items():
        yield _parameter(name, "header", {"type": "string"}, description, name in operation.required_headers)


def _parameter(name: str, place: str, schema: dict[str, Any], description: str, required: bool) -> dict[str, Any]:
    schema = {key: value for key, value in schema.items() if key != "title"}
    parameter = {"name": name, "in": place, "required": required, "description": description, "schema": schema}
    if (example := examples.PARAMETERS.get((place, name))) is not None:
        parameter["example"] = example
    return parameter


_PATH_SCHEMAS: dict[str, dict[str, Any]] = {"digest": {"type": "string", "pattern": "^[0-9a-f]{64}$"}}
_PATH_TEXTS = {
    "job_id": "The id of a job.",
    "lease_epoch": "The lease of the job, as its claim gave it.",
    "digest": "SHA-256 of the file, 64 hexadecimal digits.",
    "name": "The name.",
}


def _response(operation: Operation, status: int, content: Any, schemas: dict[str, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "description": _STATUS_TEXTS[status],
        "headers": _headers(*operation.sends.get(status, ())),
    }
    kinds = content if isinstance(content, tuple) else () if content is None else (content,)
    if kinds:
        described["content"] = dict(chain.from_iterable(_content(kind, schemas).items() for kind in kinds))
    return described


def _content(kind: Any, schemas: dict[str, Any]) -> dict[str, Any]:
    """The media type of an answer, with what it holds."""
    if kind == _STREAM:
        text = (
            "Server-sent events, without end or until the job has ended: `id` is the position of an event, `event` its "
            "type, `data` the event as the page has it. After a break, Last-Event-ID resumes without gap or repetition."
            " A comment comes every 15 seconds of silence, and `server-stopping` before the service stops."
        )
        return {_STREAM: {"schema": {"type": "string", "description": text}, "example": examples.EVENT_STREAM}}
    if isinstance(kind, str):
        if kind.partition(";")[0].endswith("json"):
            return {kind: {"schema": {"type": "object"}}}
        return {kind: {"schema": {"type": "string"}} if kind.startswith("text/") else {}}
    return {"application/json": {"schema": schema_of(kind, schemas)}}


def _problem(status: int) -> dict[str, Any]:
    schema = {"$ref": REFERENCE.format(model="Problem")}
    return {
        "description": _STATUS_TEXTS[status],
        "headers": _headers(*_OF_PROBLEMS.get(status, ())),
        "content": {"application/problem+json": {"schema": schema}},
    }


def _headers(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in ("X-Request-Id", *names)}
