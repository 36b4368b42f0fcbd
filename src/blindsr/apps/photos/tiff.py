"""TIFFs of 16 bits a channel, read by their tags: Pillow cuts some of them to 8 bits, and OpenCV misreads others."""

import io
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from blindsr.runtime.errors import UserError

_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB = 0, 1, 2  # PhotometricInterpretation
_ASSOCIATED, _UNASSOCIATED = 1, 2  # ExtraSamples: colours are multiplied by alpha, or not
_APART = 2  # PlanarConfiguration: one channel after the other


def read_deep(content: bytes) -> tuple[NDArray[np.uint16], bool]:
    """The pixels of the first page.

    Args:
        content: Of a TIFF with 16 bits a channel.

    Returns:
        uint16 (H, W, C), grey or RGB with white at 65535, colours not multiplied by alpha; and whether the last
        channel is alpha.

    Raises:
        UserError: whose message follows the file's name, for a layout that cannot be read surely.
    """
    import tifffile

    with tifffile.TiffFile(io.BytesIO(content)) as file:
        page: Any = file.pages[0]
        photometric, extra = int(page.photometric), tuple(map(int, page.extrasamples))
        colours = {_WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, _RGB: 3}.get(photometric)
        if colours is None or page.sampleformat not in (1, None) or page.samplesperpixel != colours + len(extra):
            raise UserError("is a 16-bit TIFF of an unusual layout: convert it to PNG")
        pixels = _pixels(page, content)
    if photometric == _WHITE_IS_ZERO:
        pixels[:, :, 0] = 65535 - pixels[:, :, 0]
    known = extra[:1] in ((_ASSOCIATED,), (_UNASSOCIATED,))
    pixels = pixels[:, :, : colours + known]
    return (_unmultiplied(pixels) if extra[:1] == (_ASSOCIATED,) else pixels), known


def _pixels(page: Any, content: bytes) -> NDArray[np.uint16]:
    apart = page.planarconfig == _APART and page.samplesperpixel > 1
    try:
        pixels = page.asarray()
    except (ValueError, RuntimeError, KeyError):  # a compression that needs another package
        found = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
        if apart or found is None or page.photometric == _WHITE_IS_ZERO:
            raise UserError("is a 16-bit TIFF whose compression is not known here: save it without") from None
        pixels = found if found.ndim == 2 else found[:, :, [2, 1, 0, 3][: found.shape[2]]]
    if pixels.ndim == 3 and apart:
        pixels = np.moveaxis(pixels, 0, -1)
    pixels = pixels if pixels.ndim == 3 else pixels[:, :, None]
    size = (page.imagelength, page.imagewidth, page.samplesperpixel)
    if pixels.dtype != np.uint16 or pixels.shape != size:
        raise UserError("is a 16-bit TIFF of an unusual layout: convert it to PNG")
    return np.array(pixels)


def _unmultiplied(pixels: NDArray[np.uint16]) -> NDArray[np.uint16]:
    alpha = np.maximum(pixels[:, :, -1:], 1).astype(np.float64)
    colours = np.minimum(np.rint(pixels[:, :, :-1] * (65535 / alpha)), 65535).astype(np.uint16)
    return np.concatenate([colours, pixels[:, :, -1:]], axis=2)
