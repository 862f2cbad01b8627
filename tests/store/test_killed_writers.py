"""Writers that are killed at any moment lose nothing that they had acknowledged and leave nothing half done."""

from __future__ import annotations

import random
import subprocess

from store_steps import differences, start_process, submit

from ktrdr.jobs.events import JobId
from ktrdr.store import Store

ROUNDS, WRITERS = 5, 3
APPEND_AND_ACKNOWLEDGE = """
import sys
from pathlib import Path
from job_builders import BATCH
from ktrdr.jobs import decide
from ktrdr.store import open_store
from store_steps import change, claim, submit

log = open_store(Path(sys.argv[1])).open_log()
while True:
    print(submit(log), 1, flush=True)
    lease = claim(log)
    for _ in range(3):
        state = change(log, lease.job_id, lambda state: decide.report(state, lease.lease_epoch, [BATCH, BATCH]))
        print(lease.job_id, state.version, flush=True)
"""


def _read(process: subprocess.Popen[str], lines: int) -> list[str]:
    assert process.stdout is not None
    return [process.stdout.readline() for _ in range(lines)]


def test_acknowledged_events_survive_the_death_of_their_writers(store: Store) -> None:
    chance = random.Random(15)
    reader = store.open_reader()
    acknowledged: dict[JobId, int] = {}
    for _ in range(ROUNDS):
        writers = [start_process(APPEND_AND_ACKNOWLEDGE, store.home) for _ in range(WRITERS)]
        lines: list[str] = []
        for writer in writers:  # each is killed in the midst of its work, the others beside it still at theirs
            lines += _read(writer, chance.randint(1, 60))
            assert reader.last_position() > 0
        for writer in writers:
            writer.kill()
            with writer:
                lines += writer.stdout or []
        for line in lines:
            if line.endswith("\n"):
                job_id, version = line.split()
                acknowledged[JobId(job_id)] = max(int(version), acknowledged.get(JobId(job_id), 0))
        assert all(reader.job(job_id).version >= version for job_id, version in acknowledged.items())
        positions = [event.position for event in reader.all_events()]
        assert positions == list(range(1, len(positions) + 1))
        assert differences(store) == ()
    assert len(acknowledged) > ROUNDS * WRITERS
    reader.close()
    log = store.open_log()
    submit(log)
    log.close()
