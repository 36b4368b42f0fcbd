"""What a loss is."""

from torch import Tensor, nn


class Loss(nn.Module):
    """How far SR images are from their HR images. A file of this folder has `build(...) -> Loss`.

    Its keyword arguments, each with a default, are settings of `train.loss_settings`; besides, it may ask for
    `trunk`, the path of AlexNet's weights (None where they are not here). It sees the images in float32, whatever
    the precision of the network, and has no parameters that are trained.
    """

    def forward(self, sr: Tensor, hr: Tensor) -> Tensor:
        """A scalar: the mean over the samples, so that equal parts of a batch can be averaged.

        Args:
            sr: (B, 3, H, W), what the network makes; nominally in [0, 1], not clipped.
            hr: (B, 3, H, W) in [0, 1].
        """
        raise NotImplementedError
