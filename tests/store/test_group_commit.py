"""Writes that wait together share a commit; what each of them gets back is its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from job_builders import SUBMITTED
from store_steps import new_job_id

from ktrdr.jobs import decide
from ktrdr.jobs.events import JobId
from ktrdr.jobs.refusals import StaleVersionError, UnknownJobError
from ktrdr.jobs.state import NO_JOB, JobState
from ktrdr.store import Log, Reader
from ktrdr.store.group_commit import LARGEST_GROUP, GroupCommit
from ktrdr.store.log import Operation, Transaction


@pytest.fixture
def commits(log: Log, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many operations each transaction held that was tried."""
    sizes: list[int] = []
    write_all = log.write_all

    def counted(operations: Any) -> Any:
        sizes.append(len(operations))
        return write_all(operations)

    monkeypatch.setattr(log, "write_all", counted)
    return sizes


@pytest.fixture
def group(log: Log) -> Iterator[GroupCommit]:
    group = GroupCommit(log)
    yield group
    group.close()


class Gate:
    """Holds the writing thread inside an operation, so that what comes meanwhile waits together."""

    def __init__(self) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()

    def __call__(self, _transaction: Transaction) -> None:
        self.reached.set()
        assert self.opened.wait(10)


def _submit(job_id: JobId) -> Operation[JobState]:
    return lambda transaction: transaction.change(
        job_id, lambda state: decide.submit(state, SUBMITTED), actor="client:anna"
    )


def _cancel(job_id: JobId) -> Operation[JobState]:
    return lambda transaction: transaction.change(
        job_id, lambda state: decide.request_cancellation(state, by="client:anna", reason=""), actor="client:anna"
    )


def _submit_and_break(transaction: Transaction) -> None:
    transaction.append(replace(NO_JOB, job_id=new_job_id()), [SUBMITTED], actor="client:anna")
    raise RuntimeError("broke after it had written")


async def _together(group: GroupCommit, operations: list[Operation[Any]], meanwhile: Callable[[], None]) -> list[Any]:
    """Writes operations that all wait while another one is written; returns their results and errors."""
    gate = Gate()
    first = asyncio.create_task(group.write(gate))
    await asyncio.to_thread(gate.reached.wait, 10)
    tasks = [asyncio.create_task(group.write(operation)) for operation in operations]
    await asyncio.sleep(0)  # each task puts its operation into the queue
    meanwhile()
    gate.opened.set()
    await first
    return await asyncio.gather(*tasks, return_exceptions=True)


def together(
    group: GroupCommit, operations: list[Operation[Any]], meanwhile: Callable[[], None] = lambda: None
) -> list[Any]:
    return asyncio.run(_together(group, operations, meanwhile))


def test_what_waits_together_is_written_under_one_commit_in_order(
    group: GroupCommit, commits: list[int], reader: Reader
) -> None:
    job_ids = [new_job_id() for _ in range(20)]
    states = together(group, [_submit(job_id) for job_id in job_ids])
    assert [state.job_id for state in states] == job_ids
    assert [row.job_id for row in reader.events(limit=100)] == job_ids
    assert commits == [1, 20]


def test_a_group_has_a_largest_size(group: GroupCommit, commits: list[int], reader: Reader) -> None:
    together(group, [_submit(new_job_id()) for _ in range(LARGEST_GROUP + 10)])
    assert commits == [1, LARGEST_GROUP, 10]
    assert reader.last_position() == LARGEST_GROUP + 10


def test_a_refusal_reaches_its_own_caller_and_its_neighbours_stay_in_one_commit(
    group: GroupCommit, commits: list[int], reader: Reader
) -> None:
    one, unknown, other = (new_job_id() for _ in range(3))
    results = together(group, [_submit(one), _cancel(unknown), _submit(one), _submit(other), _cancel(other)])
    assert [getattr(result, "job_id", None) for result in results] == [one, unknown, one, other, other]
    assert [type(result) for result in results] == [JobState, UnknownJobError, StaleVersionError, JobState, JobState]
    assert reader.status_counts() == {"queued": 1, "cancelled": 1}
    assert commits == [1, 5]


def test_an_operation_that_breaks_after_writing_does_not_undo_its_neighbours(
    group: GroupCommit, commits: list[int], reader: Reader
) -> None:
    before, behind = new_job_id(), new_job_id()
    first, broken, last = together(group, [_submit(before), _submit_and_break, _submit(behind)])
    assert (first.job_id, last.job_id) == (before, behind)
    assert str(broken) == "broke after it had written"
    assert [row.job_id for row in reader.events(limit=10)] == [before, behind]
    assert commits == [1, 3, 1, 1, 1]


def test_a_single_operation_that_breaks_tells_its_caller(group: GroupCommit, reader: Reader) -> None:
    with pytest.raises(RuntimeError, match="broke after it had written"):
        asyncio.run(group.write(_submit_and_break))
    assert reader.last_position() == 0


def test_a_caller_that_went_away_does_no_harm_and_its_operation_is_carried_out(
    group: GroupCommit, reader: Reader
) -> None:
    async def run() -> JobState:
        gate = Gate()
        first = asyncio.create_task(group.write(gate))
        await asyncio.to_thread(gate.reached.wait, 10)
        leaving = [asyncio.create_task(group.write(operation)) for operation in (_submit(left), _submit_and_break)]
        staying = asyncio.create_task(group.write(_submit(stayed)))
        await asyncio.sleep(0)
        for task in [*leaving, first]:
            task.cancel()
        gate.opened.set()
        return await staying

    left, stayed = new_job_id(), new_job_id()
    assert asyncio.run(run()).job_id == stayed
    assert [row.job_id for row in reader.events(limit=10)] == [left, stayed]


def test_a_loop_that_ended_before_its_answer_does_no_harm(group: GroupCommit, reader: Reader) -> None:
    gate, job_id = Gate(), new_job_id()

    async def ask_and_leave() -> None:
        asking = asyncio.create_task(group.write(gate))
        await asyncio.to_thread(gate.reached.wait, 10)
        asking.cancel()

    asyncio.run(ask_and_leave())
    gate.opened.set()
    assert asyncio.run(group.write(_submit(job_id))).job_id == job_id
    assert reader.last_position() == 1


def test_callers_in_two_loops_each_get_their_answer(group: GroupCommit) -> None:
    other, other_result, started = new_job_id(), [], threading.Event()

    async def ask() -> None:
        asking = asyncio.create_task(group.write(_submit(other)))
        await asyncio.sleep(0)
        started.set()
        other_result.append(await asyncio.wait_for(asking, 10))

    thread = threading.Thread(target=lambda: asyncio.run(ask()))

    def start_other_loop() -> None:
        thread.start()
        assert started.wait(10)

    mine = new_job_id()
    (state,) = together(group, [_submit(mine)], meanwhile=start_other_loop)
    thread.join(10)
    assert (state.job_id, [state.job_id for state in other_result]) == (mine, [other])


def test_closing_finishes_what_waits_and_refuses_what_comes_later(log: Log, reader: Reader) -> None:
    group = GroupCommit(log)
    closing = threading.Thread(target=group.close)
    states = together(group, [_submit(new_job_id()) for _ in range(100)], meanwhile=closing.start)
    closing.join(10)
    assert [type(state) for state in states] == [JobState] * 100
    assert reader.last_position() == 100
    with pytest.raises(RuntimeError, match="the log is closed"):
        asyncio.run(asyncio.wait_for(group.write(_submit(new_job_id())), 10))
