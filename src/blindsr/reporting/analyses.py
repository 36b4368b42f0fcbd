"""Tables of what scores do not show: cost of training, the regularizer at work, representations, interactions."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from blindsr.config.run import Run
from blindsr.reporting import csv_files, style, tables
from blindsr.reporting.tables import HOLE, MEAN, Table
from blindsr.runtime.errors import UserError

ROW = ["backbone", "reg"]
_CROP = ["benchmark", "image", "top", "left"]
_SHARES = ("penalty_gradient_share", "covariance_share")
_LAST = 4  # the diagnostics of training are means over its last quarter


_IMAGE = ("benchmark", "case", "image")
_COLUMNS: dict[str, tuple[str, ...]] = {
    "channel_entropy": ("case", "entropy_nats"),
    "cost": ("parameters", "lr_images", "hr_patches", "iteration_flops", "penalty_flops", "iterations"),
    "frequency": ("case", "band", "mape_percent"),
    "interaction": (*_CROP, "order", "rate", "squared_strength"),
    "plane": ("case", "x", "y"),
    "separation": ("layer", "label", "chi", "low", "high"),
}
"""Columns of the files that the analyse stage writes which a report is made of."""
_UNIQUE = {
    "channel_entropy": _IMAGE,
    "cost": ("iterations",),
    "frequency": (*_IMAGE, "band"),
    "separation": ("layer", "label"),
}
"""What tells the rows of a file apart; crops of one image may be the same."""
_AGAIN = "delete it and run `dvc repro`"


def read(runs: Iterable[Run], folder: Path, name: str) -> pd.DataFrame:
    """<folder>/<run>/<name>.csv of every run, in one frame.

    With the columns backbone, reg and seed in front. Raises UserError for a missing or damaged file.
    """
    runs = list(runs)
    found = [folder / run.name / f"{name}.csv" for run in runs]
    frames = [
        csv_files.read(path, needed=_COLUMNS[name], unique=_UNIQUE.get(name, ()), again=_AGAIN) for path in found
    ]
    for frame, path in zip(frames, found, strict=True):
        infinite = [column for column in frame.select_dtypes("number") if np.isinf(frame[column]).any()]
        if infinite:
            raise UserError(f"{path} has an infinite number in its column {infinite[0]}: {_AGAIN}")
    return csv_files.joined(
        [_named(frame, run) for frame, run in zip(frames, runs, strict=True)], found, again=_AGAIN
    )


def read_curves(runs: Iterable[Run], folder: Path, losses: Sequence[str]) -> pd.DataFrame:
    """<folder>/<run>.csv of every run, its learning curve with a column for each of the losses, in one frame.

    With the columns backbone, reg and seed in front. Raises UserError for a missing or damaged file.
    """
    frames = []
    for run in runs:
        path = folder / f"{run}.csv"
        needed = ["iteration", *losses, "penalty"]
        frame = csv_files.read(path, needed=needed, unique=["iteration"], again=_AGAIN)
        text = [column for column in frame if not pd.api.types.is_numeric_dtype(frame[column])]
        if text:
            raise UserError(f"{path} has text in its column {text[0]}: {_AGAIN}")
        if frame.empty:
            raise UserError(f"{path} has no rows: {_AGAIN}")
        frames.append(_named(frame, run))
    return pd.concat(frames, ignore_index=True)


def _named(frame: pd.DataFrame, run: Run) -> pd.DataFrame:
    frame.insert(0, "seed", run.seed)
    frame.insert(0, "reg", run.reg)
    frame.insert(0, "backbone", run.backbone)
    return frame


def cost(costs: pd.DataFrame, psnr: pd.DataFrame, stem: Path, *, title: str) -> Table:
    """What every row's training took beside the mean PSNR that it bought, `psnr` as from `tables.table`."""
    scores = psnr[MEAN].groupby(level=ROW, sort=False).mean()
    known = costs.groupby(ROW, sort=False).first()
    rows = []
    for (backbone, reg), score in scores.items():
        row = {"backbone": backbone, "reg": reg}
        if (backbone, reg) in known.index:
            own = known.loc[(backbone, reg)]
            row |= {
                "parameters": f"{own['parameters']:.0f}",
                "iterations": f"{own['iterations']:.0f}",
                "LR images seen": f"{own['iterations'] * own['lr_images']:.0f}",
                "HR patches seen": f"{own['iterations'] * own['hr_patches']:.0f}",
                "training TFLOP": f"{own['iterations'] * own['iteration_flops'] / 1e12:.4g}",
                "of it penalty (%)": f"{100 * own['penalty_flops'] / own['iteration_flops']:.2f}",
            }
        rows.append(row | {"mean psnr_db": HOLE if pd.isna(score) else f"{score:.2f}"})
    text = pd.DataFrame(rows).fillna(HOLE)
    text = text[[column for column in text if column != "mean psnr_db"] + ["mean psnr_db"]]
    notes = [
        "Of one training run. Operations are those of a training step as torch's FlopCounterMode counts them: "
        "convolutions and matrix products, forward (once) and backward (about twice), a multiply-add as two. With "
        "two views an iteration sees as many LR images of half as many HR patches.",
        "Hours depend on the machine and on what else it does, so no table holds them: `make ui` shows the duration "
        "of each run.",
    ]
    return tables.write_text(text, text, stem, left=2, title=title, notes=notes)


def regularizers(
    curves: pd.DataFrame, losses: Sequence[str], weights: Mapping[str, float], stem: Path, *, title: str
) -> Table:
    """The regularizer at work: what its penalty is of the gradient, and whether the views come together.

    `curves` are the learning curves of all runs, with a column for each of the `losses`. A column that training did
    not record is left out; a row whose regularizer has one view holds holes.
    """
    names = {name: style.loss_label(name) for name in losses}
    names |= {"penalty": "penalty", "penalty_gradient_share": "share of gradient (%)"}
    names |= {"view_distance": "view distance"}
    measured = ("mean_distance", "covariance_distance", "view_divergence", "content_divergence")
    names |= {name: f"{name.replace('_', ' ')} (validation)" for name in measured}
    names |= {"covariance_share": "covariance of raw penalty (%)"}
    columns = [column for column in names if column in curves]
    rows = []
    for (backbone, reg), mine in curves.groupby(ROW, sort=False):
        last = mine[mine["iteration"] > mine["iteration"].max() * (1 - 1 / _LAST)][columns].mean()
        row = {"backbone": backbone, "reg": reg, "weight": _weight(mine, weights[reg])}
        for column in columns:
            value = 100 * last[column] if column in _SHARES else last[column]
            row[names[column]] = f"{value:.3g}" if column in losses or value else HOLE
        first = mine[mine["iteration"] == mine["iteration"].min()]["penalty"].mean()
        row["penalty: first / last"] = f"{first / last['penalty']:.3g}" if last["penalty"] > 0 else HOLE
        rows.append(row)
    text = pd.DataFrame(rows)
    adapted = text["weight"].str.startswith("~").any()
    of_losses = f"{style.loss_label(losses[0])}'s" if len(losses) == 1 else "the losses' together"
    notes = [
        "Means over the last quarter of training, and over seeds. Share of gradient: norm of the weighted penalty's "
        f"gradient on the features, over that plus the norm of {of_losses}. View distance: mean squared distance of "
        "the two views' features over the features' variance, so that shrinking all features does not lower it. "
        f"{HOLE}: not recorded for one view."
        + (" ~: adapted to a given share of the gradient; the weight at the end." if adapted else "")
    ]
    if "mean_distance" in columns:
        notes.append(
            "Mean and covariance distance, of every row: squared distances of the averaged network's statistics "
            "under the first and the last case of the validation, the means' over the features' variance, the "
            "covariances' over their own squared norms (2: nothing in common)."
        )
    if "view_divergence" in columns:
        notes.append(
            "View and content divergence, of every row: symmetric Kullback-Leibler divergence, per channel, of the "
            "statistics of two views of one image under the degradation that is trained on, and of two images; no "
            "affine map of the features changes either. An alignment should lower the first beside the second; a "
            "second near 0 means features that do not depend on the image."
        )
        notes.append(
            "Covariance of raw penalty: what ‖ΔΣ‖² is of ‖Δμ‖² + ‖ΔΣ‖² for these views, the penalty of `linear`; it "
            "changes with the scale of the features. Below 1 % `linear`, and `rff` where its map is nearly linear, "
            "align means alone."
        )
    return tables.write_text(text, text, stem, left=2, title=title, notes=notes)


def _weight(curves: pd.DataFrame, setting: float) -> str:
    """The weight of the settings; of one that was adapted, its mean over seeds at the end."""
    adapted = curves["weight"].dropna() if "weight" in curves else pd.Series(dtype=float)
    return f"~{curves.groupby('seed')['weight'].last().mean():.3g}" if len(adapted) else f"{setting:g}"


def representation(separation: pd.DataFrame, stem: Path, *, title: str) -> Table:
    """Calinski-Harabasz indices of every run, by degradation and by content (Fig. 8)."""
    rows = []
    for (backbone, reg, seed), mine in separation.groupby([*ROW, "seed"], sort=False):
        row = {"backbone": backbone, "reg": reg, "seed": str(seed)}
        for _, one in mine.iterrows():
            interval = HOLE if pd.isna(one["low"]) else f"{one['chi']:.3g} [{one['low']:.3g}, {one['high']:.3g}]"
            row[f"{one['layer']} by {one['label']}"] = interval
        rows.append(row)
    text = pd.DataFrame(rows)
    notes = [
        "Calinski-Harabasz index of crops under all test cases, in the space of the features that enter a layer (the "
        "last convolution, the first and the middle block), with 95 % bootstrap intervals over crops. By "
        "degradation, lower is more invariant. Crops of one image are not independent, so intervals of few images "
        "are too narrow."
    ]
    return tables.write_text(text, text, stem, left=3, title=title, notes=notes)


def interaction(strengths: pd.DataFrame, stem: Path, *, title: str) -> Table:
    """Strength of interaction of the lowest and the highest order, and what Dropout leaves of the highest.

    `strengths` as from `interaction_strengths`.
    """
    rows = []
    for (backbone, reg), mine in strengths.groupby(ROW, sort=False):
        plain = mine[mine["rate"] == 0].set_index("order")["strength"]
        row = {"backbone": backbone, "reg": reg}
        row |= {f"order {order}": f"{plain[order]:.3g}" for order in (plain.index[0], plain.index[-1])}
        for one in mine[mine["rate"] > 0].itertuples():
            left = f"{100 * one.share:.0f} [{100 * one.low:.0f}, {100 * one.high:.0f}]"
            row[f"left at rate {one.rate:g} (%)"] = HOLE if pd.isna(one.share) else left
        rows.append(row)
    text = pd.DataFrame(rows)
    notes = [
        "Root mean square over the pixels of an SR crop, pairs of neighbouring patches and seeds, in levels of 0 to "
        "255. Order: how many other patches are there. Left: strength of the highest order under Dropout of the "
        "other patches, of that without, with a 95 % bootstrap interval over crops; Lemma 3.1 predicts less than 100."
    ]
    return tables.write_text(text, text, stem, left=2, title=title, notes=notes)


def interaction_strengths(strengths: pd.DataFrame, resamples: int = 2000) -> pd.DataFrame:
    """Strength per backbone, reg, order and rate: root of the mean over pairs and seeds, not below 0.

    `share` is that over the strength of the same order without Dropout, `low` and `high` its 95 % percentiles when
    crops are resampled; NaN where there is no interaction, and for one crop.
    """
    rows = []
    for (backbone, reg), mine in strengths.groupby(ROW, sort=False):
        wide = mine.pivot_table(index=_CROP, columns=["order", "rate"], values="squared_strength")
        for order, rate in wide.columns:
            base, own = (wide[order, which].to_numpy() for which in (0.0, rate))
            strength = np.sqrt(max(own.mean(), 0))
            rows.append([backbone, reg, order, rate, strength, *_share(own, base, resamples)])
    return pd.DataFrame(rows, columns=[*ROW, "order", "rate", "strength", "share", "low", "high"])


def trained_with(strengths: pd.DataFrame, reg: str, baseline: str, resamples: int = 2000) -> pd.DataFrame:
    """Interaction of networks trained with a regularizer over that of the baseline, for each order.

    A network that adds less has weaker interactions of everything; so each squared strength is divided by the mean
    square of what the network adds to a bicubic upsampling, `added_energy`, before the two are compared.

    Args:
        strengths: As the analyse stage writes interaction.csv, of all runs.
        reg: Regularizer.
        baseline: That it is compared with.
        resamples: Of the bootstrap over crops.

    Returns:
        Columns backbone, order, share (root of the quotient; 1: no change), low and high (95 % interval over crops,
        NaN for one crop); empty where one of the two, or the energies, are missing.
    """
    rows = []
    columns = ["backbone", "order", "share", "low", "high"]
    if "added_energy" not in strengths:
        return pd.DataFrame(columns=columns)
    plain = strengths[strengths["rate"] == 0]
    for backbone, mine in plain.groupby("backbone", sort=False):
        if not {reg, baseline} <= set(mine["reg"]):
            continue
        for order, own in mine.groupby("order"):
            sides = [
                own[own["reg"] == name].groupby(_CROP)[["squared_strength", "added_energy"]].mean().to_numpy()
                for name in (reg, baseline)
            ]
            rows.append([backbone, order, *_share(sides[0], sides[1], resamples)])
    return pd.DataFrame(rows, columns=columns)


def _share(of: NDArray[np.float64], base: NDArray[np.float64], resamples: int) -> tuple[float, float, float]:
    """Root of the quotient of two mean squared strengths, with its 95 % percentiles when crops are resampled.

    Both are (crops,), or (crops, 2) with what each is relative to in the second column.
    """
    count = len(of)
    weights = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), size=resamples) / count
    weights = np.concatenate([np.full((1, count), 1 / count), weights])
    means = [weights @ side for side in (of, base)]
    above, below = (side if side.ndim == 1 else _ratio(side[:, 0], side[:, 1]) for side in means)
    share, *drawn = np.sqrt(_ratio(above, below))
    known = [value for value in drawn if not np.isnan(value)]
    low, high = np.quantile(known, [0.025, 0.975]) if known and count > 1 else (np.nan, np.nan)
    return float(share), float(low), float(high)


def _ratio(of: ArrayLike, base: ArrayLike) -> NDArray[np.float64]:
    """Quotient of two squared strengths, each an estimate that can fall below 0; NaN without a base."""
    above, below = np.clip(of, 0, None), np.asarray(base)
    return np.divide(above, below, out=np.full(np.shape(below), np.nan), where=below > 0)
