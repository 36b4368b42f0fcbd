"""The test cases: fixed degradations of benchmark images, the same for every network and on every machine.

Order of the operators: HR as RGB uint8, cropped to a multiple of the scale → Gaussian blur (OpenCV, on uint8) →
Pillow BICUBIC downscaling → Gaussian noise, clipped and cut to whole levels → JPEG (Pillow).
"""

import hashlib
import io
import json

import cv2
import numpy as np
from PIL import Image

from blindsr.images import RGB, bicubic_downscale, mod_crop, require_rgb
from blindsr.settings import CaseParams


def case_generator(seed: int, benchmark: str, case: str, image_name: str) -> np.random.Generator:
    """The generator of one image of one case: its draws depend on these four alone, not on any order of work.

    A Philox generator keyed by the SHA-256 of the four. `image_name` is compared as it is written: use the same
    form (with or without suffix) everywhere.
    """
    identity = json.dumps([seed, benchmark, case, image_name]).encode()
    key = int.from_bytes(hashlib.sha256(identity).digest()[:16], "little")
    return np.random.Generator(np.random.Philox(key=key))


def degrade_case(hr: RGB, case: CaseParams, generator: np.random.Generator, scale: int = 4) -> RGB:
    """The LR image (H // scale, W // scale, 3) of an HR image (H, W, 3), both RGB uint8.

    Noise is drawn from `generator` for each pixel and channel; nothing else is random. Raises ValueError for
    another type or layout, UserError for an image smaller than `scale`.
    """
    require_rgb(hr)
    image = mod_crop(hr, scale)
    if case.blur is not None:
        side = case.blur.kernel_size
        image = np.asarray(cv2.GaussianBlur(image, (side, side), case.blur.sigma), dtype=np.uint8)
    lr = bicubic_downscale(image, scale)
    if case.noise_sigma is not None:
        noisy = lr + case.noise_sigma * generator.standard_normal(lr.shape)
        # the cast drops the fraction, as the protocol of the field does, which darkens by half a level
        lr = noisy.clip(0, 255).astype(np.uint8)
    if case.jpeg_quality is not None:
        lr = _jpeg(lr, case.jpeg_quality)
    return lr


def _jpeg(image: RGB, quality: int) -> RGB:
    encoded = io.BytesIO()
    Image.fromarray(image).save(encoded, format="JPEG", quality=quality)
    with Image.open(encoded) as decoded:
        return np.array(decoded)
