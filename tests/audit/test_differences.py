"""Why two jobs differ: what is reported is what was planted, and where it shows."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jobs.job_builders import (
    CHECKPOINT,
    CLAIMED,
    COMPLETED,
    EPOCH,
    EXPIRED,
    FINISHED,
    REQUEUED,
    RESUMED,
    STARTED,
    SUBMITTED,
    record,
)
from strategies import short

from ktrdr.audit.attempts import attempts_of, contributing, epochs_of
from ktrdr.audit.causes import MISSING, Kind, Reach, differences
from ktrdr.audit.differences import Comparison, Conclusion, compare, document
from ktrdr.jobs.events import JobClaimed, JobEvent, JobSubmitted, Recorded, Target
from ktrdr.submission.strategies import event_fields
from ktrdr.training.strategy.parse import from_mapping

PROFILE = {"threads": 1, "torch": "2.13.0", "environment": {"MKL_NUM_THREADS": "1"}}
CPU = {"device_type": "cpu", "device": "cpu", "max_batch_size": 65_536, "memory_available_gb": 3.5}
ORIGIN = {"epoch": 3, "digest": "9" * 64}
BASE = replace(
    SUBMITTED,
    **event_fields(from_mapping(short(3)).strategy),
    prices=({"symbol": "AAPL", "timeframe": "1d", "digest": "a" * 64},),
    context=({"name": "RATE", "digest": "b" * 64},),
)
CLAIM = replace(CLAIMED, numeric_profile=PROFILE, capabilities=CPU)
Job = tuple[JobSubmitted, JobClaimed]


def in_strategy(*place: Any, value: Any) -> Callable[[Job], Job]:
    """Sets a value of the resolved strategy; MISSING takes it out."""

    def plant(job: Job) -> Job:
        strategy = copy.deepcopy(dict(job[0].strategy))
        around: Any = strategy
        for part in place[:-1]:
            around = around[part]
        if value is MISSING:
            del around[place[-1]]
        else:
            around[place[-1]] = value
        return replace(job[0], strategy=strategy), job[1]

    return plant


def in_submission(**values: Any) -> Callable[[Job], Job]:
    return lambda job: (replace(job[0], **values), job[1])


def in_claim(**values: Any) -> Callable[[Job], Job]:
    return lambda job: (job[0], replace(job[1], **values))


#: Path → what plants the cause, in the order in which causes act.
PLANTS: dict[str, tuple[Callable[[Job], Job], Kind, Reach]] = {
    "prices.AAPL.1d": (
        in_submission(prices=({"symbol": "AAPL", "timeframe": "1d", "digest": "f" * 64},)), Kind.DATA, Reach.WEIGHTS,
    ),
    "context.RATE": (in_submission(context=({"name": "RATE", "digest": "c" * 64},)), Kind.DATA, Reach.WEIGHTS),
    "strategy.training_data.date_range.start": (
        in_strategy("training_data", "date_range", "start", value="2001-01-01T00:00:00+00:00"),
        Kind.DATES, Reach.WEIGHTS,
    ),
    "code_version": (in_submission(code_version="0.0.9"), Kind.CODE, Reach.WEIGHTS),
    "strategy.training_data.history_required": (
        in_strategy("training_data", "history_required", value=999), Kind.STRATEGY, Reach.WEIGHTS,
    ),
    "strategy.indicators.rsi_14.period": (
        in_strategy("indicators", "rsi_14", "period", value=15), Kind.STRATEGY, Reach.WEIGHTS,
    ),
    "strategy.fuzzy_sets.momentum.memberships[1].parameters": (
        in_strategy("fuzzy_sets", "momentum", "memberships", 1, "parameters", value=[40, 51, 64]),
        Kind.STRATEGY, Reach.WEIGHTS,
    ),
    "strategy.training.labels.zigzag_threshold": (
        in_strategy("training", "labels", "zigzag_threshold", value=0.5), Kind.STRATEGY, Reach.WEIGHTS,
    ),
    "strategy.model.architecture.hidden_layers": (
        in_strategy("model", "architecture", "hidden_layers", value=[8]), Kind.STRATEGY, Reach.WEIGHTS,
    ),
    "strategy.training.early_stopping": (
        in_strategy("training", "early_stopping", value={"patience": 3}), Kind.STRATEGY, Reach.WEIGHTS,
    ),
    "strategy.decisions.confidence_threshold": (
        in_strategy("decisions", "confidence_threshold", value=0.75), Kind.STRATEGY, Reach.METRICS,
    ),
    "strategy.hypothesis": (in_strategy("hypothesis", value=MISSING), Kind.STRATEGY, Reach.FILES),
    "forked_from": (in_submission(forked_from=ORIGIN, starts_from=ORIGIN), Kind.ORIGIN, Reach.WEIGHTS),
    "seed": (in_submission(seed=8), Kind.SEED, Reach.WEIGHTS),
    "strategy.training.seed": (in_strategy("training", "seed", value=4), Kind.SEED, Reach.WEIGHTS),
    "numeric_profile.threads": (
        in_claim(numeric_profile=PROFILE | {"threads": 2}), Kind.PROFILE, Reach.WEIGHTS,
    ),
    "device.name": (in_claim(capabilities=CPU | {"device": "cuda:0"}), Kind.DEVICE, Reach.WEIGHTS),
}  # fmt: skip


def finished(job: Job, *middle: JobEvent, **result: Any) -> list[Recorded]:
    return record((job[0], job[1], *middle, replace(COMPLETED, **result)))


def paths(comparison: Comparison) -> list[str]:
    return [cause.path for cause in comparison.causes]


def planted(names: Sequence[str]) -> Job:
    job = (BASE, CLAIM)
    for name in names:
        job = PLANTS[name][0](job)
    return job


@given(st.sets(st.sampled_from(list(PLANTS))))
def test_the_causes_are_exactly_those_that_were_planted_in_their_order(names: set[str]) -> None:
    expected = [name for name in PLANTS if name in names]
    one, other = finished((BASE, CLAIM)), finished(planted(expected), weights_digest="0" * 64)
    comparison, mirrored = compare(one, other), compare(other, one)
    assert paths(comparison) == expected
    assert [(cause.kind, cause.reach) for cause in comparison.causes] == [PLANTS[name][1:] for name in expected]
    # An added key stands where the other job does not have it, so the order of the mirror may differ within a section.
    assert sorted((cause.path, str(cause.a), str(cause.b)) for cause in mirrored.causes) == sorted(
        (cause.path, str(cause.b), str(cause.a)) for cause in comparison.causes
    )
    is_explained = any(PLANTS[name][2] is Reach.WEIGHTS for name in expected)
    assert comparison.conclusion is (Conclusion.EXPLAINED if is_explained else Conclusion.UNEXPLAINED)


@given(
    priority=st.integers(-9, 9),
    labels=st.dictionaries(st.sampled_from("ab"), st.sampled_from("xy")),
    target=st.sampled_from(Target),
    cadence=st.none() | st.integers(1, 9),
    memory=st.floats(0, 9),
    worker=st.sampled_from(["w1", "w2"]),
)
def test_what_no_result_depends_on_is_no_cause(memory: float, worker: str, cadence: int | None, **run: Any) -> None:
    submitted = replace(BASE, **run, checkpoints={"every_epochs": cadence, "every_seconds": None})
    claim = replace(CLAIM, worker=worker, capabilities=CPU | {"memory_available_gb": memory})
    comparison = compare(finished((BASE, CLAIM)), finished((submitted, claim)))
    assert comparison.causes == ()
    assert comparison.conclusion is Conclusion.SAME
    assert comparison.sentence == "the same training; equal bits"


def test_a_symbol_that_one_job_has_is_told_once() -> None:
    more = in_strategy("training_data", "symbols", "list", value=["AAPL", "IBM"])((BASE, CLAIM))[0]
    ibm = {"symbol": "IBM", "timeframe": "1d", "digest": "d" * 64}
    more = replace(more, symbols=("AAPL", "IBM"), prices=(*BASE.prices, ibm))
    one = replace(BASE, symbols=("AAPL",))
    assert paths(compare(finished((one, CLAIM)), finished((more, CLAIM)))) == ["strategy.training_data.symbols.list"]


def test_other_data_for_the_same_charts_is_a_cause_on_each_side() -> None:
    minutes = replace(BASE, symbols=("AAPL",), prices=({"symbol": "AAPL", "timeframe": "5m", "digest": "d" * 64},))
    comparison = compare(finished((replace(BASE, symbols=("AAPL",)), CLAIM)), finished((minutes, CLAIM)))
    assert [(cause.path, cause.a, cause.b) for cause in comparison.causes] == [
        ("prices.AAPL.1d", "a" * 64, MISSING),
        ("prices.AAPL.5m", MISSING, "d" * 64),
    ]


def test_a_device_that_holds_smaller_batches_is_a_cause_only_where_it_cuts_them() -> None:
    batch = BASE.strategy["training"]["batch_size"]
    for largest, told in ((batch, []), (batch // 2, ["device.batch_size"])):
        small = replace(CLAIM, capabilities=CPU | {"max_batch_size": largest})
        assert paths(compare(finished((BASE, CLAIM)), finished((BASE, small)))) == told


# Attempts

OTHER_PROFILE = replace(CLAIM, attempt=2, lease_epoch=2, numeric_profile=PROFILE | {"threads": 2})
EPOCH_1, EPOCH_2 = (replace(EPOCH, epoch=number, weights_digest=f"{number}" * 64) for number in (1, 2))


def test_the_profile_of_an_attempt_that_was_thrown_away_is_no_cause() -> None:
    lost = replace(CLAIM, numeric_profile=PROFILE | {"threads": 2})
    again = (EPOCH_1, EXPIRED, REQUEUED, replace(CLAIM, attempt=2, lease_epoch=2), EPOCH_1, EPOCH_2)
    comparison = compare(finished((BASE, CLAIM), EPOCH_1, EPOCH_2), finished((BASE, lost), *again))
    assert [(cause.path, cause.b, cause.reach) for cause in comparison.causes] == [
        ("attempts.count", 2, Reach.NOTHING),
        ("attempts.resumed_from", [0, 0], Reach.NOTHING),
    ]
    assert comparison.conclusion is Conclusion.EQUAL


def test_the_profile_of_an_attempt_that_was_gone_on_from_is_one() -> None:
    resumed = (EPOCH_1, CHECKPOINT, EXPIRED, REQUEUED, OTHER_PROFILE, RESUMED, EPOCH_2)
    comparison = compare(finished((BASE, CLAIM), EPOCH_1, EPOCH_2), finished((BASE, CLAIM), *resumed))
    assert ("numeric_profile.threads", 1, [1, 2]) in [(c.path, c.a, c.b) for c in comparison.causes]
    assert ("attempts.resumed_from", [0], [0, 1]) in [(c.path, c.a, c.b) for c in comparison.causes]


def test_epochs_count_as_far_as_the_next_attempt_went_on_from_them() -> None:
    thrown_away, kept = replace(EPOCH_2, weights_digest="7" * 64), replace(EPOCH_2, weights_digest="8" * 64)
    history = record(
        (BASE, CLAIM, EPOCH_1, CHECKPOINT, thrown_away, EXPIRED, REQUEUED, OTHER_PROFILE, RESUMED, kept, COMPLETED)
    )
    epochs = epochs_of(contributing(attempts_of(history)))
    assert {number: epoch.weights_digest[0] for number, epoch in epochs.items()} == {1: "1", 2: "8"}


def test_a_regained_lease_goes_on_with_its_attempt() -> None:
    regained = replace(CLAIM, lease_epoch=2, continues=1)
    (attempt,) = attempts_of(record((BASE, CLAIM, EPOCH_1, EXPIRED, REQUEUED, regained, EPOCH_2, COMPLETED)))
    assert sorted(attempt.epochs) == [1, 2]


def test_a_job_that_begins_with_another_ones_checkpoint_says_so() -> None:
    begun = replace(BASE, starts_from=ORIGIN)
    comparison = compare(
        finished((BASE, CLAIM), EPOCH_1, replace(EPOCH_2, epoch=4)),
        finished((begun, CLAIM), replace(RESUMED, epoch=3), replace(EPOCH_2, epoch=4)),
    )
    assert paths(comparison)[0] == "starts_from"
    assert comparison.notes == ("the epochs up to 3 of B were trained by the job that it goes on from",)


# Where it shows


def test_the_first_epoch_that_differs_is_told_with_its_weights() -> None:
    other = replace(EPOCH_2, weights_digest="9" * 64)
    comparison = compare(
        finished((BASE, CLAIM), EPOCH_1, EPOCH_2),
        finished(planted(["seed"]), EPOCH_1, other, replace(EPOCH, epoch=3), weights_digest="9" * 64),
    )
    assert comparison.epoch is not None
    assert (comparison.epoch.epoch, comparison.epoch.a, comparison.epoch.b) == (2, "2" * 64, "9" * 64)
    assert comparison.epochs_compared == 2
    assert comparison.sentence == "the weights differ from epoch 2 on; one difference, and that can be why"


def test_the_first_stage_whose_facts_differ_is_told_whatever_the_seconds() -> None:
    def stages(rows: int, labels: int) -> list[JobEvent]:
        return [
            STARTED,
            replace(FINISHED, name="load_price_data", number=1, seconds=rows * 0.1, facts={"rows": 5}),
            replace(FINISHED, name="split_data", number=7, facts={"train": {"samples": rows}}),
            replace(FINISHED, name="create_model", number=8, facts={"parameters": labels}),
        ]

    comparison = compare(finished((BASE, CLAIM), *stages(1, 1)), finished((BASE, CLAIM), *stages(2, 2)))
    assert comparison.stage is not None
    assert (comparison.stage.name, comparison.stage.number) == ("split_data", 7)
    assert [(fact.path, fact.a, fact.b) for fact in comparison.stage.facts] == [("train.samples", 1, 2)]


def test_the_effect_on_each_metric_is_b_less_a() -> None:
    a = {"accuracy": 0.5, "trading": {"sharpe": None, "trades": 3}, "importance": {"samples": 9}, "warnings": []}
    b = {"accuracy": 0.75, "trading": {"sharpe": 1.5, "trades": 3}, "importance": {"samples": 8}, "warnings": ["x"]}
    comparison = compare(
        finished((BASE, CLAIM), metrics=a, symbol_metrics={"AAPL": {"accuracy": 0.5}}),
        finished((BASE, CLAIM), metrics=b, symbol_metrics={"IBM": {"accuracy": 0.25}}),
    )
    assert [(one.symbol, one.metric, one.a, one.b, one.difference) for one in comparison.metrics] == [
        (None, "accuracy", 0.5, 0.75, 0.25),
        (None, "trading.trades", 3, 3, 0),
        (None, "trading.sharpe", None, 1.5, None),
        ("AAPL", "accuracy", 0.5, None, None),
        ("IBM", "accuracy", None, 0.25, None),
    ]
    assert comparison.differs is Reach.METRICS


@pytest.mark.parametrize(
    ("names", "result", "conclusion", "said"),
    [
        ([], {}, Conclusion.SAME, "the same training; equal bits"),
        (["seed"], {}, Conclusion.EQUAL, "one difference, and equal bits all the same"),
        (["seed", "code_version"], {"weights_digest": "0"}, Conclusion.EXPLAINED, "2 differences, of which 2 can be"),
        ([], {"weights_digest": "0"}, Conclusion.UNEXPLAINED, "this is a finding"),
        (["strategy.hypothesis"], {"weights_digest": "0"}, Conclusion.UNEXPLAINED, "this is a finding"),
        (["strategy.decisions.confidence_threshold"], {"metrics": {}}, Conclusion.EXPLAINED, "the metrics differ"),
        (["strategy.hypothesis"], {"metrics": {}}, Conclusion.UNEXPLAINED, "this is a finding"),
        (["strategy.hypothesis"], {"model_digest": "0"}, Conclusion.EXPLAINED, "weights and metrics are equal"),
        ([], {"model_digest": "0"}, Conclusion.UNEXPLAINED, "this is a finding"),
    ],
)
def test_a_difference_is_explained_only_by_what_reaches_it(
    names: list[str], result: dict[str, Any], conclusion: Conclusion, said: str
) -> None:
    comparison = compare(finished((BASE, CLAIM), EPOCH_1), finished(planted(names), EPOCH_1, **result))
    assert comparison.conclusion is conclusion
    assert said in comparison.sentence


def test_jobs_without_a_model_are_compared_as_far_as_they_went() -> None:
    running = record((BASE, CLAIM, EPOCH_1))
    comparison = compare(running, finished((BASE, CLAIM), EPOCH_1, EPOCH_2))
    assert comparison.conclusion is Conclusion.OPEN
    assert comparison.sentence == "nothing differs; not both have a model, equal as far as both went (one epoch)"
    assert comparison.notes == ("A is running: it has no model to compare",)
    queued = compare(record((BASE,)), record((planted(["seed"])[0],)))
    assert paths(queued) == ["seed"]
    diverging = record((BASE, CLAIM, replace(EPOCH_1, weights_digest="0" * 64)))
    assert compare(running, diverging).conclusion is Conclusion.UNEXPLAINED


def test_what_was_pruned_is_said_to_be_missing() -> None:
    comparison = compare(finished((BASE, CLAIM), EPOCH_1), finished(planted(["seed"]), weights_digest="0" * 64))
    assert comparison.notes == ("the log does not hold the epochs of B any more: they were pruned",)
    assert comparison.epoch is None
    assert comparison.sentence == "the weights differ; one difference, and that can be why"


def test_the_document_leaves_out_what_a_job_does_not_have() -> None:
    comparison = compare(finished((BASE, CLAIM)), finished(planted(["strategy.hypothesis"]), model_digest="0" * 64))
    (cause,) = document(comparison)["causes"]
    assert "b" not in cause
    assert cause["a"] == BASE.strategy["hypothesis"]
    assert cause["can_be_set"] is True


def test_values_are_compared_as_their_canonical_text() -> None:
    assert list(differences({"a": 1, "b": True}, {"a": 1.0, "b": 1})) == [(("b",), True, 1)]
    assert list(differences([{"x": 1}], [{"x": 1}, {"x": 2}])) == [((), [{"x": 1}], [{"x": 1}, {"x": 2}])]
