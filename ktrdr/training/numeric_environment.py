"""Which environment variables steer the numeric libraries. Imports the standard library only.

They act on a process only if they are set before its numeric libraries are loaded.
"""

from __future__ import annotations

from collections.abc import Mapping

#: The names of such variables begin with one of these.
_PREFIXES = (
    "ATEN_",
    "CUBLAS_",
    "CUDA_",
    "GOMP_",
    "KMP_",
    "KTRDR_DEVICE",
    "KTRDR_NUMERICS",
    "MKL_",
    "NVIDIA_TF32",
    "OMP_",
    "ONEDNN_",
)


def steering(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables of an environment that steer the numeric libraries, by name."""
    return {name: value for name, value in sorted(environment.items()) if name.startswith(_PREFIXES)}


def steered_by(recorded: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    """An environment in which the recorded variables, and no others, steer the numeric libraries."""
    return {name: value for name, value in environment.items() if not name.startswith(_PREFIXES)} | dict(recorded)
