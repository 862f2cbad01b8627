"""Whose turn it is: the queue gives each worker what a naive reading of the rules gives it, by seeks alone."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from job_builders import COMPLETED, SUBMITTED
from sqlalchemy import event
from store_steps import CPU, GPU, beat, change, claim, new_job_id, submit, with_cap

from ktrdr.jobs import decide
from ktrdr.jobs.events import JobId, Target
from ktrdr.jobs.state import JobState
from ktrdr.jobs.workers import WorkerState
from ktrdr.store import Log, Reader, Store, open_store

SHARES = ["", "desk=fx", "desk=rates"]


@dataclass(kw_only=True)
class Job:
    target: Target
    wish: str
    priority: int
    share: str
    job_id: JobId = JobId("")
    #: None while it waits, "" once it has ended.
    worker: str | None = None


@dataclass(frozen=True, kw_only=True)
class Worker:
    name: str
    kind: str
    has_gpu: bool
    state: WorkerState
    slots: int


@dataclass
class Naive:
    """The rules as one would say them, over everything there is."""

    jobs: list[Job]
    workers: list[Worker]
    caps: dict[str, int] = field(default_factory=dict)

    def next_for(self, worker: Worker) -> Job | None:
        running = Counter(job.share for job in self.jobs if job.worker)
        possible = [
            job
            for job in self.jobs
            if job.worker is None
            and job.target in ("auto", worker.kind)
            and running[job.share] < self.caps.get(job.share, self.caps.get("*", 1000))
            and (worker.has_gpu or job.wish == "none" or (job.wish == "prefer" and not self.free_gpu_worker(job)))
        ]
        return min(possible, key=lambda job: (-job.priority, running[job.share], self.jobs.index(job)), default=None)

    def free_gpu_worker(self, job: Job) -> bool:
        return any(
            worker.has_gpu
            and worker.state is WorkerState.ALIVE
            and job.target in ("auto", worker.kind)
            and sum(other.worker == worker.name for other in self.jobs) < worker.slots
            for worker in self.workers
        )


jobs = st.builds(
    Job,
    target=st.sampled_from(Target),
    wish=st.sampled_from(["none", "prefer", "require"]),
    priority=st.integers(0, 1),
    share=st.sampled_from(SHARES),
)
workers = st.lists(
    st.tuples(
        st.sampled_from(["local", "host"]),
        st.booleans(),
        st.sampled_from([WorkerState.ALIVE] * 3 + list(WorkerState)),
        st.integers(1, 2),
    ),
    min_size=1,
    max_size=4,
).map(
    lambda rows: [
        Worker(name=f"w{number}", kind=kind, has_gpu=has_gpu, state=state, slots=slots)
        for number, (kind, has_gpu, state, slots) in enumerate(rows)
    ]
)
caps = st.dictionaries(st.sampled_from(["*", *SHARES[1:]]), st.integers(0, 3), max_size=2)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Log, Reader]]:
    store = open_store(Path(tmp_path_factory.mktemp("turns")))
    log, reader = store.open_log(), store.open_reader()
    yield log, reader
    reader.close()
    log.close()


def _submit_all(log: Log, wanted: list[Job]) -> None:
    def submission(job: Job) -> Callable[[Any], JobState]:
        job.job_id = new_job_id()
        submitted = replace(
            SUBMITTED,
            target=job.target,
            require_gpu=job.wish == "require",
            prefer_gpu=job.wish == "prefer",
            priority=job.priority,
            share=job.share,
        )
        return lambda transaction: transaction.change(
            job.job_id, lambda state: decide.submit(state, submitted), actor="test"
        )

    log.write_all([submission(job) for job in wanted])


def _leave_nothing(log: Log, naive: Naive) -> None:
    for job in naive.jobs:
        if job.worker is None:
            change(log, job.job_id, lambda state: decide.request_cancellation(state, by="", reason=""))
        elif job.worker:
            change(log, job.job_id, _completion)
    log.write(lambda transaction: transaction.cursor.execute("DELETE FROM workers"))
    with_cap(log, {})


def _completion(state: JobState) -> Any:
    return decide.complete(state, state.lease_epoch, COMPLETED)


@settings(max_examples=80, deadline=None)
@given(wanted=st.lists(jobs, min_size=1, max_size=10), present=workers, capped=caps, seed=st.integers(0, 2**32))
def test_each_worker_is_given_what_a_naive_reading_of_the_rules_gives_it(
    shared: tuple[Log, Reader], wanted: list[Job], present: list[Worker], capped: dict[str, int], seed: int
) -> None:
    log, reader = shared
    chance, naive = random.Random(seed), Naive(wanted, present, capped)
    _submit_all(log, wanted)
    with_cap(log, capped, fair_by="desk")
    for worker in present:
        beat(
            log, worker.name, worker.kind, state=worker.state, slots=worker.slots,
            capabilities=GPU if worker.has_gpu else CPU,
        )  # fmt: skip
    for _ in range(2 * len(wanted)):
        running = [job for job in wanted if job.worker]
        if running and chance.random() < 0.3:
            ended = chance.choice(running)
            change(log, ended.job_id, _completion)
            ended.worker = ""
        worker = chance.choice(present)
        expected = naive.next_for(worker)
        assert reader.has_job_for(worker.kind, has_gpu=worker.has_gpu) == (expected is not None)
        falls_back = expected is not None and expected.wish == "prefer" and not worker.has_gpu
        claimed = claim(log, worker.name, worker.kind, GPU if worker.has_gpu else CPU)
        assert (claimed and claimed.job_id) == (expected and expected.job_id)
        if claimed is not None and expected is not None:
            assert bool(claimed.fallback) == falls_back
            expected.worker = worker.name
    _leave_nothing(log, naive)


def test_a_thousand_jobs_of_one_desk_do_not_hold_up_another(log: Log) -> None:
    many = [submit(log, share="desk=rates") for _ in range(20)]
    one = submit(log, share="desk=fx")
    claimed = [claim(log, worker=f"w{number}") for number in range(4)]
    assert [state and state.job_id for state in claimed] == [many[0], one, many[1], many[2]]


def test_a_higher_priority_comes_before_fairness(log: Log) -> None:
    submit(log, share="desk=rates", priority=1)
    claim(log)
    urgent = submit(log, share="desk=rates", priority=1)
    submit(log, share="desk=fx")
    state = claim(log)
    assert state is not None
    assert state.job_id == urgent


def test_a_cap_holds_however_many_workers_ask_at_once(store: Store, log: Log, reader: Reader) -> None:
    with_cap(log, {"desk=rates": 2, "*": 1}, fair_by="desk")
    for share in ("desk=rates", "desk=fx", ""):
        for _ in range(4):
            submit(log, share=share)
    claimed = [claim(log, worker=f"w{number}") for number in range(12)]
    assert Counter(state.share for state in claimed if state) == {"desk=rates": 2, "desk=fx": 1, "": 1}
    assert not reader.has_job_for("local", has_gpu=True)
    with_cap(log, {})
    assert reader.has_job_for("local", has_gpu=False)


FALLBACKS = {
    "no worker with a GPU was alive": lambda log: None,
    "every worker with a GPU was busy": lambda log: (
        beat(log, "g", capabilities=GPU),
        submit(log, priority=9),
        claim(log, "g", capabilities=GPU),
    ),
}


@pytest.mark.parametrize("reason", FALLBACKS)
def test_a_job_that_would_rather_have_a_gpu_falls_back_with_the_reason(log: Log, reader: Reader, reason: str) -> None:
    FALLBACKS[reason](log)
    beat(log, "w1")
    job_id = submit(log, prefer_gpu=True)
    state = claim(log, "w1")
    assert state is not None
    assert (state.job_id, state.fallback) == (job_id, reason)
    claimed: Any = reader.job_events(job_id, limit=9)[-1].recorded.event
    assert claimed.fallback == reason


def test_a_job_that_would_rather_have_a_gpu_waits_for_the_free_one(log: Log) -> None:
    beat(log, "g", kind="host", capabilities=GPU)
    anywhere, local = submit(log, prefer_gpu=True), submit(log, prefer_gpu=True, target=Target.LOCAL)
    state = claim(log, "w1")
    assert state is not None
    assert (state.job_id, state.fallback) == (
        local,
        "no worker with a GPU was alive",
    )  # the free one is of no use to it
    assert claim(log, "w1") is None
    state = claim(log, "g", kind="host", capabilities=GPU)
    assert state is not None
    assert (state.job_id, state.fallback) == (anywhere, "")


def test_a_claim_is_a_few_seeks_however_long_the_queue_is(store: Store) -> None:
    ran: list[str] = []
    event.listen(store.engine, "connect", lambda connection, _record: connection.set_trace_callback(ran.append))
    log = store.open_log()
    for number in range(60):
        submit(log, share=SHARES[number % 3], prefer_gpu=number % 2 == 1, priority=number % 5)
    beat(log, "g", kind="host", capabilities=GPU)
    with store.engine.connect() as connection:
        connection.exec_driver_sql("ANALYZE")  # plans for the queue as it is
    log.close()
    log = store.open_log()
    assert claim(log, "w0") is not None
    ran.clear()
    assert claim(log, "w1") is not None
    asked = [statement for statement in ran if statement.lstrip().startswith("SELECT")]
    plans = {statement: _plan(store, statement) for statement in asked}
    log.close()
    assert sum("jobs_queue" in str(plan) for plan in plans.values()) >= 2 * (1 + len(SHARES))
    for statement, plan in plans.items():
        steps = "; ".join(plan)
        assert "TEMP B-TREE" not in steps, f"{statement}: {steps}"
        assert "SCAN jobs" not in steps, f"{statement}: {steps}"
        assert "SCAN events" not in steps or "LIMIT 1" in statement, f"{statement}: {steps}"
    assert len(asked) < 30


def test_why_a_job_waits_is_found_by_seeks_too(store: Store, log: Log, reader: Reader) -> None:
    for _ in range(3):
        submit(log)
    statements = reader._statements
    for statement in (statements.count_more_urgent, statements.count_earlier, statements.waiting_positions):
        values = dict.fromkeys(statement._names or (), 1)
        with store.engine.connect() as connection:
            arguments = tuple(values[name] for name in statement._names or ())
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement._sql}", arguments).fetchall()
        assert any("jobs_queue (waits_for=?" in row[3] and "SEARCH jobs" in row[3] for row in plan), plan


def _plan(store: Store, statement: str) -> list[str]:
    with store.engine.connect() as connection:
        rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}").fetchall()
    return [row[3] for row in rows]


def _waiting(reader: Reader, job_id: JobId) -> str | None:
    return reader.why_waiting(reader.job(job_id))


def test_a_job_says_why_it_waits(log: Log, reader: Reader) -> None:
    anywhere, hosted = submit(log), submit(log, target=Target.HOST)
    gpu = submit(log, target=Target.HOST, require_gpu=True)
    assert _waiting(reader, anywhere) == "no worker is alive"
    beat(log, "w1", state=WorkerState.STARTING, capabilities={})
    assert _waiting(reader, anywhere) == "no worker is alive yet; one is starting"
    assert _waiting(reader, hosted) == "no host worker is alive"
    beat(log, "w1")
    beat(log, "h1", kind="host")
    assert _waiting(reader, anywhere) == "it is next"
    assert _waiting(reader, hosted) == "one job is before it"
    assert _waiting(reader, gpu) == "no host worker with a GPU is alive; without one the job fails after 30 s"
    beat(log, "h2", kind="host", capabilities=GPU)
    assert _waiting(reader, gpu) == "2 jobs are before it"
    claim(log, "w1")
    assert _waiting(reader, anywhere) is None
    claim(log, "h2", "host", GPU)
    assert _waiting(reader, gpu) == "it is next, and every host worker with a GPU is busy"


def test_a_job_says_that_its_cap_is_reached(log: Log, reader: Reader) -> None:
    beat(log, "w1", slots=9)
    with_cap(log, {"desk=rates": 2}, fair_by="desk")
    first, second, third, other = (submit(log, share="desk=rates") for _ in range(4))
    claim(log, "w1")
    assert _waiting(reader, third) == "one job of desk=rates is before it"
    claim(log, "w1")
    assert _waiting(reader, first) is _waiting(reader, second) is None
    assert _waiting(reader, other) == "the cap of desk=rates (2) is reached"
    with_cap(log, {"*": 1})
    assert _waiting(reader, submit(log)) == "it is next"


def test_what_comes_before_a_job_is_what_is_more_urgent_or_older(log: Log, reader: Reader) -> None:
    beat(log, "w1")
    before = [submit(log, priority=priority, target=target) for priority, target in [(3, "auto"), (5, "local")]]
    job_id = submit(log, priority=3)
    for changes in ({"priority": 2}, {"priority": 3}, {"priority": 5, "share": "desk=fx"}):
        submit(log, **changes)
    assert len(before) == 2
    assert _waiting(reader, job_id) == "2 jobs are before it"


def test_settings_are_read_as_they_were_set(log: Log, reader: Reader) -> None:
    assert (reader.default_target(), reader.rules().caps, reader.settings()) == (None, {}, {})
    with_cap(log, {"desk=fx": 3, "*": 0}, fair_by="desk")
    rules = reader.rules()
    assert (rules.share_of({"desk": "fx"}), rules.share_of({}), rules.fair_by) == ("desk=fx", "", "desk")
    assert [rules.cap_of(share) for share in ("desk=fx", "desk=rates", "")] == [3, 0, 0]
    with_cap(log, {})
    assert reader.rules().cap_of("desk=fx") is None
    assert reader.settings()["caps"].changed_by == "test"
