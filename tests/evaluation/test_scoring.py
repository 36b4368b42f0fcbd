"""The scoring engine: order, errors, threads; what each metric is given."""

import numpy as np
import pytest
import torch

from blindsr.config import registry
from blindsr.data import images
from blindsr.evaluation import scoring
from blindsr.evaluation.scoring import Job, Key, Loaded, Measure
from blindsr.plugins.metrics.base import Metric
from blindsr.plugins.metrics.lpips import Lpips, record
from blindsr.plugins.metrics.psnr_db import psnr
from blindsr.plugins.metrics.psnr_shift_db import psnr_best_shift
from blindsr.plugins.metrics.psnr_y_db import psnr_y
from blindsr.plugins.metrics.ssim import ssim
from blindsr.runtime.errors import UserError


def picture(height=48, width=40, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def double(lrs):
    for lr in lrs:
        yield images.bicubic_upscale(lr, 4)


def job(name="a", cases=("clean", "blur"), hr=None, errors=(), **settings):
    hr = picture(seed=len(name)) if hr is None else hr
    keys = [Key("Toy", case, name) for case in cases]
    lrs = {key: picture(hr.shape[0] // 4, hr.shape[1] // 4, seed=i) for i, key in enumerate(keys)}
    return Job(keys, lambda: Loaded(hr, lrs, list(errors)), **settings)


def lpips():
    torch.manual_seed(0)
    metric = Lpips()
    for head in metric.heads:
        head.data.uniform_(0, 1)
    return metric


def measured(*names, network=None, **offered):
    """Metrics by name; LPIPS with the network given."""
    return [record(network) if name == "lpips" else registry.build("metric", name, **offered) for name in names]


PLAIN = Measure(measured("psnr_db", "psnr_y_db", "ssim"))


def test_every_metric_is_that_of_the_pair():
    network = lpips()
    plain = measured("psnr_db", "psnr_y_db", "ssim", "lpips", network=network)
    measure = Measure(plain, measured("psnr_shift_db", max_shift=3))
    (result,) = scoring.score([job(unaligned=True)], double, measure)
    assert result.errors == []
    assert [score.key for score in result.scores] == list(result.job.keys)
    hr, lrs, _ = result.job.load()
    for score in result.scores:
        sr = images.bicubic_upscale(lrs[score.key], 4)
        assert score.values == {
            "psnr_db": psnr(sr, hr, 4),
            "psnr_y_db": psnr_y(sr, hr, 4),
            "ssim": ssim(sr, hr, 4),
            "lpips": network(sr, hr),
            "psnr_shift_db": psnr_best_shift(sr, hr, 3, 4)[0],
        }


def test_what_is_not_asked_for_is_not_computed():
    measure = Measure(measured("ssim", "lpips"), measured("psnr_shift_db"))
    (result,) = scoring.score([job()], double, measure)  # aligned, and without a trunk
    assert [list(score.values) for score in result.scores] == [["ssim"], ["ssim"]]


def test_a_metric_sees_the_lr_image_and_computes_what_is_of_the_hr_alone_once():
    seen = []

    def reference(hr):
        seen.append(hr)
        return lambda sr, lr: float(lr.mean())

    mine = Metric("mine", "Mine", "", 1, True, measure=lambda sr, hr, lr: 0.0, reference=reference)
    (result,) = scoring.score([job()], double, Measure([mine]))
    hr, lrs, _ = result.job.load()
    assert [score.values["mine"] for score in result.scores] == [float(lr.mean()) for lr in lrs.values()]
    assert len(seen) == 1
    np.testing.assert_array_equal(seen[0], hr)


def test_what_one_metric_cannot_score_is_said_with_its_cases_and_the_other_images_are_scored():
    def measure(sr, hr, lr):
        if hr.shape[0] == 40:
            raise UserError("no score of 40 px")
        return 1.0

    mine = Metric("mine", "Mine", "", 1, True, measure=measure)
    jobs = [job("a", hr=picture(40, 40)), job("b")]
    (bad, good) = scoring.score(jobs, double, Measure([mine]))
    assert bad.scores == []
    assert [str(error) for error in bad.errors] == ["Toy/a (clean, blur): no score of 40 px"]
    assert len(good.scores) == 2


def test_a_metric_that_lacks_its_weights_is_one_warning_with_the_way_out(caplog):
    offered = {"crop_border": 4, "max_shift": 3, "trunk": None, "no_trunk": "fetch it", "device": torch.device("cpu")}
    found = scoring.build_metrics(["ssim", "lpips"], **offered)
    assert [metric.name for metric in found] == ["ssim", "lpips"]
    (line,) = (record.getMessage() for record in caplog.records)
    assert line == "no LPIPS trunk weights: the lpips column stays empty; to fill it, fetch it"
    with pytest.raises(UserError, match="unknown metric 'mse': choose one of detail_amplitude, detail_cosine, lpips"):
        scoring.build_metrics(["mse"], **offered)


def test_results_come_in_order_whatever_takes_long():
    jobs = [job("a" * (i + 1), hr=picture(200 if i % 3 == 0 else 24, 40, seed=i)) for i in range(7)]
    results = list(scoring.score(jobs, double, PLAIN))
    assert [result.job for result in results] == jobs
    again = list(scoring.score(jobs, double, PLAIN))
    assert [result.scores for result in again] == [result.scores for result in results]


def test_three_jobs_at_most_are_in_memory():
    loaded, results, most = [], 0, 0

    def load(key):
        loaded.append(key)
        return Loaded(picture(), {key: picture(12, 10)}, [])

    keys = [Key("Toy", "clean", str(i)) for i in range(30)]
    for _ in scoring.score([Job([key], lambda key=key: load(key)) for key in keys], double, PLAIN):
        most = max(most, len(loaded) - results)
        results += 1
    assert results == 30
    assert most <= 3


def test_one_bad_image_stops_nothing():
    def absent():
        raise UserError("no image at b.png")

    odd = UserError("x.png does not fit")
    jobs = [job("a"), Job([Key("Toy", "clean", "b")], absent), job("c", errors=[odd]), job("d")]
    results = list(scoring.score(jobs, double, PLAIN))
    assert [len(result.scores) for result in results] == [2, 0, 2, 2]
    assert [[str(error) for error in result.errors] for result in results] == [
        [], ["no image at b.png"], ["x.png does not fit"], [],
    ]  # fmt: skip


def test_an_hr_too_small_for_the_crop_is_said_once_with_its_name():
    (result, after) = scoring.score([job("tiny", hr=picture(8, 8)), job("b")], double, PLAIN)
    assert result.scores == []
    (error,) = result.errors
    assert str(error).startswith("Toy/tiny (clean, blur): an image of 8×8 pixels is too small")
    assert len(after.scores) == 2


def test_a_network_that_fails_on_an_image_names_it_and_what_is_lost():
    def upscale(lrs):
        yield images.bicubic_upscale(lrs[0], 4)
        raise UserError("out of memory")

    (result,) = scoring.score([job("a", ("clean", "blur", "jpeg"))], upscale, PLAIN)
    assert [score.key.case for score in result.scores] == ["clean"]
    assert str(result.errors[0]) == "Toy/a (blur, jpeg): out of memory"


def test_a_bug_is_not_hidden_as_a_bad_image():
    def broken(lrs):
        raise ZeroDivisionError
        yield

    with pytest.raises(ZeroDivisionError):
        list(scoring.score([job()], broken, PLAIN))

    class Broken(Measure):
        def against(self, hr, unaligned=False):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(scoring.score([job()], double, Broken([])))
