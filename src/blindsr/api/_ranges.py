"""The range of floating-point images, for which 0..255 is easily taken."""

from torch import Tensor


def require_unit(images: Tensor, slack: float = 0.0) -> None:
    """Refuse images outside of [0, 1].

    Args:
        images: Floating-point.
        slack: By how much they may leave it: 0.001 for rounding, 1 for what a network makes.

    Raises:
        ValueError: for values outside, and for NaN.
    """
    if not (images.min() >= -slack and images.max() <= 1 + slack):
        raise ValueError("floating-point images must lie in [0, 1]: divide those in 0..255 by 255")
