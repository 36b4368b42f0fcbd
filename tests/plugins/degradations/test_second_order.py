"""What the second-order degradation draws, and what is refused."""

import dataclasses
import math
from typing import Any

import pytest
from scipy import stats

import committed
from blindsr.plugins.degradations.operators.blur import Kernel
from blindsr.plugins.degradations.second_order import Drawn, Pass, build
from blindsr.runtime.errors import UserError
from second_order import PAPER, degrade, draw, generator, natural

DRAWS = 6000


@pytest.fixture(scope="module")
def drawn() -> list[Drawn]:
    config = PAPER
    return [draw(config, generator(1, i), 240) for i in range(DRAWS)]


def test_defaults_are_those_of_the_released_settings() -> None:
    first, second = PAPER.first, PAPER.second
    assert (first.sigma, second.sigma) == ((0.2, 3), (0.2, 1.5))
    assert (first.resize, second.resize) == ((0.15, 1.5), (0.3, 1.2))
    assert (first.noise_sigma, second.noise_sigma) == ((1, 30), (1, 25))
    assert (first.poisson_scale, second.poisson_scale) == ((0.05, 3), (0.05, 2.5))
    assert (first.blur_probability, second.blur_probability) == (1, 0.8)
    assert first.resize_probabilities == {"up": 0.2, "down": 0.7, "keep": 0.1}
    assert second.resize_probabilities == {"up": 0.3, "down": 0.4, "keep": 0.3}
    assert list(first.kernel_probabilities.values()) == [0.45, 0.25, 0.12, 0.03, 0.12, 0.03]
    assert first.jpeg_quality == second.jpeg_quality == (30, 95)
    assert PAPER.final_sinc_probability == 0.8


def test_the_composed_settings_are_the_defaults() -> None:
    composed = build(**committed.settings()["degradation"]["settings"])
    assert (composed.first, composed.second) == (PAPER.first, PAPER.second)
    assert composed.final_sinc_probability == PAPER.final_sinc_probability


def test_the_order_in_which_probabilities_are_written_changes_no_draw() -> None:
    reversed_ = dict(reversed(PAPER.first.resize_probabilities.items()))
    other = build(first={"resize_probabilities": reversed_})
    assert [draw(other, generator(9, i), 240) for i in range(20)] == [
        draw(PAPER, generator(9, i), 240) for i in range(20)
    ]


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("sinc_probability", 1.2, r"must be in \[0, 1\], not 1.2"),
        ("grey_probability", -0.1, r"must be in \[0, 1\], not -0.1"),
        ("kernel_probabilities", {"iso": 0.5, "aniso": 0.4}, "must add up to 1, not 0.9"),
        (
            "kernel_probabilities",
            {"iso": 1.5, "aniso": -0.5},
            "kernel_probabilities.iso must be in",
        ),
        ("kernel_probabilities", {"skew": 1.0}, "skew"),
        ("resize_probabilities", {"up": 0.5}, "not 0.5"),
        ("sigma", (3, 0.2), r"must be \[smallest, largest\], not \[3, 0.2\]"),
        ("sigma", (0, 1), "greater than 0"),
        ("sigma", (0.2, 1e9), r"must be in \[0.01, 100\], not 1e\+09"),
        ("noise_sigma", (-1, 1), r"must be in \[0, 255\], not -1"),
        ("poisson_scale", (0, 1e6), r"must be in \[0, 100\]"),
        ("resize", (1e-6, 1.5), r"must be in \[0.01, 8\], not 1e-06"),
        ("resize", (0.5, 1000), r"must be in \[0.01, 8\], not 1000"),
        ("betag", (0.5, 1e9), r"must be in \[0.05, 20\]"),
        ("jpeg_quality", (30, 100), r"must be in \[1, 99\], not 100"),
        ("kernel_sizes", (7, 23), r"must be in \[1, 21\], not 23"),
        ("kernel_sizes", (8, 20), "odd sizes"),
        ("resize", (0.2, 0.9), "resize must contain 1"),
        ("betap", (1.5, 2), "betap must contain 1"),
        ("sigma", "wide", "must be .smallest, largest., not 'wide'"),
        ("sharpness", 1, "has no setting 'sharpness': choose from kernel_sizes, "),
    ],
)
def test_wrong_settings_are_refused(setting: str, value: object, message: str) -> None:
    for which in ("first", "second"):
        with pytest.raises(ValueError, match=message) as caught:
            build(**{which: {setting: value}})
        assert str(caught.value).startswith(which)


# --- drawing ---------------------------------------------------------------------------------------------


def matches(values: list[Any], probabilities: dict[Any, float]) -> bool:
    """Whether how often each value occurs agrees with `probabilities`, by a generous chi-square test."""
    probabilities = {key: p for key, p in probabilities.items() if p > 0}
    assert set(values) <= set(probabilities)
    if len(probabilities) == 1:
        return True
    observed = [values.count(key) for key in probabilities]
    expected = [p * len(values) for p in probabilities.values()]
    return bool(stats.chisquare(observed, expected).pvalue > 1e-4)


def is_uniform(values: list[float], low: float, high: float) -> bool:
    assert low <= min(values)
    assert max(values) <= high
    return bool(stats.kstest(values, stats.uniform(low, high - low).cdf).pvalue > 1e-4)


def resizing(drawn_pass: Pass) -> str:
    return "keep" if drawn_pass.resize == 1 else "up" if drawn_pass.resize > 1 else "down"


@pytest.mark.parametrize("which", ["first", "second"])
def test_kernels_are_drawn_as_configured(drawn: list[Drawn], which: str) -> None:
    config = getattr(PAPER, which)
    passes = [getattr(d, which) for d in drawn]
    kernels = [p.kernel for p in passes if p.kernel is not None]
    blurred = config.blur_probability
    assert matches([p.kernel is not None for p in passes], {True: blurred, False: 1 - blurred})
    kinds = {kind: 0.9 * p for kind, p in config.kernel_probabilities.items()}
    assert matches([k.kind for k in kernels], {**kinds, "sinc": 0.1})
    assert matches([k.size for k in kernels], {size: 1 / 8 for size in range(7, 22, 2)})
    gaussian = [k for k in kernels if k.kind != "sinc"]
    assert is_uniform([k.sigma_x for k in gaussian], *config.sigma)
    aniso = [k for k in gaussian if k.kind.endswith("aniso")]
    assert is_uniform([k.sigma_y for k in aniso], *config.sigma)
    assert is_uniform([k.rotation for k in aniso], -math.pi, math.pi)
    for kind, (low, high) in (("generalized", config.betag), ("plateau", config.betap)):
        betas = [k.beta for k in gaussian if k.kind.startswith(kind)]
        above = [beta for beta in betas if beta > 1]
        below = [beta for beta in betas if beta <= 1]
        assert matches([beta > 1 for beta in betas], {True: 0.5, False: 0.5})
        assert is_uniform(above, 1, high)
        assert is_uniform(below, low, 1) if low < 1 else set(below) == {1.0}
    for small in (True, False):
        cutoffs = [k.cutoff for k in kernels if k.kind == "sinc" and (k.size < 13) == small]
        assert is_uniform(cutoffs, math.pi / 3 if small else math.pi / 5, math.pi)


@pytest.mark.parametrize("which", ["first", "second"])
def test_the_rest_is_drawn_as_configured(drawn: list[Drawn], which: str) -> None:
    config = getattr(PAPER, which)
    passes = [getattr(d, which) for d in drawn]
    assert matches([resizing(p) for p in passes], config.resize_probabilities)
    assert is_uniform([p.resize for p in passes if p.resize < 1], config.resize[0], 1)
    assert is_uniform([p.resize for p in passes if p.resize > 1], 1, config.resize[1])
    assert matches([p.mode for p in passes], dict.fromkeys(("area", "bilinear", "bicubic"), 1 / 3))
    assert matches([p.noise for p in passes], {"gaussian": 0.5, "poisson": 0.5})
    assert is_uniform([p.noise_level for p in passes if p.noise == "gaussian"], *config.noise_sigma)
    assert is_uniform([p.noise_level for p in passes if p.noise == "poisson"], *config.poisson_scale)
    assert matches([p.grey for p in passes], {True: 0.4, False: 0.6})
    assert is_uniform([p.jpeg_quality for p in passes], 30, 95)


def test_the_end_is_drawn_as_configured(drawn: list[Drawn]) -> None:
    assert matches([d.final_sinc is not None for d in drawn], {True: 0.8, False: 0.2})
    sincs = [d.final_sinc for d in drawn if d.final_sinc is not None]
    assert {k.kind for k in sincs} == {"sinc"}
    assert matches([k.size for k in sincs], {size: 1 / 8 for size in range(7, 22, 2)})
    assert is_uniform([k.cutoff for k in sincs], math.pi / 3, math.pi)
    assert matches([d.jpeg_last for d in drawn], {True: 0.5, False: 0.5})
    assert matches([d.final_mode for d in drawn], dict.fromkeys(("area", "bilinear", "bicubic"), 1 / 3))


def test_the_passes_are_independent(drawn: list[Drawn]) -> None:
    for field in ("resize", "jpeg_quality", "noise_level"):
        pair = [(getattr(d.first, field), getattr(d.second, field)) for d in drawn]
        assert abs(stats.spearmanr(pair).statistic) < 5 / DRAWS**0.5


def test_draw_is_determined_by_its_generator() -> None:
    config = PAPER
    assert draw(config, generator(3, 4), 240) == draw(config, generator(3, 4), 128, 400)
    assert draw(config, generator(3, 4), 240) != draw(config, generator(3, 5), 240)


def test_drawn_parameters_are_plain_values(drawn: list[Drawn]) -> None:
    def leaves(value: object) -> list[object]:
        if isinstance(value, dict):
            return [leaf for item in value.values() for leaf in leaves(item)]
        return [value]

    for d in drawn[:200]:
        assert {type(leaf) for leaf in leaves(dataclasses.asdict(d))} <= {int, float, bool, str, type(None)}
    with pytest.raises(dataclasses.FrozenInstanceError):
        drawn[0].jpeg_last = True  # type: ignore[misc]


def test_extreme_probabilities() -> None:
    config = build(
        first={"blur_probability": 0, "gaussian_probability": 1, "resize_probabilities": {"keep": 1}},
        second={"sinc_probability": 1, "grey_probability": 0, "kernel_sizes": (9, 9)},
        final_sinc_probability=0,
    )
    for i in range(50):
        d = draw(config, generator(0, i), 240)
        assert d.first.kernel is None
        assert (d.first.noise, d.first.resize, d.final_sinc) == ("gaussian", 1.0, None)
        if d.second.kernel is not None:
            assert (d.second.kernel.kind, d.second.kernel.size) == ("sinc", 9)
        assert not d.second.grey


def test_windows_too_small_are_refused_with_the_size_that_works() -> None:
    config = PAPER
    with pytest.raises(UserError, match="a window of 72 px is too small for this degradation: use at least 74 px"):
        draw(config, generator(0, 0), 240, 72)
    gentle = build(first={"resize": (0.9, 1.1)}, second={"resize": (0.9, 1.1)})
    with pytest.raises(UserError, match="use at least 44 px"):  # 11 px of LR, which the final sinc reflects
        draw(gentle, generator(0, 0), 43)
    harsh = Drawn(
        first=Pass(Kernel("iso", 21), config.first.resize[0], "area", "gaussian", 1.0, False, 50.0),
        second=Pass(Kernel("iso", 21), config.second.resize[0], "area", "gaussian", 1.0, False, 50.0),
        final_sinc=Kernel("sinc", 21, cutoff=2.0),
        final_mode="bilinear",
        jpeg_last=True,
    )
    assert degrade(natural(1, 76, 76), [harsh], [generator(0, 0)]).shape == (1, 3, 19, 19)
