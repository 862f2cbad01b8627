"""The same job gives the same bits: in another process, after another job, on another CPU with the portable profile."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
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

from ktrdr.settings import read_settings
from ktrdr.training import run
from ktrdr.training.determinism import make_deterministic, numeric_profile
from ktrdr.training.faults import InvalidInputError
from ktrdr.training.progress import EpochFinished
from ktrdr.training.strategy.model import Strategy
from ktrdr.worker.job_process import environment_of_child

KINDS = ("mlp", "lstm", "gru")
FRAMES = {"AAA": random_walk(500, seed=1), "BBB": random_walk(400, seed=2)}
PORTABLE = {"MKL_CBWR": "COMPATIBLE", "ONEDNN_MAX_CPU_ISA": "SSE41", "ATEN_CPU_CAPABILITY": "default"}


def strategy_of(kind: str) -> Strategy:
    strategy = make_strategy(symbols=("AAA", "BBB"), training=make_training(epochs=2))
    return strategy if kind == "mlp" else make_recurrent(strategy, kind)


def train(output: Path, kind: str, *, seed: int = 7) -> list[Any]:
    """The digest of the saved model, and those of the weights after each epoch."""
    recorder = Recorder()
    result = run.train(
        make_specification(strategy_of(kind), seed=seed),
        read_prices=reader(FRAMES),
        output=output,
        capabilities=CPU,
        progress_callback=recorder,
        cancellation_token=Token(),
    )
    return [result.model_digest, [epoch.weights_digest for epoch in recorder.of(EpochFinished)]]


def train_in_children(folder: Path, names: list[str]) -> None:
    """Trains every kind of network in a process of its own for each name, one after the other.

    They are forks of a process that is set up as a job process is, and has trained nothing: that saves each of them the
    seconds which this takes.
    """
    make_deterministic()
    for name in names:
        child = os.fork()
        if child == 0:
            digests = {kind: train(folder / name / kind, kind) for kind in KINDS}
            (folder / f"{name}.json").write_text(json.dumps({"digests": digests, "profile": numeric_profile()}))
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0


def start_training(folder: Path, names: list[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    program = (
        f"import sys; from pathlib import Path; sys.path.insert(0, {str(Path(__file__).parent)!r});"
        f"import test_reproducibility; test_reproducibility.train_in_children(Path({str(folder)!r}), {names!r})"
    )
    return subprocess.Popen([sys.executable, "-c", program], env=dict(environment))


def said_by(folder: Path, name: str) -> dict[str, Any]:
    said: dict[str, Any] = json.loads((folder / f"{name}.json").read_text())
    return said


def test_ten_processes_train_the_same_models_and_another_seed_others(tmp_path: Path) -> None:
    names = [str(number) for number in range(10)]
    running = [start_training(tmp_path, half, os.environ) for half in (names[:5], names[5:])]
    here = {kind: train(tmp_path / "here" / kind, kind) for kind in KINDS}
    assert [process.wait() for process in running] == [0, 0]
    assert [said_by(tmp_path, name)["digests"] for name in names] == [here] * 10
    for kind in KINDS:
        folders = [tmp_path / name / kind for name in (*names, "here")]
        files = [{file.name: file.read_bytes() for file in folder.iterdir()} for folder in folders]
        assert all(one == files[0] for one in files)
        assert train(tmp_path / "other" / kind, kind, seed=8)[1][-1] != here[kind][1][-1]


def test_the_portable_profile_is_told_and_gives_the_same_models_each_time(tmp_path: Path) -> None:
    environment = environment_of_child({**os.environ, "KTRDR_NUMERICS": "portable"})
    assert start_training(tmp_path, ["a", "b"], environment).wait() == 0
    first, second = said_by(tmp_path, "a"), said_by(tmp_path, "b")
    assert first["digests"] == second["digests"]
    assert first["profile"] == second["profile"]
    assert first["profile"]["cpu_capability"] == "DEFAULT"
    assert first["profile"]["environment"].items() >= {**PORTABLE, "KTRDR_NUMERICS": "portable"}.items()


def test_a_job_process_has_one_thread_and_is_portable_only_if_it_is_asked_to_be() -> None:
    native = environment_of_child({"HOME": "/root"})
    assert native == {"HOME": "/root", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    assert environment_of_child({"HOME": "/root", "KTRDR_NUMERICS": "native"}).keys() & PORTABLE.keys() == set()
    portable = environment_of_child({"MKL_CBWR": "AVX2", "KTRDR_NUMERICS": " Portable "})
    assert portable.items() >= PORTABLE.items()


def test_the_numerics_are_a_setting() -> None:
    assert read_settings({}).numerics == "native"
    assert read_settings({"KTRDR_NUMERICS": "Portable"}).numerics == "portable"
    with pytest.raises(InvalidInputError, match="KTRDR_NUMERICS"):
        read_settings({"KTRDR_NUMERICS": "exact"})


@pytest.mark.parametrize("kind", KINDS)
def test_a_training_before_does_not_change_the_next_one(kind: str, tmp_path: Path) -> None:
    first = train(tmp_path / "first", kind)
    train(tmp_path / "other", "gru", seed=1234)
    torch.rand(17)
    assert train(tmp_path / "again", kind) == first


def test_a_training_uses_one_thread_and_deterministic_algorithms(tmp_path: Path) -> None:
    train(tmp_path / "model", "mlp")
    profile = numeric_profile()
    assert profile["threads"] == 1
    assert profile["deterministic_algorithms"] is True
    assert json.loads(json.dumps(profile)) == profile
    assert all(profile[name] for name in ("torch", "numpy", "python", "cpu_capability", "mkl", "onednn", "glibc"))


def test_a_process_is_ready_to_train_without_the_compiler_of_torch() -> None:
    script = (
        "import sys; import ktrdr.training.run; from ktrdr.training import determinism\n"
        "determinism.make_deterministic(); profile = determinism.numeric_profile()\n"
        "print(profile['deterministic_algorithms'], 'torch._inductor' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout == "True False\n"


def test_the_profile_holds_the_environment_that_steers_the_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MKL_CBWR", "COMPATIBLE")
    monkeypatch.setenv("SECRET_TOKEN", "x")
    environment = numeric_profile()["environment"]
    assert isinstance(environment, dict)
    assert environment["MKL_CBWR"] == "COMPATIBLE"
    assert "SECRET_TOKEN" not in environment
