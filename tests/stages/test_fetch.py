"""The fetch stage: what is here is indexed, what is not is a hole with a reason."""

import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from blindsr.acquisition.catalog import Manifest
from blindsr.config import params
from blindsr.config.params import Params
from blindsr.config.schema import DataParams
from blindsr.data import indices, pairs
from blindsr.data.images import write_png
from blindsr.runtime import paths
from blindsr.runtime.errors import UserError
from blindsr.stages import fetch

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "manifests").symlink_to(ROOT / "data" / "manifests")
    own = tmp_path / "own"
    own.mkdir()
    write_png(own / "x.png", np.zeros((8, 8, 3), np.uint8))
    return tmp_path


def settings(**data: Any) -> Params:
    composed = yaml.safe_load((ROOT / "params.yaml").read_text())
    composed["data"] |= {"roots": {"own_train": "own"}, "train": "own_train", "offline": True} | data
    return params.parse(composed)


def test_a_missing_benchmark_is_a_hole_with_a_reason_and_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        fetch.run(settings(benchmarks=["Set5", "Manga109"]))
    assert indices.read_index("own_train").images[0].file == "x.png"
    assert "data.roots.Set5" in str(indices.read_index("Set5").missing)
    assert "manga109.org" in str(indices.read_index("Manga109").missing)
    assert "Set5: offline" in caplog.text
    assert "Manga109 is missing: ask for" in caplog.text


def test_require_all_makes_it_an_error_after_everything_was_tried() -> None:
    with pytest.raises(UserError, match="cannot go on without Set5, Set14, lpips_alexnet"):
        fetch.run(settings(benchmarks=["Set5", "Set14"], require_all=True))
    assert indices.read_index("Set14").missing


def test_a_missing_training_set_is_an_error() -> None:
    with pytest.raises(UserError, match="cannot go on without DIV2K_train"):
        fetch.run(settings(train="DIV2K_train", benchmarks=["own_test"]))


def test_a_root_without_a_manifest_lists_the_known() -> None:
    with pytest.raises(UserError, match=r"data\.roots names 'Set55'.*choose from BSD100, .*own_train"):
        fetch.run(settings(roots={"Set55": "own"}))


def test_the_hr_set_of_real_lr_images_is_fetched_with_them() -> None:
    fetch.run(settings(benchmarks=["NTIRE2018_mild", "NTIRE2018_wild"]))
    assert indices.read_index("NTIRE2018_mild").hr == "DIV2K_valid"
    assert indices.read_index("DIV2K_valid").missing


def test_photos_without_hr_images_are_indexed_as_such(project: Path) -> None:
    (project / "photos").mkdir()
    write_png(project / "photos" / "a.png", np.ones((9, 7, 3), np.uint8))
    found = settings(benchmarks=["own_photos"], roots={"own_train": "own", "own_photos": "photos"}, lpips_trunk=None)
    fetch.run(found)
    index = indices.read_index("own_photos")
    assert (index.is_real, index.unpaired, index.pairing, index.missing) == (True, True, None, None)
    (pair,) = pairs.all_pairs(found)
    assert (pair.benchmark, pair.case, pair.image, pair.unpaired) == ("own_photos", "real", "a", True)
    assert pair.read_lr().shape == (9, 7, 3)


def camera(folder: Path, names: Mapping[str, tuple[int, int]]) -> None:
    """Photos of one colour, by their names and sizes."""
    for name, (height, width) in names.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_png(path, np.full((height, width, 3), len(name), np.uint8))


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_photos_of_realsr_are_paired_as_they_are_given_out(project: Path, scale: int) -> None:
    """Version 3: a folder per camera, part and scale, HR beside LR; only the test photos of the scale count."""
    hr, lr = (12 * scale, 10 * scale), (12, 10)
    for maker in ("Canon", "Nikon"):
        for part in ("Train", "Test"):
            for other in (2, 3, 4):
                place = f"{maker}/{part}/{other}/{maker}_00"
                camera(project / "RealSR(V3)", {f"{place}{n}_HR.png": hr for n in (1, 2)})
                camera(project / "RealSR(V3)", {f"{place}{n}_LR{other}.png": lr for n in (1, 2)})
    name = f"RealSR_x{scale}"
    roots = {"own_train": "own", name: "RealSR(V3)"}
    found = settings(benchmarks=[name], roots=roots, lpips_trunk=None).model_copy(update={"scale": scale})
    fetch.run(found)
    made = pairs.all_pairs(found)
    names = [f"{maker}_00{number}" for maker in ("Canon", "Nikon") for number in (1, 2)]
    assert [pair.hr.name for pair in made] == [f"{name}_HR.png" for name in names]
    assert [pair.lr.name for pair in made] == [f"{name}_LR{scale}.png" for name in names]
    assert all(pair.aligned and f"Test/{scale}/" in str(pair.lr) for pair in made)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_photos_of_drealsr_are_paired_as_they_are_given_out(project: Path, scale: int) -> None:
    names = ("Canon_10", "DSC_1286", "panasonic_100", "sony_7")
    folder = project / f"Test_x{scale}"
    camera(folder, {f"test_HR/{name}_x{scale}.png": (8 * scale, 6 * scale) for name in names})
    camera(folder, {f"test_LR/{name}_x1.png": (8, 6) for name in names})
    camera(folder, {f"train_HR/{name}_x{scale}.png": (8 * scale, 6 * scale) for name in names})
    name = f"DRealSR_x{scale}"
    roots = {"own_train": "own", name: str(folder)}
    found = settings(benchmarks=[name], roots=roots, lpips_trunk=None).model_copy(update={"scale": scale})
    fetch.run(found)
    made = {(pair.hr.name, pair.lr.name) for pair in pairs.all_pairs(found)}
    assert made == {(f"{name}_x{scale}.png", f"{name}_x1.png") for name in names}


def test_the_lr_images_of_ntire_2018_are_paired_as_they_are_given_out(project: Path) -> None:
    """DIV2K's validation images; one LR image of each, or several."""
    numbers = range(801, 901)
    camera(project / "DIV2K_valid_HR", {f"{number:04d}.png": (8, 2040) for number in numbers})
    camera(project / "DIV2K_valid_LR_mild", {f"{number:04d}x4m.png": (2, 510) for number in numbers})
    camera(project / "DIV2K_valid_LR_wild", {f"{number:04d}x4w.png": (2, 510) for number in numbers})
    camera(project / "DIV2K_valid_LR_wild", {f"{number:04d}x4w2.png": (2, 510) for number in (801, 900)})
    roots = {"own_train": "own", "DIV2K_valid": "DIV2K_valid_HR"}
    roots |= {f"NTIRE2018_{track}": f"DIV2K_valid_LR_{track}" for track in ("mild", "wild")}
    found = settings(benchmarks=["NTIRE2018_mild", "NTIRE2018_wild"], roots=roots, lpips_trunk=None)
    fetch.run(found)
    made = pairs.all_pairs(found)
    assert len(made) == 100 + 102
    assert all(pair.lr.name[:4] == pair.hr.stem and not pair.aligned for pair in made)
    assert [pair.lr.name for pair in made if pair.hr.stem == "0801"] == ["0801x4m.png", "0801x4w.png", "0801x4w2.png"]


def own_pairs(project: Path, lr: tuple[int, int] = (2, 2), *, partner: bool = True) -> Params:
    """Settings of a set of one or two real pairs in folders HR and LR; HR of 8 x 8 px."""
    for name in ("a", "b"):
        for side, size in (("HR", (8, 8)), ("LR", lr)):
            if partner or (name, side) != ("b", "LR"):
                folder = project / "pairs" / side
                folder.mkdir(parents=True, exist_ok=True)
                write_png(folder / f"{name}.png", np.ones((*size, 3), np.uint8))
    return settings(benchmarks=["own_pairs"], roots={"own_train": "own", "own_pairs": "pairs"}, lpips_trunk=None)


def test_real_pairs_are_indexed_with_their_rule(project: Path) -> None:
    fetch.run(own_pairs(project))
    index = indices.read_index("own_pairs")
    assert (index.is_real, index.aligned, index.pairing.rule, index.missing) == (True, False, "folders", None)
    assert [image.file for image in index.images] == ["HR/a.png", "HR/b.png", "LR/a.png", "LR/b.png"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"lr": (2, 3)}, r"own_pairs: LR/a\.png does not fit HR/a\.png at x4 \(3×2 px for 8×8\)"),
        ({"partner": False}, r"own_pairs has no LR image for 1 of own_pairs \(first: HR/b\.png\): complete it"),
    ],
)
def test_pairs_that_do_not_fit_are_refused_before_anything_is_trained(
    project: Path, changes: dict[str, Any], says: str, caplog: pytest.LogCaptureFixture
) -> None:
    found = own_pairs(project, **changes)
    fetch.run(found)
    index = indices.read_index("own_pairs")
    assert not index.images
    for text in (str(index.missing), caplog.text):
        assert re.search(says, text), text
    with pytest.raises(UserError, match="cannot go on without own_pairs"):
        fetch.run(found.model_copy(update={"data": found.data.model_copy(update={"require_all": True})}))


def test_real_lr_images_of_another_scale_are_left_out_and_their_hr_set_is_not_asked_for() -> None:
    found = settings(benchmarks=["NTIRE2018_mild", "own_test"])
    fetch.run(found.model_copy(update={"scale": 2}))
    assert indices.read_index("NTIRE2018_mild").missing == "its LR images are for x4, and scale is 2"
    assert not (paths.INDEX / "DIV2K_valid.json").exists()


def test_real_lr_images_without_their_hr_set_are_a_hole(monkeypatch: pytest.MonkeyPatch) -> None:
    def obtain(manifest: Manifest, data: DataParams) -> indices.Index:
        if manifest.name == "DIV2K_valid":
            raise UserError("DIV2K_valid: no network")
        return manifest.index(images=[])

    monkeypatch.setattr(fetch.sources, "obtain", obtain)
    fetch.run(settings(benchmarks=["NTIRE2018_wild"]))
    assert "HR images are those of DIV2K_valid, which is missing" in str(indices.read_index("NTIRE2018_wild").missing)


def test_the_index_is_the_same_wherever_the_folder_lies(project: Path) -> None:
    fetch.run(settings(benchmarks=["own_test"]))
    before = (paths.INDEX / "own_train.json").read_bytes()
    (project / "own").rename(project / "moved")
    fetch.run(settings(benchmarks=["own_test"], roots={"own_train": str(project / "moved")}))
    assert (paths.INDEX / "own_train.json").read_bytes() == before


def test_offline_on_the_command_line_counts_too(caplog: pytest.LogCaptureFixture) -> None:
    fetch.run(settings(benchmarks=["Set5"], offline=False, lpips_trunk=None), offline=True)
    assert "Set5: offline" in caplog.text


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"train": "lpips_alexnet"},
            "data.train names lpips_alexnet, a set of weights: choose one such as DIV2K_train",
        ),
        ({"train": "RealSR_x4"}, "data.train names RealSR_x4, a set of pairs: choose one such as DIV2K_train"),
        (
            {"benchmarks": ["lpips_alexnet"]},
            "data.benchmarks names lpips_alexnet, a set of weights: choose one such as",
        ),
        (
            {"lpips_trunk": "embedded_test"},
            "data.lpips_trunk names embedded_test, a set of benchmark: choose one such",
        ),
        ({"benchmarks": ["Set55"]}, "no data set 'Set55'"),
    ],
)
def test_a_set_of_another_kind_than_its_use_is_refused_before_anything_is_fetched(
    changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(UserError) as caught:
        fetch.run(settings(**changes))
    assert says in str(caught.value)
    assert not paths.RAW.exists()


def test_what_a_later_run_or_stage_would_refuse_is_refused_before_anything_is_fetched() -> None:
    good = settings()
    wrong = good.backbone.hyper | {"swinir": good.backbone.hyper["swinir"] | {"dim": 17}}
    for changes, says in (
        (
            {"backbone": good.backbone.model_copy(update={"names": ["srresnet", "swinir"], "hyper": wrong})},
            "dim must be",
        ),
        (
            {"train": good.train.model_copy(update={"init_from": "nowhere.pth"})},
            "train.init_from nowhere.pth is not a file",
        ),
        ({"suite": good.suite.model_copy(update={"cases": {"clean": good.suite.cases["clean"]}})}, "one test case"),
    ):
        with pytest.raises(UserError, match=says):
            fetch.run(good.model_copy(update=changes))
        assert not paths.RAW.exists()


def test_an_image_that_is_trained_on_and_scored_is_refused_unless_that_is_said(project: Path) -> None:
    (project / "test").mkdir()
    (project / "test" / "another name.png").write_bytes((project / "own" / "x.png").read_bytes())
    both = {"roots": {"own_train": "own", "own_test": "test"}, "benchmarks": ["own_test"], "lpips_trunk": None}
    with pytest.raises(
        UserError, match=r"x\.png of the training set own_train is another name\.png of the benchmark"
    ):
        fetch.run(settings(**both))
    fetch.run(settings(**both, train_on_benchmarks=True))


def test_a_root_may_hide_where_it_lies_and_one_that_does_not_is_said(
    project: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SETS", str(project))
    hidden = {"benchmarks": ["own_test"], "lpips_trunk": None, "roots": {"own_train": "$SETS/own"}}
    fetch.run(settings(**hidden))
    assert indices.read_index("own_train").images[0].file == "x.png"
    assert "committed" not in caplog.text
    fetch.run(settings(**hidden | {"roots": {"own_train": str(project / "own")}}))
    assert "data.roots.own_train: an absolute path goes into params.yaml and dvc.lock" in caplog.text
    assert not [path for path in paths.INDEX.iterdir() if str(project) in path.read_text()]
    caplog.clear()
    monkeypatch.delenv("SETS")
    with pytest.raises(UserError, match="cannot go on without own_train"):
        fetch.run(settings(**hidden))
    assert "$SETS/own names $SETS, which is not set" in caplog.text


def test_one_bad_photo_ends_no_fetch(
    project: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "own" / "bad.png").write_text("no image")
    fetch.run(settings(benchmarks=["own_test"], lpips_trunk=None))
    assert [image.name for image in indices.read_index("own_train").images] == ["x"]
    assert "own_train: 1 files verified, 1 left out" in capsys.readouterr().out
    assert "bad.png is not an image" in caplog.text
