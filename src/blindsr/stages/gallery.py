"""gallery: the same crops of HR, LR and every network's SR images, for the report: reports/gallery/."""

import json
from functools import partial
from typing import Any

from torch import nn

from blindsr import devices, evaluation, files, images, networks, paths
from blindsr.evaluation import REAL, Pair
from blindsr.images import RGB
from blindsr.params import BICUBIC, Params, cell_name
from blindsr.progress import Bar
from blindsr.reporting import selection, tables
from blindsr.reporting.selection import Choice


def run(params: Params) -> None:
    """Choose images by rule, and write a window of each as every network of the first seed makes it of every case.

    index.json lists them: benchmark, image, rule, gain_db, window (top, left, height, width in HR px) and the paths
    of the pictures, below reports/.
    """
    pairs = [pair for pair in evaluation.all_pairs(params) if pair.case != REAL]
    trained = {cell_name(*cell): cell for cell in params.cells}
    scores = tables.read_scores(paths.SCORES, {BICUBIC: (BICUBIC, BICUBIC, 0), **trained})
    method, baseline = selection.compared(params.reg.names)
    benchmarks = list(dict.fromkeys(pair.benchmark for pair in pairs))
    chosen = selection.choose(scores, benchmarks, method, baseline)
    shown = {
        choice: [pair for pair in pairs if (pair.benchmark, pair.image) == (choice.benchmark, choice.image)]
        for choice in chosen
    }
    models = {BICUBIC: BICUBIC} | {
        f"{backbone}-{reg}": cell_name(backbone, reg, params.seeds[0])
        for backbone in params.backbone.names
        for reg in params.reg.names
    }
    first = params.backbone.names[0]
    ends = [f"{first}-{method}", BICUBIC if baseline is None else f"{first}-{baseline}"]
    with devices.threads(params.evaluate.threads):
        _write(params, shown, models, ends)


def _write(params: Params, shown: dict[Choice, list[Pair]], models: dict[str, str], ends: list[str]) -> None:
    pictures = sum(map(len, shown.values()))
    entries: dict[Choice, dict[str, Any]] = {}
    with Bar("gallery", pictures * (len(ends) + len(models))) as bar:
        upscalers = [_upscaler(params, models[name]) for name in ends]
        for choice, group in shown.items():
            sr = []
            for pair in group:
                lr = images.read_rgb(pair.lr)
                sr.append((upscalers[0](lr), upscalers[1](lr)))
                bar.advance(len(ends))
            entries[choice] = _frame(choice, group, selection.window(sr, params.gallery.crop, params.scale), params)
        for name, cell in models.items():
            upscale = _upscaler(params, cell)
            for choice, group in shown.items():
                for pair in group:
                    place = f"{_folder(choice)}/{pair.case}/{name}.png"
                    _picture(upscale(images.read_rgb(pair.lr)), entries[choice]["window"], place)
                    entries[choice]["cases"][pair.case]["models"][name] = place
                    bar.advance()
    content = json.dumps(list(entries.values()), indent=1, sort_keys=True) + "\n"
    files.write_atomic(paths.GALLERY / "index.json", content)


def _frame(choice: Choice, group: list[Pair], window: tuple[int, int, int, int], params: Params) -> dict[str, Any]:
    """The entry of an image, with its HR and LR pictures, and no network's yet."""
    folder, cases = _folder(choice), {}
    _picture(images.mod_crop(images.read_rgb(group[0].hr), params.scale), window, f"{folder}/hr.png")
    for pair in group:
        place = f"{folder}/{pair.case}/lr.png"
        _picture(images.read_rgb(pair.lr), tuple(side // params.scale for side in window), place)
        cases[pair.case] = {"lr": place, "models": {}}
    entry = choice._asdict() | {"gain_db": round(choice.gain_db, 4), "window": list(window)}
    return entry | {"hr": f"{folder}/hr.png", "cases": cases}


def _folder(choice: Choice) -> str:
    return f"{paths.GALLERY.name}/{choice.benchmark}/{choice.image}"


def _picture(image: RGB, window: tuple[int, ...], place: str) -> None:
    top, left, height, width = window
    (paths.REPORTS / place).parent.mkdir(parents=True, exist_ok=True)
    images.write_png(paths.REPORTS / place, image[top : top + height, left : left + width])


def _upscaler(params: Params, cell: str) -> Any:
    """The function from LR to SR images, uint8 RGB, of a trained cell or bicubic: as in `evaluate`."""
    network: nn.Module
    if cell == BICUBIC:
        network = networks.build_backbone(BICUBIC, {}, params.scale)
    else:
        network, _ = networks.load(paths.MODELS / f"{cell}.safetensors")
    network.to(devices.choose(params.runtime.device))
    settings = params.evaluate
    return partial(evaluation.upscale, network, scale=params.scale, tile=settings.tile, overlap=settings.overlap)
