"""Figures of added detail: the same bytes twice, not empty, and everything named."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from blindsr.reporting import detail_figures

CASES = ["clean", "b+n+j"]


def scores(backbones: list[str]) -> pd.DataFrame:
    generator = np.random.default_rng(0)
    rows = [
        ("Toy", backbone, reg, seed, case, 0.3 + 0.1 * generator.random(), 0.5 + generator.random())
        for backbone in backbones for reg in ("none", "rff") for seed in (0, 1) for case in CASES for _ in range(3)
    ]  # fmt: skip
    names = ["benchmark", "backbone", "reg", "seed", "case", "detail_cosine", "detail_amplitude"]
    return pd.DataFrame(rows, columns=names)


def curves(backbones: list[str]) -> pd.DataFrame:
    rows = [(backbone, reg, seed, iteration) for backbone in backbones for reg in ("none", "rff")
            for seed in (0, 1) for iteration in (20, 40, 60)]  # fmt: skip
    found = pd.DataFrame(rows, columns=["backbone", "reg", "seed", "iteration"])
    for case in ("training", "clean", "b-n-j"):
        for measure in ("psnr_db", "detail_cosine", "detail_amplitude"):
            found[f"{measure}_{case}"] = found["iteration"].where(found["iteration"] != 20) / 60
    return found


def test_points_stand_among_lines_of_equal_psnr(tmp_path: Path) -> None:
    for stem in ("a", "b"):
        detail_figures.cosine_and_amplitude(scores(["net", "other"]), CASES, tmp_path / stem, title="Toy (small)")
    drawn = (tmp_path / "a.svg").read_text()
    assert drawn == (tmp_path / "b.svg").read_text()
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    for word in ("none", "rff", "clean", "b+n+j", "detail amplitude", "other", " dB"):
        assert word in drawn


@pytest.mark.parametrize("spread", [0.0, 1.0])
def test_one_row_or_points_that_coincide_are_drawn(tmp_path: Path, spread: float) -> None:
    table = scores(["net"]).query("reg == 'none'")
    table["detail_cosine"] = 0.3 + spread * (table["detail_cosine"] - 0.3)
    table["detail_amplitude"] = 0.5
    detail_figures.cosine_and_amplitude(table, ["clean"], tmp_path / "one", title="T")
    assert (tmp_path / "one.svg").stat().st_size > 5000


def test_curves_have_a_column_for_each_case(tmp_path: Path) -> None:
    for stem in ("a", "b"):
        detail_figures.curves_of_detail(curves(["net"]), tmp_path / stem, title="Toy (small)")
    drawn = (tmp_path / "a.svg").read_text()
    assert drawn == (tmp_path / "b.svg").read_text()
    for word in ("as in training", "clean", "b+n+j", "detail cosine", "detail amplitude", "PSNR (dB)", "iteration"):
        assert word in drawn


def test_curves_without_detail_are_no_figure(tmp_path: Path) -> None:
    plain = curves(["net"])[["backbone", "reg", "seed", "iteration"]]
    detail_figures.curves_of_detail(plain, tmp_path / "none", title="T")
    assert not list(tmp_path.iterdir())
