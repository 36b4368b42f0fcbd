"""What each regularizer's difference to the baseline is made of: a row for the whole, one for each part."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from blindsr.reporting import differences, gain_split
from blindsr.reporting.gain_split import Split
from blindsr.reporting.scores import BASELINE


def pooled(
    scores: pd.DataFrame, benchmarks: Sequence[str], cases: Sequence[str], *, baseline: str = BASELINE
) -> pd.DataFrame:
    """Split every regularizer's difference to `baseline`, over all benchmarks and cases.

    An image counts once, with its mean over the cases; benchmarks count alike. A part is the mean over all pairs of
    a run of the regularizer and one of the baseline, since seeds are not paired.

    Args:
        scores: As from `scores.read`, with the columns of `gain_split.NEEDED`.
        benchmarks: That are pooled; those without scores are left out.
        cases: Likewise.
        baseline: Regularizer that the others are compared with.

    Returns:
        Columns as of `differences.per_case`, with the part in the column `case`. Holm's family is the whole table.
    """
    trained = scores[scores["backbone"].isin(scores.loc[scores["reg"] == baseline, "backbone"])].copy()
    # what adds nothing has no direction
    nothing = trained["detail_amplitude"] == 0
    trained.loc[nothing, "detail_cosine"] = trained.loc[nothing, "detail_cosine"].fillna(0.0)
    cosines, amplitudes = (differences.arrays(trained, cases, name) for name in gain_split.NEEDED)
    frames = []
    for backbone, reg in differences.compared(trained, baseline):
        keys = pd.DataFrame({"benchmark": "all", "backbone": backbone, "reg": reg, "case": list(Split._fields)})
        method: list[gain_split.Array] = []
        base: list[gain_split.Array] = []
        for benchmark in benchmarks:
            one, other = (benchmark, backbone, reg), (benchmark, backbone, baseline)
            if one in cosines and other in cosines:
                split = gain_split.split(
                    cosines[one][:, None], amplitudes[one][:, None], cosines[other][None], amplitudes[other][None]
                )
                parts = np.stack([part.mean(axis=3) for part in split], axis=3)
                for side, values in zip((method, base), gain_split.sides(parts), strict=True):
                    side.append(values)
        if method:
            sizes = [values.shape[1] for values in method]
            first, second = (np.concatenate(side, axis=1) for side in (method, base))
            frames.append(differences.described(keys, first, second, sizes))
        else:
            frames.append(keys)
    return differences.judged(frames)
