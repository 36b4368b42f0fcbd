"""How much detail a network adds, as a share of what is missing; more is not better unless it is right."""

from blindsr.plugins.metrics.base import Metric
from blindsr.plugins.metrics.operators import detail


def build(*, crop_border: int = 4) -> Metric:
    """|SR - B| / |HR - B|, for the bicubic upsampling B of the LR image: see `operators.detail`.

    Args:
        crop_border: px removed at each side first.
    """
    return detail.metric(
        "detail_amplitude", "detail amplitude", "", 3, lambda added: added.amplitude, crop_border, None
    )
