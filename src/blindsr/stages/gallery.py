"""gallery: the same crops of HR, LR and every network's SR images, for the report: reports/gallery/."""

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pandas as pd

from blindsr.config.params import Params
from blindsr.config.run import BICUBIC, Row, Run
from blindsr.data import images, pairs
from blindsr.data.images import RGB
from blindsr.data.pairs import REAL, Pair
from blindsr.evaluation import benchmarks
from blindsr.reporting import scores, selection
from blindsr.reporting.selection import Choice
from blindsr.runtime import devices, files, paths, recorded, temporary
from blindsr.runtime.progress import Bar


def run(params: Params) -> None:
    """Choose images by rule, and write a window of each as every network of the first seed makes it of every case.

    index.json lists them: benchmark, image, rule, gain_db, window (top, left, height, width in HR px), paths below
    reports/ (hr, in cases -> case lr, and in models -> row of the tables picture), and psnr_db of each whole picture.
    """
    devices.keep_freed_memory()
    temporary.sweep(paths.MODELS, paths.SCORES, paths.GALLERY)
    suite = [pair for pair in pairs.all_pairs(params) if pair.case != REAL]
    known, _ = scores.without_infinite(scores.read(paths.SCORES, params.scored, params.evaluate.metrics))
    method, baseline = selection.compared(params.reg.names)
    names = list(dict.fromkeys(pair.benchmark for pair in suite))
    shown = {
        choice: [pair for pair in suite if (pair.benchmark, pair.image) == (choice.benchmark, choice.image)]
        for choice in selection.choose(known, names, method, baseline)
    }
    first = params.backbone.names[0]
    ends = [Row(first, method).name, BICUBIC if baseline is None else Row(first, baseline).name]
    with devices.threads(params.evaluate.threads):
        entries = _write(params, shown, ends, known)
    files.write_atomic(paths.GALLERY / "index.json", json.dumps(entries, indent=1, sort_keys=True) + "\n")
    recorded.note(paths.GALLERY)


def _write(
    params: Params, shown: Mapping[Choice, list[Pair]], ends: list[str], known: pd.DataFrame
) -> list[dict[str, Any]]:
    """Write all pictures; the two rows `ends` come first, for the windows lie where they differ most."""
    entries: dict[Choice, dict[str, Any]] = {}
    runs: dict[str, Run] = {}
    for run in params.scored:
        runs.setdefault(run.row, run)  # the first seed's
    psnr = known.set_index(["backbone", "reg", "seed", "benchmark", "case", "image"])["psnr_db"]

    def add(name: str, choice: Choice, pair: Pair, sr: RGB) -> None:
        place = f"{_folder(choice)}/{pair.case}/{name}.png"
        _picture(sr, entries[choice]["window"], place)
        of, which = runs[name], (pair.benchmark, pair.case, pair.image)
        score = round(float(psnr[(of.backbone, of.reg, of.seed, *which)]), 4)
        entries[choice]["cases"][pair.case]["models"][name] = {"picture": place, "psnr_db": score}
        bar.advance()

    with Bar("gallery", sum(map(len, shown.values())) * len(runs)) as bar:
        upscalers = [_upscaler(params, runs[name]) for name in ends]
        for choice, group in shown.items():
            sr = [[upscale(pair.read_lr()) for upscale in upscalers] for pair in group]
            entries[choice] = _frame(choice, group, selection.window(sr, params.gallery.crop, params.scale), params)
            for pair, made in zip(group, sr, strict=True):
                for name, image in zip(ends, made, strict=True):
                    add(name, choice, pair, image)
        for name in (name for name in runs if name not in ends):
            upscale = _upscaler(params, runs[name])
            for choice, group in shown.items():
                for pair in group:
                    add(name, choice, pair, upscale(pair.read_lr()))
    return list(entries.values())


def _frame(choice: Choice, group: list[Pair], window: tuple[int, int, int, int], params: Params) -> dict[str, Any]:
    """The entry of an image, with its HR and LR pictures, and no network's yet."""
    folder, cases = _folder(choice), {}
    _picture(images.mod_crop(group[0].read_hr(), params.scale), window, f"{folder}/hr.png")
    for pair in group:
        place = f"{folder}/{pair.case}/lr.png"
        _picture(pair.read_lr(), tuple(side // params.scale for side in window), place)
        cases[pair.case] = {"lr": place, "models": {}}
    entry = choice._asdict() | {"gain_db": round(choice.gain_db, 4), "window": list(window)}
    return entry | {"hr": f"{folder}/hr.png", "cases": cases}


def _folder(choice: Choice) -> str:
    return f"{paths.GALLERY.name}/{choice.benchmark}/{choice.image}"


def _picture(image: RGB, window: tuple[int, ...], place: str) -> None:
    top, left, height, width = window
    (paths.REPORTS / place).parent.mkdir(parents=True, exist_ok=True)
    images.write_png(paths.REPORTS / place, image[top : top + height, left : left + width])


def _upscaler(params: Params, run: Run) -> Callable[[RGB], RGB]:
    """The function from LR to SR images, uint8 RGB, of a trained run or a control: as in `evaluate`."""
    network, _ = benchmarks.network_of(params, run)
    network.to(devices.choose(params.runtime.device))
    settings = params.evaluate
    return partial(benchmarks.upscale, network, scale=params.scale, tile=settings.tile, overlap=settings.overlap)
