"""A penalty's weight that is adapted until the penalty has a given share of the gradient.

Penalties have units of their own, and one weight means something else for each of them, for each network and at each
moment of a training. With equal shares an ablation compares what penalties pull at, and not how hard.
"""

import torch
from torch import Tensor

from blindsr.model.network import Network
from blindsr.plugins.regularizers.base import LAST, Regularizer
from blindsr.runtime.errors import UserError

_GAIN = 0.5  # of the logarithm: a share is measured on one batch, and is noisy
_MOST = 10.0  # factor between two looks


def matched_weight(start: float, network: Network, device: torch.device) -> Tensor:
    """The weight as a tensor that a recorded step reads, at first `start`.

    Args:
        start: Weight to begin with, > 0.
        network: Whose regularizer it is for.
        device: Of the training.

    Raises:
        UserError: if the share of the gradient cannot be measured: the regularizer does not look at the features of
            two views, or has no penalty, or starts with weight 0.
    """
    regularizer = network.regularizer
    penalizes = type(regularizer).penalty is not Regularizer.penalty
    if not penalizes or regularizer.views != 2 or LAST not in regularizer.layers(network.backbone):
        raise UserError("gradient_share needs a penalty on the last features of two views: set it to null")
    if not start:
        raise UserError("gradient_share needs a weight above 0 to begin with")
    return torch.tensor(start, dtype=torch.float32, device=device)


def adapt(weight: Tensor, measured: float, wanted: float) -> None:
    """Change the weight in place, half of the way (of its logarithm) to what would have had the wanted share.

    The share is p / (f + p), of the norms f and p of the gradients of fidelity and weighted penalty; p is
    proportional to the weight, so its odds p / f are, too.

    Args:
        weight: Scalar.
        measured: Share of the penalty with this weight, in [0, 1]; 0 (nothing to weigh) and 1 leave the weight.
        wanted: Share in (0, 1).
    """
    if not 0 < measured < 1:
        return
    factor = (wanted / (1 - wanted) / (measured / (1 - measured))) ** _GAIN
    weight.mul_(min(_MOST, max(1 / _MOST, factor)))
