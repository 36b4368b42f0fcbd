"""A backbone and a regularizer as one trainable module."""

from typing import Any, NamedTuple

from torch import Tensor, nn

from blindsr.model import networks
from blindsr.plugins.backbones.base import Backbone
from blindsr.plugins.regularizers.base import Regularizer


class Prediction(NamedTuple):
    """What a training step needs of a forward pass."""

    sr: Tensor
    """(B, 3, sH, sW): the views in the order in which they came."""
    features: Tensor
    """(B, C, sH, sW): what enters the last convolution, before any perturbation."""
    penalty: Tensor
    """Scalar penalty of the regularizer, not weighted; 0 for one view."""


class Network(nn.Module):
    """A backbone whose features a regularizer perturbs or aligns while training.

    `views` is the number of degraded views that the regularizer wants of each patch.
    """

    def __init__(self, backbone: Backbone, regularizer: Regularizer) -> None:
        """Both as their plug-in's `build` returns them."""
        super().__init__()
        self.backbone = backbone
        self.regularizer = regularizer
        self.views = regularizer.views

    def forward(self, lr: Tensor) -> Prediction:
        """`lr` (views·N, 3, h, w) in [0, 1], all first views and then all second ones."""
        features = self.backbone.features(lr)
        sr = self.backbone.reconstruct(self.regularizer.perturb(features), lr)
        if self.views == 2:
            penalty = self.regularizer.penalty(*features.chunk(2))
        else:
            penalty = sr.new_zeros(())
        return Prediction(sr, features, penalty)


def build_regularizer(name: str, hyper: dict[str, Any]) -> Regularizer:
    """Regularizer `name`. Raises UserError for an unknown name or setting, or a value that `build` refuses."""
    regularizer: Regularizer = networks.build("regularizer", name, hyper)
    return regularizer
