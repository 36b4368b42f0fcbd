"""How right the detail is that a network adds: 1 would be all that is missing, 0 something unrelated to it."""

from blindsr.plugins.metrics.base import Metric
from blindsr.plugins.metrics.operators import detail


def build(*, crop_border: int = 4) -> Metric:
    """Cosine of HR - B and SR - B, for the bicubic upsampling B of the LR image: see `operators.detail`.

    Args:
        crop_border: px removed at each side first.
    """
    return detail.metric("detail_cosine", "detail cosine", "", 3, lambda added: added.cosine, crop_border)
