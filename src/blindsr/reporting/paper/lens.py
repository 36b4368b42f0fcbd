"""What the printed PSNR of the paper can say of detail: bounds from bicubic and bilinear upsampling alone.

With PSNR = PSNR(B) - 10 log10(1 - 2gc + g²) for the bicubic upsampling B (see `reporting.gain_split`), a PSNR and
that of B leave one equation for the cosine c and the amplitude g of the added detail:

- Above B, c is at least √(1 - m) with m = 10^(-(PSNR - PSNR(B)) / 10): no amplitude makes up for a wrong direction.
- Below B, g is at least √(m - 1) unless the detail points away from the truth (c < 0).
- A network whose added detail is turned down, from all of it to none, passes every PSNR between its own and that of
  B, since PSNR changes without a jump. So where the baseline is below a method, and the method not above B, the whole
  gain can be had that way. The same holds of what it adds to any other interpolation, such as the bilinear one.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from blindsr.reporting import tables
from blindsr.reporting.paper import published
from blindsr.reporting.scores import BASELINE
from blindsr.reporting.tables import HOLE, Table

METHOD = "rff"
DOWN, MORE, NO_GAIN = "turned down", "needs direction or more", "no gain"
"""How the printed gain can be had of the baseline: by turning its detail down, not by that alone, or there is none.
"""


class Bounds(NamedTuple):
    """What a PSNR says beside that of the bicubic upsampling of the same images."""

    least_cosine: float
    """Smallest possible cosine of the added detail; 0 at or below bicubic, where every direction is possible."""
    least_amplitude: float
    """Smallest possible amplitude of the added detail, if its cosine is 0 or more."""


def bounds(psnr: float, bicubic: float) -> Bounds:
    """Bounds on cosine and amplitude of one image, or of a mean as if it were one.

    Args:
        psnr: Of the network, in dB.
        bicubic: Of the bicubic upsampling, in dB.
    """
    left = 10 ** (-(psnr - bicubic) / 10)
    if left <= 1:
        return Bounds(math.sqrt(1 - left), 1 - math.sqrt(left))
    return Bounds(0.0, math.sqrt(left - 1))


def reached(baseline: float, method: float, upsampled: Sequence[float]) -> str:
    """How a gain can be had: `DOWN`, `MORE` or `NO_GAIN`.

    Args:
        baseline: PSNR in dB without the method.
        method: With it.
        upsampled: Of the interpolations towards which the baseline's detail can be turned down.
    """
    if method <= baseline:
        return NO_GAIN
    return DOWN if method <= max(upsampled) else MORE


def frame(upsampled: Mapping[str, pd.DataFrame], cases: Sequence[str]) -> pd.DataFrame:
    """A row for each cell of the paper's main table whose interpolations were measured here.

    Args:
        upsampled: "bicubic" and, if there is one, "bilinear" -> mean PSNR in dB, benchmark x case.
        cases: Those that are here; others of the paper are left out.

    Returns:
        Columns benchmark, backbone, case, the interpolations, baseline, ours, least_cosine (of ours),
        least_amplitude (of the baseline) and gain (one of `DOWN`, `MORE`, `NO_GAIN`).
    """
    printed = published.load()
    main = printed[printed["table"] == "psnr_main"]
    wide = main.pivot_table(
        index=["dataset", "backbone", "degradation"], columns="regularizer", values="value", sort=False
    )
    rows = []
    for (benchmark, backbone, case), values in wide.iterrows():
        if case not in cases or benchmark not in upsampled["bicubic"].index:
            continue
        known = {name: float(means.loc[benchmark, case]) for name, means in upsampled.items()}
        if any(map(math.isnan, known.values())):
            continue
        baseline, ours = float(values[BASELINE]), float(values[METHOD])
        rows.append(
            {"benchmark": benchmark, "backbone": backbone, "case": case}
            | known
            | {
                "baseline": baseline,
                "ours": ours,
                "least_cosine": bounds(ours, known["bicubic"]).least_cosine,
                "least_amplitude": bounds(baseline, known["bicubic"]).least_amplitude,
                "gain": reached(baseline, ours, list(known.values())),
            }
        )
    return pd.DataFrame(rows)


def write(rows: pd.DataFrame, stem: Path, *, title: str, notes: Sequence[str]) -> Table:
    """Write the table of `frame` with its counts as <stem>.csv, .md and .tex."""
    text = rows.copy()
    for column in rows.columns.drop(["benchmark", "backbone", "case", "gain"]):
        text[column] = [HOLE if pd.isna(value) else f"{value:.2f}" for value in rows[column]]
    text = text.rename(columns={"least_cosine": "cosine of ours ≥", "least_amplitude": "amplitude of baseline ≥"})
    return tables.write_text(text, text, stem, left=3, title=title, notes=[*_how_to_read(rows), *notes])


def _how_to_read(rows: pd.DataFrame) -> list[str]:
    gains = rows[rows["gain"] != NO_GAIN]
    clean = rows[rows["case"] == "clean"]
    down = int((gains["gain"] == DOWN).sum())
    notes = [
        f"Baseline and ours are printed in the paper, PSNR in dB; interpolations are measured here. In {down} of "
        f"the {len(gains)} cells with a gain, ours is not above the better interpolation: turning down what the "
        f"baseline adds to that one (`{DOWN}`) passes that PSNR, whatever its direction. In the others "
        f"(`{MORE}`) the cosine of ours must reach the bound given, and whether the baseline's does is unknown.",
        "Bounds are of an image that has the mean PSNR: what is added has at least that cosine, or, at a cosine of 0 "
        "or more, at least that amplitude.",
    ]
    if len(clean):
        below = [int((clean[side] < clean["bicubic"]).sum()) for side in ("baseline", "ours")]
        notes.append(
            f"On clean inputs {below[0]} of {len(clean)} baselines and {below[1]} of {len(clean)} values of ours are "
            "below bicubic."
        )
    return notes
