"""Intervals that cover, tests that hold their level, effect sizes and Holm by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from blindsr.reporting import statistics
from blindsr.reporting.statistics import bootstrap_interval, cohens_d, compare, holm, rank_biserial


def repeated(images, seeds, *, between_seeds=0.0, seed_by_image=0.0, repetitions=2000, effect=0.0, kind="normal"):
    """`repetitions` experiments of one truth side by side: scores of method and baseline (seeds, images, K), dB.

    Images differ by 3 dB; the method's gain on an image has mean `effect` and standard deviation 1.
    """
    generator = np.random.default_rng(images * 1000 + seeds)
    gain = generator.normal(size=(1, images, repetitions))
    if kind == "skewed":  # skewness 2: a few images gain much
        gain = generator.exponential(size=(1, images, repetitions)) - 1
    easy = 30 + 3 * generator.normal(size=(1, images, repetitions))
    runs = [
        between_seeds * generator.normal(size=(seeds, 1, repetitions))
        + seed_by_image * generator.normal(size=(seeds, images, repetitions))
        for _ in range(2)
    ]
    return easy + effect + gain + runs[0], easy + runs[1]


def coverage(method, baseline, truth=0.0, **how):
    low, high = bootstrap_interval(method, baseline, resamples=2000, **how)
    return np.mean((low <= truth) & (truth <= high))


@pytest.mark.parametrize("images", [5, 14, 100])
@pytest.mark.parametrize(
    ("seeds", "between_seeds", "seed_by_image"),
    [(1, 0, 0), (3, 0, 1), (3, 0.1, 0.3), (3, 1, 0.3), (5, 1, 0)],
    ids=["one seed", "seeds alike", "seeds differ a little", "seeds differ much", "five seeds"],
)
def test_the_95_percent_interval_covers_the_truth_in_93_to_97_percent(images, seeds, between_seeds, seed_by_image):
    method, baseline = repeated(images, seeds, between_seeds=between_seeds, seed_by_image=seed_by_image, effect=0.2)
    assert 0.93 <= coverage(method, baseline, truth=0.2) <= 0.97


@pytest.mark.parametrize(("images", "lowest"), [(5, 0.90), (14, 0.93), (50, 0.93)])
def test_coverage_of_skewed_differences_is_as_documented_and_better_than_students(images, lowest):
    method, baseline = repeated(images, 1, kind="skewed")
    ours, pairs = coverage(method, baseline), (method - baseline)[0]
    low, high = stats.t.interval(0.95, images - 1, pairs.mean(0), stats.sem(pairs))
    students = np.mean((low <= 0) & (high >= 0))
    assert lowest <= ours <= 0.97
    assert ours > students + (0.02 if images < 50 else 0.0)


def test_hall_s_transformation_by_hand():
    """Of skewness 0.6 and quantile 2: t + 0.2 t² + 0.04/3 t³ + 0.1 is 2 there."""
    t = statistics._unskewed(np.array([2.0, 2.0, -2.0]), np.array([0.6, 0.0, 0.0]))
    assert t[0] + 0.6 / 3 * t[0] ** 2 + 0.6**2 / 27 * t[0] ** 3 + 0.6 / 6 == pytest.approx(2)
    np.testing.assert_array_equal(t[1:], [2, -2])


def test_leaving_the_seeds_out_would_be_too_sure():
    """Three seeds averaged and then called fixed: the interval that the docs warn of."""
    method, baseline = repeated(100, 3, between_seeds=1)
    assert coverage(method.mean(0, keepdims=True), baseline.mean(0, keepdims=True)) < 0.3


def test_pooled_benchmarks_count_alike_and_share_their_seeds():
    sizes, gains = [5, 14, 100], [0.3, 0.0, 0.0]
    runs = np.random.default_rng(0).normal(size=(2, 3, 1, 2000)) / 2  # one draw of the seeds for all benchmarks
    parts = [repeated(n, 3, seed_by_image=0.3, effect=gain) for n, gain in zip(sizes, gains, strict=True)]
    method, baseline = (np.concatenate([part[i] for part in parts], axis=1) + runs[i] for i in range(2))
    assert 0.93 <= coverage(method, baseline, truth=0.1, groups=sizes) <= 0.97
    difference = compare(method[:, :, :2], baseline[:, :, :2], groups=sizes, resamples=100)
    pairs = (method - baseline).mean(0)[:, :2]
    by_hand = (pairs[:5].mean(0) + pairs[5:19].mean(0) + pairs[19:].mean(0)) / 3
    np.testing.assert_allclose(difference.mean, by_hand)


@pytest.mark.parametrize("images", [5, 14, 100])
def test_interval_is_students_for_one_seed_and_differences_without_skewness(images):
    pairs = 0.3 + stats.norm.ppf((np.arange(images) + 0.5) / images)
    low, high = bootstrap_interval(pairs.reshape(1, -1, 1), np.zeros((1, images, 1)))
    expected = stats.t.interval(0.95, images - 1, pairs.mean(), stats.sem(pairs))
    np.testing.assert_allclose([low[0], high[0]], expected, atol=0.03 * (expected[1] - expected[0]))


def test_the_same_scores_give_the_same_interval_whatever_stands_beside_them():
    method, baseline = repeated(7, 3, between_seeds=1, repetitions=4)
    low, high = bootstrap_interval(method, baseline, resamples=500)
    np.testing.assert_array_equal(bootstrap_interval(method, baseline, resamples=500), [low, high])
    alone = bootstrap_interval(method[:, :, 1:2], baseline[:, :, 1:2], resamples=500)
    np.testing.assert_allclose([alone[0][0], alone[1][0]], [low[1], high[1]], rtol=1e-12)


def test_one_seed_says_nothing_of_seeds_and_one_image_gives_no_interval():
    base = np.arange(6.0).reshape(1, 6, 1)
    low, high = bootstrap_interval(base + 0.25, base)
    np.testing.assert_allclose([low, high], 0.25)  # every image gains the same: nothing varies
    runs = base + np.array([0.0, 0.5]).reshape(2, 1, 1)
    low, high = bootstrap_interval(runs, base)
    assert low < 0.25 < high
    assert np.isnan(bootstrap_interval(base[:, :1], base[:, :1])).all()


@pytest.mark.parametrize(("images", "seeds"), [(8, 3), (60, 3), (30, 5)])
@pytest.mark.parametrize("between_seeds", [0, 0.1, 1], ids=["alike", "a little", "much"])
def test_false_positives_under_the_null_are_at_the_nominal_rate(images, seeds, between_seeds):
    """Of 2000 methods that are no better on average, 3 to 7 % are called different, however seeds differ."""
    method, baseline = repeated(images, seeds, between_seeds=between_seeds, seed_by_image=0.3)
    assert 0.03 <= np.mean(compare(method, baseline, resamples=2000).p < 0.05) <= 0.07


def test_two_seeds_of_one_method_are_equivalent_and_a_difference_at_the_margin_is_not():
    """Of 2000 differences of exactly the margin at most 6 % are called equivalent; of none with small error, all."""
    method, baseline = repeated(60, 3, between_seeds=0.05, seed_by_image=0.3, effect=0.5)
    assert np.mean(compare(method, baseline, margin=0.5, resamples=2000).p_equivalent < 0.05) <= 0.06
    same = np.random.default_rng(0).normal(25, 3, (1, 60, 50))
    runs = [same + 0.02 * np.random.default_rng(side).normal(size=(3, 60, 50)) for side in (1, 2)]
    assert (compare(*runs).p_equivalent < 0.05).all()
    assert (compare(runs[0] + 0.04, runs[1]).p_equivalent < 0.05).all()
    assert (compare(runs[0] + 0.06, runs[1]).p_equivalent > 0.5).all()
    assert (compare(runs[0] - 0.06, runs[1]).p_equivalent > 0.5).all()


def test_test_and_interval_are_one():
    """0 lies outside the 95 % interval where p < 0.05; outside ± the margin's 90 % one where it is not equivalent."""
    method, baseline = repeated(14, 3, between_seeds=0.2, seed_by_image=0.3, effect=0.4, repetitions=500)
    found = compare(method, baseline, margin=0.4, resamples=2000)
    np.testing.assert_array_equal((found.low > 0) | (found.high < 0), found.p < 0.05)
    inner = compare(method, baseline, margin=0.4, confidence=0.9, resamples=2000)
    np.testing.assert_array_equal((inner.low > -0.4) & (inner.high < 0.4), found.p_equivalent < 0.05)
    assert 0 < (found.p < 0.05).sum() < 500


def test_p_by_hand_is_welchs_where_images_do_not_matter():
    """Runs that differ by the same on every image, of both sides: Welch's t test on their means."""
    runs = np.array([0.8, 1.1, 1.2, 1.5]), np.array([0.2, 0.5, 0.8])  # of no skewness
    images = np.linspace(20, 30, 9)[None, :, None]
    found = compare(*(side[:, None, None] + images for side in runs), resamples=20_000)
    wanted = stats.ttest_ind(*runs, equal_var=False).pvalue
    assert 0.02 < wanted < 0.05
    assert found.p[0] == pytest.approx(wanted, rel=0.05)  # the error is the bootstrap's


def test_one_training_run_of_a_side_gives_no_p():
    method, baseline = repeated(14, 3, effect=1, repetitions=2)
    assert (compare(method, baseline).p < 0.05).all()
    for sides in ((method[:1], baseline), (method, baseline[:1])):
        found = compare(*sides)
        assert np.isnan([found.p, found.p_equivalent]).all()
        assert np.isfinite([found.low, found.high]).all()
    interpolation = compare(method, baseline[:1], untrained=True)
    assert (interpolation.p < 0.05).all()


def test_where_nothing_varies_the_mean_decides():
    base = np.arange(6.0).reshape(1, 6, 1).repeat(2, axis=0)
    for gain, p, p_equivalent in ((0.25, 0, 1), (0.01, 0, 0), (0.0, 1, 0)):
        found = compare(base + gain, base)
        assert (found.p[0], found.p_equivalent[0]) == pytest.approx((p, p_equivalent), abs=1e-9)


def test_holm_holds_the_chance_of_any_false_positive_in_the_family():
    """400 families of 5 true nulls that share no images."""
    method, baseline = repeated(30, 3, seed_by_image=0.3)
    p = compare(method, baseline, resamples=2000).p.reshape(400, 5)
    assert np.mean([(family < 0.05).any() for family in p]) > 0.15  # 1 - 0.95^5 = 0.23
    assert np.mean([(holm(family) < 0.05).any() for family in p]) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 400)


def test_holm_by_hand():
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm([0.5, 0.9]), [1, 1])
    np.testing.assert_allclose(holm([[0.01, np.nan], [0.02, 0.2]]), [[0.03, np.nan], [0.04, 0.2]])
    assert holm([]).shape == (0,)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_lies_between_no_correction_and_bonferroni(p):
    corrected = holm(p)
    assert (corrected >= np.array(p) - 1e-15).all()
    assert (corrected <= np.minimum(np.array(p) * len(p), 1) + 1e-15).all()
    order = np.argsort(p, kind="stable")
    assert (np.diff(corrected[order]) >= 0).all()


def test_effect_sizes_by_hand():
    pairs = np.array([[1.0, 0.0, 2.0], [2.0, 0.0, 2.0], [-3.0, 0.0, 2.0], [4.0, 0.0, 2.0]])
    np.testing.assert_allclose(rank_biserial(pairs), [(1 + 2 + 4 - 3) / 10, 0, 1])
    expected = 1.0 / np.sqrt(((0**2) + 1 + 16 + 9) / 3)
    np.testing.assert_allclose(cohens_d(pairs), [expected, np.nan, np.nan])
    np.testing.assert_allclose(cohens_d([[1.0], [3.0]]), [2 / np.sqrt(2)])
    assert np.isnan(cohens_d([[1.0]])).all()


def test_bad_scores():
    good = np.zeros((1, 4, 2))
    with pytest.raises(ValueError, match=r"\(1, 4, 2\) and \(1, 3, 2\)"):
        compare(good, good[:, :3])
    with pytest.raises(ValueError, match="do not add up to 4"):
        compare(good, good, groups=[1, 2])
    with pytest.raises(ValueError, match="NaN"):
        compare(good * np.nan, good)
    with pytest.raises(ValueError, match="confidence"):
        compare(good, good, confidence=1.0)
    with pytest.raises(ValueError, match="margin"):
        compare(good, good, margin=0)


def test_a_side_is_sure_if_both_the_test_and_the_interval_say_so() -> None:
    p = [0.01, 0.01, 0.01, 0.2, 0.01, np.nan, 0.05]
    low = [0.1, -0.3, -0.1, 0.1, np.nan, 0.1, 0.1]
    high = [0.3, -0.1, 0.2, 0.3, np.nan, 0.3, 0.3]
    assert statistics.significant_sign(p, low, high).tolist() == [1, -1, 0, 0, 0, 0, 0]
