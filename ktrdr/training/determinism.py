"""Makes equal specifications give equal weights, and says what else the bits depend on. Imports torch and numpy.

The only place that sets global state: seeds, threads and torch's deterministic algorithms.
"""

from __future__ import annotations

import os
import platform
import random
import re
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from ktrdr.training.numeric_environment import steering

#: At one thread networks are bitwise equal across processes and under load; at two some are not (measured).
_DEFAULT_THREADS = 1


def make_deterministic(*, threads: int = _DEFAULT_THREADS) -> None:
    """Sets the process up for a training; call it once, before the first tensor operation."""
    # cuBLAS needs it set before it is first used (docs.nvidia.com/cuda/cublas, "Results reproducibility").
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(threads)
    # The same switch as `torch.use_deterministic_algorithms`, which also imports the whole compiler to tell it. That is
    # a second of a process's start, and nothing here is compiled.
    torch.set_deterministic_debug_mode("error")
    torch.backends.cudnn.benchmark = False


def seed_everything(seed: int) -> None:
    """Seeds every global generator: Python's, numpy's and torch's (on all devices)."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def generator_states(device: str) -> dict[str, torch.Tensor]:
    """Where every global generator stands: Python's, numpy's, torch's, and the device's if it has one of its own."""
    _, words, gauss = random.getstate()
    numpy_state = np.random.get_state(legacy=False)
    assert isinstance(numpy_state, dict)
    key, position = numpy_state["state"]["key"], numpy_state["state"]["pos"]
    states = {
        "python": torch.from_numpy(np.array(words, dtype=np.int64)),
        # Each keeps the second number of a normally distributed pair; empty: there is none.
        "python.gauss": torch.tensor([] if gauss is None else [gauss], dtype=torch.float64),
        "numpy": torch.from_numpy(np.append(key, position).astype(np.int64)),
        "numpy.gauss": torch.tensor([numpy_state["gauss"]] * numpy_state["has_gauss"], dtype=torch.float64),
        "torch": torch.get_rng_state(),
    }
    match torch.device(device).type:
        case "cuda":
            states["cuda"] = torch.cuda.get_rng_state(device)
        case "mps":
            states["mps"] = torch.mps.get_rng_state()
    return states


def restore_generators(states: Mapping[str, torch.Tensor], device: str) -> None:
    """Puts every global generator where it stood. One of a device that the states do not know stays as it is."""
    random.setstate((3, tuple(states["python"].tolist()), next(iter(states["python.gauss"].tolist()), None)))
    *key, position = states["numpy"].tolist()
    gauss = states["numpy.gauss"].tolist()
    np.random.set_state(("MT19937", np.array(key, dtype=np.uint32), position, len(gauss), gauss[0] if gauss else 0.0))
    torch.set_rng_state(states["torch"])
    kind = torch.device(device).type
    if kind == "cuda" and "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"], device)
    elif kind == "mps" and "mps" in states:
        torch.mps.set_rng_state(states["mps"])


def numeric_profile(accelerator: str | None = None) -> dict[str, object]:
    """What the bits of a result depend on beside the specification, as plain JSON values.

    `accelerator` is what the device manager says of the device; None for the CPU. Another instruction set changes the
    last bits of the weights, while the loss agrees to about 12 digits.
    """
    configuration = torch.__config__.show()
    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "machine": platform.machine(),
        "cpu": _cpu_model(),
        "system": platform.system(),
        "glibc": platform.libc_ver()[1] or None,
        "numpy": np.__version__,
        "ta_lib": version("ta-lib"),
        "torch": str(torch.__version__),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "mkl": _version(r"Math Kernel Library Version ([\w.]+)", configuration),
        "onednn": _version(r"(?:oneDNN|MKL-DNN) v([\w.]+)", configuration),
        "accelerator": accelerator,
        "threads": torch.get_num_threads(),
        "deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
        "environment": steering(os.environ),
    }


def _cpu_model() -> str | None:
    """The processor's name: MKL chooses its code by the maker too. None where the kernel does not tell (Linux does)."""
    try:
        told = Path("/proc/cpuinfo").read_text()
    except OSError:
        return None
    found = re.search(r"^model name\s*: (.+)$", told, re.MULTILINE)
    return found[1] if found else None


def _version(pattern: str, text: str) -> str | None:
    found = re.search(pattern, text)
    return found[1] if found else None
