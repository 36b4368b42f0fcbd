"""Blind super-resolution: train, evaluate and compare regularizers that should make it generalize."""

import os

__version__ = "0.1.0"

# What Apple's MPS cannot do is done on the CPU. torch reads this once, while it is imported, and every import of it
# in this package comes after this line.
os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")
