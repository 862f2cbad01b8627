"""Which device a training runs on, and what that device can do. Imports torch only.

Nothing else in the project asks torch about devices.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch

DeviceType = Literal["cuda", "mps", "cpu"]

_log = logging.getLogger(__name__)

_BYTES_PER_GB = 1024**3
#: What one sample of a batch may need: activations and gradients of some 5,000 units in float32, with room to spare.
_BYTES_PER_SAMPLE = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceCapabilities:
    device_type: DeviceType
    #: The name that torch knows the device by: `cpu`, `mps`, `cuda:0`.
    device: str
    supports_mixed_precision: bool
    supports_memory_profiling: bool
    #: A power of two from the size of the memory, not from what is free now, so that it is the same on every attempt.
    max_batch_size: int
    #: Free when probed, in GiB.
    memory_available_gb: float


class DeviceManager:
    """Chooses the best device that works: CUDA before MPS before the CPU.

    `override` (or, without it, the environment variable `KTRDR_DEVICE`) names another one: `cpu`, `mps`, `cuda` or
    `cuda:1`; an unknown name is a `ValueError`. A device that is not there, or fails while it is asked, is passed
    over for the CPU, and the log says why.
    """

    def __init__(self, override: str | None = None) -> None:
        self._override = (override or os.environ.get("KTRDR_DEVICE") or "").strip().lower()
        kind, _, index = self._override.partition(":")
        if kind not in {"", *_PROBES} or (index and not (kind == "cuda" and index.isdecimal())):
            raise ValueError(f"the device {self._override!r} is unknown; use cuda, cuda:<number>, mps or cpu")
        self._kind, self._index = kind, int(index or 0)

    def capabilities(self) -> DeviceCapabilities:
        """Probes the devices now; never fails."""
        for kind in [self._kind] if self._kind else _PROBES:
            try:
                found = _PROBES[kind](self._index)
            except Exception:  # Drivers fail in many ways; a training on the CPU is better than none.
                _log.warning("the %s device failed while it was probed; the CPU is used instead", kind, exc_info=True)
                break
            if found is not None:
                return found
            if self._kind:
                _log.warning("the device %r is not there; the CPU is used instead", self._override)
        return _cpu()


def accelerator_of(device: str) -> str | None:
    """What a device is, beside its number, as far as results depend on it; None for the CPU."""
    match torch.device(device).type:
        case "cuda":
            cudnn: object = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
            return f"{torch.cuda.get_device_name(device)}, CUDA {torch.version.cuda}, cuDNN {cudnn}"
        case "mps":
            return "Metal"
    return None


def _cuda(index: int) -> DeviceCapabilities | None:
    if not torch.cuda.is_available():
        return None
    free, total = torch.cuda.mem_get_info(index)
    return DeviceCapabilities(
        device_type="cuda",
        device=f"cuda:{index}",
        supports_mixed_precision=True,
        supports_memory_profiling=True,
        max_batch_size=_max_batch_size(total),
        memory_available_gb=free / _BYTES_PER_GB,
    )


def _mps(_index: int) -> DeviceCapabilities | None:
    if not torch.backends.mps.is_available():
        return None
    total = torch.mps.recommended_max_memory()
    return DeviceCapabilities(
        device_type="mps",
        device="mps",
        supports_mixed_precision=False,
        supports_memory_profiling=False,
        max_batch_size=_max_batch_size(total),
        memory_available_gb=(total - torch.mps.driver_allocated_memory()) / _BYTES_PER_GB,
    )


def _cpu(_index: int = 0) -> DeviceCapabilities:
    page = os.sysconf("SC_PAGE_SIZE")
    total = os.sysconf("SC_PHYS_PAGES") * page
    # macOS does not say how many pages are free.
    free = os.sysconf("SC_AVPHYS_PAGES") * page if "SC_AVPHYS_PAGES" in os.sysconf_names else total
    return DeviceCapabilities(
        device_type="cpu",
        device="cpu",
        supports_mixed_precision=False,
        supports_memory_profiling=False,
        max_batch_size=_max_batch_size(total),
        memory_available_gb=free / _BYTES_PER_GB,
    )


def _max_batch_size(total_bytes: int) -> int:
    """The largest power of two of samples that fit into a quarter of the memory."""
    samples = total_bytes // 4 // _BYTES_PER_SAMPLE
    return 1 << max(samples.bit_length() - 1, 0)


#: In order of preference.
_PROBES: dict[str, Callable[[int], DeviceCapabilities | None]] = {"cuda": _cuda, "mps": _mps, "cpu": _cpu}
