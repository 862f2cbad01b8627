"""A storm: random jobs and cancellations while everything is killed, stopped, cut off and started again; then calm.

    python tests/storm/storm.py --minutes 10 --seed 1

Afterwards every job must have ended and the history checker must find nothing. Prints totals as a table and as one JSON
line; exit code 1 on any violation, and the folder with database, logs and journal is kept then. The seed fixes what is
done, not when the processes get to run.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

sys.path.append(str(Path(__file__).parents[1]))

import httpx2
from history_checker import check_installation, read_journal
from running_service import RunningService
from storm_clients import Journal, StormClient
from storm_damage import Damage

from ktrdr.jobs.events import JobClaimed, JobRequeued, TerminalEvent, TrainingResumed
from ktrdr.store import open_store

CLIENTS = 4
LEASE_SECONDS = 2
#: How long the calm may take until every job has ended, beside twice the time of the storm.
PATIENCE_SECONDS = 120.0
REPORT_SECONDS = 10.0
_LOOK_SECONDS = 0.1


@dataclass(frozen=True)
class Totals:
    seed: int
    storm_seconds: float
    calm_seconds: float
    #: Ends of jobs, by event.
    jobs: dict[str, int]
    events: int
    #: What was done to the parts, and how often.
    damage: dict[str, int]
    #: Jobs that went back to the queue, by reason.
    requeues: dict[str, int]
    #: Attempts that went on from a checkpoint, and those that a worker took up again after it was cut off.
    resumes: int
    regains: int
    violations: tuple[str, ...]


def run_storm(folder: Path, *, seconds: float, seed: int, say: Callable[[str], None] = print) -> Totals:
    """Storms in a new installation under `folder`, calms down, and checks what has happened."""
    service = RunningService(folder / "home", KTRDR_LEASE_SECONDS=str(LEASE_SECONDS))
    damage = Damage(service, Random(f"{seed} damage"))
    journal = Journal(folder / "journal.jsonl")
    ending = threading.Event()
    clients = [StormClient(service.url, journal, Random(f"{seed} client {one}"), ending) for one in range(CLIENTS)]
    try:
        damage.start()
        service.import_samples()
        for client in clients:
            client.start()
        calm_at = time.monotonic() + seconds
        _let_happen(damage, service, say, is_calm=False, is_over=lambda: time.monotonic() >= calm_at)
        ending.set()
        give_up_at = calm_at + PATIENCE_SECONDS + 2 * seconds

        def is_over() -> bool:
            if any(client.is_alive() for client in clients):
                return False  # a submission of theirs may still be on its way
            return _under_way(service) == 0 or time.monotonic() >= give_up_at

        _let_happen(damage, service, say, is_calm=True, is_over=is_over)
        calm_seconds = time.monotonic() - calm_at
        store = open_store(service.home)
        found = check_installation(store, read_journal(folder / "journal.jsonl"), service.http)
    finally:
        ending.set()
        damage.close()
        journal.close()
    reader = store.open_reader()
    log = [stored.recorded for stored in reader.all_events()]
    reader.close()
    events = [recorded.event for recorded in log]
    return Totals(
        seed=seed,
        storm_seconds=round(seconds, 1),
        calm_seconds=round(calm_seconds, 1),
        jobs=dict(Counter(type(event).__name__ for event in events if isinstance(event, TerminalEvent))),
        events=len(events),
        damage=dict(sorted(damage.done.items())),
        requeues=dict(Counter(str(event.reason) for event in events if isinstance(event, JobRequeued))),
        resumes=sum(isinstance(event, TrainingResumed) and event.epoch > 0 for event in events),
        regains=sum(isinstance(event, JobClaimed) and event.continues is not None for event in events),
        violations=(*journal.surprises, *damage.surprises, *found),
    )


def _let_happen(
    damage: Damage,
    service: RunningService,
    say: Callable[[str], None],
    *,
    is_calm: bool,
    is_over: Callable[[], bool],
) -> None:
    report_at = time.monotonic() + REPORT_SECONDS
    while not is_over():
        damage.step(is_calm=is_calm)
        if time.monotonic() >= report_at:
            report_at += REPORT_SECONDS
            left = _under_way(service)
            weather = "calm" if is_calm else "storm"
            say(f"{weather}: {damage.done.total()} damages, {'?' if left is None else left} jobs under way")
        time.sleep(_LOOK_SECONDS)


def _under_way(service: RunningService) -> int | None:
    """How many jobs have not ended (up to 500); None if the API does not say."""
    try:
        answer = service.http.get("/jobs?status=queued&status=running&status=cancelling&limit=500", timeout=2)
        return len(answer.json()["jobs"]) if answer.status_code == 200 else None
    except httpx2.TransportError:
        return None


def put_totals(totals: Totals) -> None:
    """A table for people, and the same as one line of JSON."""
    rows: list[tuple[str, object]] = []
    for name, value in asdict(totals).items():
        if isinstance(value, dict):
            rows += [(f"{name}: {kind}", number) for kind, number in value.items()] or [(name, 0)]
        elif name != "violations":
            rows.append((name, value))
    width = max(len(name) for name, _ in rows)
    for name, number in rows:
        print(f"{name.replace('_', ' '):<{width}}  {number:>8}")
    for violation in totals.violations:
        print(f"violation: {violation}")
    print(json.dumps({**asdict(totals), "violations": len(totals.violations)}))


def main() -> int:
    parser = argparse.ArgumentParser(description="Storms a service of its own and checks its history afterwards.")
    parser.add_argument("--minutes", type=float, default=10.0, help="how long it storms (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="which storm (default: %(default)s)")
    parser.add_argument("--keep", action="store_true", help="keep the folder although nothing is wrong")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # so that every part is ended with the storm
    folder = Path(tempfile.mkdtemp(prefix="storm-"))
    print(f"in {folder}", flush=True)
    totals = run_storm(
        folder, seconds=options.minutes * 60, seed=options.seed, say=lambda text: print(text, flush=True)
    )
    put_totals(totals)
    if totals.violations or options.keep:
        print(f"everything is kept in {folder}")
    else:
        shutil.rmtree(folder)
    return 1 if totals.violations else 0


if __name__ == "__main__":
    sys.exit(main())
