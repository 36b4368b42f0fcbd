"""The rescaled baseline: its numbers by hand and against pictures, and which runs have one."""

import numpy as np
import pandas as pd
import pytest

from blindsr.plugins.metrics.operators.detail import DetailOf
from blindsr.reporting import rescaled
from blindsr.reporting.rescaled import RESCALED


def scores(**columns: list[float]) -> pd.DataFrame:
    """One image under one case of net-none and net-rff, seed 0."""
    table = pd.DataFrame(
        {"benchmark": "Toy", "case": "clean", "image": "a", "backbone": "net", "reg": ["none", "rff"], "seed": 0}
    )
    given = {"psnr_db": [20.0, 21.0], "detail_cosine": [0.6, 0.6], "detail_amplitude": [1.0, 0.5], "ssim": [0.5, 0.6]}
    return table.assign(**(given | columns))


def curves(**last: float) -> pd.DataFrame:
    """Two points of training for each regularizer; the scale is recorded at the last one."""
    rows = [("net", reg, 0, iteration, value if iteration == 8 else np.nan)
            for reg, value in last.items() for iteration in (4, 8)]  # fmt: skip
    return pd.DataFrame(rows, columns=["backbone", "reg", "seed", "iteration", rescaled.SCALE])


def test_numbers_by_hand() -> None:
    """c = 0.6: g = 1 has -10 log10(0.8) over B, g = 0.6, which is the best, -10 log10(1 - 0.36)."""
    (row,) = rescaled.rows(scores(), rescaled.scales(curves(none=0.6, rff=0.3))).to_dict("records")
    assert (row["reg"], row["backbone"], row["seed"], row["image"]) == (RESCALED, "net", 0, "a")
    assert row["psnr_db"] == pytest.approx(20 + 10 * np.log10(0.8) - 10 * np.log10(0.64))
    assert (row["detail_cosine"], row["detail_amplitude"]) == (0.6, 0.6)
    assert np.isnan(row["ssim"])


def test_it_is_what_a_picture_would_have() -> None:
    """SR' = B + a (SR - B) of a random picture, before rounding to 8 bits moves it by a level."""
    generator = np.random.default_rng(0)
    lr = generator.integers(60, 190, (16, 16, 3), dtype=np.uint8)
    from blindsr.data.images import bicubic_upscale

    base = bicubic_upscale(lr, 4).astype(float)
    missing = generator.normal(0, 15, base.shape)
    hr = np.clip(base + missing, 0, 255).round()
    sr = np.clip(base + 0.5 * missing + generator.normal(0, 10, base.shape), 0, 255).round()
    scaled = np.clip(base + 0.7 * (sr - base), 0, 255).round()
    one, wanted = (DetailOf(4)(made.astype(np.uint8), hr.astype(np.uint8), lr) for made in (sr, scaled))
    table = scores(
        psnr_db=[one.psnr, 0], detail_cosine=[one.cosine, 0], detail_amplitude=[one.amplitude, 0], ssim=[0, 0]
    )
    (row,) = rescaled.rows(table, rescaled.scales(curves(none=0.7))).to_dict("records")
    assert row["psnr_db"] == pytest.approx(wanted.psnr, abs=0.01)
    assert row["detail_cosine"] == pytest.approx(wanted.cosine, abs=0.002)


def test_what_adds_nothing_stays() -> None:
    table = scores(detail_cosine=[np.nan, 0.1], detail_amplitude=[0.0, 0.5])
    (row,) = rescaled.rows(table, rescaled.scales(curves(none=0.2))).to_dict("records")
    assert (row["psnr_db"], row["detail_amplitude"]) == (20.0, 0.0)


def test_runs_without_a_scale_or_a_metric_have_none() -> None:
    known = rescaled.scales(curves(none=0.5))
    assert rescaled.rows(scores().drop(columns="detail_cosine"), known).empty
    assert rescaled.rows(scores(), rescaled.scales(curves(rff=0.5))).empty
    assert rescaled.rows(scores(), rescaled.scales(curves(none=0.5).drop(columns=rescaled.SCALE))).empty
    two = pd.concat([scores(), scores().assign(seed=1)])
    assert rescaled.rows(two, known)["seed"].tolist() == [0]
