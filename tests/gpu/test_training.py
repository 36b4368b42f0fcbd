"""Whole trainings on the device: the moving average, stopping and going on, a batch that does not fit."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from subjects import backbone, distance

from benchmarks.gpu_check import settings
from blindsr.config.params import Params
from blindsr.config.schema import TrainParams
from blindsr.data.patch_store import PatchStore
from blindsr.model.network import Network, build_regularizer
from blindsr.runtime.errors import UserError
from blindsr.training import trainer
from blindsr.training.distributed import World
from blindsr.training.ema import Ema
from blindsr.training.losses import build_losses
from blindsr.training.samples import Batches

pytestmark = pytest.mark.gpu


class Stop(Exception):
    """Ends a training in the middle."""


def train(
    small: Params,
    params: TrainParams,
    store: PatchStore,
    device: torch.device,
    states: Path,
    *,
    replayed: bool,
    stop_at: int | None = None,
    reg: str = "rff",
    workers: int = 0,
) -> torch.Tensor:
    """The averaged weights after a training with a checkpoint every second iteration."""

    def log(iteration: int, point: dict[str, float]) -> None:
        if iteration == stop_at:
            raise Stop

    chosen = small.reg.settings[reg]
    network = Network(backbone(small), build_regularizer(reg, chosen.hyper_for("srresnet")))
    batches = Batches(store, params, settings.degradation(True), seed=0, views=network.views, scale=4)
    more: dict[str, Any] = {
        "losses": build_losses(params),
        "weight": chosen.weight,
        "seed": 0,
        "states": states,
        "world": World(device),
    }
    more |= {"workers": workers, "checkpoint_every": 2, "log": log, "replayed": replayed}
    trainer.train(network, batches, params, **more)
    return torch.cat([parameter.detach().flatten().cpu() for parameter in network.backbone.parameters()])


def test_the_moving_average_is_that_of_the_cpu(small: Params, device: torch.device) -> None:
    averages = []
    for where in (torch.device("cpu"), device):
        network = backbone(small).to(where)
        ema = Ema(network, 0.9)
        for number in range(5):
            with torch.no_grad():
                for parameter in network.parameters():
                    parameter.add_(0.1 * (number + 1))
            ema.update(network)
        averages.append(torch.cat([tensor.flatten().cpu() for tensor in ema.state_dict().values()]))
    torch.testing.assert_close(averages[1], averages[0], rtol=1e-6, atol=1e-6)


def test_a_stopped_training_ends_with_the_same_bits(
    small: Params, train_params: TrainParams, store: PatchStore, device: torch.device, tmp_path: Path
) -> None:
    """Each step launched by Python."""
    params = train_params.model_copy(update={"log_every": 1})
    whole = train(small, params, store, device, tmp_path / "a", replayed=False)
    with pytest.raises(Stop):
        train(small, params, store, device, tmp_path / "b", replayed=False, stop_at=6)
    assert list((tmp_path / "b").glob("*.pt"))
    assert torch.equal(train(small, params, store, device, tmp_path / "b", replayed=False), whole)


def test_stopped_between_replays_it_ends_with_the_same_weights(
    small: Params,
    train_params: TrainParams,
    store: PatchStore,
    cuda: torch.device,
    tmp_path: Path,
    record_property: Callable,
) -> None:
    """Steps that one run replays, the other one launches anew: up to rounding."""
    params = train_params.model_copy(update={"iterations": 16, "log_every": 8})
    whole = train(small, params, store, cuda, tmp_path / "a", replayed=True)
    with pytest.raises(Stop):
        train(small, params, store, cuda, tmp_path / "b", replayed=True, stop_at=8)
    resumed = train(small, params, store, cuda, tmp_path / "b", replayed=True)
    record_property("error", f"{distance(resumed, whole):.1e}")
    assert distance(resumed, whole) < 1e-6


@pytest.mark.parametrize("workers", [0, 2])
def test_worker_processes_change_nothing(
    small: Params, train_params: TrainParams, store: PatchStore, cuda: torch.device, tmp_path: Path, workers: int
) -> None:
    """With the device in use, workers are forked, batches pinned by a thread, and steps recorded meanwhile."""
    alone = train(small, train_params, store, cuda, tmp_path / "a", replayed=False)
    together = train(small, train_params, store, cuda, tmp_path / "b", replayed=True, workers=workers)
    assert distance(together, alone) < 1e-6


def test_a_batch_that_does_not_fit_is_one_clear_line(
    small: Params, train_params: TrainParams, store: PatchStore, cuda: torch.device, tmp_path: Path
) -> None:
    total = torch.cuda.get_device_properties(cuda).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved(cuda) + 2**26) / total, cuda)
    try:
        with pytest.raises(UserError, match="out of memory on cuda.*lower train.batch"):
            train(small, train_params.model_copy(update={"batch": 256}), store, cuda, tmp_path, replayed=True)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, cuda)
