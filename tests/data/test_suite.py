"""The test cases: operators one by one, order, seeding, and the known level of bicubic upsampling."""

import io
import itertools
import json
import subprocess
import sys

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError

import committed
from blindsr.config.schema import BlurParams, CaseParams, SuiteParams
from blindsr.data.images import bicubic_downscale, bicubic_upscale, mod_crop, read_rgb
from blindsr.data.suite import PAPER, case_generator, degrade_all, degrade_case, degrade_suite
from blindsr.plugins.metrics.lpips import load_lpips
from blindsr.plugins.metrics.psnr_db import psnr
from blindsr.plugins.metrics.psnr_y_db import psnr_y
from blindsr.runtime.errors import UserError

PAPER_CASES = SuiteParams.model_validate(committed.settings()["suite"]).cases
NAMES = ["clean", "blur", "noise", "jpeg", "b+n", "b+j", "n+j", "b+n+j"]
# mean RGB PSNR in dB of bicubic upsampling ×4, measured with Pillow 13.0 and OpenCV 5.0
BICUBIC = {
    "Set5": [26.69, 24.89, 22.10, 23.77, 21.30, 22.97, 22.54, 21.91],
    "Set14": [24.46, 23.23, 21.04, 22.58, 20.41, 21.95, 21.54, 21.12],
    "BSD100": [24.63, 23.66, 21.08, 23.16, 20.60, 22.65, 21.98, 21.64],
}
CLEAN_Y = {"Set5": 28.43, "Set14": 26.09, "BSD100": 25.96}
CLEAN_LPIPS = {"Set5": 0.3397, "Set14": 0.4386}
# the draw of the noise alone moves the mean of the five images of Set5 by 0.02 dB (one standard deviation)
SEEDS = {"Set5": 10, "Set14": 2, "BSD100": 1}
# the first draws of one case of one image
PINNED = [-1.4415463444943908, 0.18127595365218274, 1.386350331506767]


def picture(height=64, width=48, seed=0):
    """Smooth colours with some texture."""
    generator = np.random.default_rng(seed)
    coarse = generator.integers(30, 220, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(smooth + generator.normal(0, 5, smooth.shape), 0, 255).astype(np.uint8)


def draw(case="noise", seed=0, image="a"):
    return case_generator(seed, "Set5", case, image)


def test_cases_are_the_papers_in_its_order():
    assert list(PAPER_CASES) == NAMES
    for name, case in PAPER_CASES.items():
        parts = {"blur": "b", "noise": "n", "jpeg": "j"}.get(name, name)
        assert (case.blur is not None) == ("b" in parts.split("+"))
        assert (case.noise_sigma is not None) == ("n" in parts.split("+"))
        assert (case.jpeg_quality is not None) == ("j" in parts.split("+"))
    assert PAPER_CASES["b+n+j"].model_dump() == {
        "blur": {"kernel_size": 21, "sigma": 2.0},
        "noise_sigma": 20.0,
        "jpeg_quality": 50,
    }


@pytest.mark.parametrize(
    "settings_",
    [
        {"blurr": None},
        {"blur": {"kernel_size": 20, "sigma": 2}},
        {"blur": {"kernel_size": -1, "sigma": 2}},
        {"blur": {"kernel_size": 21, "sigma": 0}},
        {"blur": {"kernel_size": 21, "sigma": 2, "angle": 0}},
        {"blur": {"kernel_size": 21}},
        {"noise_sigma": -1},
        {"noise_sigma": float("nan")},
        {"jpeg_quality": 0},
        {"jpeg_quality": 101},
        {"jpeg_quality": 50.5},
    ],
)
def test_wrong_settings_are_refused(settings_):
    with pytest.raises(ValidationError):
        CaseParams.model_validate(settings_)


def test_settings_are_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        PAPER_CASES["clean"].noise_sigma = 3


def test_clean_is_control_of_the_cropped_image():
    hr = picture(67, 50)
    lr = degrade_case(hr, PAPER_CASES["clean"], draw())
    assert lr.shape == (16, 12, 3)
    np.testing.assert_array_equal(lr, bicubic_downscale(hr[:64, :48], 4))
    assert degrade_case(hr, PAPER_CASES["clean"], draw(), scale=2).shape == (33, 25, 3)


def test_blur_is_the_sampled_gaussian_on_the_hr_image():
    hr = np.zeros((64, 64, 3), np.uint8)
    hr[24:40, 30:35] = 250
    line = np.exp(-(np.arange(-10, 11) ** 2) / (2 * 2.0**2))
    line /= line.sum()
    blurred = hr.astype(np.float64)
    for axis in (0, 1):
        blurred = np.apply_along_axis(lambda row: np.convolve(row, line, mode="same"), axis, blurred)
    expected = bicubic_downscale(np.rint(blurred).astype(np.uint8), 4).astype(int)
    actual = degrade_case(hr, PAPER_CASES["blur"], draw()).astype(int)
    assert np.abs(actual - expected).max() <= 1
    assert np.abs(actual - bicubic_downscale(hr, 4)).max() > 10


def test_noise_has_its_level_and_is_cut_to_whole_levels():
    hr = np.full((1024, 1024, 3), 128, np.uint8)
    lr = degrade_case(hr, PAPER_CASES["noise"], draw()).astype(np.float64)
    assert lr.std() == pytest.approx(np.hypot(20, 12**-0.5), rel=0.01)
    assert lr.mean() == pytest.approx(127.5, abs=0.2)  # the fraction is dropped, not rounded
    channels = np.corrcoef(lr.reshape(-1, 3).T)
    assert np.abs(channels - np.eye(3)).max() < 0.02


def test_noise_is_clipped():
    for level in (0, 255):
        lr = degrade_case(np.full((256, 256, 3), level, np.uint8), PAPER_CASES["noise"], draw())
        assert (lr == level).mean() == pytest.approx(0.5, abs=0.05)
        assert np.abs(lr.astype(int) - level).max() < 120  # nothing wraps around


def test_jpeg_is_pillows():
    hr = picture()
    encoded = io.BytesIO()
    Image.fromarray(bicubic_downscale(hr, 4)).save(encoded, "JPEG", quality=50)
    expected = np.array(Image.open(encoded))
    np.testing.assert_array_equal(degrade_case(hr, PAPER_CASES["jpeg"], draw()), expected)


def test_operators_act_in_order():
    """Blur, downscaling, noise, JPEG: each case of several is made of the single ones, in this order."""
    hr = picture()
    blurred = cv2.GaussianBlur(hr, (21, 21), 2.0)
    noisy = degrade_case(blurred, PAPER_CASES["noise"], draw())
    np.testing.assert_array_equal(degrade_case(hr, PAPER_CASES["b+n"], draw()), noisy)
    full = degrade_case(hr, PAPER_CASES["b+n+j"], draw())
    encoded = io.BytesIO()
    Image.fromarray(noisy).save(encoded, "JPEG", quality=50)
    np.testing.assert_array_equal(full, np.array(Image.open(encoded)))


def test_hr_image_is_left_as_it_is():
    hr = picture()
    before = hr.copy()
    degrade_case(hr, PAPER_CASES["b+n+j"], draw())
    np.testing.assert_array_equal(hr, before)


def test_draws_are_repeatable_and_differ_in_each_of_the_four():
    base = (0, "Set5", "noise", "img_001")
    others = [(1, *base[1:]), (0, "Set14", *base[2:]), (0, "Set5", "b+n", "img_001"), (*base[:3], "img_002")]
    first = case_generator(*base).standard_normal(50)
    np.testing.assert_array_equal(case_generator(*base).standard_normal(50), first)
    draws = [first] + [case_generator(*other).standard_normal(50) for other in others]
    for a, b in itertools.combinations(draws, 2):
        assert not np.isin(a, b).any()


def test_parts_of_the_identity_do_not_run_together():
    a = case_generator(0, "Set1", "noise", "4").standard_normal(4)
    b = case_generator(0, "Set", "1noise", "4").standard_normal(4)
    assert (a != b).all()


def test_draws_are_the_same_in_every_process_and_version():
    """Python's own hash of strings changes from process to process; NumPy may change its streams."""
    program = (
        "import json; from blindsr.data.suite import case_generator as g;"
        "print(json.dumps(g(7, 'Set14', 'b+n', 'img_003').standard_normal(3).tolist()))"
    )
    output = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert json.loads(output.stdout) == case_generator(7, "Set14", "b+n", "img_003").standard_normal(3).tolist()
    assert json.loads(output.stdout) == pytest.approx(PINNED, abs=1e-12)


@settings(max_examples=20, deadline=None)
@given(st.integers(4, 90), st.integers(4, 90), st.sampled_from(NAMES), st.integers(2, 8))
def test_result_does_not_depend_on_opencvs_threads(height, width, name, threads):
    before = cv2.getNumThreads()
    hr = picture(height, width)
    try:
        cv2.setNumThreads(1)
        one = degrade_case(hr, PAPER_CASES[name], draw())
        cv2.setNumThreads(threads)
        many = degrade_case(hr, PAPER_CASES[name], draw())
    finally:
        cv2.setNumThreads(before)
    assert one.shape == (height // 4, width // 4, 3)
    np.testing.assert_array_equal(one, many)


def test_large_image_does_not_depend_on_opencvs_threads(real_data):
    hr = read_rgb(sorted((real_data / "test" / "photos2k").iterdir())[0])
    before = cv2.getNumThreads()
    try:
        results = []
        for threads in (1, 2, 5):
            cv2.setNumThreads(threads)
            results.append(degrade_case(hr, PAPER_CASES["blur"], draw()))
    finally:
        cv2.setNumThreads(before)
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


def test_bad_images():
    with pytest.raises(UserError, match="too small"):
        degrade_case(picture(3, 40), PAPER_CASES["clean"], draw())
    with pytest.raises(ValueError, match="uint8"):
        degrade_case(picture() / 255, PAPER_CASES["clean"], draw())
    with pytest.raises(ValueError, match="shape"):
        degrade_case(picture()[:, :, 0], PAPER_CASES["clean"], draw())


def plain(hr, case, generator, scale=4):
    """The order of the protocol, every case from the start."""
    image = mod_crop(hr, scale)
    if case.blur is not None:
        image = cv2.GaussianBlur(image, (case.blur.kernel_size,) * 2, case.blur.sigma)
    lr = bicubic_downscale(image, scale)
    if case.noise_sigma is not None:
        lr = (lr + case.noise_sigma * generator.standard_normal(lr.shape)).clip(0, 255).astype(np.uint8)
    if case.jpeg_quality is not None:
        encoded = io.BytesIO()
        Image.fromarray(lr).save(encoded, "JPEG", quality=case.jpeg_quality)
        lr = np.array(Image.open(encoded))
    return lr


CASES = st.builds(
    CaseParams,
    blur=st.sampled_from([None, BlurParams(kernel_size=21, sigma=2.0), BlurParams(kernel_size=5, sigma=0.7)]),
    noise_sigma=st.sampled_from([None, 5.0, 20.0]),
    jpeg_quality=st.sampled_from([None, 30, 50]),
)


@settings(max_examples=30, deadline=None)
@given(st.integers(4, 60), st.integers(4, 60), st.lists(CASES, max_size=8), st.sampled_from([2, 3, 4]))
def test_cases_together_are_bit_for_bit_the_cases_one_by_one(height, width, cases, scale):
    hr = picture(height, width)
    together = list(degrade_all(hr, [(case, draw(str(i))) for i, case in enumerate(cases)], scale))
    assert len(together) == len(cases)
    for i, (case, lr) in enumerate(zip(cases, together, strict=True)):
        np.testing.assert_array_equal(lr, plain(hr, case, draw(str(i)), scale))
        np.testing.assert_array_equal(lr, degrade_case(hr, case, draw(str(i)), scale))


def test_writing_into_one_lr_image_leaves_the_others():
    hr = picture()
    images = degrade_all(hr, [(CaseParams(), draw()), (CaseParams(), draw())])
    first = next(images)
    first[:] = 0
    np.testing.assert_array_equal(next(images), bicubic_downscale(hr, 4))


def test_the_suite_of_an_image_has_every_case_with_its_own_generator():
    hr = picture()
    lrs = degrade_suite(hr, PAPER, "Set5", "a")
    assert list(lrs) == NAMES
    for name, case in PAPER_CASES.items():
        np.testing.assert_array_equal(lrs[name], plain(hr, case, draw(name)))


def test_the_constant_and_conf_are_one_suite():
    assert SuiteParams.model_validate(committed.settings()["suite"]) == PAPER


def test_a_case_of_the_users_own():
    case = CaseParams(blur=BlurParams(kernel_size=7, sigma=1), jpeg_quality=30)
    hr = picture()
    assert psnr(degrade_case(hr, case, draw()), bicubic_downscale(hr, 4), crop_border=0) < 40


@pytest.mark.parametrize("benchmark", BICUBIC)
def test_bicubic_upsampling_scores_as_known(real_data, benchmark):
    images = {path.stem: read_rgb(path) for path in sorted((real_data / "benchmarks" / benchmark).iterdir())}
    hrs = {name: mod_crop(image, 4) for name, image in images.items()}
    scores = {}
    for case, config in PAPER_CASES.items():
        seeds = range(SEEDS[benchmark] if config.noise_sigma else 1)
        scores[case] = np.mean(
            [
                psnr(bicubic_upscale(degrade_case(hr, config, generator), 4), hr)
                for seed in seeds
                for name, hr in hrs.items()
                for generator in [case_generator(seed, benchmark, case, name)]
            ]
        )
    for (case, score), known in zip(scores.items(), BICUBIC[benchmark], strict=True):
        tolerance = 0.05 if PAPER_CASES[case].noise_sigma else 0.02
        assert score == pytest.approx(known, abs=tolerance), case

    clean = {name: bicubic_upscale(degrade_case(hr, PAPER_CASES["clean"], draw()), 4) for name, hr in hrs.items()}
    luma = np.mean([psnr_y(clean[name], hr) for name, hr in hrs.items()])
    assert luma == pytest.approx(CLEAN_Y[benchmark], abs=0.02)
    if benchmark in CLEAN_LPIPS:
        lpips = load_lpips(real_data / "weights" / "alexnet_features.pth")
        distance = np.mean([lpips(clean[name], hr) for name, hr in hrs.items()])
        assert distance == pytest.approx(CLEAN_LPIPS[benchmark], abs=0.001)
