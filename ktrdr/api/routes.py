"""The route table: every operation of the API with what it takes and gives. The OpenAPI document is made from it.

Imports this package's own parts.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from ktrdr.api import (
    audit_diff,
    audit_differences,
    audit_proofs,
    checkpoints,
    counterfactuals,
    datasets,
    events,
    explanations,
    exports,
    health,
    jobs,
    leases,
    models,
    reports,
    retries,
    service_settings,
    strategies,
    submissions,
    uploads,
    views,
    workers,
)
from ktrdr.api.requests import Body

PREFIX = "/api/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    method: str
    path: str
    handler: Callable[[Request], Awaitable[Response]]
    #: Groups operations in the document.
    tag: str
    body: type[Body] | None = None
    body_is_optional: bool = False
    #: Media type of a body that is not JSON.
    raw_body: str | None = None
    query: type[Body] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    #: Status → what the body is: a type, or a media type, or several to choose by `Accept`, or None for no body.
    gives: Mapping[int, Any] = field(default_factory=dict)
    #: Statuses of the problems that it can answer with, beside 500.
    problems: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        return self.handler.__name__


_JOB = f"{PREFIX}/jobs/{{job_id}}"
_AUDIT = f"{PREFIX}/audit"
_LEASE = f"{PREFIX}/leases/{{job_id}}/{{lease_epoch:int}}"
_BAD_BODY = (413, 415, 422)
_ONCE = {"Idempotency-Key": "A repeated request with the same key and content gives the same job."}
_END = (404, 409, *_BAD_BODY)

OPERATIONS = (
    Operation(
        method="POST", path=f"{PREFIX}/jobs", handler=jobs.submit, tag="jobs", body=submissions.JobRequest,
        headers=_ONCE,
        gives={202: views.JobView}, problems=_BAD_BODY,
    ),
    Operation(
        method="GET", path=f"{PREFIX}/jobs", handler=jobs.list_jobs, tag="jobs", query=jobs.JobQuery,
        gives={200: views.JobPage}, problems=(422,),
    ),
    Operation(
        method="GET", path=_JOB, handler=jobs.show, tag="jobs", query=jobs.ShowQuery,
        headers={"If-None-Match": "An ETag seen before."}, gives={200: views.JobDetail, 304: None}, problems=(404, 422),
    ),
    Operation(
        method="POST", path=f"{_JOB}/cancel", handler=jobs.cancel, tag="jobs", body=jobs.CancelRequest,
        body_is_optional=True, gives={200: views.JobView, 202: views.JobView}, problems=(404, 409, *_BAD_BODY),
    ),
    Operation(
        method="POST", path=f"{_JOB}/retry", handler=retries.retry, tag="jobs", body=retries.RetryRequest,
        body_is_optional=True, headers=_ONCE, gives={202: views.JobView}, problems=(404, 409, *_BAD_BODY),
    ),
    Operation(
        method="POST", path=f"{_JOB}/fork", handler=retries.fork, tag="jobs", body=retries.ForkRequest,
        body_is_optional=True, headers=_ONCE, gives={202: views.JobView}, problems=(404, 409, *_BAD_BODY),
    ),
    Operation(
        method="POST", path=f"{_JOB}/counterfactual", handler=counterfactuals.counterfactual, tag="jobs",
        body=counterfactuals.CounterfactualRequest, headers=_ONCE, gives={202: views.JobView},
        problems=(404, 409, *_BAD_BODY),
    ),
    Operation(
        method="GET", path=f"{_JOB}/checkpoints", handler=checkpoints.list_checkpoints, tag="jobs",
        gives={200: views.CheckpointPage}, problems=(404,),
    ),
    Operation(
        method="GET", path=f"{_JOB}/events", handler=events.job_events, tag="events", query=events.EventQuery,
        headers={"Last-Event-ID": "Of a stream: the id of the last event seen."},
        gives={200: views.EventPage, 204: None}, problems=(404, 422),
    ),
    Operation(
        method="GET", path=f"{PREFIX}/events", handler=events.all_events, tag="events", query=events.EventQuery,
        headers={"Last-Event-ID": "Of a stream: the id of the last event seen."},
        gives={200: views.EventPage}, problems=(422,),
    ),
    Operation(
        method="GET", path=f"{_JOB}/model", handler=models.download, tag="models",
        gives={200: "application/zip"}, problems=(404, 409, 503),
    ),
    Operation(
        method="GET", path=f"{_JOB}/provenance", handler=models.provenance, tag="models",
        gives={200: models.PROVENANCE_TYPE}, problems=(404, 409, 503, 507),
    ),
    Operation(
        method="GET", path=f"{_AUDIT}/diff", handler=audit_diff.diff, tag="audit", query=audit_diff.DiffQuery,
        gives={200: audit_diff.DiffPage}, problems=(422,),
    ),
    Operation(
        method="GET", path=f"{_JOB}/bundle", handler=exports.bundle, tag="audit",
        gives={200: "application/zip"}, problems=(404, 409, 503, 507),
    ),
    Operation(
        method="GET", path=f"{_AUDIT}/export", handler=exports.export, tag="audit", query=exports.ExportQuery,
        gives={200: exports.CLOUD_EVENTS}, problems=(404, 422),
    ),
    Operation(
        method="GET", path=f"{_AUDIT}/why-differ", handler=audit_differences.why_differ, tag="audit",
        query=audit_differences.DifferenceQuery, gives={200: audit_differences.ComparisonView},
        problems=(404, 422, 503),
    ),
    Operation(
        method="POST", path=f"{_JOB}/predict", handler=models.predict, tag="models", body=models.PredictRequest,
        gives={200: dict}, problems=(404, 409, *_BAD_BODY, 503),
    ),
    Operation(
        method="POST", path=f"{_JOB}/explain", handler=explanations.explain, tag="models",
        body=explanations.ExplainRequest, gives={200: dict}, problems=(404, 409, *_BAD_BODY, 503),
    ),
    Operation(
        method="GET", path=f"{_JOB}/report", handler=reports.report, tag="models",
        gives={200: (dict, "text/html")}, problems=(404, 409, 503),
    ),
    Operation(
        method="GET", path=f"{PREFIX}/strategies", handler=strategies.list_strategies, tag="strategies",
        gives={200: dict},
    ),
    Operation(
        method="POST", path=f"{PREFIX}/strategies", handler=strategies.validate, tag="strategies",
        body=strategies.StrategyRequest, gives={200: dict}, problems=(*_BAD_BODY, 503),
    ),
    Operation(
        method="GET", path=f"{PREFIX}/strategy-schema", handler=strategies.schema, tag="strategies",
        gives={200: "application/schema+json"},
    ),
    Operation(
        method="GET", path=f"{PREFIX}/strategies/{{name}}", handler=strategies.get, tag="strategies",
        gives={200: "application/yaml"}, problems=(404,),
    ),
    Operation(
        method="PUT", path=f"{PREFIX}/strategies/{{name}}", handler=strategies.put, tag="strategies",
        body=strategies.StoreRequest, gives={200: dict}, problems=(*_BAD_BODY, 503),
    ),
    Operation(
        method="GET", path=f"{PREFIX}/datasets", handler=datasets.list_datasets, tag="datasets", gives={200: dict},
    ),
    Operation(
        method="PUT", path=f"{PREFIX}/datasets", handler=datasets.put, tag="datasets", query=datasets.ImportQuery,
        raw_body="application/octet-stream", gives={200: dict}, problems=(413, 422, 503),
    ),
    Operation(
        method="GET", path=f"{PREFIX}/workers", handler=workers.list_workers, tag="workers",
        gives={200: workers.WorkerList},
    ),
    Operation(
        method="GET", path=f"{PREFIX}/settings", handler=service_settings.show, tag="settings",
        gives={200: service_settings.SettingsView},
    ),
    Operation(
        method="PATCH", path=f"{PREFIX}/settings", handler=service_settings.change, tag="settings",
        body=service_settings.SettingsRequest, gives={200: service_settings.SettingsView}, problems=_BAD_BODY,
    ),
    Operation(
        method="PUT", path=f"{PREFIX}/workers/{{name}}", handler=workers.beat, tag="worker protocol",
        body=workers.BeatRequest, gives={200: workers.LeaseTime}, problems=_BAD_BODY,
    ),
    Operation(
        method="GET", path=f"{PREFIX}/prices/{{digest}}", handler=uploads.prices, tag="worker protocol",
        gives={200: "application/octet-stream"}, problems=(404, 422),
    ),
    Operation(
        method="POST", path=f"{PREFIX}/leases", handler=leases.claim, tag="worker protocol", body=leases.ClaimRequest,
        gives={200: dict, 204: None}, problems=_BAD_BODY,
    ),
    Operation(
        method="POST", path=f"{_LEASE}/events", handler=leases.report, tag="worker protocol",
        body=leases.ReportRequest, gives={200: views.JobView}, problems=_END,
    ),
    Operation(
        method="POST", path=f"{_LEASE}/renew", handler=leases.renew, tag="worker protocol", gives={200: dict},
        problems=(404, 409),
    ),
    Operation(
        method="GET", path=f"{_LEASE}/cancellation", handler=leases.cancellation, tag="worker protocol",
        query=leases.WaitQuery, gives={200: dict, 204: None}, problems=(404, 409, 422),
    ),
    Operation(
        method="POST", path=f"{_LEASE}/regain", handler=leases.regain, tag="worker protocol",
        body=leases.RegainRequest, gives={200: dict}, problems=_END,
    ),
    Operation(
        method="GET", path=f"{_LEASE}/checkpoints/{{digest}}", handler=uploads.checkpoint, tag="worker protocol",
        gives={200: "application/octet-stream"}, problems=(404, 409, 422),
    ),
    Operation(
        method="GET", path=f"{_LEASE}/uploads/{{digest}}", handler=uploads.upload_state, tag="worker protocol",
        gives={200: dict}, problems=(404, 409, 422),
    ),
    Operation(
        method="PATCH", path=f"{_LEASE}/uploads/{{digest}}", handler=uploads.append, tag="worker protocol",
        headers={
            "Upload-Offset": "Where in the file the body belongs.",
            "Upload-Length": "Bytes of the whole file; once they are here, its digest is checked.",
        },
        raw_body="application/octet-stream", gives={200: dict}, problems=(404, 409, 413, 422),
    ),
    Operation(
        method="POST", path=f"{_LEASE}/complete", handler=leases.complete, tag="worker protocol",
        body=leases.CompleteRequest, gives={200: views.JobView}, problems=_END,
    ),
    Operation(
        method="POST", path=f"{_LEASE}/fail", handler=leases.fail, tag="worker protocol", body=leases.FailRequest,
        gives={200: views.JobView}, problems=_END,
    ),
    Operation(
        method="POST", path=f"{_LEASE}/stopped", handler=leases.stopped, tag="worker protocol",
        body=leases.StoppedRequest, gives={200: views.JobView}, problems=_END,
    ),
    Operation(
        method="POST", path=f"{_LEASE}/release", handler=leases.release, tag="worker protocol",
        body=leases.ReleaseRequest, gives={200: views.JobView}, problems=_END,
    ),
    Operation(
        method="POST", path=f"{_AUDIT}/checkpoints", handler=audit_proofs.sign, tag="audit",
        gives={200: "text/plain"}, problems=(409,),
    ),
    Operation(
        method="GET", path=f"{_AUDIT}/checkpoints", handler=audit_proofs.list_signed, tag="audit",
        query=audit_proofs.CheckpointQuery, gives={200: audit_proofs.SignedCheckpointPage}, problems=(409, 422),
    ),
    Operation(
        method="GET", path=f"{_AUDIT}/checkpoints/latest", handler=audit_proofs.latest, tag="audit",
        gives={200: "text/plain"}, problems=(404, 409),
    ),
    Operation(
        method="GET", path=f"{_AUDIT}/keys", handler=audit_proofs.keys, tag="audit",
        gives={200: audit_proofs.LogKeys}, problems=(409,),
    ),
    Operation(
        method="GET", path=f"{_AUDIT}/inclusion", handler=audit_proofs.inclusion, tag="audit",
        query=audit_proofs.InclusionQuery, gives={200: audit_proofs.InclusionProof}, problems=(409, 422),
    ),
    Operation(
        method="GET", path=f"{_AUDIT}/consistency", handler=audit_proofs.consistency, tag="audit",
        query=audit_proofs.ConsistencyQuery, gives={200: audit_proofs.ConsistencyProof}, problems=(409, 422),
    ),
    Operation(
        method="GET", path=f"{_JOB}/proof", handler=audit_proofs.prove, tag="audit",
        gives={200: "text/plain"}, problems=(404, 409, 503, 507),
    ),
    Operation(method="GET", path="/healthz", handler=health.healthz, tag="health", gives={200: dict}),
    Operation(method="GET", path="/readyz", handler=health.readyz, tag="health", gives={200: dict, 503: dict}),
)  # fmt: skip
