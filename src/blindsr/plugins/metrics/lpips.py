"""LPIPS, version 0.1 on AlexNet: smaller is more alike, 0 for equal images.

Source: Zhang et al., "The unreasonable effectiveness of deep features as a perceptual metric", CVPR 2018. The
five convolutions come from a file of the user, the linear heads from the `lpips` package, which is found but not
imported: it imports torchvision, which cannot be loaded beside every build of torch.
"""

import importlib.util
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from blindsr.plugins.metrics.base import RGB, cropped_pair
from blindsr.runtime.errors import UserError

# of torchvision's AlexNet.features: index → (in, out, kernel, stride, padding); max pooling precedes 3 and 6
_CONVOLUTIONS = {
    0: (3, 64, 11, 4, 2),
    3: (64, 192, 5, 1, 2),
    6: (192, 384, 3, 1, 1),
    8: (384, 256, 3, 1, 1),
    10: (256, 256, 3, 1, 1),
}
_POOLED = (3, 6)
_EXPECTED = "features.{0,3,6,8,10}.{weight,bias} of AlexNet"
# below this side nothing is left after the second pooling
_SMALLEST = 31


class Lpips(nn.Module):
    """The network of the metric, in eval mode and without gradients on its weights; see `load_lpips`."""

    shift: Tensor
    spread: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.ModuleDict({str(index): nn.Conv2d(*shape) for index, shape in _CONVOLUTIONS.items()})
        self.heads = nn.ParameterList(
            nn.Parameter(torch.zeros(1, shape[1], 1, 1)) for shape in _CONVOLUTIONS.values()
        )
        # ImageNet mean and deviation of RGB, moved from [0, 1] to [-1, 1] (lpips.ScalingLayer)
        self.register_buffer("shift", torch.tensor([-0.030, -0.088, -0.188]).view(1, 3, 1, 1))
        self.register_buffer("spread", torch.tensor([0.458, 0.448, 0.450]).view(1, 3, 1, 1))
        self.eval().requires_grad_(False)
        # a sixth less time on a CPU, most of it in the pooling; torch has no type for this overload
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, sr: RGB, hr: RGB, crop_border: int = 0) -> float:
        """Distance of two uint8 RGB images (H, W, 3), `crop_border` pixels removed from each side.

        Runs on the device of the weights. Raises ValueError for another type or layout, UserError for sizes
        that differ or leave less than 31 pixels on a side.
        """
        return self.reference(hr, crop_border)(sr)

    def reference(self, hr: RGB, crop_border: int = 0) -> Callable[[RGB], float]:
        """`forward` with this HR image, as a function of the SR image; what depends on the HR is computed once.

        It holds some 42 bytes a pixel of the HR. Raises, and its result raises, as `forward` does.
        """
        cropped, _ = cropped_pair(hr, hr, crop_border, smallest=_SMALLEST)
        with torch.inference_mode():
            target = [_unit(planes) for planes in self._activations(self._tensor(cropped))]

        def distance(sr: RGB) -> float:
            image, _ = cropped_pair(sr, hr, crop_border, smallest=_SMALLEST)
            with torch.inference_mode():
                return self._distances(self._tensor(image), target).item()

        return distance

    def distances(self, sr: Tensor, hr: Tensor) -> Tensor:
        """Distances (B,) of two batches of RGB images (B, 3, H, W) in [-1, 1], H and W at least 31."""
        return self._distances(sr, [_unit(planes) for planes in self._activations(hr)])

    def _distances(self, sr: Tensor, target: list[Tensor]) -> Tensor:
        total = torch.zeros(sr.shape[0], device=sr.device, dtype=sr.dtype)
        for head, a, b in zip(self.heads, self._activations(sr), target, strict=True):
            difference = (_unit(a) - b) ** 2
            total = total + F.conv2d(difference, head).mean(dim=(1, 2, 3))
        return total

    def _tensor(self, image: RGB) -> Tensor:
        return torch.from_numpy(image.copy()).to(self.shift.device).permute(2, 0, 1)[None].float() / 127.5 - 1

    def _activations(self, image: Tensor) -> Iterator[Tensor]:
        """Outputs of the five convolutions, one at a time: those of a large image fill memory."""
        planes = ((image - self.shift) / self.spread).contiguous(memory_format=torch.channels_last)
        for index in _CONVOLUTIONS:
            if index in _POOLED:
                planes = F.max_pool2d(planes, kernel_size=3, stride=2)
            planes = F.relu(self.features[str(index)](planes))
            yield planes


def _unit(features: Tensor) -> Tensor:
    """Unit length over the channels at each position; the package, too, adds 1e-10 to the length."""
    return features / (features.square().sum(dim=1, keepdim=True).sqrt() + 1e-10)


def load_lpips(trunk: str | Path) -> Lpips:
    """The metric with the five AlexNet convolutions of the state dict at `trunk` (.pth or .safetensors).

    Other keys of the file, as the classifier's of torchvision's alexnet-owt-7be5be79.pth, are ignored. Raises
    UserError for a missing or unreadable file, missing keys or wrong shapes, or where the `lpips` package
    with its linear heads is not installed.
    """
    metric = Lpips()
    state = _read_trunk(Path(trunk))
    expected = metric.features.state_dict()
    found: dict[str, Tensor] = {}
    for key, parameter in expected.items():
        weight = state.get(f"features.{key}")
        if not isinstance(weight, Tensor):
            raise UserError(f"{trunk} has no features.{key}: LPIPS needs a state dict with {_EXPECTED}")
        if weight.shape != parameter.shape:
            shapes = f"{tuple(weight.shape)} instead of {tuple(parameter.shape)}"
            raise UserError(f"{trunk} has features.{key} of shape {shapes}: LPIPS needs {_EXPECTED}")
        found[key] = weight.float()
    metric.features.load_state_dict(found)
    with torch.no_grad():
        for head, weight in zip(metric.heads, _linear_heads(), strict=True):
            head.copy_(weight)
    return metric


def _read_trunk(path: Path) -> Mapping[str, object]:
    if not path.is_file():
        raise UserError(f"no LPIPS trunk at {path}: it is a state dict with {_EXPECTED}")
    state: object
    try:
        if path.suffix == ".safetensors":
            state = safetensors.torch.load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises whatever its unpickler meets in a file that is something else
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise UserError(
            f"cannot read the LPIPS trunk {path} ({reason[:120]}): it must be a state dict with {_EXPECTED}"
        ) from error
    if not isinstance(state, Mapping):
        raise UserError(f"{path} holds a {type(state).__name__}: LPIPS needs a state dict with {_EXPECTED}")
    return state


def _linear_heads() -> list[Tensor]:
    """The five 1×1 heads (1, C, 1, 1) that the lpips package ships."""
    package = importlib.util.find_spec("lpips")
    folders = (package.submodule_search_locations or []) if package else []
    files = (Path(folder) / "weights" / "v0.1" / "alex.pth" for folder in folders)
    file = next(filter(Path.is_file, files), None)
    if file is None:
        raise UserError("LPIPS needs the linear heads of the lpips package: pip install lpips")
    # the file was saved on a GPU
    state = torch.load(file, map_location="cpu", weights_only=True)
    return [state[f"lin{number}.model.1.weight"] for number in range(len(_CONVOLUTIONS))]
