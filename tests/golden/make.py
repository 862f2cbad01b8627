"""Records the golden logs of this version: `python tests/golden/make.py 0.2.0` writes tests/golden/0.2.0/.

Run once for each release, and whenever an event gets a new schema; what was recorded is never made again. (Before the
first release EpochFinished had schema 1: `before-0.1.0-epochs`, and then JobSubmitted: `before-0.1.0-traces`.) One log
is of a real service that trains, loses a worker, fails and cancels, with settings, schedules and tokens; the other is
of simulated services, whose faults lead to everything that can be recorded of jobs. A line is the canonical JSON of
one event, the very bytes that the tree is over. `digests.json` says what each log adds up to.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from golden.reading import summed_up
from running_service import RunningService, wait_until
from simulation.service import simulate
from strategies import endless, short, trend_follower

from ktrdr.jobs.canonical import dumps
from ktrdr.jobs.codec import envelope
from ktrdr.jobs.events import Instant, Position, Recorded
from ktrdr.store import open_store
from ktrdr.store.tokens import create_token, revoke_token

FOLDER = Path(__file__).parent
#: As many as it takes for every way to end.
SIMULATED_SEEDS = range(64)
_SAME_IN_EACH = "0" * 12


def record_service(folder: Path) -> list[Recorded]:
    """A short day of a real service."""
    service = RunningService(folder / "home", KTRDR_LEASE_SECONDS="1.5")
    client = service.client
    try:
        service.start("serve", "worker", "scheduler")
        service.import_samples()
        service.wait_for(client.submit(short(3), symbols=["IBM", "MSFT"], labels={"desk": "rates"}, seed=7)["id"])
        resumed = client.submit(trend_follower(epochs=60, early_stopping=None), checkpoint_every_epochs=1)["id"]
        wait_until(lambda: client.job(resumed)["progress"]["epoch"] >= 3)
        service.kill("worker")
        service.start("worker")
        service.wait_for(resumed)
        broken = client.submit(short(), symbols=["FB"], start="2013-02-25")["id"]
        running, queued = (client.submit(endless(), symbols=["IBM"], priority=number)["id"] for number in (1, 0))
        service.wait_for(broken)
        service.wait_for(running, "running")
        wait_until(lambda: client.job(running)["progress"]["epoch"] >= 1)
        client.cancel(queued, reason="no longer wanted")
        client.cancel(running, reason="wrong symbol: Zürich \N{GRINNING FACE}")
        service.wait_for(running)
        _change_the_service(service)
        service.stop("worker")
    finally:
        service.close()
    store = open_store(folder / "home")
    reader = store.open_reader()
    try:
        return [event.recorded for event in reader.all_events()]
    finally:
        reader.close()


def _change_the_service(service: RunningService) -> None:
    """Everything that can be recorded of the service itself."""
    client = service.client
    client.change_settings({"fair_by": "desk", "caps": {"desk=rates": 2}})
    client.change_settings({"caps": None})
    job = {"strategy": short(1), "symbols": ["IBM"]}
    client.create_schedule("often", job, every="1s", overlap="skip", window="1095d", window_ends="last_bar")
    wait_until(lambda: "ScheduleFired" in _types_of(service, "schedule:often"))
    client.pause_schedule("often", reason="enough")
    time.sleep(2.5)  # so that something falls due meanwhile
    client.resume_schedule("often")
    wait_until(lambda: "FiringSkipped" in _types_of(service, "schedule:often"))
    client.pause_schedule("often", reason="")
    client.change_schedule("often", job, cron="0 6 * * mon", timezone="Europe/Berlin", seed="firing")
    client.resume_schedule("often")
    service.wait_for(client.fire_schedule("often")["id"])
    client.delete_schedule("often")
    with closing(open_store(service.home).open_log()) as log:
        create_token(log, "golden", scopes=["read", "submit"], expires_at=None, actor="cli:test")
        revoke_token(log, "golden", reason="only for this log", actor="cli:test")


def _types_of(service: RunningService, stream: str) -> set[str]:
    found = service.client.all_events()
    return {event["type"] for event in found if event["job_id"] == stream}


def record_simulations() -> list[str]:
    """What some simulated services recorded, one behind the other, as if one log held them all."""
    lines: list[str] = []
    last_at = Instant("")
    for seed in SIMULATED_SEEDS:
        first = len(lines)
        for entry in simulate(seed).log:
            last_at = max(entry.at, last_at)
            moved = replace(entry, position=Position(first + entry.position), at=last_at)
            # Every simulation gives its jobs the same ids.
            lines.append(dumps(envelope(moved)).replace(_SAME_IN_EACH, f"{seed:012x}"))
    return lines


def write_log(folder: Path, name: str, lines: Sequence[str]) -> dict[str, Any]:
    """Writes one log; gives what `digests.json` says of it."""
    text = "".join(f"{line}\n" for line in lines).encode()
    (folder / f"{name}.jsonl.gz").write_bytes(gzip.compress(text, mtime=0))
    return summed_up(text.decode().splitlines())


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("version", help="the release, or what shall tell these logs from others: the folder's name")
    folder = FOLDER / parser.parse_args(arguments).version
    folder.mkdir()  # a log that was recorded is never made again
    with tempfile.TemporaryDirectory() as scratch:
        lines = [dumps(envelope(entry)) for entry in record_service(Path(scratch))]
    digests = {
        "service": write_log(folder, "service", lines),
        "simulated": write_log(folder, "simulated", record_simulations()),
    }
    (folder / "digests.json").write_text(json.dumps(digests, indent=2) + "\n")
    print(f"{folder}: {digests}")


if __name__ == "__main__":
    main()
