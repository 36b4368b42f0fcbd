"""Power of the test over seeds: against simulations and by hand, and the table of it."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from blindsr.reporting import power, statistics
from blindsr.reporting.statistics import Components


def simulated(seeds: int, images: int, between: float, effect: float, repetitions: int = 1000) -> np.ndarray:
    """p-values of so many experiments; images gain with a standard deviation of 0.5, runs differ by `between`."""
    generator = np.random.default_rng([seeds, images])
    gain = effect + 0.5 * generator.normal(size=(1, images, repetitions))
    runs = [between * generator.normal(size=(seeds, 1, repetitions)) for _ in range(2)]
    own = [0.01 * generator.normal(size=(seeds, images, repetitions)) for _ in range(2)]
    return statistics.compare(25 + gain + runs[0] + own[0], 25 + runs[1] + own[1], resamples=1000).p


@pytest.mark.parametrize(("seeds", "images", "effect"), [(3, 100, 0.25), (5, 30, 0.2), (3, 30, 0.5)])
def test_it_is_the_share_that_is_found(seeds: int, images: int, effect: float) -> None:
    found = np.mean(simulated(seeds, images, 0.08, effect) < 0.05)
    wanted = power.power(effect, seeds, Components(0.25 / images, images - 1, 0.0064, 0.0064))
    assert 0.2 < wanted < 0.999
    assert found == pytest.approx(wanted, abs=0.08)  # the test estimates the components that are known here


def test_it_is_that_of_the_noncentral_t_distribution() -> None:
    of = Components(0.02, 12, 0.01, 0.03)
    error = 0.02 + 0.04 / 4
    degrees = error**2 / (0.02**2 / 12 + 0.0025**2 / 3 + 0.0075**2 / 3)
    critical, shift = stats.t.ppf(0.975, degrees), 0.4 / np.sqrt(error)
    wanted = stats.nct.sf(critical, degrees, shift) + stats.nct.cdf(-critical, degrees, shift)
    assert power.power(0.4, 4, of) == pytest.approx(wanted, abs=1e-3)
    assert power.power(0.0, 4, of) == pytest.approx(0.05, abs=1e-3)
    assert power.power(1e3, 4, of) == pytest.approx(1)


def test_more_runs_find_less_until_the_images_are_the_limit() -> None:
    of = Components(0.01, 20, 0.04, 0.04)
    needed = [power.seeds_needed(difference, of) for difference in (1.0, 0.5, 0.35)]
    assert needed == sorted(needed, key=lambda count: count or 999)
    assert needed[0] is not None
    assert needed[2] is not None
    assert needed[2] > needed[0]
    assert power.power(0.35, needed[2], of) >= 0.8 > power.power(0.35, needed[2] - 1, of)
    assert power.seeds_needed(0.1, of) is None
    assert power.seeds_needed(0.1, of._replace(images=1e-6)) is not None
    assert power.power(0.1, 3, Components(0, 1, 0, 0)) == 1


def test_components_by_hand() -> None:
    """Runs that are 0.2 apart on every image; images whose gain has a variance of 2 in one group, 0 in another."""
    base = np.zeros((2, 4, 1))
    gains = np.array([1.0, 3.0, 5.0, 5.0])[None, :, None] + np.array([0.0, 0.2])[:, None, None]
    found = statistics.components(gains, base, groups=[2, 2])
    assert found.images == pytest.approx(2 / 2 / 4)
    assert found.freedom == pytest.approx(1)
    assert (found.method, found.baseline) == pytest.approx((0.02, 0))
    with pytest.raises(ValueError, match="two seeds"):
        statistics.components(gains[:1], base)


def test_the_table_has_a_row_for_each_regularizer(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    rows = [
        ("Toy", case, f"{image}", 25 + image % 5 + gain + 0.1 * run + 0.02 * generator.normal(), "net", reg, seed)
        for reg, gain in (("none", 0.0), ("rff", 0.3))
        for seed, run in enumerate(generator.normal(size=3))
        for case in ("clean", "noise")
        for image in range(20)
    ]
    names = ["benchmark", "case", "image", "psnr_db", "backbone", "reg", "seed"]
    found = power.frame(pd.DataFrame(rows, columns=names), ["Toy", "Gone"], ["clean", "noise"])
    assert found[["backbone", "reg"]].to_numpy().tolist() == [["net", "rff"]]
    assert found["runs"].item() == pytest.approx(0.14, abs=0.1)
    assert found["images"].item() < 0.01
    assert found["0.5 dB"].item() <= found["0.2 dB"].item()
    table = power.write(found, tmp_path / "power", title="T", notes=[])
    assert "with a chance of 80%" in table.notes[0]
    one = pd.DataFrame([row for row in rows if row[-1] == 0], columns=names)
    assert power.frame(one, ["Toy"], ["clean", "noise"]).empty
