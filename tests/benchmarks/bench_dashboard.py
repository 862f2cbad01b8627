"""How soon a page is there, and how soon it shows a training: first paints, and the first point of a live chart.

.venv/bin/python tests/benchmarks/bench_dashboard.py
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.figures import spread
from browser import CHROMIUM, Browser, opened_browser
from running_service import RunningService
from strategies import short

PAINTS = 15
POINTS = 5
_PAINTED = """
new Promise((painted) => new PerformanceObserver((list) => {
  const entry = list.getEntriesByName("first-contentful-paint")[0];
  if (entry) painted(entry.startTime);
}).observe({ type: "paint", buffered: true }))
"""
_EPOCHS = "JSON.parse(document.getElementById('curves-data').dataset.curves).epoch.length"


def main() -> None:
    if CHROMIUM is None:
        raise SystemExit("Chromium is not installed")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        service = RunningService(folder / "home")
        try:
            service.start("serve", "worker")
            service.import_samples()
            with opened_browser(folder / "chromium") as browser:
                measure(service, browser)
        finally:
            service.close()


def measure(service: RunningService, browser: Browser) -> None:
    for _ in range(20):
        job_id = submit(service, epochs=20)
    ended(service, job_id)
    spread("first paint of the list of 20 jobs", paints(browser, f"{service.url}/"))
    spread("first paint of a job of 20 epochs", paints(browser, f"{service.url}/jobs/{job_id}"))
    times = []
    for _ in range(POINTS):
        began = time.perf_counter()
        job_id = submit(service, epochs=200)
        browser.open(f"{service.url}/jobs/{job_id}")
        browser.wait_for(f"{_EPOCHS} > 0 && document.querySelectorAll('#chart-loss canvas').length === 1")
        times.append(time.perf_counter() - began)
        service.http.post(f"/jobs/{job_id}/cancel")
        ended(service, job_id)
    spread("first live point of a job after its submission", times)


def paints(browser: Browser, address: str) -> list[float]:
    """The times from the navigation to the first contentful paint, in seconds."""
    times = []
    for _ in range(PAINTS):
        browser.open(address)
        times.append(browser.run(_PAINTED) / 1000)
    return times


def submit(service: RunningService, *, epochs: int) -> str:
    answer = service.http.post("/jobs", json={"strategy": short(epochs)})
    return str(answer.raise_for_status().json()["id"])


def ended(service: RunningService, job_id: str) -> None:
    while service.http.get(f"/jobs/{job_id}").json()["status"] not in ("completed", "failed", "cancelled"):
        time.sleep(0.05)


if __name__ == "__main__":
    main()
