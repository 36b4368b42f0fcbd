"""A network on images: whole, or in overlapping tiles where memory is short."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from blindsr.data.images import RGB, to_float, to_uint8
from blindsr.runtime import devices
from blindsr.runtime.errors import UserError

Net = Callable[[Tensor], Tensor] | nn.Module
Tile = int | tuple[int, int] | Literal["auto"] | None
"""Side of square tiles in LR pixels, their (height, width), "auto", or None for the whole image."""

AUTO_PIXELS = 2**17
"""LR pixels that `tile="auto"` lets a network see at once: the four backbones need about 15 kB for each, 1.9 GiB."""
_AUTO_STEP = 16  # sides of automatic tiles are multiples of it: of the windows of SwinIR, and of few distinct shapes
_MOST_OVERLAP = 64
_LOCAL = (nn.PReLU, nn.BatchNorm2d)
"""Modules with parameters that look at one pixel alone."""
_BATCH_PIXELS = 2**19  # LR pixels of a batch on a GPU


def upscale(network: Net, lr: Tensor, scale: int, tile: Tile = None, overlap: int | None = None) -> Tensor:
    """Upscale one image, whole or in tiles, without gradients.

    Nothing of tiles is blended: of each only the square itself is kept, so with an `overlap` of at least the
    receptive field's radius the result is that of the whole image, up to rounding. All tiles have one shape, which
    suits compiled networks and those with a smallest size.

    Args:
        network: Maps (B, 3, h, w) to (B, 3, h · scale, w · scale). A module runs in eval mode, on the device and in
            the floating-point type of its parameters, and is left in the mode it was in.
        lr: RGB (3, h, w) in [0, 1].
        scale: Upscaling factor.
        tile: Side of a tile in LR px; None: the whole image. "auto": the whole image up to `AUTO_PIXELS`, else the
            rectangles within them that repeat the fewest pixels: the same on every device, so that scores do not
            depend on its memory. Networks that work in windows (SwinIR) need multiples of the window.
        overlap: LR px of its surroundings that a tile is given, where the image has them; None: what `reach` says.

    Returns:
        RGB (3, h · scale, w · scale), float32 on the CPU, not clamped.

    Raises:
        UserError: for a tile below 1, a negative overlap or too little memory.
        ValueError: for a wrong shape or type of `lr`, or a wrong shape of what the network returns.
    """
    if lr.ndim != 3 or lr.shape[0] != 3 or not lr.numel():
        raise ValueError(f"expected an LR image of shape (3, h, w), got {tuple(lr.shape)}")
    if not lr.is_floating_point():
        raise ValueError(f"expected floating-point pixels in [0, 1], got {lr.dtype}")
    height, width = lr.shape[1:]
    sr = torch.empty(3, height * scale, width * scale)
    for part in _parts(network, lr[None], scale, tile, overlap):
        sr[:, part.rows, part.columns] = part.sr[0].to("cpu", torch.float32)
    return sr


def upscale_rgb(
    network: Net, lrs: Sequence[RGB], scale: int, tile: Tile = None, overlap: int | None = None
) -> Iterator[RGB]:
    """Upscale images and round them to 8 bits.

    On a GPU, images of one size that follow each other go through the network together. No float image of the whole
    SR is made: beyond what the network needs for a tile there are only the SR's own bytes.

    Args:
        network: As for `upscale`.
        lrs: LR images (h, w, 3), RGB uint8.
        scale: As for `upscale`.
        tile: Likewise.
        overlap: Likewise.

    Returns:
        SR images (h · scale, w · scale, 3), RGB uint8, in order.

    Raises:
        UserError: as `upscale`, and for NaN pixels in an SR image.
        ValueError: for LR images of another shape or type, or a wrong shape of what the network returns.
    """
    start = 0
    while start < len(lrs):
        count = _batch(network, lrs[start:], tile, overlap)
        batch = torch.stack([to_float(lr) for lr in lrs[start : start + count]])
        height, width = lrs[start].shape[:2]
        srs = [np.empty((height * scale, width * scale, 3), np.uint8) for _ in range(count)]
        for part in _parts(network, batch, scale, tile, overlap):
            for sr, pixels in zip(srs, part.sr, strict=True):
                sr[part.rows, part.columns] = to_uint8(pixels)
        yield from srs
        start += count


class OutOfMemory(UserError):
    """The device cannot hold a tile: a smaller one may do."""


class Part(NamedTuple):
    """Where in the SR images a tile belongs, and its pixels (B, 3, rows, columns) on the network's device."""

    rows: slice
    columns: slice
    sr: Tensor


def tiles(network: Net, lr: Tensor, scale: int, tile: Tile, overlap: int | None) -> tuple[int, Iterator[Part]]:
    """Split the upscaling of one image into tiles that are computed one by one, as `upscale` does.

    For callers that keep the SR in a type of their own: only one tile at a time is on the network's device.

    Args:
        network: As for `upscale`.
        lr: RGB (3, h, w), floating-point in [0, 1], on any device.
        scale: As for `upscale`.
        tile: Likewise, >= 1.
        overlap: Likewise.

    Returns:
        The number of tiles, and an iterator that computes one at each step.

    Raises:
        OutOfMemory: at a step, for a tile that does not fit into the device's memory.
        UserError: at the first step, for a negative tile or overlap.
        ValueError: at a step, for a wrong shape of what the network returns.
    """
    overlap = reach(network) if overlap is None else overlap
    down, right = _sides(lr.shape[1], lr.shape[2], tile, overlap)
    count = math.ceil(lr.shape[1] / down) * math.ceil(lr.shape[2] / right)
    return count, _parts(network, lr[None], scale, tile, overlap)


def reach(network: Net) -> int:
    """LR pixels of surroundings that a tile needs to look as it does in the whole image.

    For convolutions alone that is the radius of the receptive field, rounded up to a multiple of 8, which is exact;
    for a larger radius, and for whatever else a network may be made of, 64. With 64, published RRDBs (Real-ESRGAN's
    x4plus, 23 blocks, and x4plus-anime, 6) differ from the whole image by at most 0.3 of 255 levels on a noisy photo;
    with 48 by 1.1, with 32 by 10, and with 16 by 47.

    Args:
        network: A module, or any function.

    Returns:
        From 8 to 64.
    """
    if not isinstance(network, nn.Module):
        return _MOST_OVERLAP
    radius = 0
    for part in network.modules():
        if isinstance(part, nn.Conv2d):
            sides = zip(part.kernel_size, part.dilation, strict=True)
            radius += max((kernel - 1) // 2 * dilation for kernel, dilation in sides)
        elif not isinstance(part, _LOCAL) and any(True for _ in part.parameters(recurse=False)):
            return _MOST_OVERLAP
    return min(max(-(-radius // 8) * 8, 8), _MOST_OVERLAP) if radius else _MOST_OVERLAP


def _parts(network: Net, lr: Tensor, scale: int, tile: Tile, overlap: int | None) -> Iterator[Part]:
    overlap = reach(network) if overlap is None else overlap
    if isinstance(tile, int) and tile < 1:
        raise UserError(f"tile must be at least 1 LR pixel, got {tile}: leave it out to compute the whole image")
    if overlap < 0:
        raise UserError(f"overlap must be 0 LR pixels or more, got {overlap}")
    down, right = _sides(lr.shape[2], lr.shape[3], tile, overlap)
    with _evaluating(network), torch.inference_mode():
        for y0, y1, rows in _spans(lr.shape[2], down, overlap):
            for x0, x1, columns in _spans(lr.shape[3], right, overlap):
                sr = _forward(network, lr[:, :, rows, columns], scale, tile)
                y, x = (y0 - rows.start) * scale, (x0 - columns.start) * scale
                inner = sr[:, :, y : y + (y1 - y0) * scale, x : x + (x1 - x0) * scale]
                yield Part(slice(y0 * scale, y1 * scale), slice(x0 * scale, x1 * scale), inner)


def _sides(height: int, width: int, tile: Tile, overlap: int) -> tuple[int, int]:
    """Height and width of the tiles of an image, in LR pixels."""
    if tile is None:
        return height, width
    if tile == "auto":
        return rectangle(height, width, AUTO_PIXELS, overlap)
    down, right = tile if isinstance(tile, tuple) else (tile, tile)
    return min(down, height), min(right, width)


def rectangle(height: int, width: int, pixels: int, overlap: int) -> tuple[int, int]:
    """Find the tiles that compute the fewest LR pixels twice.

    Args:
        height: Height of the LR image, in px.
        width: Its width, in px.
        pixels: Most LR pixels that the network may see at once, overlap included.
        overlap: LR px of its surroundings that a tile is given.

    Returns:
        (height, width) of a tile without overlap, in LR px: the image's own or a multiple of 16. Where none fits into
        `pixels`, 16×16, or less for a smaller image.
    """
    best = (min(height, _AUTO_STEP), min(width, _AUTO_STEP))
    fewest = math.inf
    for down in _divisions(height):
        for right in _divisions(width):
            window = min(height, down + 2 * overlap) if down < height else height
            window *= min(width, right + 2 * overlap) if right < width else width
            computed = window * -(-height // down) * -(-width // right)
            if window <= pixels and computed < fewest:
                best, fewest = (down, right), computed
    return best


def _divisions(side: int) -> list[int]:
    """Sides of tiles worth a try: the image's whole one, and multiples of the step that divide it evenly."""
    counts = range(2, -(-side // _AUTO_STEP) + 1)
    return sorted({side, *(-(-side // (count * _AUTO_STEP)) * _AUTO_STEP for count in counts)}, reverse=True)


def _spans(size: int, tile: int, overlap: int) -> list[tuple[int, int, slice]]:
    """(start, stop) of each tile along a side of `size` pixels, and the window it is computed from."""
    if tile >= size:
        return [(0, size, slice(0, size))]
    window = min(size, tile + 2 * overlap)
    spans = []
    for start in range(0, size, tile):
        # at the image's border the window is moved inwards instead of cut, so that all have one size
        first = min(max(start - overlap, 0), size - window)
        spans.append((start, min(start + tile, size), slice(first, first + window)))
    return spans


def _batch(network: Net, lrs: Sequence[RGB], tile: Tile, overlap: int | None) -> int:
    """How many of the first images, all of one size, go through the network together: one on a CPU."""
    if _placement(network)[0].type == "cpu":
        return 1
    overlap = reach(network) if overlap is None else overlap
    height, width = lrs[0].shape[:2]
    down, right = _sides(height, width, tile, overlap)
    pixels = min(height, down + 2 * overlap) * min(width, right + 2 * overlap)
    alike = next((i for i, lr in enumerate(lrs) if lr.shape != lrs[0].shape), len(lrs))
    return max(1, min(alike, _BATCH_PIXELS // pixels))


def _forward(network: Net, part: Tensor, scale: int, tile: Tile) -> Tensor:
    device, dtype = _placement(network)
    try:
        sr = network(part.to(device, dtype))
    except RuntimeError as error:
        if not devices.out_of_memory(error):
            raise
        now = "the whole image" if tile is None else f"{tile}"
        raise OutOfMemory(f"out of memory on {device}: choose a smaller tile (now {now})") from None
    expected = (part.shape[0], 3, part.shape[2] * scale, part.shape[3] * scale)
    if tuple(sr.shape) != expected:
        raise ValueError(f"the network returned shape {tuple(sr.shape)} instead of {expected}")
    return sr


def _placement(network: Net) -> tuple[torch.device, torch.dtype]:
    """Where and in which type a network computes; one without parameters on the CPU, in float32."""
    if isinstance(network, nn.Module):
        for parameter in network.parameters():
            if parameter.is_floating_point():
                return parameter.device, parameter.dtype
    return torch.device("cpu"), torch.float32


@contextmanager
def _evaluating(network: Net) -> Iterator[None]:
    """Eval mode for a module, and its own mode back for each of its parts, which need not share one."""
    modes = [(part, part.training) for part in network.modules()] if isinstance(network, nn.Module) else []
    try:
        if isinstance(network, nn.Module):
            network.eval()
        yield
    finally:
        for part, training in modes:
            part.training = training
