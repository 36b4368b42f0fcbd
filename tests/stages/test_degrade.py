"""The degrade stage: every image and case, in parallel; bad images are named and stop nothing."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import committed
from blindsr.config import params
from blindsr.data import images, indices, suite
from blindsr.data.indices import Index, IndexedImage
from blindsr.runtime import files, paths
from blindsr.runtime.errors import UserError
from blindsr.stages import degrade


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> params.Params:
    monkeypatch.chdir(tmp_path)
    composed = committed.settings()
    composed["data"]["benchmarks"] = ["One", "Missing", "Two"]
    generator = np.random.default_rng(0)
    for benchmark, names in (("One", "abcdefg"), ("Two", "ab")):
        (paths.RAW / benchmark).mkdir(parents=True)
        entries = []
        for name in names:
            file = paths.RAW / benchmark / f"{name}.png"
            images.write_png(file, generator.integers(0, 256, (33, 30, 3), dtype=np.uint8))
            entries.append(IndexedImage(name=name, file=file.name, width=30, height=33, sha256=files.sha256(file)))
        Index(name=benchmark, images=entries).write(paths.INDEX)
    Index(name="Missing", missing="ask for it").write(paths.INDEX)
    return params.parse(composed)


def test_every_file_is_that_of_its_case(settings: params.Params) -> None:
    degrade.run(settings)
    found = sorted(paths.LR.rglob("*.png"))
    assert len(found) == 9 * 8
    for file in found:
        benchmark, case, name = file.relative_to(paths.LR).with_suffix("").parts
        hr = images.read_rgb(paths.RAW / benchmark / f"{name}.png")
        generator = suite.case_generator(settings.suite.seed, benchmark, case, name)
        expected = suite.degrade_case(hr, settings.suite.cases[case], generator, 4)
        np.testing.assert_array_equal(images.read_rgb(file), expected)
    assert not (paths.LR / "Missing").exists()


@pytest.mark.parametrize("threads", [1, 7])
def test_bytes_do_not_depend_on_the_threads(
    settings: params.Params, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    degrade.run(settings)
    before = {file: file.read_bytes() for file in paths.LR.rglob("*.png")}
    monkeypatch.setattr(degrade.parallel, "usable_cores", lambda: threads)
    degrade.run(settings)
    assert {file: file.read_bytes() for file in paths.LR.rglob("*.png")} == before


def reindex(*benchmarks: str) -> None:
    """Have the indices say what the files are now."""
    for name in benchmarks:
        index, folder = indices.read_index(name), paths.RAW / name
        images = [
            image.model_copy(update={"sha256": files.sha256(folder / image.file)})
            if (folder / image.file).exists()
            else image
            for image in index.images
        ]
        index.model_copy(update={"images": images}).write(paths.INDEX)


def test_an_image_that_is_not_the_indexed_one_is_not_degraded(settings: params.Params, capsys) -> None:
    file = paths.RAW / "One" / "c.png"
    images.write_png(file, np.zeros((33, 30, 3), np.uint8))
    with pytest.raises(UserError, match="1 of 9 images are not degraded"):
        degrade.run(settings)
    assert (
        f"{file} is damaged, or has changed since it was made: `dvc repro --force fetch`" in capsys.readouterr().err
    )
    assert not (paths.LR / "One" / "clean" / "c.png").exists()


def test_the_hashes_of_the_lr_images_lie_beside_them(settings: params.Params) -> None:
    degrade.run(settings)
    listed = (paths.LR / "SHA256SUMS").read_text().splitlines()
    assert len(listed) == 9 * 8
    assert listed == [f"{files.sha256(paths.LR / line[66:])}  {line[66:]}" for line in listed]


def test_bad_images_are_named_and_the_others_made(settings: params.Params, capsys) -> None:
    (paths.RAW / "One" / "b.png").unlink()
    Image.new("RGB", (3, 50)).save(paths.RAW / "Two" / "a.png")
    deep = np.full((33, 30), 5000, np.uint16)
    Image.fromarray(deep).save(paths.RAW / "One" / "c.png")
    Image.fromarray(np.full((33, 30, 4), 77, np.uint8)).save(paths.RAW / "One" / "d.png")
    reindex("One", "Two")
    with pytest.raises(UserError, match="4 of 9 images are not degraded"):
        degrade.run(settings)
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert len(errors) == 4
    assert "b.png" in errors[0]
    assert "c.png has more than 8 bits a channel" in errors[1]
    assert "d.png is transparent in places" in errors[2]
    assert errors[3].startswith("error: Two/a.png: an image of 3×50 pixels is too small")
    assert len(list(paths.LR.rglob("*.png"))) == 5 * 8
