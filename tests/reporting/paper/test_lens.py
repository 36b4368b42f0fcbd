"""Bounds of detail from printed PSNR: by hand, and against networks that are known."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from blindsr.reporting.gain_split import gain_db
from blindsr.reporting.paper import lens, paper_tables

REAL = {  # PSNR in dB of bicubic upsampling, measured
    "Set5": [26.69, 24.89, 22.10, 23.77, 21.30, 22.97, 22.54, 21.91],
    "Set14": [24.46, 23.23, 21.04, 22.58, 20.41, 21.95, 21.54, 21.12],
    "BSD100": [24.63, 23.66, 21.08, 23.16, 20.60, 22.65, 21.98, 21.64],
}


def bicubic() -> pd.DataFrame:
    return pd.DataFrame.from_dict(REAL, orient="index", columns=paper_tables.CASES)


def test_bounds_by_hand() -> None:
    """10 log10(4/3) dB above: m = 3/4, so c >= 1/2. 10 log10(1.25) dB below: g >= 1/2."""
    above = lens.bounds(20 + 10 * np.log10(4 / 3), 20.0)
    assert above.least_cosine == pytest.approx(0.5)
    assert above.least_amplitude == pytest.approx(1 - np.sqrt(0.75))
    below = lens.bounds(20 - 10 * np.log10(1.25), 20.0)
    assert below == (0.0, pytest.approx(0.5))
    assert lens.bounds(20.0, 20.0) == (0.0, 0.0)


@pytest.mark.parametrize("cosine", [0.0, 0.2, 0.5, 0.9])
@pytest.mark.parametrize("amplitude", [0.05, 0.3, 0.8, 1.7])
def test_every_network_is_within_its_bounds(cosine: float, amplitude: float) -> None:
    found = lens.bounds(20 + float(gain_db(cosine, amplitude)), 20.0)
    assert found.least_cosine <= cosine + 1e-12
    assert found.least_amplitude <= amplitude + 1e-12


def test_turning_down_passes_every_psnr_up_to_that_of_bicubic() -> None:
    """A network 1 dB below bicubic, with detail of any direction: some α in [0, 1] has the PSNR of the method."""
    for cosine in (-0.5, 0.0, 0.3):
        amplitude = cosine + np.sqrt(cosine**2 - 1 + 10**0.1)
        assert float(gain_db(cosine, amplitude)) == pytest.approx(-1)
        along = gain_db(cosine, np.linspace(0, 1, 10_001) * amplitude)
        assert np.abs(along - -0.4).min() < 1e-3
    assert lens.reached(25.0, 25.6, [26.0]) == lens.DOWN
    assert lens.reached(25.0, 25.6, [25.5, 25.7]) == lens.DOWN
    assert lens.reached(25.0, 26.1, [26.0]) == lens.MORE
    assert lens.reached(25.0, 25.0, [26.0]) == lens.NO_GAIN


def test_the_papers_clean_values_are_mostly_below_bicubic(tmp_path: Path) -> None:
    rows = lens.frame({"bicubic": bicubic()}, paper_tables.CASES)
    assert len(rows) == 3 * 4 * 8
    clean = rows[rows["case"] == "clean"]
    assert (clean["baseline"] < clean["bicubic"]).sum() == 11
    assert (clean["ours"] < clean["bicubic"]).sum() == 9
    cell = rows[(rows["benchmark"] == "Set5") & (rows["backbone"] == "SRResNet") & (rows["case"] == "clean")].iloc[0]
    assert (cell["baseline"], cell["bicubic"]) == (24.85, 26.69)
    assert cell["gain"] == lens.DOWN
    assert cell["least_amplitude"] == pytest.approx(np.sqrt(10**0.184 - 1))
    table = lens.write(rows, tmp_path / "lens", title="Paper", notes=[])
    assert any("11 of 12 baselines and 9 of 12 values of ours" in note for note in table.notes)
    assert len(table.rows) == 96


def test_what_was_not_measured_is_left_out() -> None:
    means = bicubic()
    means.loc["Set14", "blur"] = np.nan
    rows = lens.frame({"bicubic": means.drop(index="Set5")}, ["clean", "blur", "own"])
    assert set(zip(rows["benchmark"], rows["case"], strict=True)) == {
        ("Set14", "clean"), ("BSD100", "clean"), ("BSD100", "blur"),
    }  # fmt: skip
    assert lens.frame({"bicubic": means.iloc[:0]}, ["clean"]).empty
