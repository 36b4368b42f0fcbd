"""Pickles that would take for ever are known without being unpickled."""

import io
import pickle
import zipfile
from pathlib import Path

import pytest
import torch

from blindsr.foreign import checkpoints, pickles
from blindsr.runtime.errors import UserError


def nested(depth: int) -> tuple:
    made: tuple = ()
    for _ in range(depth):
        made = (made, made)
    return made


def as_key(depth: int, protocol: int = 2) -> bytes:
    """The pickle of {tuple: 1}, written by hand, since a dict would hash the tuple."""
    return b"\x80\x02}" + pickle.dumps(nested(depth), protocol)[2:-1] + b"K\x01s."


def saved(path: Path, content: bytes) -> Path:
    """An archive of torch.save with another pickle in it."""
    plain = io.BytesIO()
    torch.save({"a": 1}, plain)
    with zipfile.ZipFile(plain) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            new.writestr(name, content if name.endswith("data.pkl") else old.read(name))
    return path


def test_tuples_in_tuples_are_refused_in_an_archive_and_outside_of_one(tmp_path: Path) -> None:
    archive = saved(tmp_path / "net.pth", as_key(60))
    (tmp_path / "old.pth").write_bytes(as_key(60))
    for path in (archive, tmp_path / "old.pth"):
        with pytest.raises(UserError, match="is refused: it holds tuples in tuples"):
            checkpoints.read(path)


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize(("depth", "refused"), [(3, False), (20, False), (24, True), (60, True)])
def test_what_tuples_hold_is_counted(tmp_path: Path, depth: int, refused: bool, protocol: int) -> None:
    assert pickles.is_endless(saved(tmp_path / "net.pth", as_key(depth, protocol))) is refused


def test_wide_tuples_and_many_of_them_are_counted_too(tmp_path: Path) -> None:
    made: tuple = (0,)
    for _ in range(3):
        made = (made,) * 400
    assert pickles.is_endless(saved(tmp_path / "wide.pth", pickle.dumps(made, 2)))
    shared = nested(14)
    keys = [(shared, number) for number in range(2000)]
    assert pickles.is_endless(saved(tmp_path / "shared.pth", pickle.dumps(keys, 2)))
    assert not pickles.is_endless(saved(tmp_path / "flat.pth", pickle.dumps(tuple(range(100_000)), 2)))


@pytest.mark.parametrize("zipped", [True, False])
def test_what_torch_saves_has_an_end(tmp_path: Path, zipped: bool) -> None:
    network = torch.nn.Sequential(*(torch.nn.Linear(3, 3) for _ in range(30)))
    optimizer = torch.optim.Adam(network.parameters())
    network(torch.zeros(1, 3)).sum().backward()
    optimizer.step()
    content = {"net": network.state_dict(), "optimizer": optimizer.state_dict(), "shape": torch.Size([1, 2])}
    torch.save(content, tmp_path / "net.pth", _use_new_zipfile_serialization=zipped)
    assert not pickles.is_endless(tmp_path / "net.pth")


@pytest.mark.parametrize("content", [b"", b"no pickle", b"\x80\x02h\x07.", b"\x80\x02t.", bytes(300)])
def test_of_what_is_no_pickle_nothing_is_said(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x").write_bytes(content)
    assert not pickles.is_endless(tmp_path / "x")
