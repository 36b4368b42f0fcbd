"""Kept batches: the same bits as those that are made, whatever happened to the files."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from blindsr.config.schema import TrainParams
from blindsr.data.patch_store import PatchStore
from blindsr.plugins.degradations.base import Degradation
from blindsr.runtime.errors import UserError
from blindsr.training.kept import Kept
from blindsr.training.samples import Batches


class Maker:
    """Makes one batch, and counts how often."""

    def __init__(self, hr: Tensor) -> None:
        self.hr, self.calls = hr, 0

    def __call__(self) -> tuple[Tensor, Tensor]:
        self.calls += 1
        return torch.arange(256).float().reshape(1, 1, 16, 16) / 255, self.hr


@pytest.fixture(params=["levels", "sharpened"])
def maker(request: pytest.FixtureRequest) -> Maker:
    return Maker(torch.full((1, 3, 4, 4), 0.6 if request.param == "levels" else 1 / 3 + 1e-4))


def test_what_is_kept_is_read_bit_for_bit(tmp_path: Path, maker: Maker) -> None:
    kept = Kept(tmp_path / "batches")
    made, read = kept.get(7, maker), kept.get(7, maker)
    assert maker.calls == 1
    for a, b in zip(made, read, strict=True):
        assert a.dtype == b.dtype == torch.float32
        assert torch.equal(a, b)
    kept.get(8, maker)
    assert maker.calls == 2


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "text"])
def test_a_damaged_file_is_made_again(tmp_path: Path, maker: Maker, damage: str) -> None:
    kept = Kept(tmp_path)
    made = kept.get(0, maker)
    (path,) = tmp_path.iterdir()
    content = bytearray(path.read_bytes())
    content[200] ^= 1  # among the pixels of the first array
    path.write_bytes({"flip": bytes(content), "cut": content[:300], "empty": b"", "text": b"no batch"}[damage])
    again = kept.get(0, maker)
    assert maker.calls == 2
    assert all(map(torch.equal, made, again))
    kept.get(0, maker)
    assert maker.calls == 2  # it has been mended


def test_a_batch_of_another_iteration_or_kind_is_not_taken(tmp_path: Path, maker: Maker) -> None:
    for folder, iteration in (("a", 0), ("a", 1), ("b", 0)):
        Kept(tmp_path / folder).get(iteration, maker)
    first, second, other = sorted(tmp_path.rglob("*.batch"))
    for wrong in (second, other):
        first.write_bytes(wrong.read_bytes())
        before = maker.calls
        Kept(tmp_path / "a").get(0, maker)
        assert maker.calls == before + 1


def test_a_folder_that_cannot_be_written_is_one_line_with_the_way_out(tmp_path: Path, maker: Maker) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"set runtime\.keep_batches to false"):
        Kept(tmp_path / "file" / "batches").get(0, maker)


def test_training_batches_are_the_same_kept_or_not(
    tmp_path: Path, store: PatchStore, train_params: TrainParams, degradation: Degradation
) -> None:
    for usm in (False, True):
        params = train_params.model_copy(update={"usm_target": usm})
        plain = Batches(store, params, degradation, seed=0, views=2, scale=4)
        kept = Batches(store, params, degradation, seed=0, views=2, scale=4, kept=Kept(tmp_path / str(usm)))
        for iteration in (0, 3, 0):
            for a, b in zip(plain[iteration], kept[iteration], strict=True):
                assert torch.equal(a, b)
                assert a.stride() == b.stride()
