"""Connections to a service, and what an answer becomes: a value or an error. Imports httpx2."""

from __future__ import annotations

import ipaddress
import os
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx2

from ktrdr.client.calls import PREFIX, Call
from ktrdr.client.errors import ApiError, ServiceUnreachableError

__all__ = ["PREFIX", "api_error", "http_options", "open_http", "read_outcome", "request_of", "token_for"]

T = TypeVar("T")
#: Of requests that do not say otherwise.
TIMEOUT = httpx2.Timeout(120, connect=10)


def open_http(url: str, token: str | None, **options: Any) -> httpx2.Client:
    """A connection pool to one service. Raises httpx2.InvalidURL."""
    return httpx2.Client(**http_options(url, token), **options)


def http_options(url: str, token: str | None) -> dict[str, Any]:
    """What a connection pool to one service is made with."""
    return {
        "base_url": url,
        "headers": {"Authorization": f"Bearer {token}"} if token else {},
        # Making a TLS context takes longer than most requests, and no proxy knows this machine's loopback.
        "verify": url.startswith("https:"),
        "trust_env": not _is_loopback(url),
    }


def token_for(url: str, token: str | None) -> str:
    """The token to send: the given one, or that of KTRDR_TOKEN. Raises ServiceUnreachableError if it cannot be sent."""
    token = token or os.environ.get("KTRDR_TOKEN", "").strip()
    if not (token.isascii() and token.isprintable()):  # what refuses it later would repeat it
        raise ServiceUnreachableError(url, "the token is not visible ASCII, so it cannot be sent")
    return token


def request_of(call: Call[Any]) -> dict[str, Any]:
    """A call as httpx2 takes it."""
    request: dict[str, Any] = {
        "method": call.method, "url": call.path, "params": call.params, "headers": call.headers,
        "content": call.content,
    }  # fmt: skip
    if call.json is not None:
        request["json"] = call.json
    if call.timeout is not None:
        request["timeout"] = call.timeout
    return request


def read_outcome(call: Call[T], outcome: httpx2.Response | httpx2.TransportError, url: str) -> T:
    """What the call gives. Raises ApiError and ServiceUnreachableError."""
    if isinstance(outcome, httpx2.TransportError):
        raise ServiceUnreachableError(url, outcome)
    if outcome.is_error and not call.reads_refusals:
        raise api_error(outcome)
    try:
        return call.read(outcome)
    except (ValueError, LookupError, TypeError):
        raise ServiceUnreachableError(url, "what answers there is no ktrdr service") from None


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
