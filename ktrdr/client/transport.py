"""Requests and answers: what is sent again, and what becomes an error. Imports httpx2."""

from __future__ import annotations

import ipaddress
import os
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, cast
from urllib.parse import urlsplit

import httpx2

PREFIX = "/api/v1"
#: Pauses before a request is sent again.
_PAUSES = (0.1, 0.3, 0.6)


class ApiError(Exception):
    """The service refused the request; everything it said about that is here."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        self.status = status
        self.problem = problem
        self.title = str(problem.get("title") or f"The service answered with status {status}")
        self.detail = str(problem.get("detail") or "")
        self.fix = str(problem.get("fix") or "")
        #: `{path, pointer, detail, fix}` for each fault of the request.
        self.errors: list[dict[str, str]] = list(problem.get("errors") or [])
        super().__init__(self.detail or self.title)


class ServiceUnreachableError(Exception):
    """Nothing answers at the address, or it stopped answering."""

    fix = "start it with: ktrdr up (or say where it is, with --url or KTRDR_URL)"

    def __init__(self, url: str, error: httpx2.HTTPError | httpx2.InvalidURL | str) -> None:
        super().__init__(f"the service at {url} cannot be reached: {error or type(error).__name__}")
        self.url = url


class Transport:
    """One connection pool to one service; it sends the given token, or that of KTRDR_TOKEN, if there is one."""

    def __init__(self, url: str, token: str | None = None) -> None:
        self.url = url
        token = token or os.environ.get("KTRDR_TOKEN", "").strip()
        if not (token.isascii() and token.isprintable()):  # what refuses it later would repeat it
            raise ServiceUnreachableError(url, "the token is not visible ASCII, so it cannot be sent")
        try:
            self._http = open_http(url, token, timeout=httpx2.Timeout(120, connect=10))
        except httpx2.InvalidURL as error:
            raise ServiceUnreachableError(url, error) from None

    def close(self) -> None:
        self._http.close()

    def json(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        """The JSON object that answers a request; otherwise as `send`."""
        return cast("dict[str, Any]", self.send(method, path, **request).json())

    def send(self, method: str, path: str, *, repeatable: bool = True, **request: Any) -> httpx2.Response:
        """Sends a request; again if it surely was not received, or if it may be received twice.

        Raises ApiError and ServiceUnreachableError.
        """
        pauses = iter(_PAUSES)
        while True:
            pause = next(pauses, None)
            try:
                answer = self._http.request(method, PREFIX + path, **request)
            except httpx2.UnsupportedProtocol as error:  # an address that is none
                raise ServiceUnreachableError(self.url, error) from None
            except httpx2.TransportError as error:
                was_not_received = isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout)
                if pause is None or not (repeatable or was_not_received):
                    raise ServiceUnreachableError(self.url, error) from None
            else:
                if not answer.is_error:
                    return answer
                if pause is None or not repeatable or answer.status_code != 503:
                    raise api_error(answer)
            time.sleep(pause)

    def stream(self, path: str, **request: Any) -> AbstractContextManager[httpx2.Response]:
        return self._http.stream("GET", PREFIX + path, **request)

    def ready(self) -> dict[str, Any]:
        """What /readyz says, once. Raises ServiceUnreachableError."""
        try:
            return cast("dict[str, Any]", self._http.get("/readyz", timeout=10).json())
        except httpx2.TransportError as error:
            raise ServiceUnreachableError(self.url, error) from None
        except ValueError:
            raise ServiceUnreachableError(self.url, "what answers there is no ktrdr service") from None


def open_http(url: str, token: str | None, **options: Any) -> httpx2.Client:
    """A connection pool to one service. Raises httpx2.InvalidURL."""
    return httpx2.Client(
        base_url=url,
        headers={"Authorization": f"Bearer {token}"} if token else {},
        # Making a TLS context takes longer than most requests, and no proxy knows this machine's loopback.
        verify=url.startswith("https:"),
        trust_env=not _is_loopback(url),
        **options,
    )


def api_error(answer: httpx2.Response) -> ApiError:
    """The error that a refused request becomes; its body has been read."""
    try:
        problem = answer.json()
    except ValueError:
        problem = None
    if not isinstance(problem, dict):
        fix = "is this the address of a ktrdr service?"
        problem = {"detail": f"{answer.request.url} answered {answer.status_code} {answer.reason_phrase}", "fix": fix}
    return ApiError(answer.status_code, problem)


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
