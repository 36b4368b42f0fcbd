"""The paper's degradation, for the tests of its draws and of its chain."""

import numpy as np
import torch
import torch.nn.functional as F

from blindsr.plugins.degradations.second_order import Drawn, SecondOrder, build

PAPER = build()


def draw(degradation: SecondOrder, stream: np.random.Generator, height: int, width: int = 0, scale: int = 4) -> Drawn:
    """Of a square window without `width`."""
    return degradation.draw(stream, height, width or height, scale)


def degrade(hr: torch.Tensor, draws: list[Drawn], streams: list[np.random.Generator], scale: int = 4) -> torch.Tensor:
    return PAPER.apply(hr, draws, streams, scale)


def generator(*key: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=list(key)))


def natural(n: int, height: int, width: int) -> torch.Tensor:
    source = torch.Generator().manual_seed(height)
    coarse = torch.rand(n, 3, 9, 9, generator=source)
    return F.interpolate(coarse, size=(height, width), mode="bicubic").clamp(0, 1)
