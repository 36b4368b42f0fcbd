"""Dropout before the last convolution (Kong et al., "Reflash Dropout in Image Super-Resolution", CVPR 2022)."""

from torch import Tensor
from torch.nn import functional

from blindsr.plugins.regularizers.base import Regularizer, Step
from blindsr.plugins.regularizers.operators import checks


def build(*, rate: float = 0.5, elementwise: bool = False) -> Regularizer:
    """Zero whole channels of a sample, and divide the others by 1 - rate, in training mode only.

    Args:
        rate: Chance of being zeroed, in [0, 1): in the paper 0.7 for SRResNet, 0.5 for RRDB, MSRN and SwinIR.
        elementwise: Zero single values instead of channels.

    Raises:
        ValueError: for other values.
    """
    chosen = checks.share("rate", rate, "[0, 1)")
    if not isinstance(elementwise, bool):
        raise ValueError(f"elementwise must be true or false, not {elementwise!r}")
    return _Dropout(chosen, elementwise)


class _Dropout(Regularizer):
    def __init__(self, rate: float, elementwise: bool) -> None:
        super().__init__()
        self.rate = rate
        self.elementwise = elementwise

    def change_features(self, name: str, x: Tensor, step: Step) -> Tensor:
        if not self.training:
            return x
        drop = functional.dropout if self.elementwise else functional.dropout2d
        size = x.shape[1:] if self.elementwise else (x.shape[1], 1, 1)
        mask = drop(x.new_ones(len(x) * step.share.ranks, *size), self.rate)
        return x * step.share.of(mask)
