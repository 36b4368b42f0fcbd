"""Blind super-resolution: train, evaluate and compare regularizers that should make it generalize.

What is below is for other people's code, and is imported when it is first used: `import blindsr` alone costs nothing.
"""

import importlib
import os
from typing import Any

__version__ = "0.1.0"

# What Apple's MPS cannot do is done on the CPU. torch reads this once, while it is imported, and every import of it
# in this package comes after this line.
os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")

# Names by the module that has them. Type checkers read __init__.pyi, which a test holds equal to this.
_PUBLIC = {
    "blindsr.api.alignment": (
        "AlignmentPenalty", "affine_alignment", "affine_rff_alignment", "content_alignment", "linear_alignment",
        "log_euclidean_alignment", "pixel_alignment", "rff_alignment",
    ),
    "blindsr.api.hooks": ("FeatureHook",),
    "blindsr.api.degradations": ("BSRGANDegradation", "RealESRGANDegradation"),
    "blindsr.api.suite": ("CASES", "Suite", "SuiteImage"),
    "blindsr.api.metrics": (
        "Split", "detail_amplitude", "detail_cosine", "psnr", "psnr_best", "psnr_y", "split_difference", "ssim",
    ),
    "blindsr.api.statistics": ("Gain", "paired_gain"),
    "blindsr.api.networks": ("Upscaler", "load", "upscale"),
    "blindsr.runtime.errors": ("UserError",),
}  # fmt: skip
_MODULES = {name: module for module, names in _PUBLIC.items() for name in names}

__all__ = ["__version__", *sorted(_MODULES)]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_MODULES[name]), name)
    globals()[name] = value  # the next look-up does not come here
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
