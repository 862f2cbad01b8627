"""What requests look like, for the OpenAPI document: values of parameters, and bodies of those that want one.

Imports the samples. The tests see to it that every example is what its operation accepts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ktrdr import sample

JOB = "01a20fd0-8f44-7c3b-9d51-2f6c0a7be913"
OTHER_JOB = "01a20fd3-1b02-7e6a-8c4f-90ab12cd34ef"
DIGEST = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
#: (In, name) of a parameter → its value.
PARAMETERS: Mapping[tuple[str, str], Any] = {
    ("path", "job_id"): JOB,
    ("path", "lease_epoch"): 1,
    ("path", "digest"): DIGEST,
    ("path", "name"): "trend_follower",
    ("query", "status"): ["running", "queued"],
    ("query", "strategy"): "trend_follower",
    ("query", "symbol"): "AAPL",
    ("query", "label"): ["desk=rates"],
    ("query", "submitted_from"): "2026-11-01",
    ("query", "submitted_until"): "2026-11-24",
    ("query", "as_of"): "2026-11-24T12:00:00Z",
    ("query", "a"): JOB,
    ("query", "b"): OTHER_JOB,
    ("query", "job"): JOB,
    ("query", "filename"): "AAPL.csv",
    ("query", "timeframe"): "1h",
    ("query", "timezone"): "America/New_York",
    ("query", "cron"): "30 2 * * tue-sat",
    ("query", "date_format"): "%d.%m.%Y",
    ("query", "wait"): 20,
    ("header", "Idempotency-Key"): "nightly-2026-11-24",
    ("header", "If-None-Match"): '"v5"',
    ("header", "If-Match"): '"v5"',
    ("header", "Prefer"): "wait=20",
    ("header", "Last-Event-ID"): "1042",
    ("header", "Upload-Offset"): "0",
    ("header", "Upload-Length"): "1048576",
}
_WORKER = {
    "worker": "gpu1:4242",
    "capabilities": {"device_type": "cuda", "device": "cuda:0"},
    "numeric_profile": {"torch": "2.13.0", "threads": 1},
}
#: Operation → its body.
BODIES: Mapping[str, Mapping[str, Any]] = {
    "jobs_submit": {
        "strategy": "trend_follower", "symbols": ["AAPL", "MSFT"], "seed": 7, "labels": {"desk": "rates"},
        "checkpoint_every_epochs": 5,
    },
    "jobs_cancel": {"reason": "wrong symbol"},
    "retries_retry": {"from_checkpoint": True},
    "retries_fork": {"epoch": 20, "changes": {"training.optimizer.learning_rate": 0.0005, "training.epochs": 60}},
    "counterfactuals_counterfactual": {"of": OTHER_JOB, "cause": "strategy.training.epochs"},
    "models_predict": {"symbol": "AAPL", "last": 5},
    "explanations_explain": {"symbol": "AAPL", "at": "2024-05-31T14:00", "last": 200},
    "strategies_validate": {"strategy": "trend_follower", "strict": True},
    "strategies_put": {"source": sample.strategies()["trend_follower"]},
    "schedules_create": {
        "name": "nightly", "cron": "30 2 * * tue-sat", "timezone": "America/New_York", "window": "1095d",
        "job": {"strategy": "trend_follower", "symbols": ["AAPL", "MSFT"], "labels": {"desk": "rates"}},
    },
    "schedules_change": {"every": "6h", "overlap": "queue", "misfire": "all", "job": {"strategy": "trend_follower"}},
    "schedules_pause": {"reason": "the data feed is down"},
    "service_settings_change": {"default_target": "auto", "fair_by": "desk", "caps": {"*": 2, "desk=rates": 4}},
    "workers_beat": {
        "state": "alive", "host": "gpu1", "pid": 4242, "version": "0.1.0", "slots": 2,
        "capabilities": _WORKER["capabilities"],
    },
    "leases_claim": {**_WORKER, "claim_id": "5e1f0c6a", "wait": 20},
    "leases_regain": _WORKER,
    "leases_report": {
        "first": 0, "events": [{"type": "StageStarted", "data": {"name": "train_model", "number": 9, "total": 11}}],
    },
    "leases_complete": {
        "data": {
            "model_digest": DIGEST, "weights_digest": DIGEST, "metrics": {"accuracy": 0.57},
            "symbol_metrics": {"AAPL": {"accuracy": 0.57}}, "epochs_trained": 40, "best_epoch": 31,
        },
        "files": {"weights.safetensors": DIGEST, "SHA256SUMS": DIGEST},
    },
    "leases_fail": {
        "data": {
            "kind": "loss_not_finite", "message": "the loss is NaN", "where": "epoch 3, batch 12",
            "fix": "lower the learning rate", "retryable": False,
        },
    },
    "leases_stopped": {"outcome": "stopped", "batches_after_request": 1, "where": "epoch 3, batch 12"},
    "leases_release": {"message": "the worker was stopped"},
}  # fmt: skip
EVENT_STREAM = (
    "retry: 1000\n\n"
    "id: 1043\nevent: EpochFinished\n"
    f'data: {{"position":1043,"job_id":"{JOB}","version":9,"type":"EpochFinished","schema":2,'
    '"recorded_at":"2026-11-24T12:00:00.000000Z","actor":"worker:gpu1:4242","data":{"epoch":4,"…":"…"}}\n\n'
)
PROBLEM = {
    "type": "/problems/invalid-request",
    "title": "The request is not valid",
    "status": 422,
    "detail": "one fault found; nothing was changed",
    "errors": [
        {
            "pointer": "/strategy/training/epochs",
            "path": "strategy.training.epochs",
            "detail": "0 is not possible",
            "fix": "1 or more",
        }
    ],
    "request_id": "7275f7d562fa56c26e22cfaee3ed2f6d",
}
