"""A sealed variant of the test suite: the same cases with strengths that nobody knows beforehand.

Whoever holds the secret can make it again, and the others hold it to the hash that was published: so a network is not
tuned to eight known points. The strengths are drawn from the ranges here, each part of each case by itself.
"""

import hashlib
import json
import logging

import numpy as np

from blindsr.config.schema import CaseParams, SuiteParams
from blindsr.runtime import files
from blindsr.runtime.errors import UserError

_log = logging.getLogger(__name__)
BLUR_SIGMA = (0.8, 3.2)
"""Of the Gaussian blur, in HR px; two decimals."""
NOISE_SIGMA = (5.0, 35.0)
"""In levels of 0..255; one decimal."""
JPEG_QUALITY = (30, 80)
"""Both ends can be drawn."""
_SHORT = 16


def draw(public: SuiteParams, secret: str) -> SuiteParams:
    """Draw a suite.

    Args:
        public: Its cases say which parts there are.
        secret: Any text; the same one gives the same suite.

    Returns:
        The same cases with other strengths, and another seed of the noise.

    Raises:
        UserError: for an empty secret.
    """
    if not secret.strip():
        raise UserError("--sealed needs a text that nobody guesses, such as the output of `openssl rand -hex 16`")
    if len(secret) < _SHORT:
        _log.warning("the seed of the sealed suite is short: anyone can find it by trying")
    cases = {name: _drawn(case, secret, name) for name, case in public.cases.items()}
    return SuiteParams(seed=_number(secret, "seed") % 2**32, cases=cases)


def digest(suite: SuiteParams) -> str:
    """SHA-256 of the cases, their strengths and the seed: what is published before they are."""
    return files.key(suite.model_dump(mode="json"))


def ranges() -> str:
    """The ranges, in words."""
    (blur, blurrier), (noise, noisier), (worse, better) = BLUR_SIGMA, NOISE_SIGMA, JPEG_QUALITY
    jpeg = f"JPEG quality {worse} to {better}"
    return f"blur sigma {blur} to {blurrier} HR px, noise sigma {noise:g} to {noisier:g}, {jpeg}"


def _drawn(case: CaseParams, secret: str, name: str) -> CaseParams:
    parts = {}
    if case.blur:
        sigma = round(_uniform(secret, f"{name} blur", *BLUR_SIGMA), 2)
        parts["blur"] = case.blur.model_copy(update={"sigma": sigma})
    noise = None if case.noise_sigma is None else round(_uniform(secret, f"{name} noise", *NOISE_SIGMA), 1)
    low, high = JPEG_QUALITY
    quality = None if case.jpeg_quality is None else low + _number(secret, f"{name} jpeg") % (high - low + 1)
    return case.model_copy(update={**parts, "noise_sigma": noise, "jpeg_quality": quality})


def _uniform(secret: str, of: str, low: float, high: float) -> float:
    return float(np.random.Generator(np.random.Philox(key=_number(secret, of) % 2**128)).uniform(low, high))


def _number(secret: str, of: str) -> int:
    return int.from_bytes(hashlib.sha256(json.dumps([secret, of]).encode()).digest(), "little")
