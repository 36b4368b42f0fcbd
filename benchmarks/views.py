"""A training step on two views of half as many patches against one view of each, on the same number of LR images."""

from benchmarks import inputs
from benchmarks.measure import Bound, Check, Result, compare
from benchmarks.step import build, count_operations


def run(quick: bool) -> list[Result]:
    """SRResNet on the paper's 16 LR images; the two views with a penalty of 0: what the step itself costs.

    "plain" is the step of one view, so the ratio is at most 1 but for the noise of the machine.
    """
    params = inputs.params()
    images, side = (2, 8) if quick else (params.train.batch, params.train.crop // params.scale)
    hyper = {"num_blocks": 1, "num_features": 8} if quick else {}
    one, two = (build(hyper, images, side, name)[1] for name in ("none", "two_views"))
    more = count_operations(two) / count_operations(one) - 1
    check = Check("operations of convolutions, more than with one view", more, Bound("<=", 0))
    what = f"SRResNet, {images} LR images, two views of {images // 2} patches against one view of {images}"
    threads = params.train.threads
    return [compare("views", what, Bound(">=", 0.97), [check], 1 if quick else 9, one, two, threads=threads)]
