"""Jobs of every kind of model that went every way a job can go, made by a real service."""

from __future__ import annotations

from typing import Any

import yaml
from led_training import led_by_the_hand
from running_service import RunningService
from strategies import trend_follower

from ktrdr import sample

_RECURRENT = {"sequence_length": 5, "hidden_size": 8, "num_layers": 1, "dropout": 0.1}


def _regression() -> dict[str, Any]:
    strategy: dict[str, Any] = yaml.safe_load(sample.strategies()["forward_return"])
    strategy["training"] |= {"epochs": 30, "early_stopping": False}
    return strategy


def _recurrent(kind: str) -> dict[str, Any]:
    return trend_follower(epochs=12, early_stopping=None) | {"model": {"type": kind, "architecture": _RECURRENT}}


#: Strategies and what they are trained on; long enough to be stopped on the way.
KINDS: dict[str, dict[str, Any]] = {
    "mlp": {"strategy": trend_follower(epochs=40, early_stopping=None), "symbols": ["IBM"]},
    "lstm": {"strategy": _recurrent("lstm"), "symbols": ["GOOG"]},
    "gru": {"strategy": _recurrent("gru"), "symbols": ["AAPL", "IBM"]},
    "regression": {"strategy": _regression(), "symbols": ["AAPL", "MSFT"]},
}


def submit(service: RunningService, kind: str, **how: Any) -> str:
    wish: dict[str, Any] = {"seed": 9, "target": "local", "checkpoint_every_epochs": 1} | KINDS[kind] | how
    return service.client.submit(**wish)["id"]


def completed(service: RunningService, kind: str, **how: Any) -> str:
    return ended(service, submit(service, kind, **how), "completed")


def ended(service: RunningService, job_id: str, status: str) -> str:
    service.wait_for(job_id, status)
    return job_id


def resumed(service: RunningService, kind: str) -> str:
    """A job whose worker was told to stop in the middle: another one went on from its checkpoint."""
    with led_by_the_hand(service) as training:
        job_id = submit(service, kind)
        training.to_epoch(job_id, 3)
        training.stop_worker()
    service.start("worker")
    return ended(service, job_id, "completed")


def cancelled_then_retried(service: RunningService, kind: str) -> tuple[str, str]:
    """A job that was cancelled in the middle, and the one that went on from its checkpoint."""
    with led_by_the_hand(service) as training:
        cancelled = submit(service, kind)
        training.to_epoch(cancelled, 3)
        training.cancel(cancelled)
    ended(service, cancelled, "cancelled")
    return cancelled, ended(service, service.client.retry(cancelled, from_checkpoint=True)["id"], "completed")


def forked(service: RunningService, parent: str, *, epoch: int = 3) -> str:
    """A job that went on from an epoch of another with a smaller learning rate."""
    changes = {"training.optimizer.learning_rate": 0.0001}
    return ended(service, service.client.fork(parent, epoch=epoch, changes=changes)["id"], "completed")


def failed(service: RunningService) -> str:
    """A job whose dates leave too few bars, which its training finds out."""
    return ended(service, submit(service, "mlp", start="2020-01-02", end="2020-01-06"), "failed")
