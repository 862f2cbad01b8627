from __future__ import annotations

import logging
from typing import Any

import pytest
import torch

from ktrdr.training.device_manager import DeviceCapabilities, DeviceManager

GB = 1024**3


@pytest.fixture(autouse=True)
def no_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KTRDR_DEVICE", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda index: ((70 + index) * GB, 80 * GB))


@pytest.fixture
def mps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.mps, "recommended_max_memory", lambda: 16 * GB)
    monkeypatch.setattr(torch.mps, "driver_allocated_memory", lambda: 4 * GB)


def capabilities(override: str | None = None) -> DeviceCapabilities:
    return DeviceManager(override).capabilities()


def test_the_cpu_is_used_when_there_is_nothing_else() -> None:
    found = capabilities()
    assert (found.device_type, found.device) == ("cpu", "cpu")
    assert not found.supports_mixed_precision
    assert not found.supports_memory_profiling
    assert found.memory_available_gb > 0
    assert found.max_batch_size >= 1024


@pytest.mark.usefixtures("cuda", "mps")
def test_cuda_comes_before_mps() -> None:
    assert capabilities() == DeviceCapabilities(
        device_type="cuda",
        device="cuda:0",
        supports_mixed_precision=True,
        supports_memory_profiling=True,
        max_batch_size=262144,
        memory_available_gb=70.0,
    )


@pytest.mark.usefixtures("mps")
def test_mps_comes_before_the_cpu_and_has_neither_mixed_precision_nor_profiling() -> None:
    assert capabilities() == DeviceCapabilities(
        device_type="mps",
        device="mps",
        supports_mixed_precision=False,
        supports_memory_profiling=False,
        max_batch_size=65536,
        memory_available_gb=12.0,
    )


@pytest.mark.usefixtures("cuda", "mps")
@pytest.mark.parametrize(
    ("override", "device"), [("cpu", "cpu"), ("mps", "mps"), ("cuda", "cuda:0"), ("CUDA:1 ", "cuda:1"), ("", "cuda:0")]
)
def test_a_person_can_choose_the_device(monkeypatch: pytest.MonkeyPatch, override: str, device: str) -> None:
    assert capabilities(override).device == device
    monkeypatch.setenv("KTRDR_DEVICE", override)
    assert capabilities().device == device


@pytest.mark.usefixtures("cuda")
def test_the_argument_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KTRDR_DEVICE", "cuda")
    assert capabilities("cpu").device == "cpu"


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "cuda:-1", "mps:0", "cpu:1"])
def test_an_unknown_device_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is unknown; use cuda"):
        DeviceManager(name)


@pytest.mark.parametrize("name", ["cuda", "mps"])
def test_a_chosen_device_that_is_not_there_gives_way_to_the_cpu(name: str, caplog: pytest.LogCaptureFixture) -> None:
    assert capabilities(name).device == "cpu"
    assert f"the device '{name}' is not there" in caplog.text


@pytest.mark.usefixtures("cuda", "mps")
@pytest.mark.parametrize("broken", ["is_available", "mem_get_info"])
def test_a_driver_that_fails_gives_way_to_the_cpu_and_the_log_says_why(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, broken: str
) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("the driver is too old")

    monkeypatch.setattr(torch.cuda, broken, fail)
    with caplog.at_level(logging.WARNING):
        assert capabilities().device == "cpu"
    assert "the cuda device failed" in caplog.text
    assert "the driver is too old" in caplog.text
