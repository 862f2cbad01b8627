"""The reference of the HTTP API as Markdown, made from the OpenAPI document: docs/http.md.

    python -m ktrdr.api.reference > docs/http.md

Imports the document.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

from ktrdr.api.openapi import document

_HEAD = """\
# The HTTP API

Made from the OpenAPI document that the service itself serves at `/openapi.json`; `/docs` of a running service shows the
same and lets you try it. What holds for every operation:

- Errors are problems (RFC 9457, `application/problem+json`): `type` names a page that says what to do, `errors` lists
  every fault of a request with its place. [All problems](problems.md).
- Every answer carries `X-Request-Id`, and takes one; `traceparent` (W3C Trace Context) is carried on to the workers.
- A repeated `POST` with the same `Idempotency-Key` and body gives the same job; another body under the key is refused.
- Lists come in pages: `limit`, and `next_cursor` or the `Link` header for the page after.
- Streams are server-sent events whose `id` is the position in the log: with `Last-Event-ID` they go on without gap or
  repetition.
- Where tokens are used, `Authorization: Bearer …`; each operation names the scope that it wants.
"""
_METHODS = ("get", "post", "put", "patch", "delete")


def reference() -> str:
    """The whole page."""
    described = document()
    by_tag: dict[str, list[str]] = {}
    for path, operations in described["paths"].items():
        for method in _METHODS:
            if method in operations:
                operation = operations[method]
                entry = "\n".join(_operation(method, path, operation, described["components"]["schemas"]))
                by_tag.setdefault(operation["tags"][0], []).append(entry)
    parts = [_HEAD]
    for tag, entries in by_tag.items():
        parts += [f"## {tag[0].upper()}{tag[1:]}\n", *entries]
    return "\n".join(parts)


def _operation(method: str, path: str, operation: Mapping[str, Any], schemas: Mapping[str, Any]) -> Iterator[str]:
    yield f"### `{method.upper()} {path}`\n"
    yield f"{operation.get('description') or operation['summary']}\n"
    rows = [_parameter(one) for one in operation.get("parameters", ()) if one["in"] != "path"]
    body = operation.get("requestBody", {}).get("content", {})
    for media, content in body.items():
        if name := content.get("schema", {}).get("$ref", "").rpartition("/")[2]:
            rows += list(_fields(schemas[name]))
        else:
            yield f"The body is `{media}`.\n"
    if rows:
        yield "| | where | |\n|---|---|---|\n" + "\n".join(rows) + "\n"
    answers = ", ".join(
        f"{status} {', '.join(f'`{media}`' for media in answer.get('content', ())) or 'without a body'}"
        for status, answer in operation["responses"].items()
        if status < "4"
    )
    refusals = ", ".join(status for status in operation["responses"] if status >= "4")
    yield f"Answers {answers}; refuses with {refusals}.\n" if refusals else f"Answers {answers}.\n"


def _parameter(parameter: Mapping[str, Any]) -> str:
    return _row(parameter["name"], parameter["in"], parameter.get("description", ""), parameter.get("required", False))


def _fields(schema: Mapping[str, Any]) -> Iterator[str]:
    for name, field in schema.get("properties", {}).items():
        yield _row(name, "body", field.get("description", ""), name in schema.get("required", ()))


def _row(name: str, where: str, meaning: str, is_required: bool) -> str:
    text = " ".join(meaning.split()).replace("|", "\\|")
    return f"| `{name}`{' (required)' if is_required else ''} | {where} | {text} |"


if __name__ == "__main__":
    sys.stdout.write(reference())
