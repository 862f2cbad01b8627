"""Traces for OpenTelemetry: one for everything that a request sets off, wherever it happens; nothing where unwanted."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest
from observed_service import CALLER, CALLER_SPAN, Observed
from otlp_receiver import Seen
from running_service import wait_until

from ktrdr.spans import open_spans
from ktrdr.training.run import STAGES


def the(spans: list[Seen], name: str, **attributes: object) -> Seen:
    (found,) = [
        span
        for span in spans
        if span.name == name and all(span.attributes[f"ktrdr.{key}"] == value for key, value in attributes.items())
    ]
    return found


def test_a_request_its_jobs_and_all_of_their_steps_are_one_trace(observed: Observed) -> None:
    def whole() -> list[Seen] | None:
        spans = observed.collector.of_trace(CALLER)
        names = [span.name for span in spans]
        return spans if names.count("job") == names.count("attempt") == names.count("save_model") == 2 else None

    spans: list[Seen] = wait_until(whole)
    assert {span.service for span in spans} == {"ktrdr-serve", "ktrdr-worker", "ktrdr-host-worker"}
    for target, part in (("local", "ktrdr-worker"), ("host", "ktrdr-host-worker")):
        request = the(spans, "POST /api/v1/jobs", request_id=f"submits-{target}")
        assert (request.service, request.parent_id) == ("ktrdr-serve", CALLER_SPAN)
        assert request.attributes["http.response.status_code"] == 202
        job = the(spans, "job", job_id=observed.jobs[target])
        assert (job.parent_id, job.attributes["ktrdr.outcome"]) == (request.span_id, "completed")
        attempt = the(spans, "attempt", job_id=observed.jobs[target])
        assert (attempt.service, attempt.parent_id) == (part, job.span_id)
        assert attempt.seconds <= job.seconds + 1  # the job ends with its event, the attempt with the answer to it
        steps = [span for span in spans if span.parent_id == attempt.span_id and span.service == part]
        assert [step.name for step in steps] == list(STAGES)
        assert [step.attributes["ktrdr.stage.number"] for step in steps] == list(range(1, 12))
        trained = next(step for step in steps if step.name == "train_model")
        assert trained.events.count("epoch") == 2
        assert "checkpoint" in trained.events
    # What the host worker asked of the service for the attempt is a part of it.
    attempt = the(spans, "attempt", job_id=observed.jobs["host"])
    asked = [span.name for span in spans if span.parent_id == attempt.span_id and span.service == "ktrdr-serve"]
    assert "POST /api/v1/leases/{job_id}/{lease_epoch}/complete" in asked
    assert not [name for name in asked if name.endswith(("/renew", "/cancellation", "/events"))]


def test_a_job_that_fails_has_a_span_that_says_so(observed: Observed) -> None:
    def of(job: str) -> list[Seen]:
        return [s for s in list(observed.collector.spans) if s.attributes.get("ktrdr.job_id") == observed.jobs[job]]

    for job, has_error in (("failed", True), ("cancelled", False)):
        wait_until(lambda job=job: {span.name for span in of(job)} == {"job", "attempt"})  # type: ignore[misc]
        assert {span.name: span.has_error for span in of(job)} == {"job": has_error, "attempt": has_error}
        assert {span.attributes["ktrdr.outcome"] for span in of(job)} == {job}


def test_without_configuration_nothing_of_it_is_imported() -> None:
    script = (
        "import sys, ktrdr.api.app, ktrdr.worker.main, host_worker.main\n"
        "from ktrdr.spans import open_spans\n"
        "assert open_spans('serve', {}) is None\n"
        "assert open_spans('serve', {'OTEL_TRACES_EXPORTER': 'none'}) is None\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"


def test_an_exporter_that_is_not_possible_is_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert open_spans("serve", {"OTEL_TRACES_EXPORTER": "zipkin"}) is None
    assert "otlp and console are possible" in caplog.text


def test_the_sampler_of_the_operator_decides_for_traces_that_begin_here() -> None:
    script = (
        "from ktrdr.spans import open_spans\n"
        "from ktrdr.tracing import make_trace\n"
        "spans = open_spans('serve')\n"
        "print(spans.begin(make_trace()).is_sampled)\n"
        "spans.close()"
    )
    for sampler, expected in (("parentbased_always_off", "False"), ("parentbased_always_on", "True")):
        environment = {"OTEL_TRACES_EXPORTER": "console", "OTEL_TRACES_SAMPLER": sampler}
        ran = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
        )
        assert ran.stdout.split() == [expected]
