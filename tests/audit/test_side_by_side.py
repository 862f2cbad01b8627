"""Several trainings side by side: every place where not all are equal, with the value of each."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

from running_service import RunningService
from strategies import short

from ktrdr.audit.attempts import attempts_of
from ktrdr.audit.causes import MISSING, causes
from ktrdr.audit.histories import read_history
from ktrdr.audit.side_by_side import Training, side_by_side
from ktrdr.jobs.events import JobId, JobSubmitted
from ktrdr.store import open_store


def training_of(service: RunningService, **how: Any) -> Training:
    job_id = service.client.submit(short(1), **({"symbols": ["IBM"]} | how))["id"]
    service.wait_for(job_id, "completed")
    history = read_history(open_store(service.home), JobId(job_id))
    submitted = history[0].event
    assert isinstance(submitted, JobSubmitted)
    return Training(submitted, attempts_of(history))


def with_strategy(training: Training, *path: str, value: Any = MISSING) -> Training:
    """The same with another value at a place of its strategy, or without it."""
    strategy = copy.deepcopy(dict(training.submitted.strategy))
    around: Any = strategy
    for name in path[:-1]:
        around = around[name]
    if value is MISSING:
        del around[path[-1]]
    else:
        around[path[-1]] = value
    return Training(replace(training.submitted, strategy=strategy), training.attempts)


def test_rows_are_where_not_all_are_equal_in_the_order_in_which_they_act(service: RunningService) -> None:
    a = training_of(service)
    assert side_by_side([a, a, a]) == []
    b = with_strategy(a, "training", "epochs", value=9)
    c = Training(replace(with_strategy(a, "indicators", "rsi_14", "period", value=7).submitted, seed=5), a.attempts)
    d = Training(replace(a.submitted, code_version="0.0.1"), ())  # nobody has begun it
    rows = side_by_side([a, b, c, d])
    seed, version = a.submitted.seed, a.submitted.code_version
    epochs, period = a.submitted.strategy["training"]["epochs"], 14
    assert {row.path: row.values for row in rows} == {
        "code_version": (version, version, version, "0.0.1"),
        "strategy.indicators.rsi_14.period": (period, period, 7, period),
        "strategy.training.epochs": (epochs, 9, epochs, epochs),
        "seed": (seed, seed, 5, seed),
    }
    assert [row.path for row in rows] == [
        "code_version", "strategy.indicators.rsi_14.period", "strategy.training.epochs", "seed",
    ]  # fmt: skip
    assert [row.path for row in side_by_side([a, c])] == [
        cause.path for cause in causes(a.submitted, c.submitted, a.attempts, c.attempts)
    ]
    # What one does not have at all is told as a whole.
    without = with_strategy(a, "indicators", "rsi_14")
    told = {row.path: row.values for row in side_by_side([a, c, without])}
    whole = a.submitted.strategy["indicators"]["rsi_14"]
    assert told["strategy.indicators.rsi_14"] == (whole, whole | {"period": 7}, MISSING)
    assert "strategy.indicators.rsi_14.period" not in told
