"""Evaluation against its inference alone: what reading images and all metrics add to the full SRResNet on a CPU.

Here "plain" is the inference, and "ours" the same inference with everything around it, so the ratio is at most 1.
Metrics have a thread of their own: a ratio near 1 needs a second core that is free.
"""

import tempfile
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch

from benchmarks import inputs
from benchmarks.measure import Bound, Result, compare
from blindsr import evaluation, images, inference, networks
from blindsr.degradations import suite
from blindsr.evaluation import Pair
from blindsr.metrics.lpips import Lpips
from blindsr.scoring import Measure


def run(quick: bool) -> list[Result]:
    """Five photos of 384x384 px under the eight cases, PSNR, PSNR-Y, SSIM and LPIPS; one thread of inference.

    Reading the first image and scoring the last one wait for nothing else: 3 % of 16 images, 0.1 % of BSD100's 800.
    """
    side = 64 if quick else 384
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with tempfile.TemporaryDirectory() as folder:
            pairs = _write(Path(folder), [photo[:side, :side] for photo in inputs.photos()[: 2 if quick else 5]])
            lrs = [images.read_rgb(pair.lr) for pair in pairs]
            torch.manual_seed(0)
            network = networks.build_backbone("srresnet", {}, 4)
            upscale = partial(inference.upscale_rgb, network, scale=4, tile="auto", overlap=32)
            measure = Measure(4, Lpips())  # random weights take the same time
            return [
                compare(
                    "evaluation",
                    f"inference in evaluation, SRResNet, {len(pairs)} images of {side}x{side} px",
                    Bound(">=", 0.95),
                    [],
                    1 if quick else 3,
                    lambda: list(upscale(lrs)),
                    lambda: list(evaluation.evaluate(pairs, upscale, measure, 4)),
                )
            ]
    finally:
        cv2.setNumThreads(threads)


def _write(folder: Path, hrs: list[images.RGB]) -> list[Pair]:
    pairs = []
    for number, hr in enumerate(hrs):
        images.write_png(folder / f"{number}.png", np.ascontiguousarray(hr))
        for case, lr in suite.degrade_suite(hr, suite.PAPER, "bench", str(number)).items():
            path = folder / f"{number}-{case}.png"
            images.write_png(path, lr)
            pairs.append(Pair("bench", case, str(number), folder / f"{number}.png", path))
    return pairs
