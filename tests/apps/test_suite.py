"""blindsr suite: bytes that do not depend on the machine's threads, and a manifest that notices every change."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from blindsr.apps import suite as written
from blindsr.apps import suite_manifest
from blindsr.cli import app
from blindsr.data import images, suite
from blindsr.runtime import files
from blindsr.runtime.errors import UserError


def picture(seed=0, height=40, width=36):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Mine").mkdir()
    for seed, name in enumerate("abc"):
        images.write_png(tmp_path / "Mine" / f"{name}.png", picture(seed))
    return tmp_path / "Mine"


def content(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def test_every_image_of_every_case_and_a_manifest_of_their_hashes(folder: Path) -> None:
    out = Path("out")
    written.write(folder, out)
    assert len(content(out)) == 3 * 8 + 1
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["benchmark"] == "Mine"
    assert {"pillow", "libjpeg", "opencv", "numpy"} <= set(manifest["versions"])
    assert str(folder.parent) not in (out / "manifest.json").read_text()  # nothing of this machine
    for name in "abc":
        hr = images.read_rgb(folder / f"{name}.png")
        entry = manifest["images"][name]
        assert entry["pixels"] == suite_manifest.pixels(hr)
        for case, lr in suite.degrade_suite(hr, suite.PAPER, "Mine", name).items():
            np.testing.assert_array_equal(images.read_rgb(out / case / f"{name}.png"), lr)
            assert entry["cases"][case]["pixels"] == suite_manifest.pixels(lr)
            assert entry["cases"][case]["sha256"] == files.sha256((out / case / f"{name}.png").read_bytes())


def test_bytes_are_the_same_with_any_number_of_threads_and_twice(folder: Path, monkeypatch) -> None:
    written.write(folder, Path("one"))
    monkeypatch.setattr(written.parallel, "usable_cores", lambda: 5)
    written.write(folder, Path("two"))
    assert content(Path("one")) == content(Path("two"))
    before = {path: path.stat().st_mtime_ns for path in Path("one").rglob("*.png")}
    written.write(folder, Path("one"))  # again: the same, so nothing is written
    assert {path: path.stat().st_mtime_ns for path in Path("one").rglob("*.png")} == before


def test_cases_and_scale(folder: Path) -> None:
    written.write(folder, Path("out"), cases=["jpeg"], scale=2)
    assert images.read_rgb("out/jpeg/a.png").shape == (20, 18, 3)
    assert sorted(content(Path("out"))) == ["jpeg/a.png", "jpeg/b.png", "jpeg/c.png", "manifest.json"]


def test_pixels_tell_shapes_apart() -> None:
    assert suite_manifest.pixels(picture(0, 4, 6)) != suite_manifest.pixels(picture(0, 4, 6).reshape(6, 4, 3))


def test_a_whole_suite_is_verified(folder: Path, capsys) -> None:
    written.write(folder, Path("out"))
    written.verify(Path("out"))
    written.verify(Path("out"), folder)
    assert "24 LR images are as their manifest says" in capsys.readouterr().out


def test_verify_names_what_is_missing_changed_or_cut_but_not_other_compression(folder: Path, capsys) -> None:
    out = Path("out")
    written.write(folder, out)
    (out / "clean" / "a.png").unlink()
    images.write_png(out / "blur" / "b.png", picture(9, 10, 9))
    (out / "noise" / "c.png").write_bytes((out / "noise" / "c.png").read_bytes()[:-30])
    Image.open(out / "jpeg" / "c.png").save(out / "jpeg" / "c.png", compress_level=0)
    with pytest.raises(UserError, match="out differs from its manifest in 3 places"):
        written.verify(out)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("error")]
    assert any("clean/a.png" in line for line in lines)
    assert any("blur/b.png has other pixels" in line for line in lines)
    assert "noise/c.png" in lines[2]


def other_decoder(monkeypatch: pytest.MonkeyPatch, name: str = "b") -> None:
    """Decodes one image with one level of difference, as another version of a JPEG library may."""
    read = written.images.read_hr

    def different(path):
        image = read(path)
        if path.stem == name:
            image[0, 0, 0] ^= 1
        return image

    monkeypatch.setattr(written.images, "read_hr", different)


def test_another_decoder_is_told_from_another_file(folder: Path, monkeypatch, capsys) -> None:
    out = Path("out")
    written.write(folder, out)
    before = content(out)
    with monkeypatch.context() as patch:
        other_decoder(patch)
        with pytest.raises(UserError, match="1 places"):
            written.verify(out, folder)
        assert "b.png: the decoder differs: the same file gives other pixels" in capsys.readouterr().out
        with pytest.raises(UserError, match="1 of 3 images"):
            written.write(folder, out)
        shown = capsys.readouterr().err
        assert "b.png: the decoder differs" in shown
        assert "the suite was made with pillow" in shown
    images.write_png(folder / "b.png", picture(77))
    with pytest.raises(UserError, match="1 places"):
        written.verify(out, folder)
    assert "b.png is another file than the suite was made of" in capsys.readouterr().out
    with pytest.raises(UserError, match="1 of 3 images"):
        written.write(folder, out)
    assert "the file has changed since the suite was written" in capsys.readouterr().err
    assert content(out) == before


def test_another_encoder_is_told_too(folder: Path, monkeypatch, capsys) -> None:
    written.write(folder, Path("out"))
    degrade = suite.degrade_suite

    def different(*arguments):
        lrs = degrade(*arguments)
        lrs["jpeg"][0, 0, 0] ^= 1
        return lrs

    monkeypatch.setattr(suite, "degrade_suite", different)
    with pytest.raises(UserError, match="3 of 3 images"):
        written.write(folder, Path("out"))
    assert "jpeg come out with other pixels than before" in capsys.readouterr().err


def test_other_settings_or_images_do_not_mix_into_a_suite(folder: Path) -> None:
    written.write(folder, Path("out"))
    with pytest.raises(UserError, match="holds the suite of Mine with other settings"):
        written.write(folder, Path("out"), cases=["clean"])
    images.write_png(folder / "d.png", picture(4))
    with pytest.raises(UserError, match="holds a suite of other images"):
        written.write(folder, Path("out"))


def test_versions_that_differ_are_noted(folder: Path, capsys) -> None:
    written.write(folder, Path("out"))
    path = Path("out/manifest.json")
    manifest = json.loads(path.read_text())
    manifest["versions"]["pillow"] = "1.2.3"
    path.write_text(json.dumps(manifest))
    written.verify(Path("out"))
    assert "note: out was made with pillow 1.2.3 (here" in capsys.readouterr().out


def test_bad_images_are_named_and_left_out(folder: Path, capsys) -> None:
    (folder / "b.png").write_bytes(b"no image")
    Image.new("RGB", (3, 9)).save(folder / "c.png")
    with pytest.raises(UserError, match="2 of 3 images are not in out"):
        written.write(folder, Path("out"))
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error")]
    assert "b.png is not an image" in lines[0]
    assert "c.png: an image of 3×9 pixels is too small" in lines[1]
    written.verify(Path("out"))
    assert list(suite_manifest.read(Path("out")).images) == ["a"]


@pytest.mark.parametrize(("text", "says"), [(None, "is missing: out holds no suite"), ("{}", "is no manifest")])
def test_what_is_no_suite_is_one_line(tmp_path: Path, monkeypatch, text: str | None, says: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("out").mkdir()
    if text:
        Path("out/manifest.json").write_text(text)
    with pytest.raises(UserError, match=says):
        written.verify(Path("out"))


def test_the_command_line(folder: Path) -> None:
    runner = CliRunner()
    assert runner.invoke(app, ["suite", "Mine", "out", "--cases", "clean,b+n"]).exit_code == 0
    assert sorted(path.name for path in Path("out").iterdir()) == ["b+n", "clean", "manifest.json"]
    assert runner.invoke(app, ["suite", "--verify", "out"]).exit_code == 0
    assert runner.invoke(app, ["suite", "Mine", "--verify", "out"]).exit_code == 0
    failed = runner.invoke(app, ["suite", "Mine"])
    assert isinstance(failed.exception, UserError)


def test_a_suite_that_leads_out_of_its_folder_is_none(folder: Path) -> None:
    out = Path("out")
    written.write(folder, out)
    manifest = json.loads((out / "manifest.json").read_text())
    for change in (
        lambda entry: entry | {"file": "/etc/passwd"},
        lambda entry: (
            entry | {"cases": entry["cases"] | {"clean": entry["cases"]["clean"] | {"file": "../../x.png"}}}
        ),
    ):
        changed = manifest | {"images": manifest["images"] | {"a": change(manifest["images"]["a"])}}
        (out / "manifest.json").write_text(json.dumps(changed))
        with pytest.raises(UserError, match="is no manifest of a suite"):
            written.verify(out, folder)


def test_pipes_and_postscript_and_a_name_that_is_no_text_are_named_and_the_rest_is_done(folder: Path, capsys) -> None:
    os.mkfifo(folder / "pipe.png")
    (folder / "script.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EOF\n")
    images.write_png(folder / "d.png", picture(3))
    os.rename(folder / "d.png", os.fsencode(folder) + b"/caf\xe9.png")
    with pytest.raises(UserError, match="3 of 6 images are not in out"):
        written.write(folder, Path("out"))
    shown = capsys.readouterr().err
    for says in ("pipe.png (it is a pipe or a device", "script.png is not an image", "its name is not text in UTF-8"):
        assert says in shown
    written.verify(Path("out"))
    lr = Path("out/clean/a.png")
    lr.unlink()
    os.mkfifo(lr)
    (folder / "b.png").unlink()
    os.mkfifo(folder / "b.png")
    with pytest.raises(UserError, match="differs from its manifest in 2 places"):
        written.verify(Path("out"), folder)


def test_the_folder_to_write_to_is_another_one_and_a_folder(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(folder.iterdir())
    with pytest.raises(UserError, match="is the folder of the HR images: name another one"):
        written.write(folder, folder / ".")
    assert sorted(folder.iterdir()) == before
    Path("text.csv").write_text("")
    with pytest.raises(UserError, match=r"text\.csv is a file: name the folder to write to"):
        written.write(folder, Path("text.csv"))
    for said in ("LR images of", "are as they were"):
        written.write(folder, Path("lr"), cases=["clean"])
        assert said in capsys.readouterr().out
