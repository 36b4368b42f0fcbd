"""The test cases: fixed degradations of benchmark images, the same for every network and on every machine.

Order of the operators: HR as RGB uint8, cropped to a multiple of the scale → Gaussian blur (OpenCV, on uint8) →
Pillow BICUBIC downscaling → Gaussian noise, clipped and cut to whole levels → JPEG (Pillow).
"""

import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence

import cv2
import numpy as np
from PIL import Image

from blindsr.config.schema import BlurParams, CaseParams, SuiteParams
from blindsr.data.images import RGB, bicubic_downscale, mod_crop, require_rgb
from blindsr.runtime.errors import UserError

_BLUR = BlurParams(kernel_size=21, sigma=2.0)
PAPER = SuiteParams(
    seed=0,
    cases={
        "clean": CaseParams(),
        "blur": CaseParams(blur=_BLUR),
        "noise": CaseParams(noise_sigma=20.0),
        "jpeg": CaseParams(jpeg_quality=50),
        "b+n": CaseParams(blur=_BLUR, noise_sigma=20.0),
        "b+j": CaseParams(blur=_BLUR, jpeg_quality=50),
        "n+j": CaseParams(noise_sigma=20.0, jpeg_quality=50),
        "b+n+j": CaseParams(blur=_BLUR, noise_sigma=20.0, jpeg_quality=50),
    },
)
"""The paper's eight cases, for who works outside of a project; a test holds conf/config.yaml equal to it."""


def case_generator(seed: int, benchmark: str, case: str, image_name: str) -> np.random.Generator:
    """The generator of one image of one case: its draws depend on the arguments alone, not on any order of work.

    Args:
        seed: Seed of the suite.
        benchmark: Name of the benchmark.
        case: Name of the case.
        image_name: Compared as it is written: use the same form (with or without suffix) everywhere.

    Returns:
        A Philox generator keyed by the SHA-256 of the four.
    """
    identity = json.dumps([seed, benchmark, case, image_name]).encode()
    key = int.from_bytes(hashlib.sha256(identity).digest()[:16], "little")
    return np.random.Generator(np.random.Philox(key=key))


def select(suite: SuiteParams, cases: Sequence[str]) -> SuiteParams:
    """Reduce a suite to some of its cases.

    Args:
        suite: Any suite.
        cases: Names of the cases; empty: all.

    Returns:
        A copy with these cases, in the order of `suite`.

    Raises:
        UserError: for an unknown case; it lists the known ones.
    """
    unknown = [case for case in cases if case not in suite.cases]
    if unknown:
        raise UserError(f"unknown case {', '.join(unknown)}: choose from {', '.join(suite.cases)}")
    picked = {name: case for name, case in suite.cases.items() if not cases or name in cases}
    return suite.model_copy(update={"cases": picked})


def degrade_case(hr: RGB, case: CaseParams, generator: np.random.Generator, scale: int = 4) -> RGB:
    """Degrade an HR image as one case says.

    Args:
        hr: RGB uint8 (H, W, 3).
        case: Blur, noise and JPEG quality.
        generator: Draws the noise of each pixel and channel; nothing else is random.
        scale: HR px along a side of an LR px.

    Returns:
        LR image (H // scale, W // scale, 3), RGB uint8.

    Raises:
        ValueError: for another type or layout.
        UserError: for an image smaller than `scale`.
    """
    (lr,) = degrade_all(hr, [(case, generator)], scale)
    return lr


def degrade_all(hr: RGB, cases: Iterable[tuple[CaseParams, np.random.Generator]], scale: int = 4) -> Iterator[RGB]:
    """Degrade an HR image as several cases say, bit for bit as `degrade_case`.

    Each blur and the downscaling after it are done once for all cases that begin with them.

    Args:
        hr: RGB uint8 (H, W, 3).
        cases: Each with its generator, which no two may share.
        scale: HR px along a side of an LR px.

    Returns:
        The LR image of each case in order, as from `degrade_case`.

    Raises:
        ValueError: for another type or layout.
        UserError: for an image smaller than `scale`.
    """
    require_rgb(hr)
    image = mod_crop(hr, scale)
    small: dict[BlurParams | None, RGB] = {}  # what the cases with one blur start from
    for case, generator in cases:
        if case.blur not in small:
            small[case.blur] = bicubic_downscale(_blur(image, case.blur), scale)
        lr = small[case.blur]
        if case.noise_sigma is not None:
            noisy = generator.standard_normal(lr.shape)
            noisy *= case.noise_sigma
            noisy += lr
            # the cast drops the fraction, as the protocol of the field does, which darkens by half a level
            lr = noisy.clip(0, 255, out=noisy).astype(np.uint8)
        if case.jpeg_quality is not None:
            lr = _jpeg(lr, case.jpeg_quality)
        yield lr if lr is not small[case.blur] else lr.copy()


def degrade_suite(hr: RGB, suite: SuiteParams, benchmark: str, image_name: str, scale: int = 4) -> Mapping[str, RGB]:
    """Degrade an HR image as every case of a suite says, with the generators of `case_generator`.

    Args:
        hr: RGB uint8 (H, W, 3).
        suite: Cases and seed.
        benchmark: As for `case_generator`.
        image_name: Likewise.
        scale: HR px along a side of an LR px.

    Returns:
        Case -> LR image (H // scale, W // scale, 3), RGB uint8.

    Raises:
        ValueError: for another type or layout.
        UserError: for an image smaller than `scale`.
    """
    cases = [(case, case_generator(suite.seed, benchmark, name, image_name)) for name, case in suite.cases.items()]
    return dict(zip(suite.cases, degrade_all(hr, cases, scale), strict=True))


def _blur(image: RGB, blur: BlurParams | None) -> RGB:
    if blur is None:
        return image
    side = blur.kernel_size
    return np.asarray(cv2.GaussianBlur(image, (side, side), blur.sigma), dtype=np.uint8)


def _jpeg(image: RGB, quality: int) -> RGB:
    encoded = io.BytesIO()
    Image.fromarray(image).save(encoded, format="JPEG", quality=quality)
    with Image.open(encoded) as decoded:
        return np.array(decoded)
