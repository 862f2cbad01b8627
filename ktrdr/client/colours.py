"""The two ways to carry out what the operations say: waiting, and awaiting. Imports httpx2 and the client's own parts.

Everything that decides something lies elsewhere; these two differ in `await` and in nothing else.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from itertools import count
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, cast

import httpx2

from ktrdr.client.calls import Call, Following, Page, Pages, Plan
from ktrdr.client.errors import ServiceUnreachableError
from ktrdr.client.methods import Asynchronous, Blocking
from ktrdr.client.operations import jobs
from ktrdr.client.retrying import pause_before_repetition
from ktrdr.client.service_methods import ServiceMethods
from ktrdr.client.stream import LARGEST_EVENT_BYTES, Listener
from ktrdr.client.transport import TIMEOUT, http_options, read_outcome, request_of, token_for

if TYPE_CHECKING:
    from ktrdr.api.views import JobView
    from ktrdr.client.job import AsyncJob, Job

T = TypeVar("T")


class Client(ServiceMethods, Blocking):
    """Speaks to one service. Belongs to one thread. Every method raises ApiError and ServiceUnreachableError.

    A service that wants a token gets `token`, or else the one in KTRDR_TOKEN.
    """

    def __init__(self, url: str, *, token: str | None = None) -> None:
        self.url = url.rstrip("/")
        options = http_options(self.url, token_for(self.url, token))
        try:
            self._http = httpx2.Client(**options, timeout=TIMEOUT)
        except httpx2.InvalidURL as error:
            raise ServiceUnreachableError(self.url, error) from None

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Gives the connections back."""
        self._http.close()

    def attach(self, job_id: str) -> Job:
        """A handle of a job that is there already."""
        return self._handle(jobs.job(job_id))

    def _handle(self, plan: Plan[JobView]) -> Job:
        from ktrdr.client.job import Job

        return Job(self, self._perform(plan))

    def _perform(self, plan: Plan[T]) -> T:
        if isinstance(plan, Call):
            return self._answer(plan)
        answer: Any = None
        while True:
            try:
                step = plan.send(answer)
            except StopIteration as end:
                return cast("T", end.value)
            answer = self._answer(step) if isinstance(step, Call) else list(self._iterate(step))

    def _answer(self, call: Call[T]) -> T:
        for repetitions in count():
            outcome: httpx2.Response | httpx2.TransportError
            try:
                outcome = self._http.request(**request_of(call))
            except httpx2.TransportError as error:
                outcome = error
            pause = pause_before_repetition(call, repetitions, outcome)
            if pause is None:
                break
            time.sleep(pause)
        return read_outcome(call, outcome, self.url)

    def _iterate(self, items: Pages[T] | Following[T]) -> Iterator[T]:
        return self._listen(items) if isinstance(items, Following) else self._turn_pages(items)

    def _turn_pages(self, pages: Pages[T]) -> Iterator[T]:
        call: Call[Page[T]] | None = pages.first
        while call is not None:
            page = self._answer(call)
            yield from page.items
            call = page.next

    def _listen(self, following: Following[T]) -> Iterator[T]:
        with Listener(following, self.url, time.monotonic()) as listener:
            while not listener.is_over():
                trouble: httpx2.TransportError | None = None
                timeout = listener.timeout(time.monotonic())
                try:
                    with self._http.stream("GET", listener.path, headers=listener.headers, timeout=timeout) as answer:
                        if answer.is_error:
                            answer.read()
                        listener.opened(answer)
                        if listener.is_over():
                            return
                        for sent in httpx2.EventSource(answer, max_event_size=LARGEST_EVENT_BYTES):
                            yield from listener.heard(sent, time.monotonic())
                            if listener.is_over():
                                return
                except httpx2.TransportError as error:
                    trouble = error
                time.sleep(listener.broke(trouble, time.monotonic()))


class AsyncClient(ServiceMethods, Asynchronous):
    """Speaks to one service from asyncio; any number of calls may be under way at once. Otherwise as `Client`."""

    def __init__(self, url: str, *, token: str | None = None) -> None:
        self.url = url.rstrip("/")
        options = http_options(self.url, token_for(self.url, token))
        try:
            self._http = httpx2.AsyncClient(**options, timeout=TIMEOUT)
        except httpx2.InvalidURL as error:
            raise ServiceUnreachableError(self.url, error) from None

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Gives the connections back."""
        await self._http.aclose()

    async def attach(self, job_id: str) -> AsyncJob:
        """A handle of a job that is there already."""
        return await self._handle(jobs.job(job_id))

    async def _handle(self, plan: Plan[JobView]) -> AsyncJob:
        from ktrdr.client.job import AsyncJob

        return AsyncJob(self, await self._perform(plan))

    async def _perform(self, plan: Plan[T]) -> T:
        if isinstance(plan, Call):
            return await self._answer(plan)
        answer: Any = None
        while True:
            try:
                step = plan.send(answer)
            except StopIteration as end:
                return cast("T", end.value)
            answer = await self._answer(step) if isinstance(step, Call) else [one async for one in self._iterate(step)]

    async def _answer(self, call: Call[T]) -> T:
        for repetitions in count():
            outcome: httpx2.Response | httpx2.TransportError
            try:
                outcome = await self._http.request(**request_of(call))
            except httpx2.TransportError as error:
                outcome = error
            pause = pause_before_repetition(call, repetitions, outcome)
            if pause is None:
                break
            await _pause(pause)
        return read_outcome(call, outcome, self.url)

    def _iterate(self, items: Pages[T] | Following[T]) -> AsyncIterator[T]:
        return self._listen(items) if isinstance(items, Following) else self._turn_pages(items)

    async def _turn_pages(self, pages: Pages[T]) -> AsyncIterator[T]:
        call: Call[Page[T]] | None = pages.first
        while call is not None:
            page = await self._answer(call)
            for item in page.items:
                yield item
            call = page.next

    async def _listen(self, following: Following[T]) -> AsyncIterator[T]:
        with Listener(following, self.url, time.monotonic()) as listener:
            while not listener.is_over():
                trouble: httpx2.TransportError | None = None
                timeout = listener.timeout(time.monotonic())
                try:
                    opening = self._http.stream("GET", listener.path, headers=listener.headers, timeout=timeout)
                    async with opening as answer:
                        if answer.is_error:
                            await answer.aread()
                        listener.opened(answer)
                        if listener.is_over():
                            return
                        async for sent in httpx2.EventSource(answer, max_event_size=LARGEST_EVENT_BYTES):
                            for item in listener.heard(sent, time.monotonic()):
                                yield item
                            if listener.is_over():
                                return
                except httpx2.TransportError as error:
                    trouble = error
                await _pause(listener.broke(trouble, time.monotonic()))


async def _pause(seconds: float) -> None:
    import asyncio  # a third of the time that importing the client takes, for those who never await

    await asyncio.sleep(seconds)
