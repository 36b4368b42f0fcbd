"""Networks by name or file, and images of yours through them."""

from os import PathLike
from typing import Any, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from blindsr.api import _ranges
from blindsr.apps import models
from blindsr.apps.photos.photos import Photo
from blindsr.apps.photos.pixels import Upscaler as PhotoUpscaler
from blindsr.model import inference
from blindsr.model.inference import Tile
from blindsr.runtime import devices

Array = NDArray[Any]


class Upscaler:
    """A network with its scale, in eval mode on its device. `load` makes one; so does a module of yours.

    Args:
        network: Maps (N, 3, h, w) in [0, 1] to (N, 3, scale · h, scale · w).
        scale: Its upscaling factor.
        device: auto, cpu, cuda, cuda:N or mps.

    Raises:
        UserError: for an unknown or absent device.

    Example:
        >>> import blindsr, torch
        >>> double = blindsr.Upscaler(torch.nn.Upsample(scale_factor=2), scale=2, device="cpu")
        >>> double.upscale(torch.rand(3, 8, 10)).shape
        torch.Size([3, 16, 20])
    """

    def __init__(self, network: nn.Module, scale: int, device: str = "auto") -> None:
        self.network = devices.place(network, devices.choose(device)).eval()
        self.scale = scale

    @overload
    def upscale(self, image: Array, *, tile: Tile = ..., overlap: int | None = ...) -> Array: ...
    @overload
    def upscale(self, image: Tensor, *, tile: Tile = ..., overlap: int | None = ...) -> Tensor: ...
    def upscale(self, image: Array | Tensor, *, tile: Tile = "auto", overlap: int | None = None) -> Array | Tensor:
        """Upscale an image, or a batch of them.

        Args:
            image: An array of uint8 or uint16: RGB (h, w, 3), with alpha (h, w, 4), or grey (h, w); or of floats, RGB
                (h, w, 3) in [0, 1]. Or a tensor of floats in [0, 1], (3, h, w) or (N, 3, h, w).
            tile: LR px of a tile's side; "auto": as large as fits; None: the whole image at once.
            overlap: LR px of its surroundings that a tile is given; None: what the network needs.

        Returns:
            The image `scale` times as wide and high, in the form, type and range that it came in, and on its device;
            without gradients.

        Raises:
            ValueError: for another shape, type or range, or another `tile`.
            UserError: for too little memory, and for NaN pixels, which a network that diverged makes.
        """
        if not (tile is None or tile == "auto" or (isinstance(tile, int) and tile > 0)):
            raise ValueError(f'tile must be "auto", None or a number of LR px, not {tile!r}')
        if isinstance(image, Tensor):
            return self._tensor(image, tile, overlap)
        if not isinstance(image, np.ndarray):
            hint = "np.asarray(image.convert('RGB')) makes an array of a Pillow image"
            raise ValueError(f"an image must be an array or a tensor, not {type(image).__name__}; {hint}")
        if image.dtype in (np.uint8, np.uint16):
            return self._photo(image, tile, overlap)
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype.kind != "f":
            raise ValueError(f"an image must be uint8, uint16, or floats (h, w, 3), not {image.dtype} {image.shape}")
        sr = self._tensor(torch.from_numpy(image.transpose(2, 0, 1).astype(np.float32)), tile, overlap)
        return np.ascontiguousarray(sr.numpy().transpose(1, 2, 0)).astype(image.dtype)

    def _tensor(self, image: Tensor, tile: Tile, overlap: int | None) -> Tensor:
        if image.ndim == 4:
            return torch.stack([self._tensor(one, tile, overlap) for one in image])
        if image.is_floating_point() and image.numel():
            _ranges.require_unit(image, slack=1e-3)
        sr = inference.upscale(self.network, image, self.scale, tile, overlap)
        return sr.clamp_(0, 1).to(image)

    def _photo(self, image: Array, tile: Tile, overlap: int | None) -> Array:
        layers = image[:, :, None] if image.ndim == 2 else image
        if layers.ndim != 3 or layers.shape[2] not in (1, 3, 4) or not layers.size:
            raise ValueError(f"an image must be of shape (h, w, 3), (h, w, 4) or (h, w), not {image.shape}")
        photo = Photo(layers[:, :, :3], layers[:, :, 3] if layers.shape[2] == 4 else None)
        sr = PhotoUpscaler(self.network, self.scale, tile, overlap)(photo)
        made = sr.colour if sr.alpha is None else np.dstack([sr.colour, sr.alpha])
        return made[:, :, 0] if image.ndim == 2 else made

    def __repr__(self) -> str:
        return f"Upscaler({type(self.network).__name__.lstrip('_')}, scale={self.scale})"


def load(
    model: str | PathLike[str], *, scale: int | None = None, device: str = "auto", trust: bool = False
) -> Upscaler:
    """Load a network by its name or from a file.

    Args:
        model: A trained run, such as "srresnet-rff-0" (of models/ in the working directory); "bicubic" or "bilinear";
            or a file: weights (.safetensors, .pth; of this project, of SRResNet, RRDB, MSRN or SwinIR under their
            public names, or of what the spandrel package knows), TorchScript, or .onnx. Nothing of it is run as
            Python.
        scale: That it must have; None: its own, and 4 (or the project's) for bicubic and bilinear.
        device: auto, cpu, cuda, cuda:N or mps.
        trust: Run a TorchScript file though its operators are not known to be harmless.

    Returns:
        The network; `.network` is the module itself.

    Raises:
        UserError: for what is not there (with the nearest names), damaged, unknown, or of another scale.

    Example:
        >>> import blindsr, numpy as np
        >>> network = blindsr.load("bicubic", scale=3)
        >>> network.upscale(np.zeros((10, 12, 3), np.uint8)).shape
        (30, 36, 3)
    """
    network, factor, _ = models.read(str(model), scale, trust=trust)
    return Upscaler(network, factor, device)


def upscale(
    image: Any,
    model: str | PathLike[str] | Upscaler,
    *,
    scale: int | None = None,
    device: str = "auto",
    tile: Tile = "auto",
    overlap: int | None = None,
) -> Any:
    """Upscale one image: `load` and its `upscale` in one call, which loads the network each time.

    Args:
        image: An array or a tensor, as for `Upscaler.upscale`.
        model: As for `load`, or what it returned.
        scale: As for `load`.
        device: Likewise.
        tile: As for `Upscaler.upscale`.
        overlap: Likewise.

    Returns:
        The image in the form that it came in.

    Raises:
        ValueError: as `Upscaler.upscale` does.
        UserError: as both do.

    Example:
        >>> import blindsr, numpy as np
        >>> grey = np.arange(64, dtype=np.uint8).reshape(8, 8)
        >>> blindsr.upscale(grey, "bilinear", scale=2).shape
        (16, 16)
    """
    loaded = model if isinstance(model, Upscaler) else load(model, scale=scale, device=device)
    return loaded.upscale(image, tile=tile, overlap=overlap)
