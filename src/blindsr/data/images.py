"""Images as uint8 RGB arrays of shape (H, W, 3): reading, writing, cropping, bicubic resizing, tensors.

Decoding and bicubic resizing are Pillow's, so that every number of the tables rests on one decoder and one
(antialiased) bicubic kernel.
"""

import contextlib
import io
import os
import struct
import uuid
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError
from torch import Tensor

from blindsr.data import repair
from blindsr.runtime import files
from blindsr.runtime.errors import UserError

RGB = NDArray[np.uint8]
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
"""Endings of the files that count as images in a folder."""
FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP")
"""What such files may hold, by their content and in Pillow's words, whatever their ending says."""

# what Pillow's decoders raise on damaged files, beside OSError
_DAMAGED = (OSError, SyntaxError, ValueError, EOFError, IndexError, OverflowError, struct.error, zlib.error)


def open_image(file: Path | BinaryIO, formats: tuple[str, ...] = FORMATS) -> ImageFile.ImageFile:
    """Open an image of the formats that are meant, and no other that Pillow knows: PostScript would be run.

    Args:
        file: Path of a file, or an open one.
        formats: As Pillow names them.

    Returns:
        The image with its header read; close it.

    Raises:
        UnidentifiedImageError: for any other content.
        OSError: as `files.regular` does, and with all else that Pillow raises on damaged files.
    """
    if isinstance(file, Path):
        os.close(files.regular(str(file), os.O_RDONLY))
    return Image.open(file, formats=formats)


def size(path: Path) -> tuple[int, int]:
    """Width and height of an image in px, as its header says.

    Args:
        path: Of the file.

    Raises:
        UserError: as `read_rgb`, for a file whose header cannot be read, or says more pixels than are ever read.
    """
    try:
        with open_image(path) as image:
            return image.size
    except Exception:  # what is damaged beside the pixels can be read; of all else the reader says what it is
        height, width = read_rgb(path).shape[:2]
        return width, height


def read_rgb(path: str | Path, *, apply_orientation: bool = False) -> RGB:
    """Read an image as 8-bit RGB.

    Greyscale is repeated over the three channels, palettes and CMYK are converted, an alpha channel is dropped
    (colours are kept as stored), 16 bits a channel are cut to their high byte as Pillow does for RGB, and of an
    animation the first frame is taken.

    Args:
        path: Of the file.
        apply_orientation: Turn the image upright by its EXIF orientation, which is ignored otherwise, since data sets
            are compared pixel by pixel as stored.

    Returns:
        uint8 (H, W, 3).

    Raises:
        UserError: for a missing, unreadable, damaged or non-image file, or one without 8- or 16-bit pixels.
    """
    path = Path(path)
    try:
        return _read(path, path, apply_orientation=apply_orientation)
    except FileNotFoundError:
        raise UserError(f"no image at {path}: check the path, or fetch the data set again") from None
    except UserError:
        raise
    except Exception:
        # pixels are worth more than what stands beside them; if they are damaged themselves, the next lines say so
        found = repair.repaired(path.read_bytes()) if path.is_file() else None
    try:
        return _read(io.BytesIO(found.content) if found else path, path, apply_orientation=apply_orientation)
    except UnidentifiedImageError:
        raise UserError(
            f"{path} is not an image of a format that is read ({', '.join(FORMATS)}): replace or remove the file"
        ) from None
    except Image.DecompressionBombError:
        raise UserError(f"{path} has more pixels than Pillow's safety limit: crop it or scale it down") from None
    except _DAMAGED as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise UserError(f"cannot read image {path} ({reason}): fetch or copy the file again") from None


def _read(file: Path | io.BytesIO, path: Path, *, apply_orientation: bool) -> RGB:
    with open_image(file) as image:
        image.load()
        upright = ImageOps.exif_transpose(image) if apply_orientation else image
        return _to_rgb(upright, path)


def read_hr(path: Path) -> RGB:
    """Read an image that scores are of, whose 8-bit RGB pixels are not a matter of taste.

    Args:
        path: Of the file. Greyscale is repeated over the channels, as the protocol says; opaque alpha is dropped.

    Returns:
        uint8 (H, W, 3).

    Raises:
        UserError: for 16 bits a channel or alpha that is not opaque, which would have to be cut or blended somehow,
            and as `read_rgb`.
    """
    try:
        problem = _problem(path)
    except Exception:  # a file that Pillow cannot read: the reader below says why
        problem = None
    if problem:
        raise UserError(f"{path} {problem}")
    return read_rgb(path)


def _problem(path: Path) -> str | None:
    with open_image(path) as image:
        bits = image.tag_v2.get(258, (8,)) if image.format == "TIFF" else (8,)  # type: ignore[attr-defined]
        # Pillow cuts some deep images to 8 bits as it reads them: the layout of the raw data tells
        if max(bits) > 8 or image.mode.startswith(("I", "F")) or any(";16" in str(tile.args) for tile in image.tile):
            return "has more than 8 bits a channel: convert it to 8 bits"
        if image.has_transparency_data and np.asarray(image.convert("RGBA"))[:, :, 3].min() < 255:
            return "is transparent in places: blend it with a background first"
    return None


def _to_rgb(image: Image.Image, path: Path) -> RGB:
    if image.mode == "F":
        raise UserError(f"{path} has floating-point pixels of unknown range: convert it to 8 or 16 bits")
    if image.mode.startswith("I"):
        deep = np.asarray(image)
        if deep.min() < 0 or deep.max() > 65535:
            raise UserError(f"{path} has more than 16 bits a pixel: convert it to 8 or 16 bits")
        return np.repeat((deep >> 8).astype(np.uint8)[:, :, None], 3, axis=2)
    return np.array(image.convert("RGB"))


def write_png(path: str | Path, image: RGB) -> None:
    """Write an image as PNG, whole or not at all. The bytes depend on the pixels alone (no time, no metadata).

    Args:
        path: Of the file, which a temporary file of the same folder takes the place of.
        image: RGB uint8 (H, W, 3).

    Raises:
        ValueError: for a wrong shape or type.
        UserError: where the folder cannot be written (missing, read-only, full).
    """
    path = Path(path)
    require_rgb(image)
    encoded = io.BytesIO()
    Image.fromarray(image).save(encoded, format="PNG", compress_level=6)
    temporary = path.parent / f".{uuid.uuid4().hex}.tmp"
    try:
        temporary.write_bytes(encoded.getbuffer())
        os.replace(temporary, path)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise UserError(f"cannot write {path} ({reason}): free some space or choose another folder") from None
    finally:
        # absent after a successful replace; a failed write must not leave half a file behind
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def require_rgb(image: RGB) -> None:
    """Check that an image is an 8-bit RGB array.

    Args:
        image: uint8 (H, W, 3) with at least one pixel.

    Raises:
        ValueError: for anything else.
    """
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        raise ValueError(f"expected a uint8 array, got {getattr(image, 'dtype', type(image).__name__)}")
    if image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise ValueError(f"expected an RGB image of shape (H, W, 3), got shape {image.shape}")


def mod_crop(image: RGB, scale: int) -> RGB:
    """Leave out the rows and columns at the bottom and right that exceed a multiple of the scale.

    Args:
        image: RGB (H, W, 3).
        scale: px.

    Returns:
        A view.

    Raises:
        UserError: for an image smaller than `scale`.
    """
    height, width = _downscaled(image, scale)
    return image[: height * scale, : width * scale]


def bicubic_downscale(image: RGB, scale: int) -> RGB:
    """Pillow's antialiased BICUBIC downscaling.

    Args:
        image: RGB uint8 (H, W, 3). Sides that are no multiple of `scale` are squeezed: `mod_crop` first to keep the
            geometry.
        scale: HR px along a side of an LR px.

    Returns:
        uint8 (H // scale, W // scale, 3).

    Raises:
        UserError: for an image smaller than `scale`.
        ValueError: for a wrong shape or type.
    """
    height, width = _downscaled(image, scale)
    return _bicubic(image, width, height)


def _downscaled(image: RGB, scale: int) -> tuple[int, int]:
    height, width = image.shape[0] // scale, image.shape[1] // scale
    if not height or not width:
        size = f"{image.shape[1]}×{image.shape[0]}"
        raise UserError(f"an image of {size} pixels is too small for ×{scale}: remove it from the set")
    return height, width


def bicubic_upscale(image: RGB, scale: int) -> RGB:
    """Pillow's BICUBIC upscaling: the baseline row of every table.

    Args:
        image: RGB uint8 (H, W, 3).
        scale: Upscaling factor.

    Returns:
        uint8 (H · scale, W · scale, 3).

    Raises:
        ValueError: for a wrong shape or type.
    """
    return _bicubic(image, image.shape[1] * scale, image.shape[0] * scale)


def _bicubic(image: RGB, width: int, height: int) -> RGB:
    require_rgb(image)
    return np.array(Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC))


def to_float(image: RGB) -> Tensor:
    """Convert an 8-bit image to a tensor.

    Args:
        image: RGB uint8 (H, W, 3).

    Returns:
        float32 (3, H, W) in [0, 1], on the CPU.

    Raises:
        ValueError: for a wrong shape or type.
    """
    require_rgb(image)
    planes = image.transpose(2, 0, 1).astype(np.float32, order="C")
    return torch.from_numpy(planes / np.float32(255))


def to_uint8(image: Tensor) -> RGB:
    """Clamp to [0, 1] and round to the nearest level, half to even.

    Args:
        image: Float (3, H, W).

    Returns:
        uint8 (H, W, 3).

    Raises:
        ValueError: for another shape.
        UserError: for NaN pixels, which no image may silently stand for.
    """
    if image.ndim != 3 or image.shape[0] != 3:
        raise ValueError(f"expected a tensor of shape (3, H, W), got {tuple(image.shape)}")
    levels = image.detach().to("cpu", torch.float32).clamp(0, 1).mul_(255).round_()
    if levels.sum().isnan():  # as of any of them, in a tenth of the time
        raise UserError("an image has NaN pixels: the network that made it diverged, train it with a lower rate")
    planes = tuple(levels.to(torch.uint8).numpy())
    return np.ascontiguousarray(np.stack(planes, axis=2))  # half the time of a permuted copy
