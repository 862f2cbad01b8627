"""What a batch costs: our training loop, the usual one, and the matrix products that neither can do without.

`python tests/benchmarks/bench_training.py`: rounds are interleaved in one process at one thread, so a machine that
grows slower favours nobody. Ours goes through `train_network` with its progress, its token and all that an epoch ends
with; the usual loop is a shuffled DataLoader, `torch.optim.Adam` as it comes, and `.item()` after each batch. Memory is
measured in a process for each loop.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "training"))

import numpy as np
import torch
from benchmarks.figures import figure
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from training_examples import CPU, Recorder, Token, make_training

from ktrdr.training.dataset import Part
from ktrdr.training.determinism import make_deterministic
from ktrdr.training.losses import balanced_class_weights, sample_losses
from ktrdr.training.models import build_network
from ktrdr.training.progress import EpochFinished
from ktrdr.training.strategy.model import Loss, Mlp, Model, Recurrent
from ktrdr.training.trainer import train_network
from ktrdr.training.windows import Windows

FEATURES, CLASSES, LENGTH = 40, 3, 20
MODELS = {
    "mlp": Model(type="mlp", architecture=Mlp(hidden_layers=(64, 32), dropout=0.2, activation="relu")),
    **{
        kind: Model(
            type=kind, architecture=Recurrent(sequence_length=LENGTH, hidden_size=64, num_layers=2, dropout=0.2)
        )
        for kind in ("lstm", "gru")
    },
}
#: Network → samples of an epoch, rounds.
SIZES = {"mlp": (20_000, 15), "lstm": (1_920, 7), "gru": (1_920, 7)}


def parts(kind: str, count: int) -> tuple[Part, Part]:
    random = torch.Generator().manual_seed(0)
    features = torch.randn(count + LENGTH - 1, FEATURES, generator=random)
    targets = torch.randint(0, CLASSES, (count,), generator=random)
    inputs = Windows(features, torch.arange(LENGTH - 1, len(features)), LENGTH) if kind != "mlp" else features[:count]
    times = np.arange(count).astype("M8[ns]")

    def first(samples: int) -> Part:
        rows = slice(0, samples)
        return Part(inputs[rows], targets[rows], None, {"A": rows}, times[rows], np.ones(samples))

    return first(count), first(count // 20)


def ours(kind: str, count: int, batch_size: int) -> float:
    """Seconds of an epoch."""
    train, validation = parts(kind, count)
    torch.manual_seed(0)
    recorder = Recorder()
    train_network(
        build_network(MODELS[kind], inputs=FEATURES, outputs=CLASSES),
        train,
        validation,
        make_training(epochs=1, batch_size=batch_size),
        sample_losses(Loss(type="cross_entropy"), balanced_class_weights(train.targets, CLASSES)),
        seed=1,
        capabilities=CPU,
        progress_callback=recorder,
        cancellation_token=Token(),
    )
    return float(recorder.of(EpochFinished)[0].seconds)


def usual(kind: str, count: int, batch_size: int) -> float:
    train, validation = parts(kind, count)
    torch.manual_seed(0)
    network = build_network(MODELS[kind], inputs=FEATURES, outputs=CLASSES)
    inputs, held_out = (
        part.features if isinstance(part.features, torch.Tensor) else next(part.features.split(len(part)))
        for part in (train, validation)
    )
    loss_of = nn.CrossEntropyLoss(balanced_class_weights(train.targets, CLASSES))
    optimizer = torch.optim.Adam(network.parameters(), lr=0.001, weight_decay=1e-4)
    started = time.perf_counter()
    network.train()
    total, right = 0.0, 0
    for features, targets in DataLoader(TensorDataset(inputs, train.targets), batch_size, shuffle=True):
        optimizer.zero_grad()
        outputs = network(features)
        loss = loss_of(outputs, targets)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        total += loss.item()
        right += int((outputs.argmax(1) == targets).sum().item())
    network.eval()
    with torch.no_grad():
        loss_of(network(held_out), validation.targets).item()
    return time.perf_counter() - started


def products(kind: str, count: int, batch_size: int) -> float:
    """The forward products of an epoch and the two that each one needs on the way back, into memory that is there."""
    architecture = MODELS[kind].architecture
    if isinstance(architecture, Mlp):
        widths = (FEATURES, *architecture.hidden_layers, CLASSES)
        shapes = [(batch_size, a, b) for a, b in pairwise(widths)]
    else:
        size, gates = architecture.hidden_size, {"lstm": 4, "gru": 3}[kind]
        shapes = [(batch_size, size, CLASSES)]
        for width in (FEATURES, size):
            shapes += [(batch_size * LENGTH, width, gates * size), *[(batch_size, size, gates * size)] * LENGTH]
    work = [(torch.randn(m, k), torch.randn(k, n), torch.empty(m, n)) for m, k, n in dict.fromkeys(shapes)]
    times_of = [shapes.count(shape) for shape in dict.fromkeys(shapes)]
    back = [(torch.empty_like(left), torch.empty_like(right)) for left, right, _ in work]
    started = time.perf_counter()
    for _ in range(-(-count // batch_size)):
        for (left, right, out), (to_left, to_right), times in zip(work, back, times_of, strict=True):
            for _ in range(times):
                torch.mm(left, right, out=out)
                torch.mm(out, right.t(), out=to_left)
                torch.mm(left.t(), out, out=to_right)
    return time.perf_counter() - started


LOOPS: dict[str, Callable[[str, int, int], float]] = {"ours": ours, "usual": usual, "products": products}


def measure(kind: str, batch_size: int) -> None:
    count, rounds = SIZES[kind]
    batches = -(-count // batch_size)
    seconds: dict[str, list[float]] = {name: [] for name in LOOPS}
    for number in range(rounds + 1):
        order = list(LOOPS.items()) if number % 2 else list(LOOPS.items())[::-1]
        for name, loop in order:
            taken = loop(kind, count, batch_size)
            if number:  # The first round warms up.
                seconds[name].append(taken / batches)
    about = {"batch_size": batch_size, "rounds": rounds}
    title = f"{kind} batch of {batch_size}"
    for name, label in (("ours", "our loop"), ("usual", "usual loop"), ("products", "matrix products alone")):
        figure(f"{title}, {label}", median(seconds[name]) * 1e6, "us", **about)
    for name, label in (("usual", "usual loop over ours"), ("products", "ours over matrix products")):
        above, below = ("usual", "ours") if name == "usual" else ("ours", "products")
        ratios = [a / b for a, b in zip(seconds[above], seconds[below], strict=True)]
        figure(f"{title}, {label}", median(ratios), "x", lowest=round(min(ratios), 3), highest=round(max(ratios), 3))


def peak_memory(kind: str, loop: str, count: int) -> float:
    """MiB that an epoch adds to a process that has imported torch."""
    program = [sys.executable, __file__, "memory", kind, loop, str(count)]
    return float(json.loads(subprocess.check_output(program)))


def _print_peak_memory(kind: str, loop: str, count: int) -> None:
    LOOPS[loop](kind, 256, 64)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    LOOPS[loop](kind, count, 256)
    print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)


def main() -> None:
    make_deterministic()
    if sys.argv[1:2] == ["memory"]:
        return _print_peak_memory(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    chosen = sys.argv[1:] or list(MODELS)
    for kind in chosen:
        for batch_size in (32, 64):
            measure(kind, batch_size)
    for kind in chosen:
        count = 200_000 if kind == "mlp" else 20_000
        for loop in ("ours", "usual"):
            figure(f"{kind} peak memory, {loop}", peak_memory(kind, loop, count), "MiB", samples=count)
    return None


if __name__ == "__main__":
    main()
