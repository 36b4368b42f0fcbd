"""Choice of the device, and threads that come back."""

import os

import pytest
import torch

from blindsr.runtime import devices
from blindsr.runtime.errors import UserError


def test_auto_is_the_cpu_where_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert devices.choose("auto") == devices.choose("cpu") == torch.device("cpu")


def test_auto_is_the_first_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert devices.choose("auto").type == "cuda"
    assert devices.choose("cuda:1") == torch.device("cuda:1")
    with pytest.raises(UserError, match="cuda:2: this machine has 2 usable GPUs"):
        devices.choose("cuda:2")


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
