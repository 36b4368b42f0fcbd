"""The blocks of the settings: the degradation as the paper and its released settings have it, and what is refused."""

import pytest
from pydantic import ValidationError

import committed
from blindsr.config.schema import DegradationParams

PAPER = DegradationParams.model_validate(committed.settings()["degradation"])


def test_defaults_are_those_of_the_released_settings() -> None:
    config = PAPER
    assert (config.first.sigma, config.second.sigma) == ((0.2, 3), (0.2, 1.5))
    assert (config.first.resize, config.second.resize) == ((0.15, 1.5), (0.3, 1.2))
    assert (config.first.noise_sigma, config.second.noise_sigma) == ((1, 30), (1, 25))
    assert (config.first.poisson_scale, config.second.poisson_scale) == ((0.05, 3), (0.05, 2.5))
    assert (config.first.blur_probability, config.second.blur_probability) == (1, 0.8)
    assert config.first.resize_probabilities == {"up": 0.2, "down": 0.7, "keep": 0.1}
    assert config.second.resize_probabilities == {"up": 0.3, "down": 0.4, "keep": 0.3}
    assert config.first.jpeg_quality == config.second.jpeg_quality == (30, 95)
    assert config.final_sinc_probability == 0.8


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("sinc_probability", 1.2, "less than or equal to 1"),
        ("grey_probability", -0.1, "greater than or equal to 0"),
        ("kernel_probabilities", {"iso": 0.5, "aniso": 0.4}, "must add up to 1, not 0.9"),
        ("kernel_probabilities", {"iso": 1.5, "aniso": -0.5}, "greater than or equal to 0"),
        ("kernel_probabilities", {"skew": 1.0}, "skew"),
        ("resize_probabilities", {"up": 0.5}, "not 0.5"),
        ("sigma", (3, 0.2), r"must be \[smallest, largest\], not \[3.0, 0.2\]"),
        ("sigma", (0, 1), "greater than 0"),
        ("jpeg_quality", (30, 100), "less than or equal to 99"),
        ("kernel_sizes", (7, 23), "less than or equal to 21"),
        ("kernel_sizes", (8, 20), "odd sizes"),
        ("resize", (0.2, 0.9), "resize must contain 1"),
        ("betap", (1.5, 2), "betap must contain 1"),
        ("sigma", "wide", "tuple"),
        ("sharpness", 1, "Extra inputs are not permitted"),
    ],
)
def test_wrong_settings_are_refused(setting: str, value: object, message: str) -> None:
    known = PAPER.model_dump()
    for which in ("first", "second"):
        with pytest.raises(ValidationError, match=message):
            DegradationParams.model_validate(known | {which: known[which] | {setting: value}})


def test_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        PAPER.final_sinc_probability = 0.1  # type: ignore[misc]
