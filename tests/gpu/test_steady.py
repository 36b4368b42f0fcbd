"""The steady state of a training on a GPU: nothing makes the host wait, and memory stays what it was."""

import itertools
import traceback
from collections.abc import Callable, Iterator

import pytest
import torch
from subjects import RATE, Run, batch, run

from benchmarks.gpu_check import settings
from blindsr.config.params import Params
from blindsr.config.schema import TrainParams
from blindsr.data.patch_store import PatchStore
from blindsr.training import trainer
from blindsr.training.loading import Loader
from blindsr.training.samples import Batch, Batches

pytestmark = pytest.mark.gpu
STEADY = 50


class Few(Batches):
    together = 3


@pytest.fixture
def load(train_params: TrainParams, store: PatchStore, device: torch.device) -> Callable[[Run], Iterator[Batch]]:
    def loader(made: Run) -> Iterator[Batch]:
        views = made.network.views
        batches = Few(store, train_params, settings.degradation(True), seed=0, views=views, scale=4)
        return iter(Loader(batches, 0, 10**6, 0, device))

    return loader


def advance(made: Run, batches: Iterator, numbers: Iterator[int], count: int) -> None:
    for _ in range(count):
        number = next(numbers)
        trainer.key_torch(0, number + 1)
        made.step(next(batches), RATE, 0.5)


@pytest.mark.parametrize("reg", ["dropout", "linear", "rff", "rff_released"])
@pytest.mark.parametrize("replay", [True, False])
def test_nothing_makes_the_host_wait(
    small: Params, cuda: torch.device, load: Callable[[Run], Iterator[Batch]], reg: str, replay: bool
) -> None:
    """Neither a step nor the synthesis of its batches: torch raises an error for what waits."""
    made, numbers = run(small, reg, cuda, replay=replay), itertools.count()
    batches = load(made)
    with made.network.taps:
        advance(made, batches, numbers, 12)
        torch.cuda.set_sync_debug_mode("error")
        try:
            advance(made, batches, numbers, 12)
        except RuntimeError as error:
            frames = traceback.extract_tb(error.__traceback__)[-6:]
            places = [f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in frames]
            pytest.fail(f"{str(error).splitlines()[0]} at {' > '.join(places)}")
        finally:
            torch.cuda.set_sync_debug_mode("default")
    assert made.step.watch.steps_since_bad() == 0


@pytest.mark.parametrize("replay", [True, False])
def test_memory_does_not_grow(
    small: Params,
    cuda: torch.device,
    load: Callable[[Run], Iterator[Batch]],
    replay: bool,
    record_property: Callable,
) -> None:
    """Over 50 steps, seen at the same place of a group of batches."""
    made, numbers = run(small, "rff", cuda, replay=replay), itertools.count()
    batches = load(made)
    taken, reserved = [], []
    with made.network.taps:
        for count in (36, STEADY - STEADY % 3 + 3):
            advance(made, batches, numbers, count)
            torch.cuda.synchronize(cuda)
            taken.append(torch.cuda.memory_allocated(cuda))
            reserved.append(torch.cuda.memory_reserved(cuda))
    record_property("MiB allocated", [f"{value / 2**20:.1f}" for value in taken])
    record_property("MiB reserved", [f"{value / 2**20:.1f}" for value in reserved])
    assert taken[1] <= taken[0] + 2**20
    assert reserved[1] <= 1.5 * reserved[0] + 2**26  # the canvases' sizes are drawn


def test_a_step_leaves_no_graph_behind(small: Params, device: torch.device) -> None:
    """What autograd keeps of a step runs on the stream of that step, where a recording must not meet it."""
    made, met = run(small, "rff", device, replay=False), []
    parameter = next(made.network.parameters())
    with made.network.taps:
        for number in range(2):
            made.step(batch(2, number, device), RATE, 0.5)
            node = parameter.view_as(parameter).grad_fn.next_functions[0][0]
            met.append("met" in node.metadata)
            node.metadata["met"] = True
            del node
    assert met == [False, False]
