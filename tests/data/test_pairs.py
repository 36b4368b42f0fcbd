"""Pairs on disk from indices: sets of real pairs beside the test suite, and what fetch refuses."""

import json
from pathlib import Path
from typing import Any

import pytest

from blindsr.config import conf, params
from blindsr.data import pairs
from blindsr.data.indices import Index, IndexedImage
from blindsr.data.pairing import FoldersRule, PrefixRule
from blindsr.data.pairs import REAL, Pair
from blindsr.runtime import paths
from blindsr.runtime.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
SHA = "0" * 64
FOLDERS = FoldersRule(rule="folders", hr="HR", lr="LR")


def index(name: str, files: dict[str, tuple[int, int]], **more: Any) -> Index:
    """Of files by their sizes (width, height)."""
    images = [
        IndexedImage(name=file.removesuffix(".png").replace("/", "-"), file=file, width=w, height=h, sha256=SHA)
        for file, (w, h) in files.items()
    ]
    return Index(name=name, images=images, **more)


def test_real_pairs_come_beside_the_suite_in_the_order_of_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    composed = conf.compose(ROOT / "conf")
    composed["data"] |= {"benchmarks": ["Own", "Toy", "Wild", "Gone"], "roots": {"Own": "own"}}
    composed["suite"]["cases"] = {"clean": {}}
    index("Own", {"HR/a.png": (8, 8), "LR/a.png": (2, 2)}, pairing=FOLDERS).write(paths.INDEX)
    index("Toy", {"t.png": (8, 8)}).write(paths.INDEX)
    prefix = PrefixRule(rule="prefix", characters=1)
    wild = {"a1.png": (2, 2), "a2.png": (2, 2)}
    index("Wild", wild, pairing=prefix, hr="Highs", aligned=False).write(paths.INDEX)
    index("Highs", {"a.png": (8, 8)}).write(paths.INDEX)
    Index(name="Gone", missing="its pairs do not fit", pairing=prefix, hr="Highs", aligned=False).write(paths.INDEX)
    found = pairs.all_pairs(params.parse(composed))
    own, wilds = tmp_path / "own", paths.RAW / "Wild"
    highs = paths.RAW / "Highs" / "a.png"
    assert found == [
        Pair("Own", REAL, "LR-a", own / "HR" / "a.png", own / "LR" / "a.png", True, SHA, SHA),
        Pair("Toy", "clean", "t", paths.RAW / "Toy" / "t.png", paths.LR / "Toy" / "clean" / "t.png", True, SHA),
        Pair("Wild", REAL, "a1", highs, wilds / "a1.png", False, SHA, SHA),
        Pair("Wild", REAL, "a2", highs, wilds / "a2.png", False, SHA, SHA),
    ]
    assert [len(group) for group in pairs.groups(found)] == [1, 1, 2]


@pytest.mark.parametrize(
    ("lr", "hr", "scale", "fits"),
    [
        ((2, 3), (8, 12), 4, True),
        ((2, 3), (9, 14), 4, True),  # the HR is mod-cropped
        ((3, 2), (8, 12), 4, False),
        ((2, 3), (8, 12), 3, False),
        ((2, 3), (6, 9), 3, True),
        ((4, 6), (8, 12), 2, True),
    ],
)
def test_sizes_that_do_not_lead_to_the_hr_image_are_refused(
    lr: tuple[int, int], hr: tuple[int, int], scale: int, fits: bool
) -> None:
    found = index("Own", {"HR/a.png": hr, "LR/a.png": lr}, pairing=FOLDERS)
    if fits:
        pairs.require_pairs(found, found, scale)
    else:
        sizes = f"{lr[0]}×{lr[1]} px for {hr[0]}×{hr[1]}"
        with pytest.raises(UserError, match=rf"Own: LR/a\.png does not fit HR/a\.png at x{scale} \({sizes}\)"):
            pairs.require_pairs(found, found, scale)


def test_an_index_of_a_plain_set_has_the_bytes_that_it_always_had(tmp_path: Path) -> None:
    index("Toy", {}).write(tmp_path)
    plain = {"hr": None, "images": [], "missing": None, "name": "Toy"}
    assert (tmp_path / "Toy.json").read_text() == json.dumps(plain, indent=1) + "\n"
