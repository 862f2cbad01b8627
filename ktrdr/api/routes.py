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
    answers,
    audit_actions,
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
    schedule_requests,
    schedule_views,
    schedules,
    service_settings,
    strategies,
    submissions,
    uploads,
    views,
    workers,
)
from ktrdr.api.observing import exposition
from ktrdr.api.requests import Body
from ktrdr.jobs.service.tokens import Scope

PREFIX = "/api/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    method: str
    path: str
    handler: Callable[[Request], Awaitable[Response]]
    #: Groups operations in the document.
    tag: str
    #: What a caller must be allowed; None for what everyone may ask.
    scope: Scope | None
    body: type[Body] | None = None
    body_is_optional: bool = False
    #: Media type of a body that is not JSON.
    raw_body: str | None = None
    query: type[Body] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    #: Those of them that it cannot do without.
    required_headers: tuple[str, ...] = ()
    #: What the parameters of the path mean, where their name does not say it.
    path_parameters: Mapping[str, str] = field(default_factory=dict)
    #: Status → the headers of the answer, beside X-Request-Id.
    sends: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    #: Status → what the body is: a type, or a media type, or several to choose by `Accept`, or None for no body.
    gives: Mapping[int, Any] = field(default_factory=dict)
    #: Statuses of the problems that it can answer with, beside 500.
    problems: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        return self.handler.__name__


_JOB = f"{PREFIX}/jobs/{{job_id}}"
_AUDIT = f"{PREFIX}/audit"
_SCHEDULES = f"{PREFIX}/schedules"
_SCHEDULE = f"{_SCHEDULES}/{{name}}"
_LEASE = f"{PREFIX}/leases/{{job_id}}/{{lease_epoch:int}}"
_BAD_BODY = (413, 415, 422)
_SEEN = {"If-None-Match": "ETags seen before: without news the answer is 304."}
_UNCHANGED = {"If-Match": "ETags seen before: it is done only if one of them is of the present state; `*` for any."}
_WAIT = {"Prefer": "`wait=N`: rather than ask again, wait up to N seconds (60 at most)."}
_ONCE = {"Idempotency-Key": "A repeated request with the same key and content gives the same job.", **_WAIT}
_SUBMITTED = {
    200: ("Location", "Preference-Applied"), 202: ("Location", "Preference-Applied", "Retry-After"),
}  # fmt: skip
_TAGGED = {200: ("ETag",), 304: ("ETag",)}
_PAGE = {200: ("ETag", "Link"), 304: ("ETag",)}
_FILE = {200: ("ETag",), 206: ("ETag", "Content-Range"), 304: ("ETag",)}
_RANGE = {**_SEEN, "Range": "`bytes=N-`: only what follows."}
_END = (404, 409, *_BAD_BODY)

OPERATIONS = (
    Operation(
        method="POST", path=f"{PREFIX}/jobs", handler=jobs.submit, tag="jobs", scope=Scope.SUBMIT,
        body=submissions.JobRequest,
        headers=_ONCE,
        sends=_SUBMITTED, gives={200: views.JobView, 202: views.JobView}, problems=_BAD_BODY,
    ),
    Operation(
        method="GET", path=f"{PREFIX}/jobs", handler=jobs.list_jobs, tag="jobs", scope=Scope.READ, query=jobs.JobQuery,
        headers=_SEEN, sends=_PAGE, gives={200: views.JobPage, 304: None}, problems=(422,),
    ),
    Operation(
        method="GET", path=_JOB, handler=jobs.show, tag="jobs", scope=Scope.READ, query=jobs.ShowQuery,
        headers={**_SEEN, **_WAIT},
        sends={200: ("ETag", "Preference-Applied"), 304: ("ETag", "Preference-Applied")},
        gives={200: views.JobDetail, 304: None}, problems=(404, 422),
    ),
    Operation(
        method="POST", path=f"{_JOB}/cancel", handler=jobs.cancel, tag="jobs", scope=Scope.SUBMIT,
        body=jobs.CancelRequest,
        body_is_optional=True, headers=_UNCHANGED, sends={202: ("Retry-After",)},
        gives={200: views.JobView, 202: views.JobView}, problems=(404, 409, 412, *_BAD_BODY),
    ),
    Operation(
        method="POST", path=f"{_JOB}/retry", handler=retries.retry, tag="jobs", scope=Scope.SUBMIT,
        body=retries.RetryRequest,
        body_is_optional=True, headers=_ONCE, sends=_SUBMITTED,
        gives={200: views.JobView, 202: views.JobView}, problems=(404, 409, *_BAD_BODY),
    ),
    Operation(
        method="POST", path=f"{_JOB}/fork", handler=retries.fork, tag="jobs", scope=Scope.SUBMIT,
        body=retries.ForkRequest,
        body_is_optional=True, headers=_ONCE, sends=_SUBMITTED,
        gives={200: views.JobView, 202: views.JobView}, problems=(404, 409, *_BAD_BODY),
    ),
    Operation(
        method="POST", path=f"{_JOB}/counterfactual", handler=counterfactuals.counterfactual, tag="jobs",
        scope=Scope.SUBMIT,
        body=counterfactuals.CounterfactualRequest, headers=_ONCE, sends=_SUBMITTED,
        gives={200: views.JobView, 202: views.JobView},
        problems=(404, 409, *_BAD_BODY),
    ),
    Operation(
        method="GET", path=f"{_JOB}/checkpoints", handler=checkpoints.list_checkpoints, tag="jobs", scope=Scope.READ,
        headers=_SEEN, sends=_TAGGED, gives={200: views.CheckpointPage, 304: None}, problems=(404,),
    ),
    Operation(
        method="GET", path=f"{_JOB}/events", handler=events.job_events, tag="events", scope=Scope.READ,
        query=events.EventQuery,
        headers={"Last-Event-ID": "Of a stream: the id of the last event seen.", **_SEEN}, sends=_PAGE,
        gives={200: (views.EventPage, "text/event-stream"), 204: None, 304: None}, problems=(404, 422),
    ),
    Operation(
        method="GET", path=f"{PREFIX}/events", handler=events.all_events, tag="events", scope=Scope.READ,
        query=events.EventQuery,
        headers={"Last-Event-ID": "Of a stream: the id of the last event seen.", **_SEEN}, sends=_PAGE,
        gives={200: (views.EventPage, "text/event-stream"), 304: None}, problems=(422,),
    ),
    Operation(
        method="GET", path=f"{_JOB}/model", handler=models.download, tag="models", scope=Scope.READ,
        sends={200: ("ETag",)}, gives={200: "application/zip"}, problems=(404, 409, 503),
    ),
    Operation(
        method="GET", path=f"{_JOB}/provenance", handler=models.provenance, tag="models", scope=Scope.READ,
        gives={200: models.PROVENANCE_TYPE}, problems=(404, 409, 503, 507),
    ),
    Operation(
        method="GET", path=f"{_AUDIT}/diff", handler=audit_diff.diff, tag="audit", scope=Scope.READ,
        query=audit_diff.DiffQuery,
        sends={200: ("Link",)}, gives={200: audit_diff.DiffPage}, problems=(422,),
    ),
    Operation(
        method="GET", path=f"{_AUDIT}/actions", handler=audit_actions.actions, tag="audit", scope=Scope.READ,
        query=audit_actions.ActionQuery, gives={200: audit_actions.ActionPage}, problems=(422,),
    ),
    Operation(
        method="GET", path=f"{_JOB}/bundle", handler=exports.bundle, tag="audit", scope=Scope.READ,
        sends={200: ("ETag",)}, gives={200: "application/zip"}, problems=(404, 409, 503, 507),
    ),
    Operation(
        method="GET", path=f"{_AUDIT}/export", handler=exports.export, tag="audit", scope=Scope.READ,
        query=exports.ExportQuery,
        gives={200: exports.CLOUD_EVENTS}, problems=(404, 422),
    ),
    Operation(
        method="GET", path=f"{_AUDIT}/why-differ", handler=audit_differences.why_differ, tag="audit", scope=Scope.READ,
        query=audit_differences.DifferenceQuery, gives={200: audit_differences.ComparisonView},
        problems=(404, 422, 503),
    ),
    Operation(
        method="POST", path=f"{_JOB}/predict", handler=models.predict, tag="models", scope=Scope.READ,
        body=models.PredictRequest,
        gives={200: answers.Predictions}, problems=(404, 409, *_BAD_BODY, 503),
    ),
    Operation(
        method="POST", path=f"{_JOB}/explain", handler=explanations.explain, tag="models", scope=Scope.READ,
        body=explanations.ExplainRequest, gives={200: answers.Explanation}, problems=(404, 409, *_BAD_BODY, 503),
    ),
    Operation(
        method="GET", path=f"{_JOB}/report", handler=reports.report, tag="models", scope=Scope.READ,
        headers=_SEEN, sends=_TAGGED,
        gives={200: (dict, "text/html"), 304: None}, problems=(404, 409, 503),
    ),
    Operation(
        method="GET", path=f"{PREFIX}/strategies", handler=strategies.list_strategies, tag="strategies",
        scope=Scope.READ,
        headers=_SEEN, sends=_TAGGED, gives={200: answers.StrategyNames, 304: None},
    ),
    Operation(
        method="POST", path=f"{PREFIX}/strategies", handler=strategies.validate, tag="strategies", scope=Scope.READ,
        body=strategies.StrategyRequest, gives={200: answers.StrategyVerdict}, problems=(*_BAD_BODY, 503),
    ),
    Operation(
        method="GET", path=f"{PREFIX}/strategy-schema", handler=strategies.schema, tag="strategies", scope=Scope.READ,
        headers=_SEEN, sends=_TAGGED, gives={200: "application/schema+json", 304: None},
    ),
    Operation(
        method="GET", path=f"{PREFIX}/strategies/{{name}}", handler=strategies.get, tag="strategies", scope=Scope.READ,
        headers=_SEEN, sends=_TAGGED, gives={200: "application/yaml", 304: None}, problems=(404,),
    ),
    Operation(
        method="PUT", path=f"{PREFIX}/strategies/{{name}}", handler=strategies.put, tag="strategies",
        scope=Scope.SUBMIT,
        body=strategies.StoreRequest,
        headers={**_UNCHANGED, "If-None-Match": "`*`: only if there is no such strategy yet."},
        sends={200: ("ETag",)}, gives={200: answers.StoredStrategy}, problems=(412, *_BAD_BODY, 503),
    ),
    Operation(
        method="GET", path=f"{PREFIX}/datasets", handler=datasets.list_datasets, tag="datasets", scope=Scope.READ,
        headers=_SEEN, sends=_TAGGED, gives={200: answers.DatasetList, 304: None},
    ),
    Operation(
        method="PUT", path=f"{PREFIX}/datasets", handler=datasets.put, tag="datasets", scope=Scope.SUBMIT,
        query=datasets.ImportQuery,
        raw_body="application/octet-stream", gives={200: answers.ImportedDatasets}, problems=(413, 422, 503),
    ),
    Operation(
        method="GET", path=f"{PREFIX}/workers", handler=workers.list_workers, tag="workers", scope=Scope.READ,
        headers=_SEEN, sends=_TAGGED, gives={200: workers.WorkerList, 304: None},
    ),
    Operation(
        method="GET", path=_SCHEDULES, handler=schedules.list_schedules, tag="schedules", scope=Scope.READ,
        headers=_SEEN, sends=_TAGGED, gives={200: schedule_views.ScheduleList, 304: None},
    ),
    Operation(
        method="POST", path=_SCHEDULES, handler=schedules.create, tag="schedules", scope=Scope.SUBMIT,
        body=schedule_requests.ScheduleRequest, sends={201: ("ETag", "Location")},
        gives={201: schedule_views.ChangedSchedule}, problems=(409, *_BAD_BODY),
    ),
    Operation(
        method="GET", path=f"{_SCHEDULES}/preview", handler=schedules.preview, tag="schedules", scope=Scope.READ,
        query=schedule_requests.TimingQuery, headers=_SEEN, sends=_TAGGED,
        gives={200: schedule_views.TimingPreview, 304: None}, problems=(422,),
    ),
    Operation(
        method="GET", path=_SCHEDULE, handler=schedules.show, tag="schedules", scope=Scope.READ,
        headers=_SEEN, sends=_TAGGED, gives={200: schedule_views.ScheduleView, 304: None}, problems=(404,),
    ),
    Operation(
        method="PUT", path=_SCHEDULE, handler=schedules.change, tag="schedules", scope=Scope.SUBMIT,
        body=schedule_requests.ScheduleChange, headers=_UNCHANGED, sends={200: ("ETag",)},
        gives={200: schedule_views.ChangedSchedule}, problems=(404, 412, *_BAD_BODY),
    ),
    Operation(
        method="DELETE", path=_SCHEDULE, handler=schedules.delete, tag="schedules", scope=Scope.SUBMIT,
        headers=_UNCHANGED, gives={204: None}, problems=(404, 412, 422),
    ),
    Operation(
        method="POST", path=f"{_SCHEDULE}/pause", handler=schedules.pause, tag="schedules", scope=Scope.SUBMIT,
        body=schedules.PauseRequest, body_is_optional=True, headers=_UNCHANGED, sends={200: ("ETag",)},
        gives={200: schedule_views.ChangedSchedule}, problems=(404, 412, *_BAD_BODY),
    ),
    Operation(
        method="POST", path=f"{_SCHEDULE}/resume", handler=schedules.resume, tag="schedules", scope=Scope.SUBMIT,
        headers=_UNCHANGED, sends={200: ("ETag",)},
        gives={200: schedule_views.ChangedSchedule}, problems=(404, 412, 422),
    ),
    Operation(
        method="POST", path=f"{_SCHEDULE}/fire", handler=schedules.fire, tag="schedules", scope=Scope.SUBMIT,
        headers=_ONCE, sends=_SUBMITTED, gives={200: views.JobView, 202: views.JobView},
        problems=(404, 409, 422),
    ),
    Operation(
        method="GET", path=f"{_SCHEDULE}/firings", handler=schedules.list_firings, tag="schedules", scope=Scope.READ,
        query=schedules.FiringQuery, headers=_SEEN, sends=_PAGE,
        gives={200: schedule_views.FiringPage, 304: None}, problems=(404, 422),
    ),
    Operation(
        method="GET", path=f"{PREFIX}/settings", handler=service_settings.show, tag="settings", scope=Scope.READ,
        headers=_SEEN, sends=_TAGGED, gives={200: service_settings.SettingsView, 304: None},
    ),
    Operation(
        method="PATCH", path=f"{PREFIX}/settings", handler=service_settings.change, tag="settings", scope=Scope.ADMIN,
        body=service_settings.SettingsRequest, gives={200: service_settings.SettingsView}, problems=_BAD_BODY,
    ),
    Operation(
        method="PUT", path=f"{PREFIX}/workers/{{name}}", handler=workers.beat, tag="worker protocol", scope=Scope.WORK,
        body=workers.BeatRequest, gives={200: workers.LeaseTime}, problems=_BAD_BODY,
    ),
    Operation(
        method="GET", path=f"{PREFIX}/prices/{{digest}}", handler=uploads.prices, tag="worker protocol",
        scope=Scope.WORK,
        headers=_RANGE, sends=_FILE,
        gives={200: "application/octet-stream", 206: "application/octet-stream", 304: None}, problems=(404, 416, 422),
    ),
    Operation(
        method="POST", path=f"{PREFIX}/leases", handler=leases.claim, tag="worker protocol", scope=Scope.WORK,
        body=leases.ClaimRequest,
        gives={200: answers.ClaimedJob, 204: None}, problems=_BAD_BODY,
    ),
    Operation(
        method="POST", path=f"{_LEASE}/events", handler=leases.report, tag="worker protocol", scope=Scope.WORK,
        body=leases.ReportRequest, gives={200: views.JobView}, problems=_END,
    ),
    Operation(
        method="POST", path=f"{_LEASE}/renew", handler=leases.renew, tag="worker protocol", scope=Scope.WORK,
        gives={200: workers.LeaseTime},
        problems=(404, 409),
    ),
    Operation(
        method="GET", path=f"{_LEASE}/cancellation", handler=leases.cancellation, tag="worker protocol",
        scope=Scope.WORK,
        query=leases.WaitQuery, gives={200: answers.CancellationNotice, 204: None}, problems=(404, 409, 422),
    ),
    Operation(
        method="POST", path=f"{_LEASE}/regain", handler=leases.regain, tag="worker protocol", scope=Scope.WORK,
        body=leases.RegainRequest, gives={200: answers.RegainedLease}, problems=_END,
    ),
    Operation(
        method="GET", path=f"{_LEASE}/checkpoints/{{digest}}", handler=uploads.checkpoint, tag="worker protocol",
        scope=Scope.WORK,
        headers=_RANGE, sends=_FILE,
        gives={200: "application/octet-stream", 206: "application/octet-stream", 304: None},
        problems=(404, 409, 416, 422),
    ),
    Operation(
        method="GET", path=f"{_LEASE}/uploads/{{digest}}", handler=uploads.upload_state, tag="worker protocol",
        scope=Scope.WORK,
        gives={200: answers.UploadState}, problems=(404, 409, 422),
    ),
    Operation(
        method="PATCH", path=f"{_LEASE}/uploads/{{digest}}", handler=uploads.append, tag="worker protocol",
        scope=Scope.WORK,
        headers={
            "Upload-Offset": "Where in the file the body belongs.",
            "Upload-Length": "Bytes of the whole file; once they are here, its digest is checked.",
        },
        required_headers=("Upload-Offset", "Upload-Length"),
        body_is_optional=True, raw_body="application/octet-stream", gives={200: answers.UploadState},
        problems=(404, 409, 413, 422),
    ),
    Operation(
        method="POST", path=f"{_LEASE}/complete", handler=leases.complete, tag="worker protocol", scope=Scope.WORK,
        body=leases.CompleteRequest, gives={200: views.JobView}, problems=_END,
    ),
    Operation(
        method="POST", path=f"{_LEASE}/fail", handler=leases.fail, tag="worker protocol", scope=Scope.WORK,
        body=leases.FailRequest,
        gives={200: views.JobView}, problems=_END,
    ),
    Operation(
        method="POST", path=f"{_LEASE}/stopped", handler=leases.stopped, tag="worker protocol", scope=Scope.WORK,
        body=leases.StoppedRequest, gives={200: views.JobView}, problems=_END,
    ),
    Operation(
        method="POST", path=f"{_LEASE}/release", handler=leases.release, tag="worker protocol", scope=Scope.WORK,
        body=leases.ReleaseRequest, gives={200: views.JobView}, problems=_END,
    ),
    Operation(
        method="POST", path=f"{_AUDIT}/checkpoints", handler=audit_proofs.sign, tag="audit", scope=Scope.ADMIN,
        gives={200: "text/plain"}, problems=(409,),
    ),
    Operation(
        method="GET", path=f"{_AUDIT}/checkpoints", handler=audit_proofs.list_signed, tag="audit", scope=Scope.READ,
        query=audit_proofs.CheckpointQuery, gives={200: audit_proofs.SignedCheckpointPage}, problems=(409, 422),
    ),
    Operation(
        method="GET", path=f"{_AUDIT}/checkpoints/latest", handler=audit_proofs.latest, tag="audit", scope=Scope.READ,
        gives={200: "text/plain"}, problems=(404, 409),
    ),
    Operation(
        method="GET", path=f"{_AUDIT}/keys", handler=audit_proofs.keys, tag="audit", scope=Scope.READ,
        gives={200: audit_proofs.LogKeys}, problems=(409,),
    ),
    Operation(
        method="GET", path=f"{_AUDIT}/inclusion", handler=audit_proofs.inclusion, tag="audit", scope=Scope.READ,
        query=audit_proofs.InclusionQuery, gives={200: audit_proofs.InclusionProof}, problems=(409, 422),
    ),
    Operation(
        method="GET", path=f"{_AUDIT}/consistency", handler=audit_proofs.consistency, tag="audit", scope=Scope.READ,
        query=audit_proofs.ConsistencyQuery, gives={200: audit_proofs.ConsistencyProof}, problems=(409, 422),
    ),
    Operation(
        method="GET", path=f"{_JOB}/proof", handler=audit_proofs.prove, tag="audit", scope=Scope.READ,
        gives={200: "text/plain"}, problems=(404, 409, 503, 507),
    ),
    Operation(
        method="GET", path="/healthz", handler=health.healthz, tag="health", scope=None, gives={200: answers.Health},
    ),
    Operation(
        method="GET", path="/readyz", handler=health.readyz, tag="health", scope=None,
        gives={200: answers.Readiness, 503: answers.Readiness},
    ),
    Operation(
        method="GET", path="/metrics", handler=exposition.metrics, tag="health", scope=Scope.READ,
        gives={200: "text/plain"},
    ),
)  # fmt: skip
