"""Learning rate of an iteration: cosine annealing with restarts (Loshchilov & Hutter, "SGDR", ICLR 2017)."""

import math
from itertools import accumulate

from blindsr.config.schema import ScheduleParams


def learning_rate(schedule: ScheduleParams, base: float, iteration: int, iterations: int) -> float:
    """Find the learning rate of an iteration.

    Each period falls along a half cosine, from its restart weight times (`base` - minimum) above the minimum, down to
    the minimum, which the iteration where the next period begins still gets; a run that is longer than its periods
    stays there. Equals BasicSR's CosineAnnealingRestartLR at equal settings.

    The paper has one period of 500k iterations. The released settings, periods [250000, 500000] with weights [1, 1]
    and minimum 0, stop after 500k iterations: halfway down the second cosine, at half of `base`.

    Args:
        schedule: Periods in iterations, their restart weights and the minimum; no periods: one over the whole run.
        base: Learning rate that the run starts at, with a restart weight of 1.
        iteration: From 0.
        iterations: Of the whole run.
    """
    floor = schedule.min_learning_rate
    periods = schedule.periods or [iterations]
    ends = accumulate(periods)
    for period, end, weight in zip(periods, ends, schedule.restart_weights, strict=True):
        if iteration <= end:
            progress = (iteration - (end - period)) / period
            return floor + weight * 0.5 * (base - floor) * (1 + math.cos(math.pi * progress))
    return floor
