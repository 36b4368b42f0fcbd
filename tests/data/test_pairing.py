"""Rules by which names of LR and HR images belong together, on names alone."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from blindsr.data.pairing import Pairing, Side, match
from blindsr.runtime.errors import UserError

REALSR: dict[str, Any] = {"rule": "suffix", "hr": "_HR", "lr": "_LR4"}
BARE: dict[str, Any] = {"rule": "suffix", "hr": "", "lr": "x4"}
FOLDERS: dict[str, Any] = {"rule": "folders", "hr": "HR", "lr": "LR"}
NTIRE: dict[str, Any] = {"rule": "prefix", "characters": 4}


def rule(settings: dict[str, Any]) -> Any:
    return TypeAdapter(Pairing).validate_python(settings)


def matched(settings: dict[str, Any], lr: list[str], hr: list[str] | None = None) -> list[tuple[str, str]]:
    return match(rule(settings), Side("Lows", lr), None if hr is None else Side("Highs", hr))


def test_suffixes_pair_within_one_folder_and_across_folders() -> None:
    assert matched(REALSR, ["c/a_HR.png", "c/a_LR4.png", "c/b_LR4.png", "n/b_HR.png"]) == [
        ("c/a_LR4.png", "c/a_HR.png"), ("c/b_LR4.png", "n/b_HR.png"),
    ]  # fmt: skip
    assert matched({"rule": "suffix", "hr": "_x4", "lr": "_x1"}, ["test_HR/p1_x4.png", "test_LR/p1_x1.png"]) == [
        ("test_LR/p1_x1.png", "test_HR/p1_x4.png")
    ]


def test_one_of_the_suffixes_may_be_empty() -> None:
    assert matched(BARE, ["1.png", "1x4.png"]) == [("1x4.png", "1.png")]
    assert matched({"rule": "suffix", "hr": "_gt", "lr": ""}, ["1.png", "1_gt.png"]) == [("1.png", "1_gt.png")]


def test_folders_pair_equal_names_of_any_type() -> None:
    assert matched(FOLDERS, ["HR/a.png", "HR/sub/b.png", "LR/a.jpg", "LR/sub/b.png"]) == [
        ("LR/a.jpg", "HR/a.png"), ("LR/sub/b.png", "HR/sub/b.png"),
    ]  # fmt: skip


@pytest.mark.parametrize("settings", [{"rule": "folders"}, {"rule": "folders", "lr": "x4"}, BARE, NTIRE])
def test_hr_images_may_be_a_set_of_their_own(settings: dict[str, Any]) -> None:
    low = {"folders": "0801.png", "suffix": "0801x4.png", "prefix": "0801x4m.png"}[settings["rule"]]
    low = f"{settings['lr']}/{low}" if settings.get("lr") == "x4" and settings["rule"] == "folders" else low
    assert matched(settings, [low], ["0801.png"]) == [(low, "0801.png")]


def test_several_lr_images_of_one_hr_belong_to_it_by_prefix_in_their_order() -> None:
    assert matched(NTIRE, ["0801x4w2.png", "0801x4w1.png"], ["0801.png"]) == [
        ("0801x4w2.png", "0801.png"), ("0801x4w1.png", "0801.png"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "lr", "hr", "says"),
    [
        (REALSR, ["a_HR.png", "a_LR4.png", "b_LR4.png"], None, r"Lows: b_LR4\.png has no HR image b in Lows"),
        (REALSR, ["a_HR.png", "b_HR.png", "b_LR4.png"], None, r"Lows has no LR image for 1 of Lows \(first: a_HR"),
        (REALSR, ["a_HR.png", "a_LR4.png", "a_LR3.png"], None, r"a_LR3\.png is neither an HR nor an LR image"),
        (REALSR, ["c/a_HR.png", "n/a_HR.png", "a_LR4.png"], None, r"n/a_HR\.png are both the HR image a: rename"),
        (REALSR, ["a_HR.png", "c/a_LR4.png", "n/a_LR4.png"], None, r"n/a_LR4\.png are both the LR image a: rename"),
        (REALSR, ["a_HR.png"], None, "Lows holds no LR image by its names"),
        (FOLDERS, ["HR/a.png", "LR/a.png", "LR/a.jpg"], None, r"LR/a\.png and LR/a\.jpg are both the LR image a"),
        (FOLDERS, ["HR/a.png", "LR/a.png", "x.png"], None, r"x\.png is neither"),
        (FOLDERS, ["HR/a.png", "LR/b.png"], None, r"LR/b\.png has no HR image b in Lows"),
        (NTIRE, ["0801x4m.png", "0900x4m.png"], ["0801.png"], r"0900x4m\.png has no HR image 0900 in Highs"),
        (NTIRE, ["0801x4m.png"], ["0801.png", "0802.png", "0803.png"], r"LR image for 2 of Highs \(first: 0802\."),
        (NTIRE, ["0801x4m.png"], ["0801.png", "0801b.png"], r"0801\.png and 0801b\.png are both the HR image 0801"),
    ],
)  # fmt: skip
def test_partners_that_are_missing_or_double_are_named(
    settings: dict[str, Any], lr: list[str], hr: list[str] | None, says: str
) -> None:
    with pytest.raises(UserError, match=says):
        matched(settings, lr, hr)


@pytest.mark.parametrize(
    "settings",
    [
        {"rule": "suffix", "hr": "_x", "lr": "_x"},
        {"rule": "folders", "hr": "HR", "lr": "HR/LR"},
        {"rule": "folders", "hr": "HR", "lr": "HR"},
        {"rule": "prefix", "characters": 0},
        {"rule": "stem"},
    ],
)
def test_rules_that_cannot_tell_the_sides_apart_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        rule(settings)
