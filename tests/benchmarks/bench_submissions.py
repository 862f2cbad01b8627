"""Durable submissions per second over HTTP, beside a bare Starlette server with one sqlite3 commit per request.

`python tests/benchmarks/bench_submissions.py`: rounds are interleaved; medians and their ratio are printed.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

import httpx2

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.figures import figure
from running_service import RunningService, wait_until

from ktrdr import sample
from ktrdr.cli.parts import free_port

HERE = Path(__file__).parent
ROUNDS, SECONDS = 5, 2


def load(port: int, connections: int, body: bytes) -> dict[str, float]:
    command = [sys.executable, str(HERE / "load.py"), str(port), str(connections), str(SECONDS)]
    measured: dict[str, float] = json.loads(
        subprocess.run(command, input=body, stdout=subprocess.PIPE, check=True).stdout
    )
    return measured


def answers(port: int) -> bool:
    try:
        return httpx2.get(f"http://127.0.0.1:{port}/healthz").status_code == 200
    except httpx2.TransportError:
        return False


def main() -> None:
    strategy = sample.strategies()["trend_follower"]
    body = json.dumps({"strategy": strategy, "seed": 7, "labels": {"desk": "rates"}}).encode()
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        service = RunningService(Path(folder) / "home")
        bare_port = free_port("127.0.0.1")
        command = [sys.executable, str(HERE / "bare_server.py"), str(Path(folder) / "bare.db"), str(bare_port)]
        bare = subprocess.Popen(command)
        try:
            service.start("serve")
            service.import_samples()
            wait_until(lambda: answers(bare_port))
            for connections in (1, 16):
                measured: dict[int, list[dict[str, float]]] = {service.port: [], bare_port: []}
                for _ in range(ROUNDS):
                    for port, rounds in measured.items():
                        rounds.append(load(port, connections, body))
                ours, theirs = (
                    {key: median(one[key] for one in rounds) for key in rounds[0]} for rounds in measured.values()
                )
                of = f"submissions with {connections} client{'s' if connections > 1 else ''}"
                figure(of, ours["per_second"], "1/s", p50_ms=ours["p50_ms"], p99_ms=ours["p99_ms"])
                figure(
                    f"{of}, bare server", theirs["per_second"], "1/s", p50_ms=theirs["p50_ms"], p99_ms=theirs["p99_ms"]
                )
                ratios = [
                    one["per_second"] / other["per_second"] for one, other in zip(*measured.values(), strict=True)
                ]
                figure(f"{of}, ratio", median(ratios), "x", aim=0.5 if connections == 1 else 1.0)
        finally:
            service.close()
            bare.terminate()
            bare.wait()


if __name__ == "__main__":
    main()
