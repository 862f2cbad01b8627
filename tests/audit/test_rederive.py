"""Training again: the verdicts, over a log that was made from one real training and then told otherwise."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from jobs.job_builders import CLAIMED, COMPLETED, FINISHED, SUBMITTED, record
from training.training_examples import make_strategy, random_walk

from ktrdr import __version__, cli
from ktrdr.audit.rederivation.attemptable import NotAttemptableError, doubts
from ktrdr.audit.rederivation.fresh_training import FreshTraining, Message, Order
from ktrdr.audit.rederivation.rederive import Outcome, Rederivation, rederive
from ktrdr.audit.rederivation.training_comparison import Comparison, Difference
from ktrdr.audit.rederivation.training_record import record_of
from ktrdr.jobs.canonical import dumps
from ktrdr.jobs.events import (
    CancelOutcome,
    EpochFinished,
    JobCancelled,
    JobClaimed,
    JobCompleted,
    JobEvent,
    JobFailed,
    JobId,
    JobRequeued,
    Relation,
    RequeueReason,
    StageFinished,
)
from ktrdr.jobs.identity import make_job_id
from ktrdr.store import Store, open_store
from ktrdr.store.catalogue import put_dataset
from ktrdr.store.checkpoints import Retention
from ktrdr.store.log import Transaction
from ktrdr.training import prices
from ktrdr.training.strategy.parse import to_mapping

PRICES = prices.to_bytes(random_walk(1500))
JOB, OTHER = (make_job_id(1_790_000_000_000 + number, bytes(10)) for number in range(2))
CAPABILITIES = {
    "device_type": "cpu", "device": "cpu", "supports_mixed_precision": False, "supports_memory_profiling": False,
    "max_batch_size": 4096, "memory_available_gb": 1.0,
}  # fmt: skip


class Trained:
    """A real training: what it was asked for, what it computed with and what it said."""

    def __init__(self, folder: Path) -> None:
        store = open_store(folder / "home")
        self.submitted = replace(
            SUBMITTED,
            strategy=json.loads(dumps(to_mapping(make_strategy()))),  # in the order in which the log keeps it
            symbols=("AAA",),
            prices=({"symbol": "AAA", "timeframe": "1h", "digest": store.prices.add(PRICES)},),
            code_version=__version__,
        )
        order = Order(
            strategy=self.submitted.strategy,
            prices=self.submitted.prices,
            context=(),
            seed=self.submitted.seed,
            price_folder=str(folder / "home" / "prices"),
            output=str(folder / "model"),
            capabilities=CAPABILITIES,
            origin=None,
            checkpoint=None,
        )
        with FreshTraining(environment={}, device="cpu") as training:
            self.profile: dict[str, Any] = dict(training.ready["profile"])
            self.messages: list[Message] = list(training.train(order))

    def history(self, *, claimed: JobClaimed | None = None) -> list[JobEvent]:
        """What a worker would have recorded of it."""
        return [self.submitted, claimed or self.claimed(), *self.work(), self.completed()]

    def claimed(self, **profile: Any) -> JobClaimed:
        return replace(CLAIMED, capabilities=CAPABILITIES, numeric_profile=self.profile | profile)

    def work(self) -> list[JobEvent]:
        return [event for message in self.messages if (event := _event_of(message))]

    def completed(self) -> JobCompleted:
        said = self.messages[-1]
        fields = {name: said[name] for name in COMPLETED.__slots__ if name in said}
        return JobCompleted(**fields, symbol_metrics=said["per_symbol_metrics"])


def _event_of(message: Message) -> StageFinished | EpochFinished | None:
    match message["said"]:
        case "StageFinished":
            return replace(FINISHED, name=message["name"], facts=message["facts"])
        case "EpochFinished":
            return EpochFinished(**{name: message[name] for name in EpochFinished.__slots__})
    return None


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return Trained(tmp_path_factory.mktemp("trained"))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = open_store(tmp_path / "home")
    store.prices.add(PRICES)
    return store


def write(store: Store, events: Sequence[JobEvent], job_id: JobId = JOB) -> None:
    """Records events as they are, one at a time: what a worker might have said, true or not."""
    log = store.open_log()

    def append(transaction: Transaction, event: JobEvent) -> None:
        transaction.change(job_id, lambda _: (event,), actor="worker:w1")

    for event in events:
        log.write(partial(append, event=event))
    log.close()


def judged(store: Store, events: Sequence[JobEvent], **how: Any) -> Rederivation:
    write(store, events)
    return rederive(store, JOB, **how)


def changed(events: Sequence[JobEvent], which: Callable[[JobEvent], bool], **fields: Any) -> list[JobEvent]:
    found = [replace(event, **fields) if which(event) else event for event in events]
    assert found != list(events)
    return found


def epoch(number: int) -> Callable[[JobEvent], bool]:
    return lambda event: isinstance(event, EpochFinished) and event.epoch == number


def stage(name: str) -> Callable[[JobEvent], bool]:
    return lambda event: isinstance(event, StageFinished) and event.name == name


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_same_model_is_made_again_and_nothing_of_the_store_is_changed(
    trained: Trained, store: Store, tmp_path: Path
) -> None:
    write(store, trained.history())
    before = {name: data for name, data in files(store.home).items() if not name.startswith("ktrdr.db")}
    seen: list[tuple[int, int]] = []
    verdict = rederive(store, JOB, keep=tmp_path / "kept", progress=lambda *progress: seen.append(progress))
    assert verdict.outcome is Outcome.IDENTICAL, verdict.sentence
    assert verdict.sentence == "identical: 3 epochs, the weights, the metrics and every byte of the model"
    assert (verdict.epochs, verdict.stages, seen) == (3, 11, [(1, 3), (2, 3), (3, 3)])
    assert {name: data for name, data in files(store.home).items() if not name.startswith("ktrdr.db")} == before
    assert store.open_reader().last_position() == len(trained.history())
    assert set(files(tmp_path / "kept")) == {
        f"{JOB}/{name}" for name in ("SHA256SUMS", "metrics.json", "model.json", "report.json", "weights.safetensors")
    }
    with pytest.raises(FileExistsError, match="name another folder"):
        rederive(store, JOB, keep=tmp_path / "kept")


def compare(trained: Trained, events: Sequence[JobEvent]) -> Comparison | Difference:
    """The first difference of the real training from what these events say; the comparison if there is none."""
    comparison = Comparison(record_of(record(events)))
    for message in trained.messages:
        if difference := comparison.take(message):
            return difference
    assert comparison.is_done
    return comparison


def test_the_first_tensor_of_the_first_epoch_that_differs_is_named(trained: Trained) -> None:
    second = next(message for message in trained.messages if message.get("epoch") == 2)
    names, digests = second["names"], second["tensors"]
    assert len(digests) == 4 * len(names)
    for number, name in enumerate(names):
        start = 4 * number
        told = changed(
            trained.history(),
            epoch(2),
            weights_digest="0" * 64,
            tensors=f"{digests[:start]}{'f' * (len(digests) - start)}",
        )
        difference = compare(trained, told)
        assert isinstance(difference, Difference)
        assert (difference.epoch, difference.tensor) == (2, name)
        assert str(difference) == f"epoch 2, tensor {name}: recorded ffff, found {digests[start : start + 4]}"


def test_of_an_epoch_of_schema_1_the_tensor_is_not_known(trained: Trained) -> None:
    told = changed(trained.history(), epoch(3), weights_digest="0" * 64, tensors="")
    difference = compare(trained, told)
    assert isinstance(difference, Difference)
    assert (difference.epoch, difference.tensor) == (3, None)
    assert "of which tensor, the log does not say" in str(difference)
    assert isinstance(compare(trained, changed(trained.history(), epoch(3), tensors="")), Comparison)


@pytest.mark.parametrize(
    ("which", "fields", "where", "what"),
    [
        (epoch(1), {"validation_loss": 0.5}, "epoch 1", "validation_loss"),
        (epoch(2), {"learning_rate": 0.5}, "epoch 2", "learning_rate"),
        (stage("calculate_indicators"), {"facts": {"columns": {}}}, "stage calculate_indicators", "columns.AAA"),
        (stage("create_model"), {"facts": {"parameters": 7}}, "stage create_model", "parameters"),
        (lambda event: isinstance(event, JobCompleted), {"best_epoch": 2}, "the model", "best_epoch"),
        (lambda event: isinstance(event, JobCompleted), {"metrics": {}}, "the model", "metrics"),
        (lambda event: isinstance(event, JobCompleted), {"model_digest": "0" * 64}, "the model", "model_digest"),
    ],
)
def test_whatever_else_is_told_otherwise_is_found_where_it_stands(
    trained: Trained, which: Callable[[JobEvent], bool], fields: dict[str, Any], where: str, what: str
) -> None:
    difference = compare(trained, changed(trained.history(), which, **fields))
    assert isinstance(difference, Difference)
    assert difference.where == where
    assert difference.what.startswith(what)
    assert difference.recorded != difference.found


def test_an_epoch_more_or_less_than_recorded_is_a_difference(trained: Trained) -> None:
    third = next(event for event in trained.work() if epoch(3)(event))
    fourth = replace(third, epoch=4)
    *work, end = trained.history()
    work.insert(work.index(third) + 1, fourth)
    too_short = compare(trained, [*(event for event in work if not isinstance(event, StageFinished)), end])
    assert isinstance(too_short, Difference)
    assert too_short.where == "epoch 4"
    fewer = [event for event in trained.history()[:-1] if not isinstance(event, StageFinished) and event != third]
    too_long = compare(trained, [*fewer, replace(trained.completed(), epochs_trained=2)])
    assert isinstance(too_long, Difference)
    assert str(too_long) == "epoch 3, epochs trained: recorded 2, found 3"


def test_how_long_it_took_is_no_property_of_a_training(trained: Trained) -> None:
    assert isinstance(compare(trained, changed(trained.history(), epoch(2), seconds=99.0)), Comparison)


def broken_off(trained: Trained, after: Callable[[JobEvent], bool], end: JobEvent) -> list[JobEvent]:
    work = trained.work()
    number = next(number for number, event in enumerate(work) if after(event))
    return [trained.submitted, trained.claimed(), *work[: number + 1], end]


CANCELLED = JobCancelled(request_version=1, outcome=CancelOutcome.STOPPED, batches_after_request=0, where="")


def test_a_cancelled_job_is_compared_as_far_as_it_went(trained: Trained, store: Store) -> None:
    verdict = judged(store, broken_off(trained, epoch(2), CANCELLED))
    assert (verdict.outcome, verdict.sentence) == (Outcome.IDENTICAL, "identical as far as it went: 2 epochs")


def test_a_failure_that_is_said_to_be_final_must_come_again(trained: Trained) -> None:
    lost = JobFailed(kind="worker_lost", message="", where="", fix="", retryable=True)
    comparison = Comparison(record_of(record(broken_off(trained, epoch(2), lost))))
    taken = [comparison.take(message) for message in trained.messages if not comparison.is_done]
    assert (comparison.epochs, set(taken)) == (2, {None})
    final = JobFailed(kind="loss_not_finite", message="inf in epoch 3", where="", fix="", retryable=False)
    difference = compare(trained, broken_off(trained, epoch(2), final))
    assert isinstance(difference, Difference)
    assert str(difference) == "the end, how it ended: recorded inf in epoch 3, found a model"


def test_a_training_that_fails_as_it_did_is_the_same(trained: Trained, store: Store) -> None:
    strategy = to_mapping(make_strategy(start=random_walk(1500).index[-20].to_pydatetime()))
    claimed = trained.claimed()
    message = "of the 1 samples of AAA none is left for the train part"

    def told(words: str) -> list[JobEvent]:
        failure = JobFailed(kind="no_samples", message=words, where="", fix="", retryable=False)
        return [replace(trained.submitted, strategy=strategy), claimed, failure]

    write(store, told(message))
    verdict = rederive(store, JOB)
    assert verdict.difference is not None
    really = verdict.difference.found
    write(store, told(really), OTHER)
    verdict = rederive(store, OTHER)
    assert verdict.sentence == f"identical: it fails as it did, after 0 epochs: {really}"


def two_attempts(trained: Trained, first: JobClaimed, **changes: Any) -> list[JobEvent]:
    """A job whose first attempt was lost after two epochs, and whose second one began anew."""
    lost = JobRequeued(reason=RequeueReason.LEASE_EXPIRED, message="")
    told = [replace(event, **changes) if epoch(2)(event) else event for event in trained.work()[:10]]
    assert any(epoch(2)(event) for event in told)
    again = replace(trained.claimed(), attempt=2, lease_epoch=2)
    return [trained.submitted, first, *told, lost, again, *trained.work(), trained.completed()]


def test_attempts_that_contradict_each_other_are_a_finding(trained: Trained, store: Store) -> None:
    verdict = judged(store, two_attempts(trained, trained.claimed(), weights_digest="0" * 64, tensors=""))
    assert verdict.outcome is Outcome.DIFFERS
    assert verdict.sentence.startswith("differs first at epoch 2, the weights")
    assert f"so attempt 1 of job {JOB} said; the newest word is right" in verdict.sentence
    assert "the log holds different weights for epoch 2: 0000000000000000… by attempt 1" in verdict.notes[0]


def test_an_attempt_under_another_profile_that_nothing_came_of_does_not_matter(trained: Trained) -> None:
    told = two_attempts(trained, trained.claimed(cpu_capability="AVX9"), weights_digest="0" * 64)
    assert len(record_of(record(told)).conditions()) == 1
    assert isinstance(compare(trained, told), Comparison)


def test_what_two_profiles_made_together_is_not_attemptable(trained: Trained, store: Store) -> None:
    work = trained.work()
    middle = next(number for number, event in enumerate(work) if epoch(2)(event))
    lost = JobRequeued(reason=RequeueReason.LEASE_EXPIRED, message="")
    again = replace(trained.claimed(cpu_capability="AVX9"), attempt=2, lease_epoch=2)
    told = [trained.submitted, trained.claimed(), *work[:middle], lost, again, *work[middle:], trained.completed()]
    verdict = judged(store, told)
    assert verdict.outcome is Outcome.NOT_ATTEMPTABLE
    assert verdict.sentence.endswith("its attempts ran under conditions that differ: numeric_profile.cpu_capability")


def test_another_library_makes_it_not_attemptable(trained: Trained, store: Store) -> None:
    verdict = judged(store, trained.history(claimed=trained.claimed(torch="1.0")))
    assert verdict.outcome is Outcome.NOT_ATTEMPTABLE
    assert verdict.sentence == f"not attemptable, because torch is {trained.profile['torch']} here and was 1.0"
    assert verdict.fix == "use torch 1.0"


def test_of_each_part_of_a_profile_it_is_known_whether_it_decides(trained: Trained) -> None:
    ready = {"device": "cpu", "profile": trained.profile}
    for name, value in trained.profile.items():
        other = {"MKL_CBWR": "AVX2"} if name == "environment" else "other"
        there = record_of(record(trained.history(claimed=trained.claimed(**{name: other}))))
        (conditions,) = there.conditions()
        if name in ("python", "implementation", "glibc", "cpu"):
            assert doubts(ready, conditions, there) == (f"{name} is {value} here and was other",)
        else:
            with pytest.raises(NotAttemptableError, match=rf"^{name}.* here and was ") as refused:
                doubts(ready, conditions, there)
            assert refused.value.fix.startswith(f"use {name}")
    of_other_code = replace(there, submitted=replace(there.submitted, code_version="0.0.9"))
    (same,) = record_of(record(trained.history())).conditions()
    assert doubts(ready, same, of_other_code) == (f"this is ktrdr {__version__} and it was submitted to 0.0.9",)


def test_what_seldom_matters_is_tried_and_only_an_equal_result_counts(trained: Trained, store: Store) -> None:
    claimed = trained.claimed(cpu="a processor of long ago")
    write(store, trained.history(claimed=claimed))
    assert rederive(store, JOB).outcome is Outcome.IDENTICAL
    write(store, changed(trained.history(claimed=claimed), epoch(1), weights_digest="0" * 64), OTHER)
    verdict = rederive(store, OTHER)
    assert verdict.outcome is Outcome.NOT_ATTEMPTABLE
    assert "it differs (epoch 1, " in verdict.sentence
    assert "here and was a processor of long ago, which may be the reason" in verdict.sentence


def test_the_recorded_environment_steers_the_second_training(
    trained: Trained, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MKL_CBWR", "COMPATIBLE")  # the recorded training had none
    write(store, trained.history())
    assert rederive(store, JOB).outcome is Outcome.IDENTICAL


def test_a_gpu_that_is_not_here_makes_it_not_attemptable(trained: Trained, store: Store) -> None:
    claimed = replace(trained.claimed(), capabilities=CAPABILITIES | {"device": "cuda:31", "device_type": "cuda"})
    verdict = judged(store, trained.history(claimed=claimed))
    assert verdict.sentence == "not attemptable, because it was trained on cuda:31, which is not here"


def test_missing_and_changed_prices_are_named(trained: Trained, store: Store) -> None:
    write(store, trained.history())
    path = store.prices.path(trained.submitted.prices[0]["digest"])
    path.write_bytes(PRICES[:-8])
    assert "because the prices of AAA 1h were changed: " in rederive(store, JOB).sentence
    path.unlink()
    verdict = rederive(store, JOB)
    assert (verdict.outcome, verdict.difference) == (Outcome.NOT_ATTEMPTABLE, None)
    assert verdict.sentence == "not attemptable, because the prices of AAA 1h are missing"
    assert path.stem in verdict.fix


def test_a_job_that_goes_on_or_never_began_is_not_attemptable(trained: Trained, store: Store) -> None:
    write(store, trained.history()[:3])
    assert rederive(store, JOB).sentence == "not attemptable, because it has not ended"
    write(store, [trained.submitted, CANCELLED], OTHER)
    assert rederive(store, OTHER).sentence.endswith("the log holds nothing that a training could be compared with")


def test_a_fork_whose_origin_is_gone_for_good_is_not_attemptable(trained: Trained, store: Store) -> None:
    origin = {"epoch": 1, "digest": "d" * 64}
    fork = replace(trained.submitted, parent=OTHER, relation=Relation.FORK, starts_from=origin, forked_from=origin)
    verdict = judged(store, [fork, *trained.history()[1:]])
    assert "the checkpoint of epoch 1 that it goes on from is gone, and the log does not say who" in verdict.sentence


def test_the_prices_of_a_job_stay_when_their_symbol_gets_other_ones(trained: Trained, store: Store) -> None:
    write(store, trained.history())
    other = store.prices.add(prices.to_bytes(random_walk(100, seed=5)))
    log, reader = store.open_log(), store.open_reader()
    for digest in (trained.submitted.prices[0]["digest"], other):

        def put(transaction: Transaction, digest: str) -> None:
            put_dataset(transaction, symbol="AAA", timeframe="1h", digest=digest, rows=1, first="2024", last="2024")

        log.write(partial(put, digest=digest))
    Retention(store, log, reader)()
    log.close()
    reader.close()
    assert rederive(store, JOB).outcome is Outcome.IDENTICAL


def test_the_command_tells_its_verdict_by_words_json_and_exit_code(
    trained: Trained, store: Store, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KTRDR_HOME", str(store.home))

    def run(*arguments: str) -> tuple[int, str]:
        return cli.run(["audit", "rederive", *arguments]), capsys.readouterr().out

    write(store, trained.history())
    code, out = run(JOB[-8:])
    assert (code, out.split("  ")[0]) == (0, JOB)
    write(store, changed(trained.history(), epoch(1), weights_digest="0" * 64), OTHER)
    code, out = run("--all")
    assert code == 1
    assert [line.split()[1] for line in out.splitlines()[:2]] == ["identical:", "differs"]
    assert out.splitlines()[-1] == "1 identical, 1 differs, 0 not attemptable"
    store.prices.path(trained.submitted.prices[0]["digest"]).unlink()
    code, out = run(OTHER, "--json")
    assert (code, json.loads(out)["outcome"]) == (7, "not_attemptable")
    assert run()[0] == run(JOB, "--all")[0] == 2
    assert run("019f0000-0000-7000-8000-000000000000")[0] == 2
