"""A backbone and a regularizer as one trainable module."""

from contextlib import nullcontext
from typing import Any

from torch import Tensor, nn

from blindsr.config import registry
from blindsr.model.taps import Taps
from blindsr.plugins.regularizers.base import Regularizer, Step


class Network(nn.Module):
    """A backbone whose inputs and layers a regularizer sees, changes and penalizes while training.

    `with network.taps:` around a training leaves the regularizer's hooks where they are between two steps.
    """

    def __init__(self, backbone: nn.Module, regularizer: Regularizer) -> None:
        """Both as their plug-in's `build` returns them. Raises UserError if the regularizer wants unknown layers."""
        super().__init__()
        self.backbone = backbone
        self.regularizer = regularizer
        self.views = regularizer.views
        regularizer.attach(backbone)
        changes = type(regularizer).change_features is not Regularizer.change_features
        self.taps = Taps(backbone, list(regularizer.layers(backbone)), self._change if changes else None)
        self._step: Step | None = None

    def forward(self, step: Step) -> Tensor:
        """Run one training step and return its penalty.

        Args:
            step: The step with its LR images (views·N, 3, h, w), RGB in [0, 1]; it gets its SR images and features.

        Returns:
            The penalty, a scalar, not weighted.
        """
        self.predict(step)
        return self.regularizer.penalty(step)

    def predict(self, step: Step) -> None:
        """Run the forward pass alone.

        Args:
            step: As for `forward`; it gets its SR images and features.
        """
        with nullcontext() if self.taps.active else self.taps:
            self._step = step
            step.sr = self.backbone(self.regularizer.change_input(step.lr, step))
            step.features = dict(self.taps.seen)
            self.taps.seen.clear()  # with them goes the graph of this step, once the step is over
            self._step = None

    def _change(self, name: str, x: Tensor) -> Tensor:
        assert self._step is not None
        return self.regularizer.change_features(name, x, self._step)


def build_regularizer(name: str, hyper: dict[str, Any]) -> Regularizer:
    """Build a regularizer.

    Args:
        name: Name of the plug-in.
        hyper: Keyword settings of its `build`.

    Returns:
        The regularizer, attached to no network yet.

    Raises:
        UserError: for an unknown name or setting, or a value that `build` refuses.
    """
    regularizer: Regularizer = registry.build("regularizer", name, hyper)
    return regularizer
