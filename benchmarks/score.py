"""`blindsr score` with an RRDB against the bare network: what degrading, scoring and reading the photos cost.

Here "plain" is the network on the LR images alone, and "ours" the whole command around it, so the ratio, which is
that of the pixels per second, is at most 1. The start of a command, some 1.5 s of reading, trying and hashing the
weights, counts: a folder of more photos loses less.
"""

import contextlib
import io
import tempfile
from pathlib import Path

import numpy as np
import torch

from benchmarks import inputs
from benchmarks.measure import Bound, Result, compare
from blindsr.apps import score
from blindsr.data import images, suite
from blindsr.model import architecture, weight_files
from blindsr.model.weight_files import WeightsInfo

_METRICS = ["psnr_db", "psnr_y_db", "ssim", "detail_cosine", "detail_amplitude", "psnr_best_db"]


def run(quick: bool) -> list[Result]:
    """Five photos of 192x192 px under the eight cases, the RRDB of the paper, all metrics but LPIPS, two threads."""
    side, count, blocks = (64, 1, 1) if quick else (192, 5, 23)
    torch.manual_seed(0)
    hyper = {"num_blocks": blocks}
    network = architecture.build_backbone("rrdb", hyper, 4).eval()
    info = WeightsInfo(backbone="rrdb", hyper=hyper, scale=4, regularizer="none", seed=0, iterations=0, run="bench")
    with tempfile.TemporaryDirectory() as name:
        folder, weights = Path(name) / "photos", Path(name) / "weights.safetensors"
        folder.mkdir()
        photos = [np.ascontiguousarray(photo[:side, :side]) for photo in inputs.photos()[:count]]
        for number, photo in enumerate(photos):
            images.write_png(folder / f"{number}.png", photo)
        weight_files.save(network, info, weights)
        lrs = [
            images.to_float(lr)[None]
            for number, photo in enumerate(photos)
            for lr in suite.degrade_suite(photo, suite.PAPER, "photos", str(number)).values()
        ]

        def plain() -> list[torch.Tensor]:
            with torch.inference_mode():
                return [network(lr) for lr in lrs]

        def ours() -> None:
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                score.run(folder, str(weights), metrics=_METRICS)

        what = f"RRDB of {blocks} blocks in score, {len(lrs)} images of {side}x{side} px, 2 threads"
        return [compare("score", what, Bound(">=", 0.95), [], 1 if quick else 3, plain, ours, threads=2)]
