"""A witness over HTTP: the one request that it answers. Imports starlette, uvicorn and this package's witness."""

from __future__ import annotations

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from ktrdr.audit.signed.witness import LARGEST_BODY, RefusedError, Witness


def create_app(witness: Witness) -> Starlette:
    """The application: POST /add-checkpoint, and GET / for the witness's key."""

    async def add_checkpoint(request: Request) -> Response:
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > LARGEST_BODY:
                raise HTTPException(413, f"a request has at most {LARGEST_BODY} bytes\n")
        try:
            # On the event loop on purpose: two checkpoints are never judged at once.
            return PlainTextResponse(witness.add(body))
        except RefusedError as refused:
            return Response(refused.body, refused.status, media_type=refused.media_type)

    async def show_key(_request: Request) -> Response:
        return PlainTextResponse(f"{witness.key}\n")

    return Starlette(
        routes=[Route("/add-checkpoint", add_checkpoint, methods=["POST"]), Route("/", show_key, methods=["GET"])]
    )


def serve_witness(witness: Witness, host: str, port: int) -> None:
    """Serves until SIGTERM or SIGINT."""
    app = create_app(witness)
    uvicorn.run(
        app,
        host=host,
        port=port,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=5,
    )
