"""A client of the API: typed operations, safe repetitions, and event streams that survive a restart; sync and async.

Imports this package's own parts. What operations give has the API's own shapes (`ktrdr.api.views`).

    with ktrdr.connect() as client:
        job = client.train("trend_follower", seed=7)
        for happened in job.follow():
            print(happened)                       # epoch 3 of 40: loss 0.6912 train, 0.6920 validation; …
        print(job.result()["model_digest"])
"""

from __future__ import annotations

import os

from ktrdr.client.colours import AsyncClient, Client
from ktrdr.client.errors import (
    ApiError,
    ClientError,
    JobCancelledError,
    JobEndedError,
    JobFailedError,
    MissingLibraryError,
    ServiceUnreachableError,
)
from ktrdr.client.job import AsyncJob, Job
from ktrdr.client.typed_events import Happened, UnknownEvent

__all__ = [
    "ApiError",
    "AsyncClient",
    "AsyncJob",
    "Client",
    "ClientError",
    "Happened",
    "Job",
    "JobCancelledError",
    "JobEndedError",
    "JobFailedError",
    "MissingLibraryError",
    "ServiceUnreachableError",
    "UnknownEvent",
    "connect",
    "connect_async",
]

#: Where a service is unless something is said.
STANDARD_URL = "http://127.0.0.1:8321"


def connect(url: str | None = None, *, token: str | None = None) -> Client:
    """A client of the service at `url`, or else at KTRDR_URL. Close it, or use it in a `with` block. See `Client`."""
    return Client(_address(url), token=token)


def connect_async(url: str | None = None, *, token: str | None = None) -> AsyncClient:
    """The same for asyncio; use it with `async with`. See `AsyncClient`."""
    return AsyncClient(_address(url), token=token)


def _address(url: str | None) -> str:
    return url or os.environ.get("KTRDR_URL", "").strip() or STANDARD_URL
