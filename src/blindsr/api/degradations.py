"""Random degradations of HR batches, for training: HR in, LR out, on the device of the images."""

from typing import Any

import torch
from torch import Tensor

from blindsr.api import _ranges
from blindsr.config import registry
from blindsr.plugins.degradations.base import Degradation
from blindsr.runtime import devices, parallel
from blindsr.runtime.errors import UserError
from blindsr.training.samples import generator


class _BatchDegradation:
    """A degradation plug-in, drawn and applied to whole batches."""

    _NAME: str

    def __init__(self, scale: int, settings: dict[str, Any]) -> None:
        if isinstance(scale, bool) or not isinstance(scale, int) or scale < 1:
            raise ValueError(f"scale must be a whole number >= 1, not {scale!r}")
        self.scale = scale
        self.degradation: Degradation[Any] = registry.build("degradation", self._NAME, settings)

    @property
    def smallest_side(self) -> int:
        """HR px that both sides of the images must have at least."""
        return -(-self.degradation.least_window(self.scale) // self.scale) * self.scale

    def __call__(self, hr: Tensor, *, seed: int | None = None) -> Tensor:
        """Degrade every image of a batch on its own.

        Args:
            hr: (N, 3, H, W), RGB, floating-point in [0, 1] or uint8; H and W multiples of the scale. For two views of
                each image call it twice, or give `hr.repeat(2, 1, 1, 1)`.
            seed: From 0 to 2⁶⁴ - 1. The i-th image's parameters and noise depend on it and i alone, but for the
                noise on a GPU. None: drawn from torch's default generator, which `torch.manual_seed` sets, and which
                differs between the workers of a DataLoader.

        Returns:
            LR images (N, 3, H / scale, W / scale), float32 in [0, 1], rounded to 8 bits, on the device of `hr`,
            without gradients.

        Raises:
            ValueError: for another shape, type, range or seed.
            UserError: for images smaller than `smallest_side`.
        """
        images = _checked(hr)
        key = int(torch.randint(2**63 - 1, (), device="cpu")) if seed is None else seed
        if isinstance(key, bool) or not 0 <= key < 2**64:
            raise ValueError(f"seed must be a whole number from 0 to 2**64 - 1, not {seed!r}")
        height, width = images.shape[2:]
        if min(height, width) < self.smallest_side:
            least = self.smallest_side
            raise UserError(f"images of {height}x{width} px are too small: use at least {least} px on each side")
        streams = [generator(key, 0, number, 0) for number in range(len(images))]
        draws = [self.degradation.draw(stream, height, width, self.scale) for stream in streams]
        if images.device.type != "cpu":
            with devices.tf32(allowed=False):
                return self.degradation.apply(images, draws, streams, self.scale)

        def degraded(number: int) -> Tensor:
            one = slice(number, number + 1)
            return self.degradation.apply(images[one], draws[one], streams[one], self.scale)

        # operators on one small image are no work for several threads, but images are; a DataLoader's worker has one
        threads = torch.get_num_threads()
        with devices.threads(1):
            return torch.cat(list(parallel.map_ordered(degraded, range(len(images)), threads)))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(scale={self.scale})"


class RealESRGANDegradation(_BatchDegradation):
    """Real-ESRGAN's second-order degradation: twice blur, resizing, noise and JPEG, then a sinc filter.

    Wang et al., "Real-ESRGAN: Training Real-World Blind Super-Resolution with Pure Synthetic Data", ICCVW 2021, with
    the released settings; but every parameter is drawn for each image, where the released code draws some for a whole
    batch. On a GPU the whole batch goes through a few large operations, and the host does not wait for them.

    Args:
        scale: HR px along a side of an LR px.
        first: Settings of the first pass that differ from the released ones, such as {"noise_sigma": (1, 15)}: the
            fields of `blindsr.plugins.degradations.second_order.PassSettings`.
        second: Likewise of the second pass.
        final_sinc_probability: Of the sinc filter at the end, in [0, 1].

    Raises:
        UserError: for an unknown setting, or a value out of range.

    Example:
        >>> import blindsr, torch
        >>> degrade = blindsr.RealESRGANDegradation()
        >>> hr = torch.rand(2, 3, 128, 128)
        >>> lr = degrade(hr, seed=0)
        >>> lr.shape, lr.dtype, bool(lr.min() >= 0 and lr.max() <= 1)
        (torch.Size([2, 3, 32, 32]), torch.float32, True)
        >>> torch.equal(lr, degrade(hr, seed=0)), torch.equal(lr, degrade(hr, seed=1))
        (True, False)
    """

    _NAME = "second_order"

    def __init__(
        self,
        scale: int = 4,
        *,
        first: dict[str, Any] | None = None,
        second: dict[str, Any] | None = None,
        final_sinc_probability: float = 0.8,
    ) -> None:
        settings = {"first": first, "second": second, "final_sinc_probability": final_sinc_probability}
        super().__init__(scale, settings)


class BSRGANDegradation(_BatchDegradation):
    """BSRGAN's degradation: blur, downsampling, noise and JPEG in an order drawn for each image, and a last JPEG.

    Zhang et al., "Designing a Practical Degradation Model for Deep Blind Image Super-Resolution", ICCV 2021, without
    the noise of camera sensors, as in the released code where it has no camera pipeline.

    Args:
        scale: HR px along a side of an LR px.
        **settings: That differ from the released ones: keyword arguments of
            `blindsr.plugins.degradations.bsrgan.build`, such as noise_sigma=(2, 15).

    Raises:
        UserError: for an unknown setting, or a value out of range.

    Example:
        >>> import blindsr, torch
        >>> degrade = blindsr.BSRGANDegradation(scale=2, jpeg_quality=(60, 95))
        >>> degrade(torch.rand(1, 3, 96, 64), seed=0).shape
        torch.Size([1, 3, 48, 32])
    """

    _NAME = "bsrgan"

    def __init__(self, scale: int = 4, **settings: Any) -> None:
        super().__init__(scale, settings)


def _checked(hr: Tensor) -> Tensor:
    """The batch in float32; on a CPU its range is looked at, too, which a GPU would have to be waited for."""
    if not isinstance(hr, Tensor) or hr.ndim != 4 or hr.shape[1] != 3 or not hr.numel():
        kind = f"a tensor of {tuple(hr.shape)}" if isinstance(hr, Tensor) else type(hr).__name__
        raise ValueError(f"HR images must be a tensor of shape (N, 3, H, W), not {kind}")
    if hr.dtype == torch.uint8:
        return hr.float() / 255
    if not hr.is_floating_point():
        raise ValueError(f"HR images must be floating-point in [0, 1] or uint8, not {hr.dtype}")
    images = hr.detach().float()
    if images.device.type == "cpu":
        _ranges.require_unit(images)
    return images
