"""The sealed suite: repeatable, within its ranges, and different from the public one."""

import logging

import pytest

from blindsr.apps import sealed
from blindsr.data import suite
from blindsr.runtime.errors import UserError

SECRET = "0f3c5e1a9b7d4c2e8f60"


def test_the_same_secret_draws_the_same_suite_and_another_another() -> None:
    one = sealed.draw(suite.PAPER, SECRET)
    assert one == sealed.draw(suite.PAPER, SECRET)
    other = sealed.draw(suite.PAPER, SECRET + "x")
    assert (one.seed, one.cases["b+n+j"]) != (other.seed, other.cases["b+n+j"])
    assert len({sealed.digest(each) for each in (suite.PAPER, one, other)}) == 3


def test_each_part_of_each_case_is_drawn_by_itself_within_its_range() -> None:
    suites = [sealed.draw(suite.PAPER, f"{SECRET} {number}") for number in range(50)]
    drawn: dict[str, set[float]] = {"blur": set(), "noise": set(), "jpeg": set()}
    for made in suites:
        assert list(made.cases) == list(suite.PAPER.cases)
        for name, case in made.cases.items():
            public = suite.PAPER.cases[name]
            assert [case.blur is None, case.noise_sigma is None, case.jpeg_quality is None] == [
                public.blur is None, public.noise_sigma is None, public.jpeg_quality is None
            ]  # fmt: skip
            drawn["blur"] |= {case.blur.sigma} if case.blur else set()
            drawn["noise"] |= {case.noise_sigma} if case.noise_sigma else set()
            drawn["jpeg"] |= {case.jpeg_quality} if case.jpeg_quality else set()
    for values, (low, high) in zip(
        drawn.values(), (sealed.BLUR_SIGMA, sealed.NOISE_SIGMA, sealed.JPEG_QUALITY), strict=True
    ):
        assert low <= min(values) < low + 0.1 * (high - low)
        assert high - 0.1 * (high - low) < max(values) <= high
    one = suites[0].cases
    assert one["noise"].noise_sigma != one["b+n"].noise_sigma


def test_a_part_of_the_cases_is_drawn_as_in_the_whole() -> None:
    part = sealed.draw(suite.select(suite.PAPER, ["jpeg"]), SECRET)
    assert part.cases["jpeg"] == sealed.draw(suite.PAPER, SECRET).cases["jpeg"]


def test_a_secret_that_can_be_guessed_is_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        sealed.draw(suite.PAPER, SECRET)
        assert not caplog.messages
        sealed.draw(suite.PAPER, "7")
    assert "anyone can find it by trying" in caplog.text
    with pytest.raises(UserError, match="a text that nobody guesses"):
        sealed.draw(suite.PAPER, " ")
