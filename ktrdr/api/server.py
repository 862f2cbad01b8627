"""Serving the application over HTTP, and stopping at once although streams are open. Imports uvicorn."""

from __future__ import annotations

import gc
import logging
import signal
import socket

import uvicorn
from starlette.applications import Starlette

from ktrdr.api.access.address import check_address
from ktrdr.api.app import create_app
from ktrdr.api.bounded_protocol import BoundedProtocol
from ktrdr.api.observing.traffic import was_logged
from ktrdr.settings import Settings
from ktrdr.store import Store
from ktrdr.store.tokens import has_token

logger = logging.getLogger(__name__)


class _Server(uvicorn.Server):
    """Tells open streams to end before it waits for them: the lifespan, which could, ends only afterwards."""

    def __init__(self, config: uvicorn.Config, app: Starlette) -> None:
        super().__init__(config)
        self._app = app

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._app.state.context.watch.stop()
        await super().shutdown(sockets)


def serve(store: Store, settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT. Raises InvalidInputError if others could reach the address and need no token."""
    if known := check_address(settings.host, has_token=wants_token(store, settings)):
        logger.warning(known)
    logging.getLogger("uvicorn.error").addFilter(_is_news)
    app = create_app(store, settings)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=BoundedProtocol,
        # Its loggers are ours: what they say goes the way of everything else.
        log_config=None,
        log_level="warning",
        access_log=False,
        # There is no proxy whose word about the client could be trusted.
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=5,
    )
    # uvicorn gives a signal on to whoever handled it before, once it has stopped: to stop on request is no failure.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    gc.freeze()  # what was imported stays: no collection between two requests has to walk through it
    _Server(config, app).run()


def _is_news(record: logging.LogRecord) -> bool:
    """Not that a request broke, if that was logged where its id is known."""
    return not (record.exc_info and record.exc_info[1] and was_logged(record.exc_info[1]))


def wants_token(store: Store, settings: Settings) -> bool:
    """Whether there is any token, so that not everyone gets in."""
    if settings.token is not None:
        return True
    reader = store.open_reader()
    try:
        return has_token(reader)
    finally:
        reader.close()
