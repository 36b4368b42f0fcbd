"""Batches in order, and the time lost on them; the order of work on a GPU, acted out without one."""

import contextlib
from typing import Any

import pytest
import torch

from blindsr.datasets.patch_store import PatchStore
from blindsr.settings import DegradationParams, TrainParams
from blindsr.training import loading
from blindsr.training.loading import Loader
from blindsr.training.samples import Batch, Batches


@pytest.fixture
def batches(store: PatchStore, train_params: TrainParams, degradation: DegradationParams) -> Batches:
    return Batches(store, train_params, degradation, seed=0, views=2, scale=4)


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_come_in_order_and_the_wait_is_counted(batches: Batches, workers: int) -> None:
    loader = Loader(batches, 3, 6, workers, torch.device("cpu"))
    for iteration, batch in zip(range(3, 6), loader, strict=True):
        assert torch.equal(batch.lr, batches[iteration].lr)
    assert loader.waited > 0


class Pretended:
    """A stand-in for torch.cuda's streams that writes down what is asked of it."""

    def __init__(self, said: list[str], name: str) -> None:
        self.said, self.name = said, name

    def wait_stream(self, other: "Pretended") -> None:
        self.said.append(f"{self.name} waits for {other.name}")

    def record_event(self, event: "Event") -> None:
        event.recorded = True


class Event:
    """A stand-in for torch.cuda.Event: two of them are half a second apart, and over at the second look."""

    def __init__(self, enable_timing: bool) -> None:
        self.recorded, self.looks = False, 0

    def query(self) -> bool:
        self.looks += 1
        return self.recorded and self.looks > 1

    def elapsed_time(self, later: "Event") -> float:
        return 500.0


def test_on_a_gpu_the_next_batch_is_made_beside_the_step(batches: Batches, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    side, main = Pretended(said, "side"), Pretended(said, "main")
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: side)
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(Loader, "_next", lambda loader, source: next(source))  # which takes no counted time
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: main)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: contextlib.nullcontext())
    monkeypatch.setattr(torch.Tensor, "record_stream", lambda tensor, stream: said.append(f"kept for {stream.name}"))
    finish = batches.finish

    def on_cpu(sources: Any, device: torch.device) -> Batch:
        assert device.type == "cuda"
        said.append("made")
        return finish(sources, torch.device("cpu"))

    monkeypatch.setattr(batches, "finish", on_cpu)
    real = loading.DataLoader
    monkeypatch.setattr(loading, "DataLoader", lambda *a, **more: real(*a, **more | {"pin_memory": False}))
    loader = Loader(batches, 0, 2, 0, torch.device("cuda"))
    for batch in loader:
        assert batch.lr.is_contiguous(memory_format=torch.channels_last)
        said.append("step")
    ready = ["main waits for side", "kept for main", "kept for main", "step"]
    assert said == ["made", *ready, "made", *ready]
    assert loader.waited == 0.5  # the first pair of events is over when the second is recorded
