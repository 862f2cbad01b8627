"""The Starlette application: the route table mounted, errors turned into problems, resources opened and closed.

Imports this package's own parts and the store.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ktrdr.api.access import TokenRequired
from ktrdr.api.compute import Compute
from ktrdr.api.context import Context
from ktrdr.api.openapi import document
from ktrdr.api.past import Past
from ktrdr.api.routes import OPERATIONS
from ktrdr.api.submissions import StrategyCache
from ktrdr.api.watch import LogWatch
from ktrdr.disk import trouble_of
from ktrdr.jobs.refusals import RefusalError
from ktrdr.problems import Problem, from_refusal, invalid, storage_full, unavailable
from ktrdr.settings import Settings
from ktrdr.store import Store
from ktrdr.store.database import DatabaseBusyError, DatabaseUnwritableError
from ktrdr.store.group_commit import GroupCommit
from ktrdr.training.faults import InvalidInputError


def create_app(store: Store, settings: Settings) -> Starlette:
    """The application over an open store."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        log = store.open_log()
        context = Context(
            settings=settings,
            store=store,
            log=GroupCommit(log),
            reader=store.open_reader(),
            past=Past(store),
            watch=LogWatch(store),
            compute=Compute(),
            strategies=StrategyCache(),
        )
        app.state.context = context
        try:
            yield
        finally:
            context.watch.stop()
            context.compute.close()
            await context.watch.close()
            await context.log.close()
            context.past.close()
            context.reader.close()
            log.close()

    routes = [Route(operation.path, operation.handler, methods=[operation.method]) for operation in OPERATIONS]
    return Starlette(
        routes=[*routes, Route("/openapi.json", _openapi)],
        middleware=[Middleware(TokenRequired, token=settings.token)] if settings.token else [],
        lifespan=lifespan,
        exception_handlers={
            Problem: _give_problem,
            RefusalError: lambda request, error: _give_problem(request, from_refusal(error)),
            DatabaseBusyError: lambda request, error: _give_problem(request, unavailable(str(error))),
            DatabaseUnwritableError: _give_unwritable,
            OSError: _give_disk_trouble,
            InvalidInputError: lambda request, error: _give_problem(request, invalid(error.faults)),
            HTTPException: _give_http_error,
            Exception: _give_unexpected,
        },
    )


async def _openapi(_request: Request) -> Response:
    return JSONResponse(document())


def _give_problem(_request: Request, problem: Exception) -> Response:
    if not isinstance(problem, Problem):
        raise problem
    return _response(problem)


def _give_http_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    names = {404: "not-found", 405: "method-not-allowed"}
    details = {
        404: f"nothing is at {request.url.path[:200]}",
        405: f"{request.method} is not possible at {request.url.path[:200]}",
    }
    return _response(
        Problem(
            names.get(error.status_code, "http-error"),
            error.status_code,
            str(error.detail),
            details.get(error.status_code, ""),
            "the document at /openapi.json lists everything" if error.status_code in details else "",
            headers=dict(error.headers or {}),
        )
    )


def _give_unwritable(_request: Request, error: Exception) -> Response:
    if not isinstance(error, DatabaseUnwritableError):
        raise error
    return _response(storage_full(str(error), error.fix))


def _give_disk_trouble(request: Request, error: Exception) -> Response:
    """A file that did not fit, wherever it was written."""
    trouble = trouble_of(error, request.app.state.context.store.home) if isinstance(error, OSError) else None
    if trouble is None:
        raise error  # a mistake of the service
    return _response(storage_full(trouble.detail, trouble.fix))


def _give_unexpected(_request: Request, _error: Exception) -> Response:
    # The server logs it.
    return _response(
        Problem("internal-error", 500, "The service made a mistake", "it is in the service's log; nothing was changed")
    )


def _response(problem: Problem) -> Response:
    return Response(
        json.dumps(problem.document()),
        problem.status,
        {**problem.headers},
        media_type="application/problem+json",
    )
