"""A network with all that a training step needs, as `trainer.train` puts it together, on one batch."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

from benchmarks.gpu_check import settings
from benchmarks.gpu_check.spec import Spec
from blindsr.model import architecture
from blindsr.model.network import Network, build_regularizer
from blindsr.runtime import devices
from blindsr.training import trainer
from blindsr.training.distributed import World
from blindsr.training.ema import Ema
from blindsr.training.losses import build_losses
from blindsr.training.objective import Objective
from blindsr.training.samples import Batch
from blindsr.training.step import Stepper


class Subject:
    """Steps of one spec: `step()` makes one."""

    def __init__(self, spec: Spec, small: bool) -> None:
        """Raises ValueError for what a CPU cannot do."""
        self.device = devices.choose("auto")
        on_gpu = self.device.type == "cuda"
        if not on_gpu and (spec.precision != "fp32" or spec.mode != "eager"):
            raise ValueError("needs a GPU")
        params = settings.params(small)
        self.train = settings.training(small, spec.precision)
        self.spec, regularizer = spec, params.reg.settings[spec.reg]
        hyper = params.backbone.hyper[spec.backbone]
        backbone = trainer.initialize(lambda: architecture.build_backbone(spec.backbone, hyper, params.scale), 0)
        self.network = Network(backbone, build_regularizer(spec.reg, regularizer.hyper_for(spec.backbone)))
        layout = torch.channels_last if spec.channels_last and on_gpu else torch.contiguous_format
        self.network.to(self.device, memory_format=layout).train()  # type: ignore[call-overload]
        trained = list(self.network.parameters())
        self.optimizer = torch.optim.Adam(
            trained, self.train.learning_rate, self.train.betas, fused=True, capturable=on_gpu
        )
        ema = Ema(self.network.backbone, self.train.ema_decay)
        if "compile" in spec.mode:
            self.network.backbone.compile()
        losses = build_losses(self.train).to(self.device)
        self.sums = torch.zeros(2, dtype=torch.float64, device=self.device)
        self.objective = Objective(self.network, losses, regularizer.weight, bf16=spec.precision == "bf16")
        self.stepper = Stepper(
            self.objective, self.network, self.optimizer, ema, self.sums,
            weight=regularizer.weight, world=World(self.device), replay="graph" in spec.mode,
        )  # fmt: skip
        self.batch = self._batch(params.scale, layout)
        self.steps = 0

    def _batch(self, scale: int, layout: torch.memory_format) -> Batch:
        generator = torch.Generator().manual_seed(0)
        images, crop, side = self.train.batch, self.train.crop, self.train.crop // scale
        lr = torch.rand(images, 3, side, side, generator=generator).to(self.device, memory_format=layout)
        return Batch(lr, torch.rand(images // self.network.views, 3, crop, crop, generator=generator).to(self.device))

    def step(self, batch: Batch | None = None) -> None:
        """One step, as the trainer makes it: keyed random numbers, a learning rate, no look at the result."""
        self.steps += 1
        trainer.key_torch(0, self.steps)
        self.stepper(batch or self.batch, self.train.learning_rate, 0.5)

    def warm_up(self) -> None:
        """Steps until the recording, if there is one, is replayed."""
        for _ in range(6):
            self.step()
        self.wait()

    def wait(self) -> None:
        """Until the device has done all that was launched."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


@contextmanager
def running(spec: Spec, small: bool) -> Iterator[Subject]:
    """A subject with its hooks in place and the rounding that its precision asks for, as in training."""
    with ExitStack() as stack:
        if spec.free:
            stack.enter_context(_any_algorithm())
        subject = Subject(spec, small)
        stack.enter_context(devices.tf32(spec.precision == "tf32"))
        stack.enter_context(devices.threads(subject.train.threads))
        stack.enter_context(subject.network.taps)
        yield subject


@contextmanager
def _any_algorithm() -> Iterator[None]:
    before: dict[str, Any] = {"mode": torch.are_deterministic_algorithms_enabled(), "warn_only": True}
    torch.use_deterministic_algorithms(False)
    torch.backends.cudnn.benchmark = True
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(**before)
        torch.backends.cudnn.benchmark = False
