"""What `mlflow.pyfunc.load_model` makes of a run's weights: LR images in, SR images out."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from blindsr.model import inference, weight_files


class Upscaler:
    """A network behind MLflow's `predict`."""

    def __init__(self, network: nn.Module, scale: int) -> None:
        """
        Args:
            network: In eval mode, on the CPU.
            scale: HR px along a side of an LR px.
        """
        self._network, self._scale = network, scale

    def predict(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Upscale images of one size; large ones pass through the network in tiles.

        Args:
            images: LR images (N, h, w, 3), RGB uint8.

        Returns:
            SR images (N, scale · h, scale · w, 3), RGB uint8.

        Raises:
            ValueError: for another shape or type.
        """
        found = inference.upscale_rgb(self._network, list(images), self._scale, tile="auto")
        return np.stack(list(found))


def _load_pyfunc(path: str) -> Upscaler:  # MLflow calls it by this name
    network, info = weight_files.load(Path(path))
    return Upscaler(network, info.scale)
