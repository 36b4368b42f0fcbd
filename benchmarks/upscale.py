"""`blindsr upscale` on files against the bare network on tensors: what decoding, tiles, encoding and writing cost.

Here "plain" is the network alone, and "ours" the whole command around it, so the ratio, which is that of the pixels
per second, is at most 1. Files have threads of their own, which share the cores with the network.
"""

import contextlib
import io
import itertools
import tempfile
from pathlib import Path

import numpy as np
import torch

from benchmarks import inputs
from benchmarks.measure import Bound, Check, Result, compare
from blindsr.apps.photos import upscale
from blindsr.data import images
from blindsr.model import architecture, weight_files
from blindsr.model.weight_files import WeightsInfo


def run(quick: bool) -> list[Result]:
    """Five photos of 384x384 px as PNG, the full SRResNet, two threads of inference.

    The first photo is decoded and the last one encoded while nothing else is left to do: a folder of more photos
    loses less.
    """
    side, count = (32, 2) if quick else (384, 5)
    torch.manual_seed(0)
    network = architecture.build_backbone("srresnet", {}, 4).eval()
    info = WeightsInfo(backbone="srresnet", hyper={}, scale=4, regularizer="none", seed=0, iterations=0, run="bench")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "photos").mkdir()
        photos = [np.ascontiguousarray(photo[:side, :side]) for photo in inputs.photos()[:count]]
        for number, photo in enumerate(photos):
            images.write_png(folder / "photos" / f"{number}.png", photo)
        weight_files.save(network, info, folder / "weights.safetensors")
        lrs = [images.to_float(photo)[None] for photo in photos]
        runs = itertools.count()

        def plain() -> list[torch.Tensor]:
            with torch.inference_mode():
                return [network(lr) for lr in lrs]

        def ours() -> Path:
            out = folder / str(next(runs))  # results that are there would be kept
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                upscale.run([str(folder / "photos")], str(folder / "weights.safetensors"), out=out)
            return out

        made = ours()
        differences = [
            np.abs(images.read_rgb(made / f"{number}.png").astype(int) - images.to_uint8(sr[0])).max()
            for number, sr in enumerate(plain())
        ]
        check = Check("max difference in levels", float(max(differences)), Bound("<=", 1))
        what = f"network in upscale, SRResNet, {len(photos)} photos of {side}x{side} px, 2 threads"
        return [compare("upscale", what, Bound(">=", 0.95), [check], 1 if quick else 9, plain, ours, threads=2)]
