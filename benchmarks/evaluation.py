"""Evaluation against its inference alone: what reading images and all metrics add to the full SRResNet on a CPU.

Here "plain" is the inference, and "ours" the same inference with everything around it, so the ratio is at most 1.
Metrics have a thread of their own: a ratio of wall clocks near 1 needs a second core that is free. The second row
follows the thread of the inference alone, its CPU seconds and all that it waits between images: there other programs
on the machine do not show.
"""

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch

from benchmarks import inputs
from benchmarks.measure import Bound, Result, compare, times
from blindsr.config import registry
from blindsr.data import images, suite
from blindsr.data.images import RGB
from blindsr.data.pairs import Pair
from blindsr.evaluation import benchmarks
from blindsr.evaluation.scoring import Measure
from blindsr.model import architecture, inference
from blindsr.plugins.metrics import lpips
from blindsr.runtime import devices


def run(quick: bool) -> list[Result]:
    """Five photos of 384x384 px under the eight cases, PSNR, PSNR-Y, SSIM and LPIPS; one thread of inference.

    Reading the first image and scoring the last one wait for nothing else: 0.5 % of these 40 images.
    """
    side = 64 if quick else 384
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with tempfile.TemporaryDirectory() as folder:
            pairs = _write(Path(folder), [photo[:side, :side] for photo in inputs.photos()[: 2 if quick else 5]])
            lrs = [images.read_rgb(pair.lr) for pair in pairs]
            torch.manual_seed(0)
            network = architecture.build_backbone("srresnet", {}, 4)
            upscale = partial(inference.upscale_rgb, network, scale=4, tile="auto", overlap=32)
            metrics = [registry.build("metric", name) for name in ("psnr_db", "psnr_y_db", "ssim")]
            measure = Measure([*metrics, lpips.record(lpips.Lpips())])  # random weights take the same time
            what = f"SRResNet, {len(pairs)} images of {side}x{side} px"
            repetitions = 1 if quick else 3
            wall = compare(
                "evaluation",
                f"inference in evaluation, {what}",
                Bound(">=", 0.95),
                [],
                repetitions,
                lambda: list(upscale(lrs)),
                lambda: list(benchmarks.evaluate(pairs, upscale, measure, 4)),
            )
            with devices.threads(1):
                seconds = np.array([_of_thread(pairs, lrs, upscale, measure) for _ in range(repetitions)]).T
            samples = (seconds[0] / seconds[1]).tolist()
            what = f"the same, CPU seconds and waits of the inference's thread, {what}"
            thread = Result("evaluation", what, samples, "x", Bound(">=", 0.95), times(*seconds))
            return [wall, thread]
    finally:
        cv2.setNumThreads(threads)


Upscale = Callable[[Sequence[RGB]], Iterator[RGB]]


def _of_thread(pairs: list[Pair], lrs: list[RGB], upscale: Upscale, measure: Measure) -> tuple[float, float]:
    """CPU seconds of inference alone; and in evaluation, with the wall clock of what is not inference."""
    begun = time.thread_time()
    list(upscale(lrs))
    alone = time.thread_time() - begun
    cpu = wall = 0.0

    def followed(lrs: Sequence[RGB]) -> Iterator[RGB]:
        nonlocal cpu, wall
        srs = upscale(lrs)
        for _ in lrs:
            clocks = time.thread_time(), time.perf_counter()
            sr = next(srs)
            cpu, wall = cpu + time.thread_time() - clocks[0], wall + time.perf_counter() - clocks[1]
            yield sr

    begun = time.perf_counter()
    list(benchmarks.evaluate(pairs, followed, measure, 4))
    return alone, cpu + time.perf_counter() - begun - wall


def _write(folder: Path, hrs: list[images.RGB]) -> list[Pair]:
    pairs = []
    for number, hr in enumerate(hrs):
        images.write_png(folder / f"{number}.png", np.ascontiguousarray(hr))
        for case, lr in suite.degrade_suite(hr, suite.PAPER, "bench", str(number)).items():
            path = folder / f"{number}-{case}.png"
            images.write_png(path, lr)
            pairs.append(Pair("bench", case, str(number), folder / f"{number}.png", path))
    return pairs
