"""Batches in order, and the time lost on them; the order of work on a GPU, acted out without one."""

import contextlib
import copy
from typing import Any

import pytest
import torch

from blindsr.config.schema import TrainParams
from blindsr.data.patch_store import PatchStore
from blindsr.plugins.degradations.base import Degradation
from blindsr.runtime import devices
from blindsr.training.loading import Loader
from blindsr.training.samples import Batch, Batches, Sources


@pytest.fixture
def batches(store: PatchStore, train_params: TrainParams, degradation: Degradation) -> Batches:
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


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(("start", "stop"), [(0, 5), (1, 2), (3, 4), (2, 4), (4, 4)])
def test_on_a_gpu_the_next_batches_are_made_beside_the_step(
    batches: Batches, monkeypatch: pytest.MonkeyPatch, start: int, stop: int, workers: int
) -> None:
    """Two at a time, in the same pairs wherever the run begins."""
    said: list[str] = []
    side, main = Pretended(said, "side"), Pretended(said, "main")
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: side)
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(Loader, "_next", lambda loader, source: next(source))  # which takes no counted time
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: main)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: contextlib.nullcontext())
    monkeypatch.setattr(torch.Tensor, "record_stream", lambda tensor, stream: said.append(f"kept for {stream.name}"))
    monkeypatch.setattr(Batches, "together", 2)
    pairs = [batches.finish(batches.sources(group), torch.device("cpu")) for group in range(3)]
    wanted = [batch for pair in pairs for batch in pair]
    finish = batches.finish

    def on_cpu(sources: Any, device: torch.device) -> list[Batch]:
        assert device.type == "cuda"
        said.append("made")
        return finish(sources, torch.device("cpu"))

    monkeypatch.setattr(batches, "finish", on_cpu)
    monkeypatch.setattr(Sources, "pin_memory", lambda sources: copy.deepcopy(sources))  # as a copy, too
    loader = Loader(batches, start, stop, workers, torch.device("cuda"))
    with devices.threads(1):  # as in a worker process, to the bit
        for iteration, batch in zip(range(start, stop), loader, strict=True):
            assert batch.lr.is_contiguous(memory_format=torch.channels_last)
            assert torch.equal(batch.lr, wanted[iteration].lr)
            assert torch.equal(batch.hr, wanted[iteration].hr)
            said.append(f"step {iteration}")
    kept, wait = ["kept for main"] * 2, "main waits for side"
    told = {
        (0, 5): [
            *("made", wait, *kept, "step 0", *kept, "step 1", "made"),
            *(wait, *kept, "step 2", *kept, "step 3", "made", wait, *kept, "step 4"),
        ],
        (1, 2): ["made", wait, *kept, "step 1"],
        (3, 4): ["made", wait, *kept, "step 3"],
        (2, 4): ["made", wait, *kept, "step 2", *kept, "step 3"],
        (4, 4): [],
    }
    assert said == told[start, stop]
    groups = said.count(wait)
    assert loader.waited == 0.5 * max(0, groups - 1)  # each pair of events is over when the next is recorded
