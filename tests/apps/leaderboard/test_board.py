"""Means, worst cases and what is left out, from scores that were made up."""

import math
from pathlib import Path

import pytest

from blindsr.acquisition.folder import HrFolder
from blindsr.apps.leaderboard import board, sheets
from blindsr.apps.leaderboard.board import ALL, Board
from blindsr.apps.leaderboard.entries import Entry
from blindsr.apps.leaderboard.scoring import Candidate
from blindsr.config import registry
from blindsr.evaluation.scoring import Key, Score

PSNR, SSIM, COSINE = (registry.build("metric", name) for name in ("psnr_db", "ssim", "detail_cosine"))
SETS = [HrFolder("X", {"a": Path("a"), "b": Path("b")}), HrFolder("Y", {name: Path(name) for name in "cdef"})]
CASES = ["clean", "noise"]


def candidate(name: str, **known: object) -> Candidate:
    return Candidate(Entry(name, name), 4, "", 0, 0)._replace(**known)


def scores(x: tuple[float, float], y: tuple[float, float]) -> dict[Key, Score]:
    """PSNR of clean and noise on every image of either set, a little apart from image to image."""
    return {
        key: Score(key, {"psnr_db": value + 0.1 * number, "ssim": value / 100, "detail_cosine": 0.2})
        for source, values in zip(SETS, (x, y), strict=True)
        for number, image in enumerate(source.files)
        for case, value in zip(CASES, values, strict=True)
        for key in [Key(source.name, case, image)]
    }


def build(*scored: tuple[str, dict[Key, Score]], by=PSNR) -> Board | None:
    return board.build([(candidate(name), rows) for name, rows in scored], SETS, CASES, [PSNR, SSIM, COSINE], by)


def test_means_and_worst_cases() -> None:
    made = build(("bicubic", scores((20, 30), (30, 40))), ("net", scores((24, 31), (32, 39))))
    assert made is not None
    net, bicubic = made.standings[ALL]
    assert (net.candidate.entry.title, net.first, net.last, bicubic.first) == ("net", 1, 1, 2)
    assert net.cases["psnr_db"] == pytest.approx({"clean": (24.05 + 32.15) / 2, "noise": (31.05 + 39.15) / 2})
    assert net.means["psnr_db"] == pytest.approx(31.6)
    assert net.means["ssim"] == pytest.approx(0.315)
    assert (net.worst, net.least, net.gain) == ("clean", "noise", pytest.approx(0))
    assert (bicubic.worst, bicubic.least) == ("clean", "")
    assert math.isnan(bicubic.means["detail_cosine"])  # it adds nothing that could be right
    assert net.means["detail_cosine"] == pytest.approx(0.2)
    assert made.images == {"X": 2, "Y": 4}
    assert [one.candidate.entry.title for one in made.standings["Y"]] == ["net", "bicubic"]
    assert made.standings["Y"][0].means["psnr_db"] == pytest.approx(35.65)


def test_a_model_without_all_scores_has_no_rank_and_costs_the_others_nothing() -> None:
    partial = scores((40, 40), (40, 40))
    del partial[Key("Y", "noise", "d")]
    made = build(("net", scores((24, 31), (32, 39))), ("partial", partial), ("none", {}))
    assert made is not None
    assert [one.candidate.entry.title for one in made.standings[ALL]] == ["net"]
    assert made.images == {"X": 2, "Y": 4}
    assert sheets.problems(made) == [
        "partial has no rank: 11 of its 12 scores could be made.",
        "none has no rank: 0 of its 12 scores could be made.",
    ]


def test_images_that_no_model_has_and_images_restored_exactly_are_left_out_for_all() -> None:
    one, other = scores((24, 31), (32, 39)), scores((20, 30), (30, 40))
    for rows in (one, other):
        for case in CASES:
            del rows[Key("X", case, "a")]
    exact = Key("Y", "clean", "c")
    one[exact] = Score(exact, one[exact].values | {"psnr_db": math.inf})
    made = build(("one", one), ("other", other))
    assert made is not None
    assert (made.images, made.exact, made.broken) == ({"X": 1, "Y": 3}, ["Y/c"], ["X/a"])
    assert made.standings[ALL][0].means["psnr_db"] == pytest.approx(31.65)


def test_without_any_score_there_is_no_board() -> None:
    assert build(("none", {})) is None
    assert build() is None


def test_the_best_cells_are_marked_as_they_are_shown() -> None:
    made = build(("one", scores((24, 31), (32, 39))), ("other", scores((24.001, 30), (32, 39))))
    assert made is not None
    sheet = sheets.of_cases(made, PSNR)
    assert sheet.header == ["model", "clean", "noise", "mean"]
    assert sheet.rows == [["one", "28.10", "35.10", "31.60"], ["other", "28.10", "34.60", "31.35"]]
    assert sheet.best == {(0, 1), (1, 1), (0, 2), (0, 3)}
    ranks = sheets.ranks(made, [PSNR, SSIM], PSNR)
    assert ranks.header[:5] == ["model", "rank", "PSNR\n(dB)", "PSNR\nX", "PSNR\nY"]
    assert "least gain\nover bicubic" not in ranks.header  # nobody asked for bicubic


def test_pairs_are_marked_where_they_are_certain() -> None:
    made = build(("one", scores((24, 31), (32, 39))), ("other", scores((23, 30), (31, 38))))
    assert made is not None
    assert sheets.pairs(made, PSNR).rows == [
        ["one", "", "▲ +1.00\n[+1.00, +1.00]"],
        ["other", "▼ −1.00\n[−1.00, −1.00]", ""],
    ]


def test_costs_are_shown_in_three_digits() -> None:
    rows = scores((24, 31), (32, 39))
    costly = candidate("net", parameters=16_697_987, flops=146_900_000_000, seconds=0.25)
    unknown = candidate("graph", parameters=None, flops=None)
    made = board.build([(costly, rows), (unknown, rows)], SETS, CASES, [PSNR], PSNR)
    assert made is not None
    sheet = sheets.ranks(made, [PSNR], PSNR)
    assert [row[-3:] for row in sheet.rows] == [["16.7", "147", "0.250"], ["—", "—", "—"]]
