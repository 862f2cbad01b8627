"""Several processes write at once: every append is there, in order, and nobody sees a lock or waits in vain."""

from __future__ import annotations

import json

from store_steps import differences, let_go, start_process, submit

from ktrdr.jobs.events import JobId
from ktrdr.store import Store

WRITERS, APPENDS = 4, 200
APPEND = """
import json, sys
from pathlib import Path
from job_builders import BATCH
from ktrdr.jobs import decide
from ktrdr.store import open_store
from store_steps import change, claim, submit

log = open_store(Path(sys.argv[1])).open_log()
submit(log)
lease = claim(log, worker=f"w{sys.argv[2]}")
print("ready", flush=True)
input()
for _ in range(int(sys.argv[3])):
    change(log, lease.job_id, lambda state: decide.report(state, lease.lease_epoch, [BATCH]))
print(lease.job_id)
"""


def test_four_processes_append_without_gaps_locks_or_starvation(store: Store) -> None:
    outputs = let_go([start_process(APPEND, store.home, number, APPENDS) for number in range(WRITERS)])
    reader = store.open_reader()
    positions = [event.position for event in reader.all_events(page=300)]
    assert positions == list(range(1, WRITERS * (APPENDS + 2) + 1))
    # None of them has waited for longer than a writer does (WRITE_TURN_SECONDS): it would have ended with an error.
    assert {reader.job(JobId(output.strip())).version for output in outputs} == {APPENDS + 2}
    reader.close()
    assert differences(store) == ()


CLAIM_ALL = """
import json, sys
from pathlib import Path
from ktrdr.store import open_store
from store_steps import claim

log = open_store(Path(sys.argv[1])).open_log()
print("ready", flush=True)
input()
claimed = []
while (state := claim(log, worker=f"w{sys.argv[2]}")) is not None:
    claimed.append(state.job_id)
print(json.dumps(claimed))
"""


def test_workers_that_claim_at_once_get_each_job_exactly_once(store: Store) -> None:
    log = store.open_log()
    submitted = [submit(log) for _ in range(60)]
    log.close()
    outputs = let_go([start_process(CLAIM_ALL, store.home, number) for number in range(3)])
    claimed = [job_id for output in outputs for job_id in json.loads(output)]
    assert sorted(claimed) == sorted(submitted)
