"""A network on one image: whole, or in overlapping tiles where memory is short."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from blindsr.errors import UserError


def upscale(
    network: Callable[[Tensor], Tensor] | nn.Module,
    lr: Tensor,
    scale: int,
    tile: int | None = None,
    overlap: int = 16,
) -> Tensor:
    """The SR image (3, h · scale, w · scale) of `lr` (3, h, w), both RGB in [0, 1]; float32 on the CPU.

    `network` maps (1, 3, h, w) to (1, 3, h · scale, w · scale). A module runs in eval mode, without gradients,
    on the device and in the floating-point type of its parameters, and is left in the mode it was in. Values
    are not clamped.

    With `tile`, in LR pixels, the image is computed in squares of that side. Each is given at least `overlap`
    pixels of its surroundings, where the image has them, and only the square itself is kept, so nothing is
    blended: with `overlap` of at least the receptive field's radius the result is that of the whole image, up
    to rounding. Networks that work in windows (SwinIR) need `tile` and `overlap` to be multiples of the window.
    All tiles have one shape, which suits compiled networks and those with a smallest size.

    Raises UserError for a tile below 1, a negative overlap or too little memory; ValueError for a wrong shape
    or type of `lr`, or a wrong shape of what the network returns.
    """
    if lr.ndim != 3 or lr.shape[0] != 3 or not lr.numel():
        raise ValueError(f"expected an LR image of shape (3, h, w), got {tuple(lr.shape)}")
    if not lr.is_floating_point():
        raise ValueError(f"expected floating-point pixels in [0, 1], got {lr.dtype}")
    if tile is not None and tile < 1:
        raise UserError(f"tile must be at least 1 LR pixel, got {tile}: leave it out to compute the whole image")
    if overlap < 0:
        raise UserError(f"overlap must be 0 LR pixels or more, got {overlap}")
    height, width = lr.shape[1:]
    sr = torch.empty(3, height * scale, width * scale)
    with _evaluating(network), torch.inference_mode():
        for top, bottom, rows in _spans(height, tile, overlap):
            for left, right, columns in _spans(width, tile, overlap):
                part = _forward(network, lr[:, rows, columns], scale, tile)
                y, x = (top - rows.start) * scale, (left - columns.start) * scale
                inner = part[:, y : y + (bottom - top) * scale, x : x + (right - left) * scale]
                sr[:, top * scale : bottom * scale, left * scale : right * scale] = inner
    return sr


def _spans(size: int, tile: int | None, overlap: int) -> list[tuple[int, int, slice]]:
    """(start, stop) of each tile along a side of `size` pixels, and the window it is computed from."""
    if tile is None or tile >= size:
        return [(0, size, slice(0, size))]
    window = min(size, tile + 2 * overlap)
    spans = []
    for start in range(0, size, tile):
        # at the image's border the window is moved inwards instead of cut, so that all have one size
        first = min(max(start - overlap, 0), size - window)
        spans.append((start, min(start + tile, size), slice(first, first + window)))
    return spans


def _forward(network: Callable[[Tensor], Tensor] | nn.Module, part: Tensor, scale: int, tile: int | None) -> Tensor:
    device, dtype = _placement(network, part)
    try:
        sr = network(part[None].to(device, dtype))
    except torch.OutOfMemoryError:
        now = "the whole image" if tile is None else f"{tile}"
        raise UserError(f"out of memory on {device}: choose a smaller tile (now {now})") from None
    expected = (1, 3, part.shape[1] * scale, part.shape[2] * scale)
    if tuple(sr.shape) != expected:
        raise ValueError(f"the network returned shape {tuple(sr.shape)} instead of {expected}")
    return sr[0].to("cpu", torch.float32)


def _placement(network: Callable[[Tensor], Tensor] | nn.Module, part: Tensor) -> tuple[torch.device, torch.dtype]:
    if isinstance(network, nn.Module):
        for parameter in network.parameters():
            if parameter.is_floating_point():
                return parameter.device, parameter.dtype
    return part.device, torch.float32


@contextmanager
def _evaluating(network: Callable[[Tensor], Tensor] | nn.Module) -> Iterator[None]:
    """Eval mode for a module, and its own mode back for each of its parts, which need not share one."""
    modes = [(part, part.training) for part in network.modules()] if isinstance(network, nn.Module) else []
    try:
        if isinstance(network, nn.Module):
            network.eval()
        yield
    finally:
        for part, training in modes:
            part.training = training
