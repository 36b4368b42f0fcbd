"""Choice of the device, what MPS needs otherwise, and threads that come back."""

import os
import subprocess
import sys
from collections import namedtuple

import pytest
import torch
from torch import nn

from blindsr.runtime import devices
from blindsr.runtime.errors import UserError

CPU, MPS = torch.device("cpu"), torch.device("mps")


def test_auto_is_the_cpu_where_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert devices.choose("auto") == devices.choose("cpu") == torch.device("cpu")


def test_auto_is_the_first_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert devices.choose("auto").type == "cuda"
    assert devices.choose("cuda:1") == torch.device("cuda:1")
    with pytest.raises(UserError, match="cuda:2: this machine has 2 usable GPUs"):
        devices.choose("cuda:2")


@pytest.mark.parametrize(("gpu", "device"), [(True, "cuda"), (False, "mps")])
def test_auto_is_mps_where_it_is_and_no_gpu(monkeypatch: pytest.MonkeyPatch, gpu: bool, device: str) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    assert devices.choose("auto").type == device
    assert devices.choose("mps") == MPS
    assert devices.choose("cpu") == CPU


def test_absent_mps_and_unknown_devices_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(UserError, match="no usable MPS; set it to auto or cpu"):
        devices.choose("mps")
    for name in ("gpu", "mps:1", "cuda:", "xcuda", "CPU", ""):
        with pytest.raises(UserError, match=f"^unknown device {name}: give auto, cpu, cuda, cuda:N or mps$"):
            devices.choose(name)


def test_what_mps_lacks_falls_back_to_the_cpu_before_torch_is_imported() -> None:
    code = "import sys, os, blindsr; print('torch' in sys.modules, os.environ['PYTORCH_ENABLE_MPS_FALLBACK'])"
    for given, found in ({}, "1"), ({"PYTORCH_ENABLE_MPS_FALLBACK": "0"}, "0"):
        environment = {k: v for k, v in os.environ.items() if k != "PYTORCH_ENABLE_MPS_FALLBACK"} | given
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
        )
        assert done.stdout.split() == ["False", found]


def test_statistics_are_in_float64_where_the_device_has_it() -> None:
    assert devices.widest_float(CPU) == devices.widest_float(torch.device("cuda")) == torch.float64
    assert devices.widest_float(MPS) == torch.float32
    exact = devices.exact(torch.tensor([1 / 3]))
    assert exact.dtype == torch.float64
    assert exact.item() == pytest.approx(1 / 3, rel=1e-7)


def test_a_network_in_float64_is_made_float32_on_mps_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    moves: list[torch.device] = []
    monkeypatch.setattr(nn.Module, "to", lambda module, device: moves.append(device) or module)
    for device, dtype in ((CPU, torch.float64), (MPS, torch.float32)):
        network = nn.Conv2d(3, 3, 1).double()
        assert devices.place(network, device) is network
        assert network.weight.dtype == dtype
    half = nn.BatchNorm2d(3).half()
    devices.place(half, MPS)
    assert half.weight.dtype == torch.float16
    assert moves == [CPU, MPS, MPS]


def test_metrics_run_on_the_cpu_beside_mps() -> None:
    """Which must not be given work by two threads."""
    assert devices.beside(MPS) == CPU
    assert devices.beside(torch.device("cuda:1")) == torch.device("cuda:1")


def test_errors_of_every_allocator_are_known() -> None:
    for error in (
        torch.OutOfMemoryError("CUDA out of memory"),
        MemoryError(),
        RuntimeError("MPS backend out of memory (MPS allocated: 9.06 GB, max allowed: 9.07 GB)"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("could not create a primitive"),
    ):
        assert devices.out_of_memory(error)
    assert not devices.out_of_memory(RuntimeError("a shape is wrong"))
    assert not devices.out_of_memory(ValueError("MPS backend out of memory"))


def test_free_memory_of_mps_is_what_it_may_take_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    GiB = 2**30
    machine = namedtuple("machine", "available")
    monkeypatch.setattr("psutil.virtual_memory", lambda: machine(10 * GiB))
    monkeypatch.setattr("blindsr.runtime.memory_groups.free_bytes", lambda: None)
    monkeypatch.setattr(torch.mps, "recommended_max_memory", lambda: 12 * GiB)
    monkeypatch.setattr(torch.mps, "driver_allocated_memory", lambda: 5 * GiB)
    monkeypatch.setattr(torch.mps, "current_allocated_memory", lambda: 4 * GiB)
    assert devices.free_bytes(MPS) == 8 * GiB  # 12 - 5 are not taken yet, and 1 is kept without being used
    assert devices.free_bytes(CPU) == 10 * GiB
    monkeypatch.setattr("psutil.virtual_memory", lambda: machine(2 * GiB))
    assert devices.free_bytes(MPS) == 3 * GiB


def test_an_absent_gpu_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="set it to auto or cpu"):
        devices.choose("cuda")


def test_a_gpu_is_made_repeatable_and_a_cpu_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    monkeypatch.setattr(torch, "use_deterministic_algorithms", lambda on, warn_only: asked.append(on))
    monkeypatch.setattr(torch.utils.deterministic, "fill_uninitialized_memory", True)
    devices.make_repeatable(torch.device("cpu"))
    assert asked == []
    devices.make_repeatable(torch.device("cuda"))
    assert asked == [True]
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    assert torch.utils.deterministic.fill_uninitialized_memory is False


def test_threads_are_restored() -> None:
    before = torch.get_num_threads()
    with pytest.raises(RuntimeError), devices.threads(before + 1):
        assert torch.get_num_threads() == before + 1
        raise RuntimeError
    assert torch.get_num_threads() == before
