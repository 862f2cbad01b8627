"""What it takes from prices to tensors, stage by stage, at 5,000, 100,000 and 1,000,000 hourly bars.

`python tests/benchmarks/bench_preparation.py`: every size in a process of its own, so that its peak memory is its own;
medians of the rounds. `original` is what the first implementation of the format was measured to need on a machine of
this kind.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.figures import figure

from ktrdr.training import prices
from ktrdr.training.device_manager import DeviceManager
from ktrdr.training.pipeline import TrainingPipeline
from ktrdr.training.specification import PriceReference, Specification
from ktrdr.training.strategy.parse import from_mapping

SIZES = (5_000, 100_000, 1_000_000)
ROUNDS = 5
#: Seconds at a million bars.
ORIGINAL = {"calculate_indicators": 24.0, "generate_fuzzy_memberships": 3.6, "generate_labels": 14.3, "whole": 45.7}
ORIGINAL_REGIME = 121.0


def strategy(labels: Mapping[str, Any]) -> dict[str, Any]:
    """rsi, adx, macd and roc, three words for each."""
    return {
        "name": "preparation",
        "training_data": {"symbols": {"symbol": "X"}, "timeframes": {"timeframe": "1h"}},
        "indicators": {
            "rsi": {"type": "rsi"}, "adx": {"type": "adx"}, "macd": {"type": "macd"}, "roc": {"type": "roc"},
        },
        "fuzzy_sets": {
            "momentum": {"indicator": "rsi", "low": [0, 0, 40], "middle": [30, 50, 70], "high": [60, 100, 100]},
            "trend": {"indicator": "adx.adx", "weak": [0, 0, 25], "some": [15, 30, 45], "strong": [35, 60, 100, 100]},
            "swing": {
                "indicator": "macd.histogram",
                "down": [-9, -9, -0.1, 0], "flat": [-0.2, 0, 0.2], "up": [0, 0.1, 9, 9],
            },
            "change": {
                "indicator": "roc",
                "falling": [-50, -50, -1, 0],
                "flat": {"type": "gaussian", "parameters": [0, 0.5]},
                "rising": [0, 1, 50, 50],
            },
        },
        "nn_inputs": [
            {"fuzzy_set": name, "timeframes": "all"} for name in ("momentum", "trend", "swing", "change")
        ],
        "model": {"type": "mlp", "architecture": {"hidden_layers": [32, 16]}},
        "training": {"epochs": 1, "labels": dict(labels)},
        "decisions": {"output_format": "classification"},
    }  # fmt: skip


def hourly_bars(count: int) -> pd.DataFrame:
    random = np.random.default_rng(7)
    close = 100 * np.exp(np.cumsum(random.normal(0, 0.002, count)))
    opening = np.concatenate(([100.0], close[:-1]))
    high = np.maximum(opening, close) * (1 + np.abs(random.normal(0, 0.001, count)))
    low = np.minimum(opening, close) * (1 - np.abs(random.normal(0, 0.001, count)))
    columns = {"open": opening, "high": high, "low": low, "close": close, "volume": random.uniform(1, 9, count)}
    return pd.DataFrame(columns, index=pd.date_range("1900-01-01", periods=count, freq="h", tz="UTC", name="time"))


def prepare(pipeline: TrainingPipeline, file: Path) -> dict[str, float]:
    """Seconds of each stage, and of all of them."""
    seconds: dict[str, float] = {}

    def stage(name: str, work: Callable[[], Any]) -> Any:
        began = time.perf_counter()
        result = work()
        seconds[name] = time.perf_counter() - began
        return result

    began = time.perf_counter()
    frames = stage("load_price_data", lambda: pipeline.load_price_data(lambda _: prices.read(file)))
    indicators = stage("calculate_indicators", lambda: pipeline.calculate_indicators(frames))
    memberships = stage("generate_fuzzy_memberships", lambda: pipeline.generate_fuzzy_memberships(indicators))
    features = stage("engineer_features", lambda: pipeline.engineer_features(frames, indicators, memberships))
    labels = stage("generate_labels", lambda: pipeline.generate_labels(frames))
    samples = stage("combine_multi_symbol_data", lambda: pipeline.combine_multi_symbol_data(features, labels))
    stage("split_data", lambda: pipeline.split_data(samples))
    return seconds | {"whole": time.perf_counter() - began}


def measure(bars: int, labels: Mapping[str, Any]) -> None:
    """Prints the medians and the peak memory of this process as JSON."""
    parsed = from_mapping(strategy(labels)).strategy
    reference = PriceReference(symbol="X", timeframe="1h", digest="0" * 64)
    specification = Specification(strategy=parsed, prices=(reference,), seed=1)
    pipeline = TrainingPipeline(specification, DeviceManager("cpu").capabilities())
    with tempfile.NamedTemporaryFile(suffix=".npy") as file:
        file.write(prices.to_bytes(hourly_bars(bars)))
        file.flush()
        rounds = [prepare(pipeline, Path(file.name)) for _ in range(ROUNDS)]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    print(json.dumps({name: median(one[name] for one in rounds) for name in rounds[0]} | {"peak_gb": peak}))


def measured(bars: int, labels: Mapping[str, Any]) -> dict[str, float]:
    command = [sys.executable, __file__, str(bars), json.dumps(labels)]
    result: dict[str, float] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    return result


def main() -> None:
    barriers = {"source": "triple_barrier", "compute_weights": True}
    for bars in SIZES:
        found = measured(bars, barriers)
        peak = found.pop("peak_gb")
        for name, seconds in found.items():
            original = {"original": ORIGINAL[name]} if bars == SIZES[-1] and name in ORIGINAL else {}
            aim = {"aim": "<= 0.9"} if bars == SIZES[-1] and name == "whole" else {}
            figure(f"{name}, {bars} bars", seconds, "s", **original, **aim)
        figure(f"peak memory of the process, {bars} bars", peak, "GB", aim="<= 0.7")
        figure(
            f"regime labels, {bars} bars", measured(bars, {"source": "regime"})["generate_labels"], "s",
            **({"original": ORIGINAL_REGIME, "aim": "<= 0.5"} if bars == SIZES[-1] else {}),
        )  # fmt: skip


if __name__ == "__main__":
    if len(sys.argv) == 3:
        measure(int(sys.argv[1]), json.loads(sys.argv[2]))
    else:
        main()
