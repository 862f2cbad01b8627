"""Serving the application over HTTP, and stopping at once although streams are open. Imports uvicorn."""

from __future__ import annotations

import gc
import ipaddress
import signal
import socket

import uvicorn
from starlette.applications import Starlette

from ktrdr.api.app import create_app
from ktrdr.settings import Settings
from ktrdr.store import Store
from ktrdr.training.faults import Fault, InvalidInputError


class _Server(uvicorn.Server):
    """Tells open streams to end before it waits for them: the lifespan, which could, ends only afterwards."""

    def __init__(self, config: uvicorn.Config, app: Starlette) -> None:
        super().__init__(config)
        self._app = app

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._app.state.context.watch.stop()
        await super().shutdown(sockets)


def serve(store: Store, settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT. Raises InvalidInputError for an address that others could reach.

    There is no access control yet, so only this machine may connect.
    """
    check_loopback(settings.host)
    app = create_app(store, settings)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
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


def check_loopback(host: str) -> None:
    """Raises InvalidInputError unless the address belongs to this machine alone."""
    try:
        is_loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback:
        raise InvalidInputError(
            [
                Fault(
                    ("KTRDR_HOST",),
                    f"{host!r} can be reached from other machines, and there is no access control",
                    "listen on 127.0.0.1 and forward the port, for example with: ssh -R",
                )
            ]
        )
