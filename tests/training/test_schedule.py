import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from blindsr.config.schema import ScheduleParams
from blindsr.training.schedule import learning_rate


def schedule(
    periods: list[int] | None = None, weights: list[float] | None = None, floor: float = 0.0
) -> ScheduleParams:
    periods = periods or []
    weights = weights or [1.0] * max(1, len(periods))
    return ScheduleParams(periods=periods, restart_weights=weights, min_learning_rate=floor)


PAPER = schedule(floor=1e-7)
RELEASED = schedule([250_000, 500_000], [1, 1])


def test_equals_torch_over_one_period() -> None:
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=2e-4)
    oracle = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=50, eta_min=1e-7)
    for iteration in range(51):
        ours = learning_rate(schedule(floor=1e-7), 2e-4, iteration, 50)
        assert ours == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9, abs=1e-15)
        optimizer.step()
        oracle.step()


def test_paper_by_hand() -> None:
    """One cosine over 500k iterations: all, half in the middle, nothing; three quarters after a third."""
    for iteration, share in ((0, 1.0), (250_000, 0.5), (500_000, 0.0)):
        wanted = 1e-7 + share * (2e-4 - 1e-7)
        assert learning_rate(PAPER, 2e-4, iteration, 500_000) == pytest.approx(wanted, rel=1e-12)
    assert learning_rate(PAPER, 2e-4, 100_000, 300_000) == pytest.approx(1e-7 + 0.75 * (2e-4 - 1e-7), rel=1e-12)


@pytest.mark.parametrize(
    ("iteration", "wanted"),
    [
        (0, 2e-4),
        (125_000, 1e-4),
        (249_999, 2e-4 * math.sin(math.pi / 2 / 250_000) ** 2),
        (250_000, 0.0),  # the first cosine ends before the second begins
        (250_001, 2e-4 * math.cos(math.pi / 2 / 500_000) ** 2),
        (500_000, 1e-4),  # where the released training stops: half of the base
        (750_000, 0.0),
    ],
)
def test_released_settings_by_hand(iteration: int, wanted: float) -> None:
    assert learning_rate(RELEASED, 2e-4, iteration, 500_000) == pytest.approx(wanted, rel=1e-9, abs=1e-19)


def test_restart_weights_scale_the_part_above_the_minimum() -> None:
    restarts = schedule([10, 10, 10], [1, 0.5, 0.25], floor=0.1)
    got = [learning_rate(restarts, 1.1, iteration, 30) for iteration in (0, 5, 10, 15, 20, 25, 30)]
    assert got == pytest.approx([1.1, 0.6, 0.1, 0.1 + 0.25, 0.1, 0.1 + 0.125, 0.1])


def test_first_iteration_after_a_restart() -> None:
    restarts = schedule([4, 2], [1, 0.5])
    assert learning_rate(restarts, 1.0, 5, 6) == pytest.approx(0.5 * 0.5)


@pytest.mark.parametrize("periods", [[], [20], [5, 15]])
def test_stays_at_the_minimum_after_the_last_period(periods: list[int]) -> None:
    for iteration in (20, 21, 1000):
        assert learning_rate(schedule(periods, floor=0.01), 1.0, iteration, 20) == pytest.approx(0.01, rel=1e-12)


def test_no_periods_are_one_over_the_run() -> None:
    for iteration in range(0, 31, 5):
        assert learning_rate(schedule(), 1.0, iteration, 30) == learning_rate(schedule([30]), 1.0, iteration, 77)


@settings(deadline=None)
@given(
    periods=st.lists(st.integers(1, 40), max_size=4), base=st.floats(1e-5, 1.0), share=st.floats(0, 1),
    iteration=st.integers(0, 200),
)  # fmt: skip
def test_between_minimum_and_base_and_falling_within_a_period(
    periods: list[int], base: float, share: float, iteration: int
) -> None:
    settings_ = schedule(periods, floor=share * base)
    rate, following = (learning_rate(settings_, base, i, 50) for i in (iteration, iteration + 1))
    assert share * base * (1 - 1e-9) <= rate <= base * (1 + 1e-9)
    ends = [sum(periods[: i + 1]) for i in range(len(periods))]
    if iteration not in ends[:-1]:
        assert following <= rate * (1 + 1e-9)


def test_needs_a_weight_per_period() -> None:
    with pytest.raises(ValueError, match="restart_weights"):
        schedule([10, 10], [1.0])
