"""The second-order degradation at the full size of 400 px, cropped at the end."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.plain import jpeg, kernels, noise
from blindsr.plugins.degradations.second_order import Drawn, Pass

SIDE = 400  # px that the public code degrades, whatever the crop


def degrade(images: Tensor, degradations: Sequence[Drawn], scale: int = 4) -> Tensor:
    """LR images (N, 3, H / scale, W / scale), rounded to 8 bits; noise from torch's default generator."""
    lr = torch.cat([_one(image, d, scale) for image, d in zip(images.split(1), degradations, strict=True)])
    return (lr * 255).round().clamp(0, 255) / 255


def two_views(
    image: Tensor, views: Sequence[Drawn], corner: tuple[int, int], crop: int, scale: int = 4
) -> tuple[Tensor, Tensor]:
    """LR crops (views, 3, crop / scale, crop / scale) and the HR crop (1, 3, crop, crop) at `corner` of `image`.

    `image` is (1, 3, H, W), `corner` (top, left) in HR px and a multiple of `scale`.
    """
    lr = degrade(image.expand(len(views), -1, -1, -1), views, scale)
    top, left = corner
    y, x, side = top // scale, left // scale, crop // scale
    return lr[:, :, y : y + side, x : x + side], image[:, :, top : top + crop, left : left + crop]


def _one(image: Tensor, d: Drawn, scale: int) -> Tensor:
    h, w = image.shape[-2] // scale, image.shape[-1] // scale
    made = torch.from_numpy(kernels.synthesize([d.first.kernel, d.second.kernel, d.final_sinc])).float()
    out = _blur(image, made[0])
    out = F.interpolate(out, scale_factor=d.first.resize, mode=d.first.mode)
    out = _noise(out, d.first)
    out = jpeg.jpeg(out, torch.tensor([d.first.jpeg_quality]))
    if d.second.kernel is not None:
        out = _blur(out, made[1])
    out = F.interpolate(out, size=(int(h * d.second.resize), int(w * d.second.resize)), mode=d.second.mode)
    out = _noise(out, d.second)
    quality = torch.tensor([d.second.jpeg_quality])
    if d.jpeg_last:
        out = _blur(F.interpolate(out, size=(h, w), mode=d.final_mode), made[2])
        return jpeg.jpeg(out.clamp(0, 1), quality)
    out = jpeg.jpeg(out, quality)
    return _blur(F.interpolate(out, size=(h, w), mode=d.final_mode), made[2])


def _blur(image: Tensor, kernel: Tensor) -> Tensor:
    """A grouped convolution with the padded kernel: an identity costs as much as the widest blur."""
    padded = F.pad(image, [kernel.shape[-1] // 2] * 4, mode="reflect")
    return F.conv2d(padded, kernel.repeat(3, 1, 1, 1), groups=3)


def _noise(image: Tensor, drawn: Pass) -> Tensor:
    add = noise.add_gaussian if drawn.noise == "gaussian" else noise.add_poisson
    return add(image, torch.tensor([drawn.noise_level]), torch.tensor([float(drawn.grey)]))
