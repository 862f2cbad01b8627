"""Asks a running service whatever its OpenAPI document allows, and what it does not: `python tests/fuzz_api.py`.

    python tests/fuzz_api.py --examples 500 --seed 7

Schemathesis makes the requests and holds every answer against the document, with all of its checks. The service is a
real one, with a token that wants one, the sample prices, a worker, a finished job and one that runs.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from running_service import RunningService
from strategies import short

from ktrdr.client import Client

TOKEN = "fuzz-" + "0123456789abcdef" * 2
HERE = Path(__file__).parent


def start(service: RunningService, *, trained: bool) -> None:
    """Brings up the service with something to be found in it, a finished training too if that is wanted."""
    service.start("serve", *(["worker"] if trained else []))
    service.import_samples()
    with Client(service.url, token=TOKEN) as client:
        client.submit("trend_follower", target="host")  # waits for a worker that is not there
        if not trained:
            return
        job_id = client.submit(short(), symbols=["GOOG"])["id"]
        for event in client.events(job_id, follow=True):
            last = event["type"]
        assert last == "JobCompleted", last


def fuzz(service: RunningService, *, examples: int, seed: int, folder: Path, more: Sequence[str] = ()) -> int:
    """Runs schemathesis against the service; gives its exit code."""
    command = [
        sys.executable, "-m", "schemathesis.cli", "--config-file", str(HERE / "schemathesis.toml"), "run",
        f"{service.url}/openapi.json", "--checks", "all", "--max-examples", str(examples), "--seed", str(seed),
        "--header", f"Authorization: Bearer {TOKEN}", "--generation-database", "none", "--no-color",
        "--continue-on-failure", *more,
    ]  # fmt: skip
    environment = os.environ | {"SCHEMATHESIS_HOOKS": "schemathesis_hooks", "PYTHONPATH": str(HERE)}
    return subprocess.run(command, check=False, cwd=folder, env=environment).returncode


def new_service(folder: Path) -> RunningService:
    return RunningService(folder / "home", KTRDR_TOKEN=TOKEN, KTRDR_RATE_LIMIT="off")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=50, help="requests for each operation (now %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="other seeds make other requests (now %(default)s)")
    options, more = parser.parse_known_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        service = new_service(Path(name))
        try:
            start(service, trained=True)
            return fuzz(service, examples=options.examples, seed=options.seed, folder=Path(name), more=more)
        finally:
            service.close()


if __name__ == "__main__":
    sys.exit(main())
