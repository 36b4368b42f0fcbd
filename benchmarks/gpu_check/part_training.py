"""Part "training": SRResNet as in the paper with four regularizers side by side, for the rest of the budget."""

import statistics
import time
import zipfile
from collections.abc import Sequence
from typing import Any

from benchmarks.gpu_check import side_by_side
from benchmarks.gpu_check.children import messages, worker
from benchmarks.gpu_check.context import Context
from benchmarks.gpu_check.journal import Cell
from benchmarks.gpu_check.settings import REGULARIZERS

Row = dict[str, Any]
_POINTS = 64  # of a curve; scored are the networks after 1/8, 1/4, 1/2 and all of them
_START, _SCORING = 15.0, 20.0  # seconds to start four processes, and for their scores, which no iteration gets
_SAFE = 0.85
_LARGEST = 15 * 2**20  # bytes of the weights
_TITLE = "Means over the eight cases, benchmarks alike (PSNR in dB; bicubic's is that of the same images)"


def run(context: Context, deadline: float) -> None:
    """Train all for as many iterations as the slowest has time for; scores and curves are kept as they come."""
    store, images = context.require("store"), context.require("images")
    if context.side_rate is None and not context.small:
        side_by_side.measure(context, len(REGULARIZERS), deadline, "training")
    log_every, points = _length(context, deadline)
    iterations = log_every * points
    scored = sorted({max(1, points // part) * log_every for part in (8, 4, 2, 1)})
    context.journal.line(
        "training", f"{iterations} iterations of SRResNet with each of {', '.join(REGULARIZERS)}, scored after "
        f"{', '.join(map(str, scored))}", iterations=iterations, scored=scored,
    )  # fmt: skip
    children = {
        worker(
            "train", reg=reg, store=store, images=images, folder=str(context.folder), small=context.small,
            iterations=iterations, log_every=log_every, scored=scored,
            workers=side_by_side.workers(context, len(REGULARIZERS)),
        ): reg
        for reg in REGULARIZERS
    }  # fmt: skip
    curves: list[Row] = []
    scores: list[Row] = []
    done: list[str] = []
    for child, message in messages(list(children), deadline):
        reg = children[child]
        if "point" in message:
            curves.append({"regularizer": reg, **message["point"]})
            if len(curves) % 16 == 0:
                context.journal.csv("curves.csv", curves)
        elif "scores" in message:
            scores += [{"regularizer": reg, **row} for row in message["scores"]]
            context.journal.csv("scores.csv", scores)
            context.journal.line("training", _told(reg, message["scores"]))
            context.journal.table("training", _TITLE, table(scores))
        elif "done" in message:
            done.append(reg)
            rate = iterations / (message["seconds"] - message["scoring"])
            text = f"{reg}: {iterations} iterations in {message['seconds']:.1f} s, {rate:.4g} it/s beside the others"
            context.journal.line("training", f"{text}, {message['scoring']:.1f} s of scoring not counted")
    if curves:
        context.journal.csv("curves.csv", curves)
    _weights(context)
    for child, reg in children.items():
        if reg not in done:
            reached = max((int(row["iteration"]) for row in curves if row["regularizer"] == reg), default=0)
            context.journal.line("training", f"{reg}: {child.problem()}, after {reached} iterations", failed=True)


def _length(context: Context, deadline: float) -> tuple[int, int]:
    """Iterations between two points of the curve, and how many points. Raises ValueError if there is no time."""
    if context.small:
        return 1, 8
    left = deadline - time.time() - _START - _SCORING
    if context.side_rate is None or left <= 0:
        raise ValueError(
            "no time is left to train" if context.side_rate else "without a rate no length can be chosen"
        )
    iterations = int(context.side_rate * left * _SAFE)
    if iterations < _POINTS:
        raise ValueError(f"{left:.0f} s are too few to train")
    return iterations // _POINTS, _POINTS


def table(scores: Sequence[Row]) -> list[dict[str, Cell]]:
    """A row for each regularizer and length."""
    rows: list[dict[str, Cell]] = []
    benchmarks = list(dict.fromkeys(row["benchmark"] for row in scores))
    for iteration in sorted({row["iteration"] for row in scores}):
        for reg in dict.fromkeys(row["regularizer"] for row in scores):
            mine = [row for row in scores if (row["iteration"], row["regularizer"]) == (iteration, reg)]
            if mine:
                rows.append({"iterations": iteration, "regularizer": reg, **_means(mine, benchmarks)})
    return rows


def _means(rows: Sequence[Row], benchmarks: Sequence[str]) -> dict[str, Cell]:
    means: dict[str, Cell] = {}
    for key in ("psnr_db", "bicubic_db", "psnr_best_db", "detail_cosine", "detail_amplitude"):
        of_each = []
        for benchmark in benchmarks:
            values = [row[key] for row in rows if row["benchmark"] == benchmark and row[key] is not None]
            if values:
                of_each.append(statistics.fmean(values))
        means[key] = statistics.fmean(of_each) if of_each else None
    return means


def _told(reg: str, rows: Sequence[Row]) -> str:
    means = _means(rows, list(dict.fromkeys(row["benchmark"] for row in rows)))
    shown = ", ".join(f"{key} {value:.4g}" for key, value in means.items() if isinstance(value, float))
    return f"{reg} after {rows[0]['iteration']} iterations: {shown}"


def _weights(context: Context) -> None:
    """Put the newest weights of each into one file."""
    found = sorted(context.folder.glob("*.safetensors"))
    size = sum(path.stat().st_size for path in found)
    if not found or size > _LARGEST:
        context.journal.line("training", f"no weights.zip: {len(found)} files of {size} bytes", failed=True)
        return
    temporary = context.folder / "weights.zip"
    with zipfile.ZipFile(temporary, "w") as packed:
        for path in found:
            packed.write(path, path.name)
    (context.journal.folder / "weights.zip").write_bytes(temporary.read_bytes())
    context.journal.line("training", f"weights.zip: {len(found)} networks in half precision, {size / 2**20:.2f} MiB")
