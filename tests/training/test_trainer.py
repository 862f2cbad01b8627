from __future__ import annotations

import copy
import itertools
from dataclasses import replace
from typing import Any, get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from training_examples import CPU, Recorder, Token, make_training

from ktrdr.training.backpropagation import backpropagation
from ktrdr.training.dataset import Part
from ktrdr.training.determinism import make_deterministic
from ktrdr.training.device_manager import DeviceCapabilities
from ktrdr.training.losses import balanced_class_weights, sample_losses
from ktrdr.training.models import build_network, outputs_of
from ktrdr.training.optimization import LearningRate, next_rate
from ktrdr.training.progress import BatchFinished, EpochFinished, TrainingCancelledError, TrainingFailedError
from ktrdr.training.sampling import Batch
from ktrdr.training.strategy.model import Activation, EarlyStopping, Loss, Mlp, Model, Optimizer, Scheduler
from ktrdr.training.trainer import TrainedModel, train_network
from ktrdr.training.weights import TENSOR_CHARACTERS, as_one_vector, weight_digests, weights_digest

CLASSES = 3
PATIENT = Scheduler(type="reduce_on_plateau", factor=0.5, patience=2)
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


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    make_deterministic()


def separable(count: int = 240, *, seed: int = 0) -> Part:
    """Three clouds of points, far from each other."""
    random = torch.Generator().manual_seed(seed)
    targets = torch.arange(count) % CLASSES
    features = torch.eye(4)[targets] * 3 + torch.randn(count, 4, generator=random) * 0.3
    return Part(features, targets, None, {"A": slice(0, count)}, None, None)


def noise(count: int = 120, *, seed: int = 1) -> Part:
    random = torch.Generator().manual_seed(seed)
    targets = torch.randint(0, CLASSES, (count,), generator=random)
    return Part(torch.randn(count, 4, generator=random), targets, None, {"A": slice(0, count)}, None, None)


def new_network(*, dropout: float = 0.1, outputs: int = CLASSES, seed: int = 3) -> nn.Module:
    torch.manual_seed(seed)
    architecture = Mlp(hidden_layers=(8,), dropout=dropout, activation="tanh")
    return build_network(Model(type="mlp", architecture=architecture), inputs=4, outputs=outputs)


def train(
    network: nn.Module | None = None,
    part: Part | None = None,
    validation: Part | None = None,
    *,
    loss: Loss = Loss(type="cross_entropy"),  # noqa: B008 - a frozen value
    class_weights: torch.Tensor | None = None,
    recorder: Recorder | None = None,
    token: Token | None = None,
    capabilities: DeviceCapabilities = CPU,
    seed: int = 5,
    **changes: Any,
) -> TrainedModel:
    return train_network(
        network or new_network(),
        part or separable(),
        validation or separable(60, seed=9),
        make_training(**changes),
        sample_losses(loss, class_weights),
        seed=seed,
        capabilities=capabilities,
        progress_callback=recorder or Recorder(),
        cancellation_token=token or Token(),
    )


@pytest.mark.parametrize(
    ("optimizer", "scheduler"),
    list(itertools.product(OPTIMIZERS, SCHEDULERS)),
    ids=lambda value: getattr(value, "type", "constant"),
)
def test_every_optimizer_learns_under_every_schedule(optimizer: Optimizer, scheduler: Scheduler | None) -> None:
    trained = train(optimizer=optimizer, scheduler=scheduler, epochs=6, batch_size=16)
    assert trained.history[-1].train_loss < 0.5 * trained.history[0].train_loss
    assert trained.history[-1].validation_accuracy == 1.0


@pytest.mark.parametrize(
    ("scheduler", "rates"),
    [
        (SCHEDULERS[0], [1, 1, 1, 1, 1]),
        (SCHEDULERS[1], [1, 1, 0.5, 0.5, 0.25]),
        (SCHEDULERS[2], [1, 0.8, 0.64, 0.512, 0.4096]),
        (SCHEDULERS[3], [1, 0.9045, 0.6545, 0.3455, 0.0955]),
    ],
)
def test_a_schedule_sets_the_rate_of_each_epoch(scheduler: Scheduler | None, rates: list[float]) -> None:
    history = train(optimizer=OPTIMIZERS[0], scheduler=scheduler, epochs=5).history
    assert [epoch.learning_rate / 0.01 for epoch in history] == pytest.approx(rates, abs=1e-4)


@settings(max_examples=60, deadline=None)
@given(
    schedule=st.sampled_from([schedule for schedule in SCHEDULERS if schedule] + [PATIENT]),
    losses=st.lists(st.floats(0.1, 2.0), min_size=8, max_size=8),
)
def test_schedules_are_those_of_torch(schedule: Scheduler, losses: list[float]) -> None:
    theirs = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.01)
    stepper: Any = {
        "step": lambda: torch.optim.lr_scheduler.StepLR(theirs, 2, 0.5),
        "exponential": lambda: torch.optim.lr_scheduler.ExponentialLR(theirs, 0.8),
        "cosine": lambda: torch.optim.lr_scheduler.CosineAnnealingLR(theirs, 8),
        "reduce_on_plateau": lambda: torch.optim.lr_scheduler.ReduceLROnPlateau(
            theirs, factor=0.5, patience=schedule.patience
        ),
    }[schedule.type]()
    rate = LearningRate(0.01)
    for epoch, loss in enumerate(losses, 1):
        theirs.step()
        stepper.step(loss) if schedule.type == "reduce_on_plateau" else stepper.step()
        rate = next_rate(schedule, 0.01, rate, epoch=epoch, epochs=8, validation_loss=loss)
        assert rate.rate == pytest.approx(theirs.param_groups[0]["lr"], abs=1e-9)


def test_reduce_on_plateau_lowers_the_rate_once_the_validation_loss_has_stood_still() -> None:
    schedule = Scheduler(type="reduce_on_plateau", factor=0.5, patience=1)
    nothing_counts = torch.zeros(CLASSES)  # The loss is 0 throughout.
    trained = train(class_weights=nothing_counts, optimizer=OPTIMIZERS[0], scheduler=schedule, epochs=6)
    assert [epoch.learning_rate / 0.01 for epoch in trained.history] == [1, 1, 1, 0.5, 0.5, 0.25]


#: How torch itself is asked for what each of `OPTIMIZERS` is.
TORCH_OPTIMIZERS: dict[str, Any] = {
    "adam": lambda weights: torch.optim.Adam(weights, lr=0.01, weight_decay=1e-4),
    "adamw": lambda weights: torch.optim.AdamW(weights, lr=0.01, weight_decay=1e-4),
    "sgd": lambda weights: torch.optim.SGD(weights, lr=0.05, weight_decay=1e-4, momentum=0.9),
    "rmsprop": lambda weights: torch.optim.RMSprop(weights, lr=0.005, weight_decay=1e-4, momentum=0.5),
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda value: value.type)
@pytest.mark.parametrize("momentum", [True, False])
def test_training_moves_as_torch_itself_would_move(optimizer: Optimizer, momentum: bool) -> None:
    """One vector, our own way back, optimizers and batching give the weights of the plain textbook loop."""
    part, network = separable(96), new_network(dropout=0.0)
    plain = copy.deepcopy(network)
    theirs = TORCH_OPTIMIZERS[optimizer.type](plain.parameters())
    if not momentum:
        optimizer = replace(optimizer, momentum=0.0)
        for group in theirs.param_groups:
            group["momentum"] = 0.0
    trained = train(network, part, optimizer=optimizer, epochs=2, batch_size=32, gradient_clip=0.05)
    generator = torch.Generator().manual_seed(5)
    for _ in range(2):
        for rows in torch.randperm(96, generator=generator).split(32):
            theirs.zero_grad()
            nn.functional.cross_entropy(plain(part.features[rows]), part.targets[rows]).backward()
            nn.utils.clip_grad_norm_(plain.parameters(), 0.05)
            theirs.step()
    for name, weights in plain.state_dict().items():
        torch.testing.assert_close(trained.network.state_dict()[name], weights, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("activation", get_args(Activation))
def test_the_way_back_through_a_chain_of_layers_is_that_of_autograd(activation: Any) -> None:
    torch.manual_seed(1)
    architecture = Mlp(hidden_layers=(8, 6), dropout=0.0, activation=activation)
    network = build_network(Model(type="mlp", architecture=architecture), inputs=4, outputs=CLASSES)
    twin = copy.deepcopy(network)
    vector = as_one_vector(network)
    losses = sample_losses(Loss(type="cross_entropy"), None)
    batch = Batch(torch.randn(16, 4), torch.randint(0, CLASSES, (16,)), torch.rand(16))
    learned = backpropagation(network, vector, losses)(batch)
    loss = (nn.functional.cross_entropy(twin(batch.features), batch.targets, reduction="none") * batch.weights).mean()
    loss.backward()
    torch.testing.assert_close(learned.total_loss / 16, loss)
    torch.testing.assert_close(learned.outputs, twin(batch.features))
    expected = torch.cat([parameter.grad.flatten() for parameter in twin.parameters()])
    torch.testing.assert_close(vector.gradient, expected)


def test_dropout_drops_its_share_and_goes_the_same_way_back() -> None:
    """With weights of one the outputs are sums of kept units, and the gradient counts the same units."""
    width, samples = 400, 50
    network = nn.Sequential(nn.Linear(1, width), nn.Dropout(0.2), nn.Linear(width, 1))
    vector = as_one_vector(network)
    vector.weights.data.fill_(0.5)
    learn = backpropagation(network, vector, sample_losses(Loss(type="mse"), None))
    batch = Batch(torch.ones(samples, 1), torch.zeros(samples), None)
    outputs = torch.cat([learn(batch).outputs for _ in range(40)])
    kept = (outputs - 0.5) / 0.5 / 1.25  # Each unit is 0.5 + 0.5, times 1 / 0.8, times the weight 0.5.
    assert torch.allclose(kept, kept.round(), atol=0.05)
    assert kept.mean().item() / width == pytest.approx(0.8, abs=0.005)
    assert kept.unique().numel() > 20
    last = learn(batch).outputs
    of_output = 2 * last.squeeze(1) / samples
    torch.testing.assert_close(network[2].bias.grad[0], of_output.sum())
    # What reaches the units in front of the dropout was kept, and was scaled again on the way.
    torch.testing.assert_close(
        network[0].bias.grad.sum(), (of_output * (last.squeeze(1) - 0.5)).sum(), rtol=1e-3, atol=1e-3
    )


def test_clipping_can_be_switched_off() -> None:
    digests = {clip: train(gradient_clip=clip, epochs=1).history[0].weights_digest for clip in (None, 1e9, 1e-3)}
    assert digests[None] == digests[1e9] != digests[1e-3]


def test_the_network_that_was_given_stays_as_it_is() -> None:
    network = new_network()
    before = copy.deepcopy(network.state_dict())
    trained = train(network)
    assert weights_digest(network.state_dict()) == weights_digest(before)
    assert weights_digest(trained.network.state_dict()) != weights_digest(before)
    assert not trained.network.training


def test_without_early_stopping_the_last_weights_are_kept() -> None:
    trained = train(epochs=4)
    assert (trained.best_epoch, len(trained.history)) == (4, 4)
    assert weights_digest(trained.network.state_dict()) == trained.history[-1].weights_digest


def overfitting(monitor: str) -> TrainedModel:
    """Learns noise by heart: the train loss falls, the validation loss rises."""
    stopping = EarlyStopping(patience=5, min_delta=0.0, monitor=monitor)
    fast = Optimizer(type="adam", learning_rate=0.05, weight_decay=0.0, momentum=0.0)
    network = new_network(dropout=0.0)
    return train(network, noise(), noise(seed=2), optimizer=fast, early_stopping=stopping, epochs=60, batch_size=8)


@pytest.mark.parametrize("monitor", ["val_loss", "val_accuracy"])
def test_early_stopping_gives_back_a_true_copy_of_the_best_weights(monitor: str) -> None:
    trained = overfitting(monitor)
    watched = [e.validation_loss if monitor == "val_loss" else -e.validation_accuracy for e in trained.history]
    best = watched.index(min(watched)) + 1
    assert trained.best_epoch == best < len(trained.history) < 60
    digest = weights_digest(trained.network.state_dict())
    assert digest == trained.history[best - 1].weights_digest != trained.history[-1].weights_digest
    losses = sample_losses(Loss(type="cross_entropy"), None)
    validation = noise(seed=2)
    again = losses(outputs_of(trained.network, validation.features), validation.targets).mean().item()
    assert again == trained.history[best - 1].validation_loss


def test_patience_counts_epochs_that_gain_less_than_min_delta() -> None:
    stopping = EarlyStopping(patience=3, min_delta=1e6, monitor="val_loss")
    trained = train(early_stopping=stopping, epochs=50, optimizer=OPTIMIZERS[0])
    assert len(trained.history) == 4  # The first epoch gains over nothing at all.
    assert trained.best_epoch == 4  # The loss went on falling, if only by a little.


def test_cancelling_stops_before_the_next_batch() -> None:
    recorder, token = Recorder(), Token(stop_at=12)
    with pytest.raises(TrainingCancelledError):
        train(recorder=recorder, token=token, epochs=5, batch_size=32)
    # 240 samples are 8 batches: 11 looks let 11 batches pass, the twelfth stops.
    assert [(event.epoch, event.batch) for event in recorder.of(BatchFinished)][-1] == (2, 3)
    assert len(recorder.of(BatchFinished)) == 11
    assert token.looks == 12


def test_progress_is_reported_after_each_batch_and_each_epoch() -> None:
    recorder = Recorder()
    trained = train(recorder=recorder, epochs=2, batch_size=100)
    batches = [BatchFinished(epoch=e, epochs=2, batch=b, batches=3) for e in (1, 2) for b in (1, 2, 3)]
    assert recorder.events == [*batches[:3], trained.history[0], *batches[3:], trained.history[1]]
    assert recorder.of(EpochFinished) == list(trained.history)


@pytest.mark.parametrize("looks", [1, 4], ids=["cpu", "accelerator"])
def test_a_loss_that_is_not_finite_ends_the_training_and_names_its_batch(
    looks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = separable(96)
    part.features[40] = float("nan")
    position = torch.randperm(96, generator=torch.Generator().manual_seed(5)).tolist().index(40)
    batch = position // 16 + 1
    monkeypatch.setattr("ktrdr.training.trainer._batches_per_look", lambda _device: looks)
    recorder = Recorder()
    with pytest.raises(TrainingFailedError) as failure:
        train(part=part, batch_size=16, recorder=recorder)
    assert failure.value.kind == "loss_not_finite"
    assert failure.value.where == f"train_model, epoch 1, batch {batch} of 6"
    assert "learning_rate" in failure.value.fix
    assert recorder.of(EpochFinished) == []
    reported = len(recorder.of(BatchFinished))
    assert reported == batch - 1 if looks == 1 else batch - 1 <= reported < 6


def test_a_validation_loss_that_is_not_finite_fails_the_training() -> None:
    validation = separable(60)
    validation.features[3] = float("inf")
    validation.features[3, 1] = float("-inf")
    linear = nn.Linear(4, CLASSES)
    with pytest.raises(TrainingFailedError, match="validation loss became nan") as failure:
        train(linear, validation=validation)
    assert failure.value.where == "train_model, epoch 1, validation"


def test_weights_that_explode_fail_the_training() -> None:
    wild = Optimizer(type="sgd", learning_rate=1e30, weight_decay=0.0, momentum=0.9)
    with pytest.raises(TrainingFailedError, match="epoch 1"):
        train(nn.Linear(4, 1), *(regression(),) * 2, loss=Loss(type="mse"), optimizer=wild, gradient_clip=None)


def regression(count: int = 240) -> Part:
    random = torch.Generator().manual_seed(4)
    features = torch.randn(count, 4, generator=random)
    targets = features @ torch.tensor([0.02, -0.01, 0.03, 0.0])
    return Part(features, targets, None, {"A": slice(0, count)}, None, None)


@pytest.mark.parametrize("loss", [Loss(type="huber", huber_delta=0.01), Loss(type="mse")])
def test_a_regression_learns_and_has_no_accuracy(loss: Loss) -> None:
    network = new_network(outputs=1, dropout=0.0)
    trained = train(network, regression(), regression(60), loss=loss, optimizer=OPTIMIZERS[0], epochs=10)
    assert trained.history[-1].validation_loss < 0.1 * trained.history[0].validation_loss
    assert trained.history[0].train_accuracy is trained.history[0].validation_accuracy is None


def test_focal_loss_learns() -> None:
    trained = train(loss=Loss(type="focal", focal_gamma=2.0), optimizer=OPTIMIZERS[0], epochs=6)
    assert trained.history[-1].validation_accuracy == 1.0


def test_a_class_that_is_absent_from_the_train_part_does_no_harm() -> None:
    part = separable()
    present = Part(part.features, part.targets % 2, None, part.symbols, None, None)
    weights = balanced_class_weights(present.targets, CLASSES)
    trained = train(part=present, class_weights=weights, epochs=4, optimizer=OPTIMIZERS[0])
    assert all(0 <= epoch.validation_loss < 10 for epoch in trained.history)


def test_a_sample_of_weight_0_teaches_nothing() -> None:
    """Half the samples have wrong labels and no weight."""
    part = separable()
    targets = part.targets.clone()
    targets[::2] = (targets[::2] + 1) % CLASSES
    weights = torch.ones(240)
    weights[::2] = 0.0
    weighted = Part(part.features, targets, weights * 2, part.symbols, None, None)
    plain = Part(part.features, targets, None, part.symbols, None, None)
    of_weighted, of_plain = (train(part=p, epochs=8, optimizer=OPTIMIZERS[0]).history[-1] for p in (weighted, plain))
    assert of_weighted.validation_accuracy == 1.0 > of_plain.validation_accuracy


def test_symbols_of_different_size_are_drawn_equally() -> None:
    part = separable(120)
    several = Part(part.features, part.targets, None, {"A": slice(0, 90), "B": slice(90, 120)}, None, None)
    recorder = Recorder()
    train(part=several, batch_size=60, epochs=1, recorder=recorder)
    assert len(recorder.of(BatchFinished)) == 3  # 90 of each


def test_the_batch_is_capped_by_what_the_device_holds() -> None:
    small = DeviceCapabilities(
        device_type="cpu",
        device="cpu",
        supports_mixed_precision=False,
        supports_memory_profiling=False,
        max_batch_size=16,
        memory_available_gb=0.1,
    )
    recorder = Recorder()
    assert train(capabilities=small, batch_size=64, epochs=1, recorder=recorder).batch_size == 16
    assert len(recorder.of(BatchFinished)) == 15


def test_equal_seeds_give_equal_weights_and_others_do_not() -> None:
    digests = [train(seed=seed).history[-1].weights_digest for seed in (1, 1, 2)]
    assert digests[0] == digests[1] != digests[2]


def test_the_losses_of_an_epoch_are_means_over_samples() -> None:
    """With a last batch of one sample, a mean of batch means would be another number."""
    part = separable(33)
    still = Optimizer(type="sgd", learning_rate=1e-12, weight_decay=0.0, momentum=0.0)
    network = new_network(dropout=0.0)
    epoch = train(network, part, part, optimizer=still, batch_size=32, epochs=1).history[0]
    expected = nn.functional.cross_entropy(network(part.features), part.targets).item()
    assert epoch.train_loss == pytest.approx(expected, rel=1e-5)
    assert epoch.validation_loss == pytest.approx(expected, rel=1e-5)
    assert epoch.train_accuracy == epoch.validation_accuracy


def test_as_one_vector_keeps_the_outputs_and_ties_the_weights() -> None:
    network = new_network(dropout=0.0)
    before = network(torch.ones(1, 4))
    vector = as_one_vector(network)
    torch.testing.assert_close(network(torch.ones(1, 4)), before)
    vector.weights.data.zero_()
    assert all((parameter == 0).all() for parameter in network.parameters())


def test_the_digest_of_weights_depends_on_names_shapes_and_values_only() -> None:
    state = {"a": torch.tensor([[1.0, 2.0], [3.0, 4.0]]), "b": torch.zeros(1)}
    digest = weights_digest(state)
    assert weights_digest({"b": torch.zeros(1), "a": state["a"].t().contiguous().t()}) == digest
    for other in (
        {"a": state["a"].flatten(), "b": torch.zeros(1)},
        {"c": state["a"], "b": torch.zeros(1)},
        {"a": state["a"].double(), "b": torch.zeros(1)},
        {"a": state["a"] + 1e-6, "b": torch.zeros(1)},
    ):
        assert weights_digest(other) != digest


def test_each_tensor_has_a_digest_of_its_own_beside_that_of_all() -> None:
    state = {"b": torch.zeros(1), "a": torch.tensor([[1.0, 2.0]])}
    whole, tensors = weight_digests(state)
    assert whole == weights_digest(state)
    assert len(tensors) == 2 * TENSOR_CHARACTERS
    changed = weight_digests({**state, "b": torch.ones(1)})
    assert changed.weights != whole
    assert changed.tensors[:TENSOR_CHARACTERS] == tensors[:TENSOR_CHARACTERS]  # "a" comes first
    assert changed.tensors[TENSOR_CHARACTERS:] != tensors[TENSOR_CHARACTERS:]


def test_an_epoch_tells_the_digest_of_each_tensor() -> None:
    trained = train(epochs=1)
    digests = weight_digests(trained.network.state_dict())
    assert (trained.history[0].weights_digest, trained.history[0].tensors) == digests
