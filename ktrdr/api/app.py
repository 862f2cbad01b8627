"""The Starlette application: the route table mounted, errors turned into problems, resources opened and closed.

Imports this package's own parts and the store.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response

from ktrdr.api import documentation
from ktrdr.api.access.address import is_loopback
from ktrdr.api.access.gate import Gate
from ktrdr.api.access.headers import SECURITY_HEADERS, Protected
from ktrdr.api.access.known import TokenBook
from ktrdr.api.access.sessions import Sessions
from ktrdr.api.compression import Compressed
from ktrdr.api.compute import Compute
from ktrdr.api.context import Context
from ktrdr.api.correlation import REQUEST_ID, Correlated
from ktrdr.api.dashboard import PAGES
from ktrdr.api.dashboard.sign_in import SIGN_IN_PAGES, guarded
from ktrdr.api.dispatch import routes_of
from ktrdr.api.limits import Limited
from ktrdr.api.observing.exposition import Exposition
from ktrdr.api.observing.following import Following, record_ends
from ktrdr.api.observing.traffic import Observed, Traffic
from ktrdr.api.past import Past
from ktrdr.api.problem_answers import problem_answer
from ktrdr.api.routes import OPERATIONS
from ktrdr.api.tail import Tail
from ktrdr.api.verification import Verification
from ktrdr.api.watch import LogWatch
from ktrdr.disk import trouble_of
from ktrdr.jobs.refusals import RefusalError
from ktrdr.problems import Problem, from_refusal, invalid, storage_full, unavailable
from ktrdr.settings import Settings
from ktrdr.spans import Spans, open_spans
from ktrdr.store import Store
from ktrdr.store.database import DatabaseBusyError, DatabaseUnwritableError
from ktrdr.store.group_commit import GroupCommit
from ktrdr.submission.strategies import StrategyCache
from ktrdr.training.faults import InvalidInputError


def create_app(store: Store, settings: Settings) -> Starlette:
    """The application over an open store."""

    traffic, spans = Traffic(), open_spans("serve")

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        log = store.open_log()
        watch = LogWatch(store)
        exposition = Exposition(store, traffic, partial(record_ends, spans=spans) if spans else None)
        following = Following(watch, exposition) if spans else None
        reader = store.open_reader()
        context = Context(
            settings=settings,
            store=store,
            log=GroupCommit(log, exposition.commit_took),
            reader=reader,
            past=Past(store),
            watch=watch,
            tail=Tail(reader, watch),
            compute=Compute(),
            strategies=StrategyCache(),
            tokens=TokenBook(
                store,
                operator_token=settings.token,
                is_reachable=not is_loopback(settings.host),
                last_change=watch.next_change,
            ),
            sessions=Sessions(store.home / "access"),
            verification=Verification(store.home, settings.database_url),
        )
        app.state.context = context
        app.state.exposition = exposition
        try:
            yield
        finally:
            context.watch.stop()
            context.verification.close()
            context.compute.close()
            if following is not None:
                await following.close()
            await exposition.close()
            await context.watch.close()
            await context.log.close()
            context.past.close()
            context.tokens.close()
            context.reader.close()
            log.close()
            if spans is not None:
                await asyncio.to_thread(spans.close)

    return Starlette(
        routes=[*routes_of(OPERATIONS), *map(guarded, PAGES), *SIGN_IN_PAGES, *documentation.ROUTES],
        middleware=_middleware(settings, traffic, spans),
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


def _middleware(settings: Settings, traffic: Traffic, spans: Spans | None) -> list[Middleware]:
    """What every request passes, outermost first. Each costs some microseconds of a submission's 600."""
    return [
        Middleware(Correlated),
        Middleware(Observed, traffic=traffic, spans=spans, logs_every=settings.access_log),
        Middleware(Protected),
        Middleware(Limited),
        *_cross_origin(settings),
        Middleware(Gate, settings=settings),
        Middleware(Compressed),
    ]


def _cross_origin(settings: Settings) -> list[Middleware]:
    """Lets pages of the named origins ask with a token of their own, never with a cookie of ours."""
    if not settings.cors_origins:
        return []
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins.split(),
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=[
                "Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match", "Last-Event-ID",
                "Prefer", "Traceparent", REQUEST_ID,
            ],
            expose_headers=[
                "ETag", "Link", "Location", "Preference-Applied", "RateLimit", "RateLimit-Policy", "Retry-After",
                REQUEST_ID,
            ],
        )
    ]  # fmt: skip


def _give_problem(request: Request, problem: Exception) -> Response:
    if not isinstance(problem, Problem):
        raise problem
    return problem_answer(problem, request.scope)


def _give_http_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    names = {404: "not-found", 405: "method-not-allowed"}
    details = {
        404: f"nothing is at {request.url.path[:200]}",
        405: f"{request.method} is not possible at {request.url.path[:200]}",
    }
    problem = Problem(
        names.get(error.status_code, "http-error"),
        error.status_code,
        str(error.detail),
        details.get(error.status_code, ""),
        "the document at /openapi.json lists everything" if error.status_code in details else "",
        headers=dict(error.headers or {}),
    )
    return problem_answer(problem, request.scope)


def _give_unwritable(request: Request, error: Exception) -> Response:
    if not isinstance(error, DatabaseUnwritableError):
        raise error
    return problem_answer(storage_full(str(error), error.fix), request.scope)


def _give_disk_trouble(request: Request, error: Exception) -> Response:
    """A file that did not fit, wherever it was written."""
    trouble = trouble_of(error, request.app.state.context.store.home) if isinstance(error, OSError) else None
    if trouble is None:
        raise error  # a mistake of the service
    return problem_answer(storage_full(trouble.detail, trouble.fix), request.scope)


def _give_unexpected(request: Request, _error: Exception) -> Response:
    # The server logs it. Starlette gives this answer outside of every middleware.
    problem = Problem(
        "internal-error",
        500,
        "The service made a mistake",
        "it is in the service's log; nothing was changed",
        headers={REQUEST_ID: request.state.request_id, **SECURITY_HEADERS},
    )
    return problem_answer(problem, request.scope)
