"""Steps: the learning rate and the sums of each, and what a recording needs of the random numbers."""

import torch
from torch import nn

from blindsr.model.network import Network
from blindsr.plugins.losses import l1
from blindsr.plugins.regularizers import rff
from blindsr.plugins.regularizers.base import Share, Step
from blindsr.training.distributed import World
from blindsr.training.ema import Ema
from blindsr.training.losses import Losses
from blindsr.training.objective import Objective
from blindsr.training.samples import Batch
from blindsr.training.step import Stepper, _Draws, _Recording

CPU = torch.device("cpu")


class Toy(nn.Module):
    last = "convolve"

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 3, 3, padding=1)
        self.convolve = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, lr: torch.Tensor) -> torch.Tensor:
        return self.convolve(nn.functional.interpolate(self.first(lr), scale_factor=4))


def stepper(sums: torch.Tensor) -> Stepper:
    network = Network(Toy(), rff.build(dim=4)).train()
    optimizer = torch.optim.Adam(network.parameters(), 1e-3, fused=True)
    objective = Objective(network, Losses({"l1": (1.0, l1.build())}), 0.1)
    world = World(CPU)
    return Stepper(objective, network, optimizer, Ema(network.backbone), sums, weight=0.1, world=world, replay=True)


def batch(seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    return Batch(torch.rand(4, 3, 4, 4, generator=generator), torch.rand(2, 3, 16, 16, generator=generator))


def test_sums_and_count_of_two_steps() -> None:
    sums = torch.zeros(2, dtype=torch.float64)
    step = stepper(sums)
    step(batch(0), 0.0, 0.0)  # a learning rate of 0 changes no weight
    first = sums.clone()
    torch.manual_seed(0)
    step(batch(0), 0.0, 0.5)
    assert sums[0] == 2 * first[0]
    assert sums[1] > first[1] > 0
    assert step.watch.steps_since_bad() == 0


def test_a_look_says_what_views_and_gradients_are_like() -> None:
    step = stepper(torch.zeros(2, dtype=torch.float64))
    assert step(batch(), 1e-3, 0.0) == {}
    said = step(batch(), 1e-3, 0.0, look=True)
    assert list(said) == ["penalty_gradient_share", "view_distance"]
    assert 0 < said["penalty_gradient_share"] < 1
    assert said["view_distance"] > 0


class Graph:
    """Takes the place of a CUDA graph: a replay runs what was recorded, as Python."""

    def __init__(self) -> None:
        self.replays = 0

    def replay(self) -> None:
        self.replays += 1


def test_a_recording_draws_what_plain_steps_draw(monkeypatch) -> None:
    """Before each replay the random numbers are drawn anew, in the order and from the state of a plain step."""
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    monkeypatch.setattr(torch.cuda, "graph", lambda graph, **_: torch.no_grad())
    seen: list[torch.Tensor] = []

    def compute(step) -> None:
        a, b = step.of_views(step.lr)
        seen[:] = [*step.draw(lambda: rff.draw(a.shape[1], 4, 1.0), a), *step.draw(lambda: (torch.rand(2),), b)]

    draws = _Draws()
    torch.manual_seed(2)
    compute(Step(*batch(0), 2, draw=draws.notice))
    noticed = [tensor.clone() for tensor in seen]
    torch.manual_seed(1)
    recording = _Recording(batch(0), 2, Share(), draws, compute)
    recording.replay(batch(5))
    torch.manual_seed(1)
    expected = [*rff.draw(3, 4, 1.0), torch.rand(2)]
    assert not any(torch.equal(ours, before) for ours, before in zip(seen, noticed, strict=True))
    assert all(torch.equal(ours, wanted) for ours, wanted in zip(seen, expected, strict=True))
    assert torch.equal(recording._lr, batch(5).lr)
    assert torch.equal(recording._hr, batch(5).hr)
    assert recording._graph.replays == 1
