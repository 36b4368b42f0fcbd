"""Networks and steps as the trainer puts them together, for the tests of this folder."""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from blindsr.config.params import Params
from blindsr.model import architecture
from blindsr.model.network import Network, build_regularizer
from blindsr.training import trainer
from blindsr.training.distributed import World
from blindsr.training.ema import Ema
from blindsr.training.losses import build_losses
from blindsr.training.objective import Objective
from blindsr.training.samples import Batch
from blindsr.training.step import Stepper

RATE = 2e-4
Forward = Callable[[nn.Module, Tensor], Tensor]


def backbone(small: Params, name: str = "srresnet") -> nn.Module:
    """A tiny network, always with the same weights: torch's own, since training begins with much smaller ones, whose
    images are hardly more than the input.
    """

    def build() -> nn.Module:
        network = architecture.build_backbone(name, small.backbone.hyper[name], 4)
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                module.reset_parameters()
        return network

    return trainer.initialize(build, 0)


@dataclass
class Run:
    """A network in training."""

    network: Network
    ema: Ema
    sums: Tensor
    step: Stepper

    def weights(self) -> Tensor:
        """All of them in one vector, on the CPU."""
        return torch.cat([parameter.detach().flatten() for parameter in self.network.parameters()]).cpu()


def run(small: Params, reg: str, device: torch.device, *, replay: bool, bf16: bool = False) -> Run:
    """SRResNet with a regularizer, as `trainer.train` sets it up."""
    settings = small.reg.settings[reg]
    network = Network(backbone(small), build_regularizer(reg, settings.hyper_for("srresnet")))
    on_gpu = device.type == "cuda"
    network.to(device, memory_format=torch.channels_last if on_gpu else torch.preserve_format).train()
    optimizer = torch.optim.Adam(network.parameters(), RATE, fused=True, capturable=on_gpu)
    ema = Ema(network.backbone)
    sums = torch.zeros(2, dtype=torch.float64, device=device)
    weight = settings.weight
    losses = build_losses(small.train).to(device)
    objective = Objective(network, losses, weight, bf16=bf16)
    step = Stepper(objective, network, optimizer, ema, sums, weight=weight, world=World(device), replay=replay)
    return Run(network, ema, sums, step)


def batch(views: int, number: int, device: torch.device, side: int = 16) -> Batch:
    """Two patches in so many views; the same numbers on every device."""
    generator = torch.Generator().manual_seed(number)
    lr = torch.rand(2 * views, 3, side, side, generator=generator).to(device)
    hr = torch.rand(2, 3, 4 * side, 4 * side, generator=generator).to(device)
    return Batch(lr.contiguous(memory_format=torch.channels_last), hr)


def steps(made: Run, device: torch.device, count: int, looks: tuple[int, ...] = ()) -> list[dict[str, float]]:
    """So many steps, each with its own batch, key and learning rate; what the looks have said."""
    said = []
    with made.network.taps:
        for number in range(count):
            trainer.key_torch(0, number + 1)
            rate = RATE * (1 - number / (2 * count))
            given = batch(made.network.views, number, device)
            said.append(made.step(given, rate, number / count, look=number in looks))
    return [diagnosis for diagnosis in said if diagnosis]


def gradients(
    network: nn.Module, lr: Tensor, forward: Callable[[nn.Module, Tensor], Tensor]
) -> tuple[Tensor, Tensor]:
    """SR images, and the gradients of all parameters in one vector, on the CPU; the network is not changed."""
    network = copy.deepcopy(network).to(lr.device)
    sr = forward(network, lr)
    target = torch.linspace(0, 1, sr.numel(), device=sr.device).view_as(sr)
    (sr.float() - target).square().mean().backward()
    found = [p.grad.flatten() for p in network.parameters() if p.grad is not None]
    return sr.detach().float().cpu(), torch.cat(found).float().cpu()


def distance(a: Tensor, b: Tensor) -> float:
    """Norm of the difference over the norm of `b`."""
    return float((a - b).norm() / b.norm())
