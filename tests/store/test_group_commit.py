"""Writes that wait together share a commit; what each of them gets back is its own."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from typing import Any

import pytest
from job_builders import SUBMITTED
from store_steps import new_job_id, raw

from ktrdr.jobs import decide
from ktrdr.jobs.events import JobId
from ktrdr.jobs.refusals import StaleVersionError, UnknownJobError
from ktrdr.jobs.state import NO_JOB, JobState
from ktrdr.store import Log, Reader, Store, database
from ktrdr.store.database import DatabaseBusyError
from ktrdr.store.group_commit import LARGEST_GROUP, GroupCommit
from ktrdr.store.log import Operation, Transaction


@pytest.fixture
def commits(log: Log, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many operations each transaction held that was tried."""
    sizes: list[int] = []
    try_write_all = log.try_write_all

    def counted(operations: Any) -> Any:
        results = try_write_all(operations)
        if results is not None:
            sizes.append(len(operations))
        return results

    monkeypatch.setattr(log, "try_write_all", counted)
    return sizes


@pytest.fixture
def group(log: Log) -> GroupCommit:
    return GroupCommit(log)


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


async def _together(group: GroupCommit, operations: list[Operation[Any]]) -> list[Any]:
    return await asyncio.gather(*map(group.write, operations), return_exceptions=True)


def together(group: GroupCommit, operations: list[Operation[Any]]) -> list[Any]:
    """Writes operations that wait together; returns their results and errors."""
    return asyncio.run(_together(group, operations))


def test_what_waits_together_is_written_under_one_commit_in_order(
    group: GroupCommit, commits: list[int], reader: Reader
) -> None:
    job_ids = [new_job_id() for _ in range(20)]
    states = together(group, [_submit(job_id) for job_id in job_ids])
    assert [state.job_id for state in states] == job_ids
    assert [row.job_id for row in reader.events(limit=100)] == job_ids
    assert commits == [20]


def test_a_group_has_a_largest_size(group: GroupCommit, commits: list[int], reader: Reader) -> None:
    together(group, [_submit(new_job_id()) for _ in range(LARGEST_GROUP + 10)])
    assert commits == [LARGEST_GROUP, 10]
    assert reader.last_position() == LARGEST_GROUP + 10


def test_a_refusal_reaches_its_own_caller_and_its_neighbours_stay_in_one_commit(
    group: GroupCommit, commits: list[int], reader: Reader
) -> None:
    one, unknown, other = (new_job_id() for _ in range(3))
    results = together(group, [_submit(one), _cancel(unknown), _submit(one), _submit(other), _cancel(other)])
    assert [getattr(result, "job_id", None) for result in results] == [one, unknown, one, other, other]
    assert [type(result) for result in results] == [JobState, UnknownJobError, StaleVersionError, JobState, JobState]
    assert reader.status_counts() == {"queued": 1, "cancelled": 1}
    assert commits == [5]


def test_an_operation_that_breaks_after_writing_does_not_undo_its_neighbours(
    group: GroupCommit, commits: list[int], reader: Reader
) -> None:
    before, behind = new_job_id(), new_job_id()
    first, broken, last = together(group, [_submit(before), _submit_and_break, _submit(behind)])
    assert (first.job_id, last.job_id) == (before, behind)
    assert str(broken) == "broke after it had written"
    assert [row.job_id for row in reader.events(limit=10)] == [before, behind]
    assert commits == [1, 1]  # those that were carried out, each alone


def test_a_single_operation_that_breaks_tells_its_caller(group: GroupCommit, reader: Reader) -> None:
    with pytest.raises(RuntimeError, match="broke after it had written"):
        asyncio.run(group.write(_submit_and_break))
    assert reader.last_position() == 0


def test_a_caller_that_went_away_does_no_harm_and_its_operation_is_carried_out(
    group: GroupCommit, reader: Reader
) -> None:
    async def run() -> JobState:
        leaving = [asyncio.create_task(group.write(operation)) for operation in (_submit(left), _submit_and_break)]
        staying = asyncio.create_task(group.write(_submit(stayed)))
        await asyncio.sleep(0)  # each task puts its operation beside the others
        for task in leaving:
            task.cancel()
        return await staying

    left, stayed = new_job_id(), new_job_id()
    assert asyncio.run(run()).job_id == stayed
    assert [row.job_id for row in reader.events(limit=10)] == [left, stayed]


def test_waiting_for_another_process_leaves_the_loop_free_and_gathers_what_arrives(
    group: GroupCommit, commits: list[int], store: Store
) -> None:
    async def run() -> list[JobState]:
        holder = store.open_log()
        holding, letting_go = threading.Event(), threading.Event()
        elsewhere = threading.Thread(
            target=holder.write, args=(lambda _transaction: (holding.set(), letting_go.wait(60)),)
        )
        elsewhere.start()
        assert holding.wait(60)
        first = asyncio.create_task(group.write(_submit(new_job_id())))
        for _ in range(5):
            await asyncio.sleep(0.005)  # the loop turns although the write waits
        assert not first.done()
        later = [asyncio.create_task(group.write(_submit(new_job_id()))) for _ in range(3)]
        await asyncio.sleep(0)
        letting_go.set()
        states = await asyncio.gather(first, *later)
        elsewhere.join(60)
        holder.close()
        return list(states)

    assert [state.version for state in asyncio.run(run())] == [1] * 4
    assert commits == [4]


def test_a_process_that_never_lets_go_is_told_to_everyone_who_waits(
    group: GroupCommit, store: Store, monkeypatch: pytest.MonkeyPatch, reader: Reader
) -> None:
    monkeypatch.setattr(database, "WRITE_TURN_SECONDS", 0.05)
    holder = raw(store)
    holder.execute("BEGIN IMMEDIATE")
    results = together(group, [_submit(new_job_id()) for _ in range(3)])
    assert [type(result) for result in results] == [DatabaseBusyError] * 3
    holder.execute("ROLLBACK")
    holder.close()
    assert asyncio.run(group.write(_submit(new_job_id()))).version == 1
    assert reader.last_position() == 1


def test_closing_finishes_what_waits_and_refuses_what_comes_later(group: GroupCommit, reader: Reader) -> None:
    async def run() -> list[JobState]:
        waiting = [asyncio.create_task(group.write(_submit(new_job_id()))) for _ in range(100)]
        await asyncio.sleep(0)
        await group.close()
        with pytest.raises(RuntimeError, match="the log is closed"):
            await group.write(_submit(new_job_id()))
        return await asyncio.gather(*waiting)

    assert [type(state) for state in asyncio.run(run())] == [JobState] * 100
    assert reader.last_position() == 100
