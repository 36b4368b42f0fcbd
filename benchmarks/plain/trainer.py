"""Training as one loop in one process: decode patches, degrade them whole, then step, pair by pair in the loss."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.plain import patches, synthesis, usm
from blindsr.model import taps
from blindsr.plugins.degradations.second_order import SecondOrder


@dataclass
class Trainer:
    """What an iteration needs: `folder` holds `count` PNG patches of at least `crop` px, read 400 px at a time."""

    folder: Path
    count: int
    network: nn.Module
    optimizer: torch.optim.Optimizer
    average: list[Tensor]
    degradation: SecondOrder
    penalty: Callable[[Tensor, Tensor], Tensor]
    weight: float
    batch: int
    crop: int
    usm_target: bool
    generator: np.random.Generator

    def iterate(self) -> float:
        """One iteration of `batch` patches in two views each; returns the loss."""
        lr, hr = self._synthesize()
        sr, seen = taps.read(self.network, lr)
        features = seen["last"]
        loss = functional.l1_loss(sr, hr.repeat(2, 1, 1, 1)) + self.weight * self.penalty(*features.chunk(2))
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        with torch.no_grad():
            for average, parameter in zip(self.average, self.network.parameters(), strict=True):
                average.mul_(0.999).add_(parameter, alpha=0.001)
        return float(loss.detach())

    @torch.no_grad()
    def _synthesize(self) -> tuple[Tensor, Tensor]:
        images = torch.stack([self._image() for _ in range(self.batch)])
        if self.usm_target:
            images = usm.sharpen(images, usm.dense_kernel())
        crops, targets = [], []
        for image in images.split(1):
            views = [self.degradation.draw(self.generator, synthesis.SIDE, synthesis.SIDE, 4) for _ in range(2)]
            top, left = (4 * int(self.generator.integers((synthesis.SIDE - self.crop) // 4 + 1)) for _ in range(2))
            lr, hr = synthesis.two_views(image, views, (top, left), self.crop)
            crops.append(lr)
            targets.append(hr)
        both = torch.stack(crops)  # (patches, views, 3, h, w)
        return both.transpose(0, 1).flatten(0, 1).contiguous(), torch.cat(targets)

    def _image(self) -> Tensor:
        """A random 400 px crop of a random patch, flipped or not, (3, 400, 400) in [0, 1]."""
        number = int(self.generator.integers(self.count))
        image = patches.read_window(self.folder, patches.PNG, 10**6, number, 0, 0)
        top, left = (int(self.generator.integers(side - synthesis.SIDE + 1)) for side in image.shape[:2])
        image = image[top : top + synthesis.SIDE, left : left + synthesis.SIDE]
        if self.generator.integers(2):
            image = image[:, ::-1]
        return torch.from_numpy(image.astype(np.float32) / 255).permute(2, 0, 1).contiguous()
