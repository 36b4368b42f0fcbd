"""Values arrive as they are; to a GPU, which is acted out, from pinned memory and without waiting."""

from typing import Any

import pytest
import torch

from blindsr.plugins.degradations.operators.transfer import upload


def test_values_become_a_tensor() -> None:
    assert upload([1.5, 2.0], torch.device("cpu")).tolist() == [1.5, 2.0]
    assert upload([3, 4], torch.device("cpu")).dtype == torch.int64
    tensor = torch.ones(2)
    assert upload(tensor, torch.device("cpu")) is tensor
    assert upload([1.0, 2.0, 3.0], torch.device("meta")).shape == (3,)


def test_a_gpu_gets_them_from_pinned_memory_without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[Any] = []

    def pin(tensor: torch.Tensor) -> torch.Tensor:
        said.append("pinned")
        return tensor

    def to(tensor: torch.Tensor, device: torch.device, non_blocking: bool) -> torch.Tensor:
        said.append((device.type, non_blocking))
        return tensor

    monkeypatch.setattr(torch.Tensor, "pin_memory", pin)
    monkeypatch.setattr(torch.Tensor, "to", to)
    upload([1.0], torch.device("cuda"))
    assert said == ["pinned", ("cuda", True)]
