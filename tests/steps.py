"""Regularizers called as a training step calls them, and the features that they see."""

import torch
from torch import Tensor, nn

from blindsr.model import taps
from blindsr.plugins.regularizers.base import Regularizer, Share, Step


def step_of(*views: Tensor, share: Share | None = None) -> Step:
    """A step whose features before the last convolution are these, view by view."""
    features = torch.cat(views)
    image = torch.zeros(len(features), 3, 4, 4, dtype=features.dtype)
    hr = image[: len(views[0])]
    return Step(image, hr, len(views), share=share or Share(), features={"last": features}, sr=image)


def penalty(regularizer: Regularizer, *views: Tensor, share: Share | None = None) -> Tensor:
    """The penalty of these views of the features."""
    return regularizer.penalty(step_of(*views, share=share))


def changed(regularizer: Regularizer, features: Tensor, share: Share | None = None) -> Tensor:
    """The features as the last convolution gets them."""
    return regularizer.change_features("last", features, step_of(features, share=share))


def features_of(network: nn.Module, lr: Tensor) -> Tensor:
    """What enters the last convolution."""
    return taps.read(network, lr)[1]["last"]
