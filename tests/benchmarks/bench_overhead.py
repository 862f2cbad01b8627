"""What orchestration costs: the same job bare, in a process of its own, and through the service.

`python tests/benchmarks/bench_overhead.py`: rounds are interleaved; each time is from the first stage to the saved
model, so starting processes counts on neither side. The digests must agree.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.figures import figure
from running_service import RunningService
from strategies import trend_follower

ROUNDS, EPOCHS = 13, 100

BARE = """
import sys, time, json
from pathlib import Path
from ktrdr.training.determinism import make_deterministic
from ktrdr.training.device_manager import DeviceManager
from ktrdr.training.prices import read
from ktrdr.training.run import train
from ktrdr.training.specification import PriceReference, Specification
from ktrdr.training.strategy.parse import from_mapping

class Never:
    def is_cancellation_requested(self):
        return False

make_deterministic()
job = json.load(sys.stdin)
folder = Path(job["prices_folder"])
specification = Specification(
    strategy=from_mapping(job["strategy"]).strategy,
    prices=tuple(PriceReference(**price) for price in job["prices"]),
    seed=job["seed"],
)
began = time.perf_counter()
result = train(
    specification,
    read_prices=lambda price: read(folder / f"{price.digest}.npy", price.digest),
    output=Path(job["output"]),
    capabilities=DeviceManager().capabilities(),
    progress_callback=lambda progress: None,
    cancellation_token=Never(),
)
print(json.dumps([time.perf_counter() - began, result.model_digest]))
"""


def bare(service: RunningService, job_id: str, output: Path) -> tuple[float, str]:
    import json
    import os

    submission = service.client.job(job_id)["submission"]
    job = {
        "strategy": submission["strategy"],
        "prices": submission["prices"],
        "seed": service.client.job(job_id)["seed"],
        "prices_folder": str(service.home / "prices"),
        "output": str(output),
    }
    finished = subprocess.run(
        [sys.executable, "-c", BARE],
        input=json.dumps(job).encode(),
        stdout=subprocess.PIPE,
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
    )
    seconds, digest = json.loads(finished.stdout)
    return seconds, digest


def through_service(service: RunningService) -> tuple[float, str, str]:
    strategy = trend_follower(epochs=EPOCHS, early_stopping=None)
    job_id = service.client.submit(strategy, target="local")["id"]
    while service.client.job(job_id)["status"] != "completed":
        time.sleep(0.25)  # asking more often would take the core that the worker needs
    events = list(service.client.events(job_id))
    began, ended = (datetime.fromisoformat(event["recorded_at"]) for event in (events[2], events[-1]))
    return (ended - began).total_seconds(), events[-1]["data"]["model_digest"], job_id


def main() -> None:
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        service = RunningService(Path(folder) / "home")
        try:
            service.start("serve", "worker")
            service.import_samples()
            through_service(service)  # warm
            ratios, services, bares = [], [], []
            job_id = ""
            for number in range(ROUNDS):
                # One goes first, then the other: a machine that grows slower all the time favours neither.
                if number % 2 == 0 or not job_id:
                    with_service, digest, job_id = through_service(service)
                alone, bare_digest = bare(service, job_id, Path(folder) / f"bare-{number}")
                if number % 2:
                    with_service, digest, _ = through_service(service)
                if digest != bare_digest:
                    raise SystemExit(f"the models differ: {digest} and {bare_digest}")
                services.append(with_service)
                bares.append(alone)
                ratios.append(with_service / alone)
        finally:
            service.close()
    figure("training through the service", median(services), "s", epochs=EPOCHS)
    figure("the same training bare", median(bares), "s", epochs=EPOCHS)
    figure("overhead of orchestration", (median(ratios) - 1) * 100, "%", rounds=ROUNDS, aim="< 2")


if __name__ == "__main__":
    main()
