"""PSNR at the best amplitude: what a network would have if the detail it adds were turned up or down as needed."""

from blindsr.plugins.metrics.base import Metric
from blindsr.plugins.metrics.operators import detail


def build(*, crop_border: int = 4) -> Metric:
    """PSNR of B + a (SR - B) for the best a >= 0 of the image, for the bicubic upsampling B of the LR image.

    It depends on the cosine alone: -10 log10(1 - c²) above PSNR(B) for c > 0; see `operators.detail`. No picture is
    made, so nothing is rounded to 8 bits.

    Args:
        crop_border: px removed at each side first.
    """
    return detail.metric(
        "psnr_best_db", "PSNR at the best amplitude", "dB", 2, lambda added: added.best_psnr, crop_border
    )
