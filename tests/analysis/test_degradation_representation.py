"""Planted clusters: the index by hand and by scikit-learn, intervals that cover, planes that repeat."""

import numpy as np
import pytest

from blindsr.analysis.degradation_representation import plane, principal_components, separation


def planted(degradations=4, contents=12, dimensions=6, *, by_degradation=0.0, by_content=0.0, seed=0):
    """Points with noise of deviation 1 about centres of their degradation and of their content."""
    generator = np.random.default_rng(seed)
    of_degradation = by_degradation * generator.normal(size=(degradations, 1, dimensions))
    of_content = by_content * generator.normal(size=(1, contents, dimensions))
    return of_degradation + of_content + generator.normal(size=(degradations, contents, dimensions))


def test_index_by_hand():
    """Two degradations at 0 and 10, two contents one apart: variance between 100, within 4 · 0.25 over 2."""
    points = np.array([[[0.0], [1.0]], [[10.0], [11.0]]])
    assert separation(points, "degradation").chi == pytest.approx(100 / (1.0 / 2))
    # by content: clusters {0, 10} and {1, 11}: between 4 · 0.25, within 4 · 25 over 2
    assert separation(points, "content").chi == pytest.approx(1 / (100 / 2))


@pytest.mark.needs("sklearn")
def test_index_is_scikit_learns():
    from sklearn.metrics import calinski_harabasz_score

    points = planted(by_degradation=0.7, by_content=0.4)
    flat = points.reshape(-1, 6)
    by_degradation = np.repeat(np.arange(4), 12)
    assert separation(points, "degradation").chi == pytest.approx(calinski_harabasz_score(flat, by_degradation))
    by_content = np.tile(np.arange(12), 4)
    assert separation(points, "content").chi == pytest.approx(calinski_harabasz_score(flat, by_content))


@pytest.mark.needs("sklearn")
@pytest.mark.parametrize(("which", "other"), [("degradation", "content"), ("content", "degradation")])
def test_planted_clusters_are_found_by_their_label_alone(which, other):
    points = planted(**{f"by_{which}": 5.0})
    found, not_found = separation(points, which), separation(points, other)
    assert found.low > 10
    assert not_found.high < 1
    assert not_found.low < not_found.chi < not_found.high
    in_plane = plane(principal_components(points))
    assert separation(in_plane, which).low > separation(in_plane, other).high


def test_no_clusters_is_an_index_of_one():
    indices = [separation(planted(8, 40, seed=seed), "degradation", resamples=10).chi for seed in range(40)]
    assert np.mean(indices) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("by_degradation", [0.5, 2.0])
def test_interval_covers_the_index_of_the_population(by_degradation):
    """200 draws of contents and noise about the same centres of the degradations."""
    generator = np.random.default_rng(1)
    centres = by_degradation * generator.normal(size=(8, 1, 5))
    draws = [centres + generator.normal(size=(8, 24, 5)) + generator.normal(size=(1, 24, 5)) for _ in range(200)]
    found = [separation(points, "degradation", resamples=300) for points in draws]
    truth = np.median([one.chi for one in found])
    assert np.mean([one.low <= truth <= one.high for one in found]) >= 0.9


@pytest.mark.needs("sklearn")
def test_components_are_those_of_pca_and_keep_all_distances():
    from sklearn.decomposition import PCA

    features = planted(3, 5, 40).astype(np.float32)
    components = principal_components(features)
    assert components.shape == (3, 5, 14)
    expected = PCA(svd_solver="full").fit_transform(features.reshape(15, 40))[:, :14]
    np.testing.assert_allclose(np.abs(components.reshape(15, 14)), np.abs(expected), atol=1e-4)
    flat = components.reshape(15, 14)
    assert (np.take_along_axis(flat, np.abs(flat).argmax(0)[None], axis=0) > 0).all()
    assert separation(components, "content").chi == pytest.approx(separation(features, "content").chi, rel=1e-4)


@pytest.mark.needs("sklearn")
def test_plane_is_the_same_every_time():
    components = principal_components(planted(by_degradation=3))
    first = plane(components)
    assert first.shape == (4, 12, 2)
    np.testing.assert_array_equal(plane(components), first)


@pytest.mark.needs("sklearn")
@pytest.mark.parametrize("shape", [(1, 2), (2, 2), (2, 3), (3, 1)])
def test_a_plane_of_very_few_points(shape):
    components = principal_components(planted(*shape))
    assert plane(components).shape == (*shape, 2)
    assert np.isfinite(plane(components)).all()


def test_equal_features_have_no_index():
    result = separation(np.zeros((2, 3, 4)), "degradation")
    assert np.isnan([result.low, result.high]).all()


def test_bad_features():
    with pytest.raises(ValueError, match=r"\(1, 1, 4\)"):
        principal_components(np.zeros((1, 1, 4)))
    with pytest.raises(ValueError, match="NaN"):
        principal_components(np.full((2, 2, 4), np.nan))
    with pytest.raises(ValueError, match="2 degradations"):
        separation(np.zeros((1, 5, 2)), "degradation")
