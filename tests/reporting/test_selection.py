"""Which images and which window are shown, by hand."""

import numpy as np
import pandas as pd
import pytest

from blindsr.reporting import selection


def scores(gains: dict[str, float], *, benchmark: str = "Toy", against: str = "none") -> pd.DataFrame:
    """PSNR of image -> gain of rff, in two cases and two seeds whose mean the gain is; one row is bicubic's."""
    rows = []
    for number, (image, gain) in enumerate(gains.items()):
        for case, extra in (("clean", 0.5), ("noise", -0.5)):
            for seed in (0, 1):
                rows.append((benchmark, case, image, 20.0 + number, "net", against, seed))
                rows.append((benchmark, case, image, 20.0 + number + gain + extra + 0.1 * (2 * seed - 1), "net",
                             "rff", seed))  # fmt: skip
            rows.append((benchmark, case, image, 10.0 + 5 * number, "bicubic", "bicubic", 0))
    return pd.DataFrame(rows, columns=["benchmark", "case", "image", "psnr_db", "backbone", "reg", "seed"])


@pytest.mark.parametrize(
    ("regularizers", "expected"),
    [
        (["none", "dropout", "rff", "rff_released"], ("rff", "none")),
        (["none", "dropout", "linear"], ("linear", "none")),
        (["linear", "none"], ("linear", "none")),
        (["none"], ("none", None)),
        (["rff"], ("rff", None)),
        (["rff", "dropout"], ("rff", None)),
        (["dropout", "linear"], ("linear", None)),
    ],
)
def test_what_is_compared(regularizers: list[str], expected: tuple[str, str | None]) -> None:
    assert selection.compared(regularizers) == expected


def test_largest_and_median_by_hand() -> None:
    """By size, up or down: c 0.9, e 0.6, a 0.5, d 0.2, b 0.1, so a is in the middle."""
    chosen = selection.choose(scores({"a": 0.5, "b": 0.1, "c": -0.9, "d": 0.2, "e": 0.6}), ["Toy"], "rff", "none")
    assert [(one.benchmark, one.image, one.rule) for one in chosen] == [
        ("Toy", "c", "largest difference"),
        ("Toy", "a", "median difference"),
    ]
    assert [one.gain_db for one in chosen] == pytest.approx([-0.9, 0.5])


def test_equal_differences_go_by_name() -> None:
    frame = scores({"d": 0.5, "b": -0.5, "a": 0.5, "c": 0.5})
    chosen = selection.choose(frame, ["Toy"], "rff", "none")
    assert [one.image for one in chosen] == ["a", "c"]
    shuffled = frame.sample(frac=1, random_state=0)
    assert [one.image for one in selection.choose(shuffled, ["Toy"], "rff", "none")] == ["a", "c"]


def test_one_image_is_shown_once_and_none_not_at_all() -> None:
    chosen = selection.choose(scores({"a": 0.5}), ["Toy", "Gone"], "rff", "none")
    assert [(one.image, one.rule) for one in chosen] == [("a", "only image")]


def test_benchmarks_keep_their_order() -> None:
    both = pd.concat([scores({"a": 1.0, "b": 0.1}), scores({"x": 0.1, "y": 1.0}, benchmark="Other")])
    chosen = selection.choose(both, ["Other", "Toy"], "rff", "none")
    assert [one.image for one in chosen] == ["y", "x", "a", "b"]


def test_without_baseline_bicubic_is_what_is_compared_with() -> None:
    """rff is 20 + n + 0, bicubic 10 + 5 n: differences 10, 6 and 2."""
    frame = scores({"a": 0.0, "b": 0.0, "c": 0.0}, against="dropout")
    chosen = selection.choose(frame, ["Toy"], "rff", None)
    assert [(one.image, one.rule) for one in chosen] == [("a", "largest difference"), ("b", "median difference")]
    assert [one.gain_db for one in chosen] == pytest.approx([10, 6])


def pair(shape: tuple[int, int], spot: tuple[slice, slice], height: int = 90) -> tuple[np.ndarray, np.ndarray]:
    """Two images that differ in `spot` alone, the second the darker one."""
    first = np.random.default_rng(0).integers(100, 255, (*shape, 3), dtype=np.uint8)
    second = first.copy()
    second[spot] -= np.uint8(height)
    return first, second


def test_the_window_is_where_the_difference_is() -> None:
    found = selection.window([pair((96, 120), (slice(40, 72), slice(60, 92)))], 32, 4)
    assert found == (40, 60, 32, 32)


def test_a_spot_off_the_grid_is_held_by_a_window_on_it() -> None:
    top, left, height, width = selection.window([pair((96, 120), (slice(43, 50), slice(61, 69)))], 32, 4)
    assert (height, width) == (32, 32)
    assert top % 4 == left % 4 == 0
    assert top <= 43 <= 50 <= top + 32
    assert left <= 61 <= 69 <= left + 32


def test_cases_are_added_up_and_either_sign_counts() -> None:
    """Two smaller differences in one place outweigh a larger one elsewhere, whichever image is the brighter."""
    here, there = (slice(0, 16), slice(0, 16)), (slice(32, 48), slice(64, 80))
    one, other = pair((64, 96), here, 70), pair((64, 96), here, 70)
    assert selection.window([one, pair((64, 96), there, 90)], 16, 4) == (32, 64, 16, 16)
    assert selection.window([one, other[::-1], pair((64, 96), there, 90)], 16, 4) == (0, 0, 16, 16)


def test_a_corner_is_found() -> None:
    found = selection.window([pair((64, 96), (slice(60, 64), slice(92, 96)))], 16, 4)
    assert found == (48, 80, 16, 16)


def test_an_image_smaller_than_the_window_is_taken_whole() -> None:
    assert selection.window([pair((24, 96), (slice(0, 24), slice(60, 64)))], 32, 4)[::2] == (0, 24)
    assert selection.window([pair((24, 20), (slice(0, 4), slice(0, 4)))], 32, 4) == (0, 0, 24, 20)


def test_equal_images_have_a_window_too() -> None:
    same = np.zeros((64, 64, 3), np.uint8)
    assert selection.window([(same, same)], 16, 4) == (0, 0, 16, 16)
