"""From the route table to routes: one for each address, which knows all of its methods. Imports starlette.

So HEAD is answered like GET, OPTIONS says what is possible, and the 405 for anything else names all of it.
"""

from __future__ import annotations

from collections.abc import Iterable

from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ktrdr.api.access.callers import Handler, requires
from ktrdr.api.routes import Operation


def routes_of(operations: Iterable[Operation]) -> list[Route]:
    """A route for each address, in the order of the table."""
    by_path: dict[str, dict[str, Handler]] = {}
    for operation in operations:
        handler = requires(operation.scope, operation.handler) if operation.scope else operation.handler
        by_path.setdefault(operation.path, {})[operation.method] = handler
    return [_route(path, handlers) for path, handlers in by_path.items()]


def _route(path: str, handlers: dict[str, Handler]) -> Route:
    if "GET" in handlers:
        handlers = {**handlers, "HEAD": handlers["GET"]}
    allowed = ", ".join(sorted((*handlers, "OPTIONS")))

    async def options(_request: Request) -> Response:
        return Response(status_code=204, headers={"Allow": allowed})

    by_method = {**handlers, "OPTIONS": options}

    async def dispatch(request: Request) -> Response:
        return await by_method[request.method](request)

    return Route(path, dispatch, methods=list(by_method))


class _Number(Convertor[int]):
    """A number of as many digits as make sense; what is longer is no address (Python reads no 5,000 digits)."""

    regex = "[0-9]{1,15}"

    def convert(self, value: str) -> int:
        return int(value)

    def to_string(self, value: int) -> str:
        return str(value)


register_url_convertor("int", _Number())
