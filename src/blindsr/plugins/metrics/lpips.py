"""LPIPS, version 0.1 on AlexNet: smaller is more alike, 0 for equal images.

Source: Zhang et al., "The unreasonable effectiveness of deep features as a perceptual metric", CVPR 2018. The
five convolutions come from a file of the user, the linear heads from the `lpips` package, which is found but not
imported: it imports torchvision, which cannot be loaded beside every build of torch.
"""

import importlib.util
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from blindsr.plugins import alexnet
from blindsr.plugins.metrics.base import RGB, Metric, cropped_pair
from blindsr.runtime.errors import UserError

_LACKS = "no LPIPS trunk weights"


def build(*, trunk: Path | None = None, device: str | torch.device = "cpu") -> Metric:
    """LPIPS of whole images (AlexNet, version 0.1; Zhang et al., CVPR 2018), without any border removed.

    Args:
        trunk: AlexNet's weights; without them the metric lacks them, and measures nothing.
        device: That the network runs on.

    Raises:
        UserError: as `load_lpips` does.
    """
    return record(load_lpips(trunk).to(device) if trunk else None)


def record(network: "Lpips | None") -> Metric:
    """The metric of a network; without one it lacks its weights."""

    def reference(hr: RGB) -> Callable[[RGB, RGB], float]:
        if network is None:
            raise UserError(f"{_LACKS}: give AlexNet's")
        distance = network.reference(hr)
        return lambda sr, lr: distance(sr)

    return Metric(
        "lpips",
        label="LPIPS",
        unit="",
        decimals=4,
        higher_is_better=False,
        measure=lambda sr, hr, lr: reference(hr)(sr, lr),
        reference=reference,
        lacks="" if network else _LACKS,
    )


class Lpips(nn.Module):
    """The network of the metric, in eval mode and without gradients on its weights; see `load_lpips`."""

    def __init__(self, trunk: alexnet.Trunk | None = None) -> None:
        """With heads of zeros, and random convolutions unless a trunk is given."""
        super().__init__()
        self.trunk = alexnet.Trunk() if trunk is None else trunk
        self.heads = nn.ParameterList(nn.Parameter(torch.zeros(1, width, 1, 1)) for width in alexnet.WIDTHS)
        self.eval().requires_grad_(False)

    def forward(self, sr: RGB, hr: RGB, crop_border: int = 0) -> float:
        """Distance of two images, on the device of the weights.

        Args:
            sr: RGB uint8 (H, W, 3).
            hr: Likewise.
            crop_border: px removed from each side; at least 31 must be left.

        Returns:
            >= 0; 0 for equal images.

        Raises:
            ValueError: for another type or layout.
            UserError: for sizes that differ or are too small.
        """
        return self.reference(hr, crop_border)(sr)

    def reference(self, hr: RGB, crop_border: int = 0) -> Callable[[RGB], float]:
        """Prepare `forward` with one HR image: what depends on the HR alone is computed once.

        Args:
            hr: RGB uint8 (H, W, 3).
            crop_border: As for `forward`.

        Returns:
            Function of an SR image, with its distance. It holds some 42 bytes a pixel of the HR.

        Raises:
            ValueError: as `forward` does, as does the result.
            UserError: likewise.
        """
        cropped, _ = cropped_pair(hr, hr, crop_border, smallest=alexnet.SMALLEST)
        with torch.inference_mode():
            target = [_unit(planes) for planes in self.trunk(self._tensor(cropped))]

        def distance(sr: RGB) -> float:
            image, _ = cropped_pair(sr, hr, crop_border, smallest=alexnet.SMALLEST)
            with torch.inference_mode():
                return self._distances(self._tensor(image), target).item()

        return distance

    def distances(self, sr: Tensor, hr: Tensor) -> Tensor:
        """Distances of two batches.

        Args:
            sr: RGB images (B, 3, H, W) in [-1, 1], H and W at least 31.
            hr: Likewise.

        Returns:
            (B,), >= 0.
        """
        return self._distances(sr, [_unit(planes) for planes in self.trunk(hr)])

    def _distances(self, sr: Tensor, target: list[Tensor]) -> Tensor:
        total = torch.zeros(sr.shape[0], device=sr.device, dtype=sr.dtype)
        for head, a, b in zip(self.heads, self.trunk(sr), target, strict=True):
            difference = (_unit(a) - b) ** 2
            total = total + F.conv2d(difference, head).mean(dim=(1, 2, 3))
        return total

    def _tensor(self, image: RGB) -> Tensor:
        pixels = torch.from_numpy(image.copy()).to(self.trunk.shift.device)
        return pixels.permute(2, 0, 1)[None].float() / 127.5 - 1


def _unit(features: Tensor) -> Tensor:
    """Unit length over the channels at each position; the package, too, adds 1e-10 to the length."""
    return features / (features.square().sum(dim=1, keepdim=True).sqrt() + 1e-10)


def load_lpips(trunk: str | Path) -> Lpips:
    """The metric with the five AlexNet convolutions of a state dict, and the linear heads of the `lpips` package.

    Args:
        trunk: Of a .pth or .safetensors file.

    Raises:
        UserError: as `alexnet.load` does, or where the `lpips` package is not installed.
    """
    metric = Lpips(alexnet.load(trunk))
    with torch.no_grad():
        for head, weight in zip(metric.heads, _linear_heads(), strict=True):
            head.copy_(weight)
    return metric


def _linear_heads() -> list[Tensor]:
    """The five 1×1 heads (1, C, 1, 1) that the lpips package ships."""
    package = importlib.util.find_spec("lpips")
    folders = (package.submodule_search_locations or []) if package else []
    files = (Path(folder) / "weights" / "v0.1" / "alex.pth" for folder in folders)
    file = next(filter(Path.is_file, files), None)
    if file is None:
        raise UserError("LPIPS needs the lpips package for its linear heads: pip install lpips")
    # the file was saved on a GPU
    state = torch.load(file, map_location="cpu", weights_only=True)
    return [state[f"lin{number}.model.1.weight"] for number in range(len(alexnet.WIDTHS))]
