"""upscale from files to files: failures, re-runs, what is in the way."""

import base64
import io
import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from blindsr.apps.photos import photos, upscale
from blindsr.data import images
from blindsr.model import architecture, weight_files
from blindsr.model.weight_files import WeightsInfo
from blindsr.runtime import files, paths
from blindsr.runtime.errors import Interrupted, UserError

RUN = "srresnet-rff-0"
RGB = np.random.default_rng(0).integers(0, 256, (9, 13, 3), dtype=np.uint8)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a trained cell and photos/{a.png,b/c.png}."""
    monkeypatch.chdir(tmp_path)
    write_cell(0)
    for name in ("a.png", "b/c.png"):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(RGB).save(tmp_path / "photos" / name)
    return tmp_path


def write_cell(seed: int) -> None:
    torch.manual_seed(seed)
    hyper = {"num_blocks": 1, "num_features": 4}
    info = WeightsInfo(
        backbone="srresnet", hyper=hyper, scale=4, regularizer="rff", seed=0, iterations=1, run="x"
    )  # fmt: skip
    weight_files.save(architecture.build_backbone("srresnet", hyper, 4), info, paths.MODELS / f"{RUN}.safetensors")


def times(folder: Path) -> dict[str, int]:
    return {str(p.relative_to(folder)): p.stat().st_mtime_ns for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_run_and_its_file_and_bicubic_upscale_a_folder(folder, capsys):
    upscale.run(["photos"], RUN)
    assert capsys.readouterr().out == "2 upscaled by 4, 0 failed: photos_x4\n"
    assert list(times(folder / "photos_x4")) == ["a.png", "b/c.png"]
    network, _ = weight_files.load(paths.MODELS / f"{RUN}.safetensors")
    with torch.inference_mode():
        expected = images.to_uint8(network(images.to_float(RGB)[None])[0])
    np.testing.assert_array_equal(images.read_rgb("photos_x4/a.png"), expected)
    upscale.run(["photos/a.png"], f"models/{RUN}.safetensors", out=Path("file.png"))
    np.testing.assert_array_equal(images.read_rgb("file.png"), expected)
    upscale.run(["photos/a.png"], "bicubic", out=Path("bicubic.png"))
    found, expected = images.read_rgb("bicubic.png").astype(int), images.bicubic_upscale(RGB, 4)
    assert np.abs(found - expected).max() <= 1


def test_finished_results_are_kept_until_photo_weights_or_settings_change(folder, capsys):
    upscale.run(["photos"], RUN)
    first = times(folder / "photos_x4")
    upscale.run(["photos"], RUN)
    assert "0 upscaled by 4, 2 finished before, 0 failed" in capsys.readouterr().out
    assert times(folder / "photos_x4") == first

    Image.fromarray(255 - RGB).save("photos/a.png")
    upscale.run(["photos"], RUN)
    second = times(folder / "photos_x4")
    assert second["a.png"] != first["a.png"]
    assert second["b/c.png"] == first["b/c.png"]

    write_cell(1)
    upscale.run(["photos"], RUN)
    assert all(time != second[name] for name, time in times(folder / "photos_x4").items())


def test_an_interrupted_run_goes_on_and_leaves_no_half_file(folder, monkeypatch):
    for name in ("d.png", "e.png", "f.png", "g.png"):
        Image.fromarray(RGB).save(folder / "photos" / name)
    write, written = files.write_atomic, []

    def interrupted(path, content):
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(path)
        write(path, content)

    monkeypatch.setattr(files, "write_atomic", interrupted)
    says = "stopped by Ctrl-C: 2 of 6 photos are done, the same command goes on with the others"
    with pytest.raises(Interrupted, match=says):
        upscale.run(["photos"], RUN)
    monkeypatch.undo()
    monkeypatch.chdir(folder)
    before = times(folder / "photos_x4")
    assert len(before) == 2
    upscale.run(["photos"], RUN)
    after = times(folder / "photos_x4")
    assert len(after) == 6
    assert before.items() <= after.items()


def test_broken_files_are_named_at_the_end_and_the_rest_is_done(folder, capsys):
    (folder / "photos" / "aa.png").write_bytes((folder / "photos" / "a.png").read_bytes()[:200])
    (folder / "photos" / "ab.jpg").write_bytes(b"text")
    frames = [Image.fromarray(RGB), Image.fromarray(255 - RGB)]
    frames[0].save("photos/ac.gif", save_all=True, append_images=frames[1:])
    with pytest.raises(UserError, match="3 of 5 photos failed, named above; the others are done"):
        upscale.run(["photos"], "bicubic")
    out, err = capsys.readouterr()
    assert "2 upscaled by 4, 3 failed" in out
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    assert [line.split(" ", 2)[1] for line in errors] == ["photos/aa.png", "photos/ab.jpg", "photos/ac.gif"]
    assert "has 2 frames or pages" in errors[2]
    assert list(times(folder / "photos_x4")) == ["a.png", "b/c.png"]


def test_a_file_that_is_not_ours_is_never_replaced(folder):
    mine = folder / "photos_x4" / "a.png"
    mine.parent.mkdir()
    Image.fromarray(RGB).save(mine)
    content = mine.read_bytes()
    with pytest.raises(UserError, match="1 of 2 photos failed"):
        upscale.run(["photos"], RUN)
    assert mine.read_bytes() == content
    (folder / "photos_x4" / "empty.png").write_bytes(b"")
    Image.fromarray(RGB).save("photos/empty.png")
    with pytest.raises(UserError, match="2 of 3 photos failed"):
        upscale.run(["photos"], RUN)


def test_a_full_disk_ends_the_run_at_once(folder, monkeypatch):
    def full(path, content):
        raise UserError(f"{path}: the disk is full")

    monkeypatch.setattr(files, "write_atomic", full)
    with pytest.raises(UserError, match="the disk is full"):
        upscale.run(["photos"], RUN)


def test_transparency_in_jpeg_is_refused_or_dropped(folder, capsys):
    Image.fromarray(np.dstack([RGB, RGB[:, :, 0]])).save("photos/a.png")
    with pytest.raises(UserError, match="1 of 2 photos failed"):
        upscale.run(["photos"], RUN, format="jpg")
    assert "photos/a.png has transparency, which JPEG cannot hold" in capsys.readouterr().err
    upscale.run(["photos"], RUN, format="jpg", alpha=False)
    assert Image.open("photos_x4/a.jpg").mode == "RGB"
    upscale.run(["photos/a.png"], RUN, out=Path("big"))
    assert Image.open("big/a.png").mode == "RGBA"


def test_comparisons_are_made_with_the_result_or_of_it_later(folder):
    upscale.run(["photos/a.png"], RUN)
    result = photos.decode(Path("photos/a_x4.png").read_bytes())
    before = times(folder / "photos")["a_x4.png"]
    upscale.run(["photos/a.png"], RUN, compared=True)
    assert times(folder / "photos")["a_x4.png"] == before
    page = Path("photos/a_x4.compare.html").read_text()
    assert not re.search(r"(src|href)=\"(?!data:)", page)
    shown = [
        np.asarray(Image.open(io.BytesIO(base64.b64decode(text))))
        for text in re.findall(r"data:image/webp;base64,([\w+/=]+)", page)
    ]
    np.testing.assert_array_equal(shown[0], images.bicubic_upscale(RGB, 4))
    np.testing.assert_array_equal(shown[1], result.colour)
    side_by_side = np.asarray(Image.open("photos/a_x4.compare.png"))
    assert side_by_side.shape[1] == 2 * 52 + 8
    np.testing.assert_array_equal(side_by_side[-36:, :52], shown[0])
    np.testing.assert_array_equal(side_by_side[-36:, -52:], shown[1])
    first = times(folder / "photos")
    upscale.run(["photos/*.png"], RUN, compared=True)
    assert times(folder / "photos") == first


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ("srresnet-none-0", f"not a trained run in models/: did you mean {RUN}"),
        ("absent.pth", "absent.pth: no such file"),
        ("photos/a.png", "is a PNG image: give it as an image"),
    ],
)
def test_a_wrong_model_is_one_line(model, says):
    with pytest.raises(UserError, match=says):
        upscale.run(["photos"], model)


def test_a_wrong_device_is_one_line():
    with pytest.raises(UserError, match="unknown device gpu"):
        upscale.run(["photos"], RUN, device="gpu")


def test_a_pipe_and_postscript_are_named_and_the_rest_is_done(folder, capsys):
    (folder / "photos" / "x.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EOF\n")
    os.mkfifo(folder / "pipe.png")
    with pytest.raises(UserError, match="2 of 4 photos failed"):
        upscale.run(["photos", "pipe.png"], "bicubic", out=Path("out"))
    shown = capsys.readouterr().err
    assert "x.png is not an image of a format that is read" in shown
    assert "pipe.png cannot be read (it is a pipe" in shown
