"""How right the detail is that a network adds: 1 would be all that is missing, 0 something unrelated to it."""

from blindsr.plugins.metrics import _detail
from blindsr.plugins.metrics.base import Metric


def build(*, crop_border: int = 4) -> Metric:
    """Cosine of HR - B and SR - B, for the bicubic upsampling B of the LR image: see `_detail`.

    Args:
        crop_border: px removed at each side first.
    """
    return _detail.metric("detail_cosine", "detail cosine", "", 3, lambda detail: detail.cosine, crop_border)
