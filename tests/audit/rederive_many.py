"""Makes many jobs of all kinds with a real service and trains each of them again.

`python tests/audit/rederive_many.py` prints one line per job and the total; exit code 1 unless every one is identical.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))

from ended_jobs import KINDS, cancelled_then_retried, completed, failed, forked, resumed
from running_service import RunningService

from ktrdr.audit.rederivation.rederive import Outcome, rederive
from ktrdr.jobs.events import JobId
from ktrdr.store import open_store


def make_jobs(service: RunningService) -> Iterator[tuple[str, str]]:
    """Name and id of each job, as soon as it has ended."""
    service.start("serve", "worker", "scheduler", "host-worker")
    service.import_samples()
    for kind in KINDS:
        parent = completed(service, kind)
        yield kind, parent
        yield f"{kind}, on a host worker", completed(service, kind, target="host", seed=4)
        yield f"{kind}, resumed", resumed(service, kind)
        cancelled, retried = cancelled_then_retried(service, kind)
        yield f"{kind}, cancelled", cancelled
        yield f"{kind}, retried from its checkpoint", retried
        yield f"{kind}, a fork", forked(service, parent)
    yield "mlp, failed", failed(service)
    gone = completed(service, "mlp", seed=77)
    yield "mlp, a fork whose origin is gone", forked(service, gone)
    for checkpoint in service.client.checkpoints(gone):
        (service.home / "checkpoints" / f"{checkpoint['digest']}.safetensors").unlink()
    service.stop("worker")
    service.start("worker", KTRDR_NUMERICS="portable")
    for kind in KINDS:
        yield f"{kind}, with portable numerics", completed(service, kind)


def main() -> int:
    folder = Path(tempfile.mkdtemp(prefix="ktrdr-many-"))
    service = RunningService(folder / "home")
    try:
        jobs = list(make_jobs(service))
    finally:
        service.close()
    store = open_store(service.home)
    outcomes: Counter[Outcome] = Counter()
    for name, job_id in jobs:
        verdict = rederive(store, JobId(job_id))
        outcomes[verdict.outcome] += 1
        print(f"{name}: {verdict.sentence} ({verdict.seconds:.1f} s)", *verdict.notes, sep="\n  ", flush=True)
    print(f"{len(jobs)} jobs: " + ", ".join(f"{outcomes[outcome]} {outcome}" for outcome in Outcome))
    store.engine.dispose()
    shutil.rmtree(folder)
    return 0 if outcomes[Outcome.IDENTICAL] == len(jobs) else 1


if __name__ == "__main__":
    sys.exit(main())
