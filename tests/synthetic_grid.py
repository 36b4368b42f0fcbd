"""Files of a whole grid with planted differences, as the stages before `report` would have written them."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from blindsr.config import conf, params
from blindsr.config.params import Params
from blindsr.data import images
from blindsr.data.indices import Index, IndexedImage

ROOT = Path(__file__).resolve().parents[1]
PAPER_SIZES = {"Set5": 5, "Set14": 14, "BSD100": 100, "Test2k": 10, "Urban100": 100, "Manga109": 109}
GAINS = {"none": 0.0, "dropout": 0.3, "brute_force": -0.2, "linear": 0.4, "rff": 0.6, "rff_released": 0.0}
"""PSNR in dB over the baseline, planted in every image."""


def settings(*overrides: str, benchmarks: list[str], names: list[str], seeds: list[int] | None = None) -> Params:
    """Settings of the profile that `overrides` compose, with these benchmarks and regularizers."""
    composed = conf.compose(ROOT / "conf", list(overrides))
    composed["data"]["benchmarks"] = benchmarks
    composed["reg"]["names"] = names
    composed["seeds"] = seeds or [0]
    return params.parse(composed)


def write(
    folder: Path,
    index: Path,
    parsed: Params,
    sizes: Mapping[str, int],
    *,
    gains: Mapping[str, float] = GAINS,
    lpips: bool = True,
    gallery: bool = False,
) -> None:
    """Scores, curves and analyses of every run; benchmarks without a size are missing.

    An image has one difficulty for all rows, and each row noise of 0.02 dB on it.
    """
    for name in parsed.data.benchmarks:
        count = sizes.get(name, 0)
        files = [IndexedImage(name=_name(n), file=f"{_name(n)}.png", width=8, height=8, sha256="0" * 64)
                 for n in range(count)]  # fmt: skip
        Index(name=name, images=files, missing=None if count else f"ask the makers of {name}").write(index)
    for name in parsed.data.sets:
        if name not in parsed.data.benchmarks:
            Index(name=name, missing=None if lpips else "no file").write(index)
    for number, run in enumerate(parsed.scored):
        gain = gains.get(run.reg, -1.0)
        _scores(folder / "scores" / f"{run}.csv", parsed, sizes, number, run.backbone, gain, lpips)
        if not run.is_control:
            _rest(folder, parsed, run.name, gain)
    if gallery:
        _gallery(folder, parsed, sizes, [row.name for row in parsed.rows])


def _name(number: int) -> str:
    return f"image{number:03d}"


def _scores(
    path: Path, parsed: Params, sizes: Mapping[str, int], number: int, backbone: str, gain: float, lpips: bool
) -> None:
    generator = np.random.default_rng(number)
    frames = []
    for place, (benchmark, count) in enumerate(sizes.items()):
        difficulty = np.random.default_rng([7, place]).normal(25, 2, count)
        for order, case in enumerate(parsed.suite.cases):
            # the gain shrinks from case to case, to a half in the last
            own = gain * (1 - 0.5 * order / max(1, len(parsed.suite.cases) - 1))
            psnr = difficulty - 0.5 * order + own + generator.normal(0, 0.02, count)
            values = {"psnr_db": psnr, "psnr_y_db": psnr + 1.5, "ssim": 0.5 + psnr / 100}
            values["lpips"] = 0.9 - psnr / 50 if lpips else np.full(count, np.nan)
            # more PSNR by a better cosine, at one amplitude; bicubic adds nothing
            values["detail_cosine"] = np.full(count, np.nan if backbone == "bicubic" else 0.3 + own / 10)
            values["detail_amplitude"] = np.full(count, 0.0 if backbone == "bicubic" else 0.5)
            values["psnr_best_db"] = psnr + 0.1
            keys = {"benchmark": benchmark, "case": case, "image": [_name(n) for n in range(count)]}
            frames.append(pd.DataFrame(keys | values))
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.concat(frames).to_csv(path, index=False, float_format="%.6f", lineterminator="\n")


def _rest(folder: Path, parsed: Params, name: str, gain: float) -> None:
    analysis, cases = folder / "analysis" / name, list(parsed.suite.cases)
    share, iterations = max(gain, 0.0), np.array([20, 40, 60])
    chi = 1.0 - gain
    curve = {"iteration": iterations, "l1": [0.3, 0.2, 0.1], "penalty": share / 1e3, "penalty_gradient_share": share,
             "view_distance": share, "detail_scale_training": 0.8}  # fmt: skip
    for case, psnr in (("training", 23.5), ("clean", 24 + gain), ("b-n-j", 23.0)):
        curve |= {f"psnr_db_{case}": psnr, f"detail_cosine_{case}": 0.3, f"detail_amplitude_{case}": 0.5}
    images = np.repeat(["00", "01"], 4 * len(cases))
    frames = {
        folder / "curves" / f"{name}.csv": curve,
        analysis / "frequency.csv": {"benchmark": "Toy", "case": np.tile(np.repeat(cases, 4), 2), "image": images,
                                     "band": [0, 1, 2, 3] * 2 * len(cases),
                                     "mape_percent": np.tile([5.0, 10.0, 20.0, 40.0], 2 * len(cases)) - gain},
        analysis / "channel_entropy.csv": {"benchmark": "Toy", "case": cases * 2, "image": images[::4],
                                           "entropy_nats": 1.0 + gain},
        analysis / "separation.csv": {"layer": ["last", "last", "blocks.0", "blocks.0"],
                                      "label": ["degradation", "content"] * 2, "chi": [chi, 5, chi, 9],
                                      "low": [chi - 0.05, 4, chi - 0.05, 8], "high": [chi + 0.05, 6, chi + 0.05, 10]},
        analysis / "plane.csv": {"case": cases, "benchmark": "Toy", "image": "00", "top": 0, "left": 0,
                                 "x": np.arange(len(cases)), "y": gain},
        analysis / "interaction.csv": {"benchmark": "Toy", "image": ["00"] * 3 + ["01"] * 3, "top": 0, "left": 0,
                                       "order": [0, 14, 14] * 2, "rate": [0, 0, 0.5] * 2,
                                       "squared_strength": [0.25, 0.36, 0.09, 0.25, 0.36, 0.16],
                                       "added_energy": 1 + max(gain, 0)},
        analysis / "cost.csv": {"parameters": [10], "lr_images": 16, "hr_patches": 8, "iteration_flops": 10**10,
                                "penalty_flops": 10**8, "iterations": parsed.train.iterations},
    }  # fmt: skip
    for path, columns in frames.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        pd.DataFrame(columns).to_csv(path, index=False, lineterminator="\n")


def _gallery(folder: Path, parsed: Params, sizes: Mapping[str, int], models: list[str]) -> None:
    """The first image of every benchmark, as noise of another colour for every model; the first case parts them."""
    entries = []
    for benchmark in sizes:
        place = f"gallery/{benchmark}/{_name(0)}"
        entry = {"benchmark": benchmark, "image": _name(0), "rule": "largest difference", "gain_db": 0.5,
                 "window": [0, 0, 64, 64], "hr": f"{place}/hr.png", "cases": {}}  # fmt: skip
        _picture(folder / entry["hr"], 64, 0)
        for order, case in enumerate(parsed.suite.cases):
            entry["cases"][case] = {"lr": f"{place}/{case}/lr.png", "models": {}}
            _picture(folder / f"{place}/{case}/lr.png", 16, 1)
            for number, model in enumerate(models):
                picture = f"{place}/{case}/{model}.png"
                psnr = 20 + number * len(parsed.suite.cases) / (1 + order)
                entry["cases"][case]["models"][model] = {"picture": picture, "psnr_db": psnr}
                _picture(folder / picture, 64, 2 + number)
        entries.append(entry)
    (folder / "gallery" / "index.json").write_text(json.dumps(entries))


def _picture(path: Path, side: int, number: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(number).integers(0, 60, (side, side, 3))
    images.write_png(path, (noise + np.random.default_rng(number).integers(0, 190, 3)).astype(np.uint8))
