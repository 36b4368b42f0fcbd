"""Files that are no weights: each is one line that says what it is and what to do."""

import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from blindsr.data import images
from blindsr.foreign import checkpoints, lookalikes
from blindsr.runtime.errors import UserError


def zipped(*names: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return content.getvalue()


def tarred() -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("net.pth"))
    return content.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("net.zip", zipped("a/", "a/net.pth", "a/readme.txt"), "is a zip archive: unpack it, and give the file of "
         "weights that is in it (it holds a/net.pth, a/readme.txt)"),
        ("many.pth", zipped(*"abcd"), "(it holds a, b, c, …)"),
        ("none.zip", zipped(), "is an empty zip archive: fetch it again"),
        ("net.tar.gz", tarred(), "is a gzip archive: unpack it"),
        ("net.rar", b"Rar!\x1a\x07", "is a RAR archive"),
        ("page.pth", b"\n<!DOCTYPE html><html>404</html>", "is a web page, often what a host answers"),
        ("lfs.pth", b"version https://git-lfs.github.com/spec/v1\noid sha256:ab", "is a pointer of git-lfs: fetch"),
        ("empty.ckpt", b"", "is empty: fetch it again"),
    ],
    ids=["zip", "many", "none", "gzip", "rar", "page", "lfs", "empty"],  # archives hold the time
)  # fmt: skip
def test_what_it_is_and_the_way_out(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError) as caught:
        checkpoints.read(tmp_path / name)
    assert str(caught.value).startswith(f"{tmp_path / name} is ")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_image(tmp_path: Path) -> None:
    images.write_png(tmp_path / "net.pth", np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(UserError, match=r"net\.pth is a PNG image: give it as an image"):
        checkpoints.read(tmp_path / "net.pth")


def test_what_torch_saved_is_none_of_these(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(2)}, tmp_path / "net.pth")
    assert lookalikes.recognized(tmp_path / "net.pth") == ""
