"""Adaptive Dropout (Xu et al., "Adaptive Dropout: Unleashing Dropout across Layers for Generalizable Image
Super-Resolution", CVPR 2025): a mixture of features and their Dropout in every block, switched off layer by layer."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from blindsr.plugins.regularizers.base import LAST, Regularizer, Step
from blindsr.plugins.regularizers.operators import checks


def build(*, rate: float = 0.5, keep: float = 0.3, every: float = 0.04) -> Regularizer:
    """p·x + (1 - p)·Dropout2d(x), after the first convolution of every block and before the last convolution.

    All p begin at `keep`. Each `every` of the training the next layer, from the first to the last, gets p = 1, which
    leaves it unchanged, and keeps it. Acts in training mode only, and adds no penalty.

    As in the public code (xuhang07/Adpative-Dropout), where `every` is 20,000 of 500,000 iterations. A block without
    a convolution, such as those of SwinIR, is changed at its output.

    Args:
        rate: Probability that a channel is zeroed, in [0, 1).
        keep: p at the beginning, in [0, 1].
        every: Share of the training after which the next layer is switched off, in (0, 1].

    Raises:
        ValueError: for other values.
    """
    return _AdaptiveDropout(
        checks.share("rate", rate, "[0, 1)"), checks.share("keep", keep), checks.share("every", every, "(0, 1]")
    )


class _AdaptiveDropout(Regularizer):
    replayable = False  # what is switched off depends on the progress

    def __init__(self, rate: float, keep: float, every: float) -> None:
        super().__init__()
        self.rate = rate
        self.keep = keep
        self.every = every
        self._names: list[str] = []

    def layers(self, backbone: nn.Module) -> Sequence[str]:
        self._names = [*(_first_convolution(backbone, path) for path in getattr(backbone, "blocks", ())), LAST]
        return self._names

    def change_features(self, name: str, x: Tensor, step: Step) -> Tensor:
        off = int(step.progress / self.every + 1e-9)  # layers that are switched off by now; 0.08 / 0.04 is under 2
        if not self.training or (name in self._names and self._names.index(name) < off):
            return x
        mask = functional.dropout2d(x.new_ones(len(x) * step.share.ranks, x.shape[1], 1, 1), self.rate)
        return x * (self.keep + (1 - self.keep) * step.share.of(mask))


def _first_convolution(backbone: nn.Module, path: str) -> str:
    """The layer in the block `path` whose output is changed, as `Regularizer.layers` names it."""
    for name, module in backbone.get_submodule(path).named_modules():
        if isinstance(module, nn.Conv2d):
            return f"{path}.{name}".removesuffix(".") + ":output"  # the block may be the convolution itself
    return f"{path}:output"
