"""What a regularizer is: it sees and changes what passes through a network in training, and adds a penalty.

A plug-in is one file whose `build(**settings)` returns a `Regularizer`. `Alignment` is the short way to write a
penalty on the features of differently degraded views of one patch.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import torch
from torch import Tensor, nn

LAST = "last"
"""The layer whose input are "the features" of the paper: a backbone's last convolution."""
Tensors = tuple[Tensor, ...]
Draw = Callable[[Callable[[], Tensors], Tensor], Tensors]


@dataclass(frozen=True)
class Share:
    """Which samples of a batch this process has: by default, all of them.

    Several processes that train together hold equal, consecutive parts, with the same state of the CPU's default
    generator, and average the gradients of their penalties.
    """

    rank: int = 0
    ranks: int = 1
    gather: Callable[[Tensor], Tensor] = lambda rows: rows
    """Rows (B, …) of this process to those of the whole batch, (ranks·B, …), with gradients."""

    def of(self, rows: Tensor) -> Tensor:
        """The part of rows (ranks·B, …) that belongs to this process, (B, …)."""
        return rows.chunk(self.ranks)[self.rank]


def upload(make: Callable[[], Tensors], like: Tensor) -> Tensors:
    """Draw on the CPU, and send what is drawn to a device; the host does not wait for a GPU.

    Args:
        make: Draws from torch's default generator of the CPU.
        like: Has the device and precision that the result is to have.

    Returns:
        What `make` returned, there.
    """
    drawn = make()
    if like.device.type == "cuda":
        drawn = tuple(tensor.to(like.dtype).pin_memory() for tensor in drawn)
    return tuple(tensor.to(like, non_blocking=True) for tensor in drawn)


@dataclass
class Step:
    """One training step as a regularizer sees it; what is not there yet is empty.

    Samples lie view by view: all first views of the N patches, then all second ones, and so on.
    """

    lr: Tensor
    """(views·N, 3, h, w) in [0, 1]."""
    hr: Tensor
    """(N, 3, s·h, s·w) in [0, 1]."""
    views: int = 1
    """Degraded views of each patch."""
    progress: float = 0.0
    """Share of the training that is behind it, in [0, 1)."""
    share: Share = field(default_factory=Share)
    """Which part of the batch this process has."""
    draw: Draw = upload
    """`(w,) = step.draw(lambda: (torch.randn(4),), like)`: random tensors of this step, drawn on the CPU by torch's
    default generator, which is keyed anew before each step, on the device of `like`. What is made may depend on
    shapes alone: where a GPU replays a recorded step, it is made anew, and nothing else of the Python code runs."""
    degradations: Callable[[], Sequence[Any]] = tuple
    """Gives the drawn degradation of each LR image, in their order."""
    features: dict[str, Tensor] = field(default_factory=dict)
    """What passed through the layers that the regularizer names, before it changed them."""
    sr: Tensor | None = None
    """(views·N, 3, s·h, s·w), not clamped; there when the penalty is computed."""

    def of_views(self, batch: Tensor) -> tuple[Tensor, ...]:
        """A batch (views·N, …) as its views, each (N, …)."""
        return batch.chunk(self.views)


class Regularizer(nn.Module):
    """Acts on a network in training; this one changes nothing, sees the features, and costs nothing.

    A subclass redefines any of the methods. It may own trainable parameters, which are trained with the network's and
    resumed, but are no part of the published weights; and modules that are not trained (`requires_grad_(False)`).

    What is drawn per sample, or is not a mean over the batch, asks `step.share` for the whole batch: then the number
    of processes, which each have a part of it, changes no result.
    """

    views: int = 1
    """Degraded views of each HR patch that a step needs. With v of them, a batch has batch / v patches."""
    replayable: bool = True
    """Whether each step runs the same operations, so that a GPU may record and replay them. False where Python code
    depends on `step.progress` or on numbers drawn without `step.draw`."""

    def attach(self, backbone: nn.Module) -> None:
        """Called once with the network that is trained, with its initial weights: for a teacher made of it."""

    def layers(self, backbone: nn.Module) -> Sequence[str]:
        """Name the layers whose inputs are in `step.features` and pass `change_features`.

        Args:
            backbone: The network that is trained.

        Returns:
            "last" and "blocks.0", "blocks.-1" … are the last convolution and the blocks that every backbone names;
            any other is the name of a submodule. With ":output" behind it, the layer's output is meant.
        """
        return (LAST,)

    def change_input(self, lr: Tensor, step: Step) -> Tensor:
        """Change what the network gets: here, nothing.

        Args:
            lr: LR images (views·N, 3, h, w), RGB in [0, 1].
            step: The step that they are of.

        Returns:
            What the network gets instead, of the same shape.
        """
        return lr

    def change_features(self, name: str, x: Tensor, step: Step) -> Tensor:
        """Change what passes a layer: here, nothing.

        Args:
            name: Of the layer, one of `layers`.
            x: What passes there, (views·N, C, H, W).
            step: The step that it is of.

        Returns:
            What the network continues with, of the same shape.
        """
        return x

    def penalty(self, step: Step) -> Tensor:
        """What is added to the loss, times the weight of the settings: here, 0.

        Args:
            step: With its SR images and features.

        Returns:
            Scalar >= 0.
        """
        assert step.sr is not None
        return step.sr.new_zeros(())


class Alignment(Regularizer):
    """A penalty that is a distance of the features of two views: a subclass defines `distance`.

    With more views it is the mean over all pairs.
    """

    views = 2

    def penalty(self, step: Step) -> Tensor:
        """Mean distance of the views' features.

        Computed in float32 (float64 for float64 features), whatever autocast says: bfloat16 holds three digits, and
        the statistics of two views agree in more than that.
        """
        features = step.features[LAST]
        with torch.autocast(features.device.type, enabled=False):
            views = step.of_views(features if features.dtype == torch.float64 else features.float())
            distances = [self.distance(a, b, step) for a, b in combinations(views, 2)]
        return distances[0] if len(distances) == 1 else torch.stack(distances).mean()

    def distance(self, a: Tensor, b: Tensor, step: Step) -> Tensor:
        """Scalar >= 0 that is 0 for equal views.

        Args:
            a: Features (N, C, H, W) of the patches in one view, float32 or float64.
            b: Those of the same patches in another view.
            step: For its random numbers and its share of the batch.
        """
        raise NotImplementedError
