"""The scoring engine: order, errors, threads; what each metric is given."""

import math

import numpy as np
import pytest
import torch

from blindsr.data import images
from blindsr.evaluation import scoring
from blindsr.evaluation.scoring import Job, Key, Loaded, Measure
from blindsr.plugins.metrics.lpips import Lpips
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


def test_every_metric_is_that_of_the_pair():
    measure = Measure(4, lpips(), max_shift=3)
    (result,) = scoring.score([job(shifted=True)], double, measure)
    assert result.errors == []
    assert [score.key for score in result.scores] == list(result.job.keys)
    hr, lrs, _ = result.job.load()
    for score in result.scores:
        sr = images.bicubic_upscale(lrs[score.key], 4)
        assert score.psnr_db == psnr(sr, hr, 4)
        assert score.psnr_y_db == psnr_y(sr, hr, 4)
        assert score.ssim == ssim(sr, hr, 4)
        assert score.lpips == measure.lpips(sr, hr)
        assert score.psnr_shift_db == psnr_best_shift(sr, hr, 3, 4)[0]


def test_what_is_not_asked_for_is_not_computed():
    (result,) = scoring.score([job()], double, Measure(4, lpips(), ["ssim"]))
    score = result.scores[0]
    assert score.ssim > 0
    assert math.isnan(score.psnr_db)
    assert math.isnan(score.psnr_y_db)
    assert score.lpips is None
    assert score.psnr_shift_db is None


def test_results_come_in_order_whatever_takes_long():
    jobs = [job("a" * (i + 1), hr=picture(200 if i % 3 == 0 else 24, 40, seed=i)) for i in range(7)]
    results = list(scoring.score(jobs, double, Measure(4)))
    assert [result.job for result in results] == jobs
    again = list(scoring.score(jobs, double, Measure(4)))
    assert [result.scores for result in again] == [result.scores for result in results]


def test_three_jobs_at_most_are_in_memory():
    loaded, results, most = [], 0, 0

    def load(key):
        loaded.append(key)
        return Loaded(picture(), {key: picture(12, 10)}, [])

    keys = [Key("Toy", "clean", str(i)) for i in range(30)]
    for _ in scoring.score([Job([key], lambda key=key: load(key)) for key in keys], double, Measure(4)):
        most = max(most, len(loaded) - results)
        results += 1
    assert results == 30
    assert most <= 3


def test_one_bad_image_stops_nothing():
    def absent():
        raise UserError("no image at b.png")

    odd = UserError("x.png does not fit")
    jobs = [job("a"), Job([Key("Toy", "clean", "b")], absent), job("c", errors=[odd]), job("d")]
    results = list(scoring.score(jobs, double, Measure(4)))
    assert [len(result.scores) for result in results] == [2, 0, 2, 2]
    assert [[str(error) for error in result.errors] for result in results] == [
        [], ["no image at b.png"], ["x.png does not fit"], [],
    ]  # fmt: skip


def test_an_hr_too_small_for_the_crop_is_said_once_with_its_name():
    (result, after) = scoring.score([job("tiny", hr=picture(8, 8)), job("b")], double, Measure(4))
    assert result.scores == []
    (error,) = result.errors
    assert str(error).startswith("Toy/tiny (clean, blur): an image of 8×8 pixels is too small")
    assert len(after.scores) == 2


def test_a_network_that_fails_on_an_image_names_it_and_what_is_lost():
    def upscale(lrs):
        yield images.bicubic_upscale(lrs[0], 4)
        raise UserError("out of memory")

    (result,) = scoring.score([job("a", ("clean", "blur", "jpeg"))], upscale, Measure(4))
    assert [score.case for score in result.scores] == ["clean"]
    assert str(result.errors[0]) == "Toy/a (blur, jpeg): out of memory"


def test_a_bug_is_not_hidden_as_a_bad_image():
    def broken(lrs):
        raise ZeroDivisionError
        yield

    with pytest.raises(ZeroDivisionError):
        list(scoring.score([job()], broken, Measure(4)))

    class Broken(Measure):
        def against(self, hr, shifted=False):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(scoring.score([job()], double, Broken(4)))
