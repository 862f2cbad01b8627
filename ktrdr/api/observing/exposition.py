"""The figures of the service in Prometheus' text format. Imports prometheus-client and the store.

Everything is read in a thread of its own with a reader of its own, so that a scrape holds up nobody.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from starlette.requests import Request
from starlette.responses import Response

from ktrdr import __version__
from ktrdr.api.observing.durations import Durations
from ktrdr.api.observing.families import FAMILIES, GAUGE, HISTOGRAM, Family
from ktrdr.api.observing.job_figures import JobFigures, OnEnd
from ktrdr.api.observing.loop_lag import LoopLag
from ktrdr.api.observing.traffic import Traffic
from ktrdr.clock import from_instant, system_clock
from ktrdr.jobs.events import Instant
from ktrdr.jobs.queue import WAITING_CLASSES
from ktrdr.jobs.state import Status
from ktrdr.jobs.workers import WorkerState
from ktrdr.store import Store, figures
from ktrdr.store.database import AUTOCHECKPOINT_PAGES
from ktrdr.store.reader import Reader

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_LIVING = (WorkerState.STARTING, WorkerState.ALIVE, WorkerState.DRAINING)
_TAKING = (WorkerState.STARTING, WorkerState.ALIVE)

#: Name of the metric, values of its labels, value.
Sample = tuple[str, tuple[str, ...], float | Durations]


class Exposition:
    """What `/metrics` gives. Made on the event loop, and closed with it."""

    def __init__(self, store: Store, traffic: Traffic, make_on_end: Callable[[Reader], OnEnd] | None = None) -> None:
        """`make_on_end` gives, for the reader here, what is called with each job that has ended."""
        self._store = store
        self._database = Path(str(store.engine.url.database))
        self._reader = store.open_reader()
        on_end = make_on_end(self._reader) if make_on_end else None
        self._jobs = JobFigures(self._reader, figures.newest_moment(store.engine), on_end)
        self._traffic = traffic
        self._lag = LoopLag()
        self._one_at_a_time = asyncio.Lock()
        self._commits, self._operations = Durations(), 0
        #: Of each lease (job and epoch), how often it was renewed and when, by the steady clock, that was seen.
        self._leases: dict[tuple[str, int], tuple[int, float]] = {}
        self._renewals = 0
        #: Since when, by the steady clock, more of the write-ahead log waits than a checkpoint leaves.
        self._held_up_since: float | None = None
        self._moved_pages = 0
        self._scrape_seconds = 0.0
        self._registry = CollectorRegistry()
        ProcessCollector(namespace="ktrdr", registry=self._registry)
        self._registry.register(self)

    def commit_took(self, seconds: float, operations: int) -> None:
        """Notes a commit of this process. For `GroupCommit`."""
        self._commits.observe(seconds)
        self._operations += operations

    async def text(self) -> bytes:
        """Every metric, as of now."""
        async with self._one_at_a_time:
            return await asyncio.to_thread(self._scrape)

    async def catch_up(self) -> None:
        """Counts what has happened to jobs, without telling it."""
        async with self._one_at_a_time:
            await asyncio.to_thread(self._jobs.catch_up)

    async def close(self) -> None:
        self._lag.stop()
        async with self._one_at_a_time:
            self._reader.close()

    def _scrape(self) -> bytes:
        started = time.perf_counter()
        self._jobs.catch_up()
        told = generate_latest(self._registry)
        self._scrape_seconds = time.perf_counter() - started
        return told

    def describe(self) -> list[Metric]:
        """Nothing: prometheus-client asks at registration, before there is anything to collect."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Every metric of ours that has a value, for prometheus-client."""
        found: dict[str, Any] = {}
        for name, labels, value in self._samples():
            family = FAMILIES[name]
            metric = found.get(name) or found.setdefault(name, _metric(family))
            if isinstance(value, Durations):
                metric.add_metric(labels, buckets=value.cumulative(), sum_value=value.sum)
            else:
                metric.add_metric(labels, value)
        yield from found.values()

    def _samples(self) -> Iterator[Sample]:
        yield "ktrdr_build_info", (__version__,), 1
        yield "ktrdr_scrape_seconds", (), self._scrape_seconds
        yield "ktrdr_event_loop_lag_seconds", (), self._lag.take()
        yield from self._of_jobs()
        yield from self._of_training()
        yield from self._of_queue_and_workers()
        yield from self._of_leases(time.monotonic())
        yield from self._of_log()
        yield from self._of_database(time.monotonic())
        yield from self._of_traffic()

    def _of_jobs(self) -> Iterator[Sample]:
        jobs = self._jobs
        for status in Status:
            yield "ktrdr_jobs", (status,), jobs.statuses[status]
            if status.is_final:
                yield "ktrdr_jobs_ended_total", (status,), jobs.statuses[status]
        yield "ktrdr_jobs_submitted_total", (), jobs.submitted
        yield from _counted("ktrdr_claims_total", jobs.claims)
        yield from _counted("ktrdr_requeues_total", jobs.requeues)
        yield from _counted("ktrdr_failures_total", jobs.failures)
        yield from _counted("ktrdr_cancellations_total", jobs.cancellations)
        yield from _counted("ktrdr_events_total", jobs.events)
        yield "ktrdr_submit_to_claim_seconds", (), jobs.until_claim
        yield "ktrdr_cancel_to_end_seconds", (), jobs.until_cancelled
        yield from _counted("ktrdr_attempt_seconds", jobs.attempts)

    def _of_training(self) -> Iterator[Sample]:
        jobs = self._jobs
        yield from _counted("ktrdr_stage_seconds", jobs.stages)
        yield from _counted("ktrdr_training_epochs_total", jobs.epochs)
        yield from _counted("ktrdr_training_batches_total", jobs.batches)
        yield from _counted("ktrdr_training_samples_total", jobs.samples)
        yield from _counted("ktrdr_training_epoch_seconds", jobs.epoch_seconds)

    def _of_queue_and_workers(self) -> Iterator[Sample]:
        waiting = {one.waits_for: one for one in figures.queue(self._reader)}
        for waits_for in WAITING_CLASSES:  # those without jobs too: an alarm needs to know that there are none
            found = waiting.get(waits_for)
            yield "ktrdr_queue_jobs", (waits_for,), found.jobs if found else 0
            yield "ktrdr_queue_oldest_seconds", (waits_for,), _age(found.oldest) if found else 0
        silence: dict[str, float] = {}
        slots, busy = dict.fromkeys(("local", "host"), 0), dict.fromkeys(("local", "host"), 0)
        for crew in figures.crews(self._reader):
            yield "ktrdr_workers", (crew.kind, crew.state), crew.workers
            busy[crew.kind] = busy.get(crew.kind, 0) + crew.busy
            if crew.state in _TAKING:
                slots[crew.kind] = slots.get(crew.kind, 0) + crew.slots
            if crew.state in _LIVING:
                silence[crew.kind] = max(silence.get(crew.kind, 0.0), _age(crew.heard_at))
        yield from _counted("ktrdr_worker_slots", slots)
        yield from _counted("ktrdr_worker_slots_busy", busy)
        yield from _counted("ktrdr_worker_silence_seconds", silence)

    def _of_leases(self, now: float) -> Iterator[Sample]:
        seen: dict[tuple[str, int], tuple[int, float]] = {}
        for lease, renewals in self._reader.renewals().items():
            before, at = self._leases.get(lease, (0, now))
            self._renewals += renewals - before
            seen[lease] = (renewals, now if renewals != before else at)
        self._leases = seen
        yield "ktrdr_lease_renewals_total", (), self._renewals
        yield "ktrdr_lease_silence_seconds", (), max((now - at for _, at in seen.values()), default=0.0)

    def _of_log(self) -> Iterator[Sample]:
        size = self._reader.last_position()
        yield "ktrdr_log_events", (), size
        signed = figures.newest_signature(self._reader)
        yield "ktrdr_log_unsigned_events", (), size - (signed[0] if signed else 0)
        if signed:
            yield "ktrdr_log_signed_seconds", (), _age(signed[1])
        yield "ktrdr_commit_seconds", (), self._commits
        yield "ktrdr_commit_operations_total", (), self._operations

    def _of_database(self, now: float) -> Iterator[Sample]:
        yield "ktrdr_database_bytes", (), _size(self._database)
        yield "ktrdr_wal_bytes", (), _size(self._database.with_name(f"{self._database.name}-wal"))
        pages, moved = figures.wal_frames(self._reader)
        yield "ktrdr_wal_pages", (), pages
        yield "ktrdr_wal_unmoved_pages", (), pages - moved
        # Each commit beyond so many pages moves all of them, unless somebody reads at a moment before.
        is_held_up = pages - moved > AUTOCHECKPOINT_PAGES
        if not is_held_up:
            self._held_up_since = None
        elif self._held_up_since is None or moved != self._moved_pages:
            self._held_up_since = now
        self._moved_pages = moved
        yield "ktrdr_oldest_reader_seconds", (), 0.0 if self._held_up_since is None else now - self._held_up_since
        yield "ktrdr_disk_free_bytes", (), shutil.disk_usage(self._store.home).free

    def _of_traffic(self) -> Iterator[Sample]:
        # Copied whole, because the event loop goes on counting.
        for (method, route, status), requests in list(self._traffic.requests.items()):
            yield "ktrdr_http_requests_total", (method, route, str(status)), requests
        for labels, seconds in list(self._traffic.seconds.items()):
            yield "ktrdr_http_request_seconds", labels, seconds
        for sort, requests in list(self._traffic.in_progress.items()):
            yield "ktrdr_http_in_progress", (sort,), requests


async def metrics(request: Request) -> Response:
    """Figures of the service in Prometheus' text format."""
    exposition: Exposition = request.app.state.exposition
    return Response(await exposition.text(), media_type=CONTENT_TYPE)


def _metric(family: Family) -> CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily:
    if family.kind == GAUGE:
        return GaugeMetricFamily(family.name, family.meaning, labels=family.labels)
    if family.kind == HISTOGRAM:
        return HistogramMetricFamily(family.name, family.meaning, labels=family.labels)
    return CounterMetricFamily(family.name, family.meaning, labels=family.labels)


Labelled = Mapping[str, int] | Mapping[str, float] | Mapping[str, Durations]


def _counted(name: str, by_label: Labelled) -> Iterator[Sample]:
    for label in list(by_label):  # the event loop may add to it meanwhile
        yield name, (label,), by_label[label]


def _age(instant: Instant) -> float:
    """Seconds since a recorded moment; none if the clock was set back since."""
    return max(0.0, (system_clock() - from_instant(instant)).total_seconds())


def _size(file: Path) -> int:
    # Asked of the folder: to open and close a database file would let go of every lock that this process has on it.
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0
