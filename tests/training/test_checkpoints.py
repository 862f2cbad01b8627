"""A training that goes on from a checkpoint gives what an uninterrupted one gives, bit for bit."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from training_examples import (
    CPU,
    Recorder,
    Token,
    make_recurrent,
    make_specification,
    make_strategy,
    make_training,
    random_walk,
    reader,
)

from ktrdr.training import run
from ktrdr.training.checkpoint import Checkpoint, CheckpointError, from_bytes
from ktrdr.training.dataset import Part
from ktrdr.training.determinism import generator_states, make_deterministic, restore_generators
from ktrdr.training.losses import sample_losses
from ktrdr.training.models import build_network
from ktrdr.training.progress import EpochFinished, Resumed, TrainingCancelledError, TrainingFailedError
from ktrdr.training.resuming import Origin
from ktrdr.training.strategy.model import EarlyStopping, Loss, Mlp, Model, Optimizer, Recurrent, Scheduler
from ktrdr.training.trainer import TrainedModel, train_network
from ktrdr.training.weights import weights_digest
from ktrdr.training.windows import Windows

MODELS = {
    "mlp": Model(type="mlp", architecture=Mlp(hidden_layers=(5,), dropout=0.3, activation="tanh")),
    **{
        kind: Model(type=kind, architecture=Recurrent(sequence_length=3, hidden_size=4, num_layers=2, dropout=0.3))
        for kind in ("lstm", "gru")
    },
}
OPTIMIZERS = [
    Optimizer(type="adam", learning_rate=0.01, weight_decay=1e-4, momentum=0.0),
    Optimizer(type="adamw", learning_rate=0.01, weight_decay=1e-4, momentum=0.0),
    Optimizer(type="sgd", learning_rate=0.05, weight_decay=1e-4, momentum=0.9),
    Optimizer(type="rmsprop", learning_rate=0.005, weight_decay=1e-4, momentum=0.5),
]
SCHEDULERS = [
    None,
    Scheduler(type="step", step_size=2, gamma=0.5),
    Scheduler(type="exponential", gamma=0.8),
    Scheduler(type="cosine"),
    Scheduler(type="reduce_on_plateau", factor=0.5, patience=0),
]
STOPPING = EarlyStopping(patience=2, min_delta=0.05, monitor="val_loss")
CLASS_WEIGHTS = torch.tensor([0.5, 1.0, 2.0])


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    make_deterministic()


def noise(kind: str, count: int = 40, *, seed: int = 0, weighted: bool = False) -> Part:
    """Two symbols whose features say nothing, so that the validation loss soon rises."""
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(count + 2, 4, generator=generator)
    windows = Windows(features, torch.arange(2, count + 2), 3)
    return Part(
        features[:count] if kind == "mlp" else windows,
        torch.randint(0, 3, (count,), generator=generator),
        torch.rand(count, generator=generator) * 2 if weighted else None,
        {"A": slice(0, 25), "B": slice(25, count)},
        np.arange(count).astype("M8[ns]"),
        np.ones(count),
    )


def network_of(kind: str) -> nn.Module:
    torch.manual_seed(3)
    return build_network(MODELS[kind], inputs=4, outputs=3)


def train(
    kind: str = "mlp",
    *,
    origins: Sequence[Origin] = (),
    checkpoint_callback: Any = None,
    class_weights: torch.Tensor | None = None,
    weighted: bool = False,
    seed: int = 5,
    recorder: Recorder | None = None,
    token: Token | None = None,
    **changes: Any,
) -> TrainedModel:
    return train_network(
        network_of(kind),
        noise(kind, weighted=weighted),
        noise(kind, seed=1),
        make_training(**{"epochs": 4, "batch_size": 16} | changes),
        sample_losses(Loss(type="cross_entropy"), class_weights),
        seed=seed,
        capabilities=CPU,
        progress_callback=recorder or Recorder(),
        cancellation_token=token or Token(),
        origins=origins,
        checkpoint_callback=checkpoint_callback,
    )


def origin(data: bytes, *, epoch: int = 0, digest: str = "", is_fork: bool = False) -> Origin:
    """A checkpoint to go on from, by its bytes."""
    return Origin(
        epoch=epoch, digest=digest or sha256(data).hexdigest(), read=lambda: from_bytes(data), is_fork=is_fork
    )


def result_of(trained: TrainedModel) -> tuple[Any, ...]:
    """Everything but how long it took."""
    history = [replace(epoch, seconds=0.0) for epoch in trained.history]
    return weights_digest(trained.network.state_dict()), history, trained.best_epoch


def with_checkpoints(kind: str = "mlp", **changes: Any) -> tuple[TrainedModel, list[bytes]]:
    saved: list[bytes] = []
    trained = train(kind, checkpoint_callback=lambda _epoch, take: saved.append(take().to_bytes()), **changes)
    return trained, saved


def check_resumes_everywhere(kind: str, **changes: Any) -> TrainedModel:
    trained, saved = with_checkpoints(kind, **changes)
    assert result_of(trained) == result_of(train(kind, **changes))  # Saving changes nothing.
    assert len(saved) == len(trained.history)
    for epoch, data in enumerate(saved, 1):
        random.seed(epoch)
        torch.manual_seed(epoch)
        recorder = Recorder()
        resumed, later = with_checkpoints(kind, origins=[origin(data, epoch=epoch)], recorder=recorder, **changes)
        assert result_of(resumed) == result_of(trained), f"after epoch {epoch}"
        assert later == saved[epoch:]  # byte by byte: a checkpoint can be made again
        assert [event.epoch for event in recorder.of(EpochFinished)] == list(range(epoch + 1, len(saved) + 1))
        assert recorder.events[0] == Resumed(epoch=epoch, digest=sha256(data).hexdigest(), passed_over=())
    return trained


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize(
    ("optimizer", "scheduler"),
    # Each optimizer and each schedule; they do not know of each other, so not every pair is needed.
    list(itertools.islice(zip(itertools.cycle(OPTIMIZERS), SCHEDULERS, strict=False), 5)),
    ids=lambda value: getattr(value, "type", "constant"),
)
def test_each_network_optimizer_and_schedule_goes_on_as_if_nothing_had_happened(
    kind: str, optimizer: Optimizer, scheduler: Scheduler | None
) -> None:
    check_resumes_everywhere(kind, optimizer=optimizer, scheduler=scheduler)


@pytest.mark.parametrize("monitor", ["val_loss", "val_accuracy"])
def test_early_stopping_goes_on_with_its_best_weights_and_its_patience(monitor: Any) -> None:
    fast = Optimizer(type="adam", learning_rate=0.05, weight_decay=0.0, momentum=0.0)
    stopping = replace(STOPPING, monitor=monitor)
    trained = check_resumes_everywhere("mlp", early_stopping=stopping, optimizer=fast, epochs=30)
    assert trained.best_epoch < len(trained.history) < 30


@pytest.mark.parametrize("kind", MODELS)
def test_weights_of_classes_and_samples_take_part(kind: str) -> None:
    check_resumes_everywhere(kind, class_weights=CLASS_WEIGHTS, weighted=True, epochs=3)


def test_a_training_can_be_broken_off_and_resumed_again_and_again() -> None:
    whole, _ = with_checkpoints(scheduler=SCHEDULERS[4], early_stopping=STOPPING, epochs=6)
    newest: list[bytes] = []
    recorder = Recorder()
    for _ in range(20):
        try:
            finished = train(
                scheduler=SCHEDULERS[4],
                early_stopping=STOPPING,
                epochs=6,
                origins=[origin(data) for data in newest[:-2:-1]],
                checkpoint_callback=lambda _epoch, take: newest.append(take().to_bytes()),
                token=Token(stop_at=7),  # Four batches are an epoch: each attempt does one and a half.
                recorder=recorder,
            )
            break
        except TrainingCancelledError:
            continue
    assert len(whole.history) > 2
    assert result_of(finished) == result_of(whole)
    assert [event.epoch for event in recorder.of(EpochFinished)] == [epoch.epoch for epoch in whole.history]


def test_a_checkpoint_is_taken_only_when_it_is_asked_for_and_never_changes() -> None:
    taken: dict[int, tuple[Checkpoint, bytes]] = {}

    def take_some(epoch: int, take: Callable[[], Checkpoint]) -> None:
        if epoch in (1, 3):
            checkpoint = take()
            taken[epoch] = checkpoint, checkpoint.to_bytes()

    train(checkpoint_callback=take_some, early_stopping=STOPPING, epochs=4)
    assert list(taken) == [1, 3]
    for epoch, (checkpoint, data) in taken.items():
        assert checkpoint.epoch == epoch
        assert checkpoint.to_bytes() == data


# --- what a checkpoint belongs to ---


@pytest.mark.parametrize(
    "changes",
    [{"seed": 6}, {"epochs": 5}, {"batch_size": 8}, {"optimizer": OPTIMIZERS[1]}, {"gradient_clip": None}],
    ids=lambda changes: next(iter(changes)),
)
def test_a_checkpoint_of_another_training_is_passed_over(changes: dict[str, Any]) -> None:
    _, saved = with_checkpoints(epochs=2)
    recorder = Recorder()
    settings = {"epochs": 2} | changes
    trained = train(origins=[origin(saved[0], epoch=1)], recorder=recorder, **settings)
    (resumed,) = recorder.of(Resumed)
    assert (resumed.epoch, resumed.digest) == (0, None)
    assert [one["epoch"] for one in resumed.passed_over] == [1]
    assert "its settings, seed, first weights" in resumed.passed_over[0]["problem"]
    assert result_of(trained) == result_of(train(**settings))


def test_a_checkpoint_of_another_network_is_passed_over() -> None:
    _, saved = with_checkpoints("lstm", epochs=1)
    trained = train("gru", epochs=1, origins=[origin(saved[0])])
    assert result_of(trained) == result_of(train("gru", epochs=1))


def test_of_several_checkpoints_the_first_usable_one_is_used() -> None:
    whole, saved = with_checkpoints(epochs=4)
    recorder = Recorder()

    def gone() -> Checkpoint:
        raise CheckpointError("its file is missing")

    missing = Origin(epoch=4, digest="d", read=gone)
    torn = Origin(epoch=3, digest="c", read=lambda: from_bytes(saved[2][:-1]))
    resumed = train(
        epochs=4, origins=[missing, torn, origin(saved[1], epoch=2), origin(saved[0], epoch=1)], recorder=recorder
    )
    assert result_of(resumed) == result_of(whole)
    said = recorder.events[0]
    assert isinstance(said, Resumed)
    assert (said.epoch, said.digest) == (2, sha256(saved[1]).hexdigest())
    assert [(one["epoch"], one["digest"]) for one in said.passed_over] == [(4, "d"), (3, "c")]
    assert said.passed_over[0]["problem"] == "its file is missing"
    assert "no checkpoint that this version can read" in str(said.passed_over[1]["problem"])


# --- forks ---

FAST = Optimizer(type="adam", learning_rate=0.05, weight_decay=0.0, momentum=0.0)


def fork(data: bytes, *, kind: str = "mlp", **changes: Any) -> TrainedModel:
    return train(kind, origins=[origin(data, is_fork=True)], **changes)


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize(
    "scheduler", [None, *SCHEDULERS[1:3], SCHEDULERS[4]], ids=lambda value: getattr(value, "type", "")
)
def test_a_fork_with_more_epochs_is_the_training_of_so_many_epochs(kind: str, scheduler: Scheduler | None) -> None:
    _, saved = with_checkpoints(kind, epochs=3, scheduler=scheduler)
    whole = train(kind, epochs=6, scheduler=scheduler)
    for data in saved:
        forked = fork(data, kind=kind, epochs=6, scheduler=scheduler)
        assert [epoch.weights_digest for epoch in forked.history] == [epoch.weights_digest for epoch in whole.history]
        assert weights_digest(forked.network.state_dict()) == weights_digest(whole.network.state_dict())


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": FAST},
        {"optimizer": OPTIMIZERS[2]},
        {"optimizer": OPTIMIZERS[3], "scheduler": SCHEDULERS[3]},
        {"batch_size": 8},
        {"seed": 6},
        {"early_stopping": STOPPING},
    ],
    ids=str,
)
def test_a_fork_takes_its_changes_is_deterministic_and_can_itself_be_resumed(changes: dict[str, Any]) -> None:
    _, saved = with_checkpoints(epochs=2)
    first, again = (fork(saved[1], epochs=5, **changes) for _ in range(2))
    unchanged = fork(saved[1], epochs=5)
    assert result_of(first) == result_of(again)
    assert [epoch.epoch for epoch in first.history] == list(range(1, len(first.history) + 1))
    assert len(first.history) > 2
    if "early_stopping" not in changes:
        assert first.history[2].weights_digest != unchanged.history[2].weights_digest
    own: list[bytes] = []
    fork(saved[1], epochs=5, checkpoint_callback=lambda _epoch, take: own.append(take().to_bytes()), **changes)
    resumed = train(epochs=5, origins=[origin(own[0]), origin(saved[1], is_fork=True)], **changes)
    assert result_of(resumed) == result_of(first)


def test_early_stopping_of_a_fork_begins_again() -> None:
    _, saved = with_checkpoints(early_stopping=STOPPING, optimizer=FAST, epochs=30)
    stopped = len(saved)
    forked = fork(saved[-1], early_stopping=STOPPING, optimizer=FAST, epochs=30)
    assert len(forked.history) > stopped + 1
    assert forked.best_epoch > stopped


def test_the_checkpoints_of_a_fork_are_not_those_of_the_training_without_it() -> None:
    _, saved = with_checkpoints(epochs=2)
    own: list[bytes] = []
    fork(saved[0], epochs=2, checkpoint_callback=lambda _epoch, take: own.append(take().to_bytes()))
    recorder = Recorder()
    train(epochs=2, origins=[origin(own[0])], recorder=recorder)
    assert recorder.of(Resumed)[0].digest is None


def test_a_fork_into_another_network_fails_and_says_what_differs() -> None:
    _, saved = with_checkpoints("lstm", epochs=1)
    with pytest.raises(TrainingFailedError, match="weight_ih_l0 is 16x4, now 12x4") as failed:
        fork(saved[0], kind="gru", epochs=2)
    assert failed.value.kind == "fork_does_not_fit"
    assert failed.value.fix


def test_a_fork_without_its_origin_is_no_training_from_the_start() -> None:
    _, saved = with_checkpoints(epochs=1)
    damaged = Origin(epoch=1, digest="a", read=lambda: from_bytes(saved[0][:-1]), is_fork=True)
    with pytest.raises(TrainingFailedError, match="checkpoint of epoch 1") as failed:
        train(epochs=2, origins=[damaged])
    assert failed.value.kind == "fork_origin_lost"


# --- bytes ---


@pytest.fixture(scope="module")
def data() -> bytes:
    return with_checkpoints(epochs=2, early_stopping=STOPPING)[1][-1]


def test_the_bytes_are_a_function_of_the_checkpoint(data: bytes) -> None:
    assert from_bytes(data).to_bytes() == data
    assert data[8:9] == b"{"  # A safetensors file, not a pickle.


@settings(max_examples=150, deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), header=st.booleans())
def test_a_damaged_checkpoint_is_refused(data: bytes, place: float, bit: int, header: bool) -> None:
    end = 8 + int.from_bytes(data[:8], "little") if header else len(data)
    damaged = bytearray(data)
    damaged[int(place * end)] ^= 1 << bit
    with pytest.raises(CheckpointError):
        from_bytes(bytes(damaged))


@pytest.mark.parametrize("length", [0, 7, 8, 100, -1])
def test_a_checkpoint_that_was_cut_off_or_goes_on_is_refused(data: bytes, length: int) -> None:
    with pytest.raises(CheckpointError, match="no checkpoint that this version can read"):
        from_bytes(data[:length])
    with pytest.raises(CheckpointError):
        from_bytes(data + b"x")


# --- generators ---


def draw_from_all() -> list[float]:
    return [
        random.random(),
        random.gauss(0, 1),
        float(np.random.random()),
        float(np.random.standard_normal()),
        float(torch.rand(())),
        float(torch.randn(())),
    ]


def test_every_global_generator_is_put_back_where_it_stood() -> None:
    for warm_up in range(3):  # An odd number of normal draws leaves half a pair behind.
        for _ in range(warm_up):
            draw_from_all()
        states = generator_states("cpu")
        expected = [draw_from_all() for _ in range(3)]
        restore_generators(states, "cpu")
        assert [draw_from_all() for _ in range(3)] == expected


# --- through the run ---

FRAMES = {"AAA": random_walk(500, seed=1), "BBB": random_walk(400, seed=2)}


@pytest.mark.parametrize("kind", MODELS)
def test_a_resumed_job_saves_the_same_model(kind: str, tmp_path: Path) -> None:
    strategy = make_strategy(symbols=("AAA", "BBB"), training=make_training(epochs=2))
    if kind != "mlp":
        strategy = make_recurrent(strategy, kind, sequence_length=4, hidden_size=4)

    def job(name: str, **resuming: Any) -> run.TrainingResult:
        return run.train(
            make_specification(strategy),
            read_prices=reader(FRAMES),
            output=tmp_path / name,
            capabilities=CPU,
            progress_callback=Recorder(),
            cancellation_token=Token(),
            **resuming,
        )

    saved: list[bytes] = []
    whole = job("whole", checkpoint_callback=lambda _epoch, take: saved.append(take().to_bytes()))
    assert job("resumed", origins=[origin(saved[0])]) == whole
