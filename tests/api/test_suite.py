"""The suite as a data set."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

import blindsr
from blindsr.apps import suite as app
from blindsr.data.images import read_rgb, write_png
from blindsr.runtime.errors import UserError


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, name in enumerate(("a", "b")):
        pixels = np.random.default_rng(number).integers(0, 256, (50, 44, 3), dtype=np.uint8)
        write_png(folder / f"{name}.png", pixels)
    return folder


def test_it_is_what_the_command_writes(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # no project
    app.write(photos, tmp_path / "lr")
    suite = blindsr.Suite(photos)
    assert [(each.name, each.case) for each in suite] == [(name, case) for name in "ab" for case in blindsr.CASES]
    for name, case, hr, lr in suite:
        assert np.array_equal(hr, read_rgb(photos / f"{name}.png")[:48])
        assert np.array_equal(lr, read_rgb(tmp_path / "lr" / case / f"{name}.png"))


def test_by_number_and_by_name_it_is_the_same(photos: Path) -> None:
    whole = list(blindsr.Suite(photos, cases=["noise", "clean"], scale=2))
    assert [each.case for each in whole[:2]] == ["clean", "noise"]
    by_name = {path.stem: read_rgb(path) for path in sorted(photos.iterdir())}
    for suite in (blindsr.Suite(photos, cases=["noise", "clean"], scale=2),
                  blindsr.Suite(by_name, cases=["clean", "noise"], scale=2, benchmark="photos")):  # fmt: skip
        assert len(suite) == 4
        for number, (name, case, hr, lr) in enumerate(whole):
            one = suite[number]
            assert (one.name, one.case) == (name, case)
            assert np.array_equal(one.hr, hr)
            assert np.array_equal(one.lr, lr)
        assert suite[-1].name == "b"
        with pytest.raises(IndexError, match="the suite has 4"):
            suite[4]
    other = blindsr.Suite(photos, cases=["noise"], scale=2, seed=1)
    assert not np.array_equal(other[0].lr, whole[1].lr)


def test_a_dataloader_takes_it(photos: Path) -> None:
    loader = DataLoader(blindsr.Suite(photos, cases=["clean"]), batch_size=None)
    names, shapes = zip(*((name, tuple(lr.shape)) for name, _, _, lr in loader), strict=True)
    assert names == ("a", "b")
    assert shapes == ((12, 11, 3), (12, 11, 3))
    assert all(isinstance(hr, torch.Tensor) for _, _, hr, _ in loader)


def test_what_does_not_fit_is_said(photos: Path) -> None:
    with pytest.raises(UserError, match="unknown case fog: choose from clean"):
        blindsr.Suite(photos, cases=["fog"])
    with pytest.raises(UserError, match="is not a folder"):
        blindsr.Suite(photos / "nowhere")
    with pytest.raises(ValueError, match="expected a uint8 array"):
        blindsr.Suite({"a": np.zeros((8, 8, 3))})
    (photos / "b.png").write_bytes(b"no image")
    suite = blindsr.Suite(photos, cases=["clean"])
    assert suite[0].name == "a"
    with pytest.raises(UserError, match=r"b\.png"):
        suite[1]
