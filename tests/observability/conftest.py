"""One observed service for all the tests here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from observed_service import TOKEN, Observed, run_jobs
from otlp_receiver import OtlpReceiver
from running_service import RunningService

from ktrdr.client import Client


@pytest.fixture(scope="session")
def observed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Observed]:
    with OtlpReceiver() as collector:
        service = RunningService(
            tmp_path_factory.mktemp("observed") / "home",
            KTRDR_TOKEN=TOKEN,
            KTRDR_LOG_LEVEL="debug",
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
            OTEL_BSP_SCHEDULE_DELAY="100",
        )
        try:
            service.client.close()
            service.client = Client(service.url, token=TOKEN)
            service.http.headers["Authorization"] = f"Bearer {TOKEN}"
            service.start("serve", "worker", "host-worker")
            service.import_samples()
            jobs = run_jobs(service)
            yield Observed(service, collector, jobs)
        finally:
            service.close()
