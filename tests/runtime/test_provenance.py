"""The digest of the code is that of a stage's own rooms, whatever the command has imported."""

import shutil
from pathlib import Path

import pytest

from blindsr.config import registry
from blindsr.runtime import provenance

RUN = {"backbone": "srresnet", "reg": "rff", "degradation": "second_order"}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the package that the digest is taken of, to be edited."""
    copy = tmp_path / "blindsr"
    shutil.copytree(provenance._PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(provenance, "_PACKAGE", copy)
    return copy


def of_train() -> str:
    return provenance.code_digest("train", **RUN)


def test_it_is_short_and_the_same_whatever_is_loaded() -> None:
    before = of_train()
    assert len(before) == 8
    registry.load("backbone", "msrn")
    registry.load("regularizer", "dropout")
    assert of_train() == before


@pytest.mark.parametrize(
    ("file", "changes"),
    [
        ("stages/train.py", True),
        ("training/trainer.py", True),
        ("plugins/regularizers/rff.py", True),
        ("plugins/backbones/base.py", True),
        ("plugins/degradations/base.py", True),
        ("plugins/degradations/operators/jpeg.py", True),
        ("plugins/degradations/second_order.py", True),
        ("plugins/degradations/bsrgan.py", False),
        ("plugins/regularizers/dropout.py", False),
        ("plugins/backbones/msrn.py", False),
        ("runtime/errors.py", False),
        ("config/params.py", False),
        ("foreign/checkpoints.py", False),
        ("plugins/losses/l1.py", True),
        ("plugins/alexnet.py", True),
        ("plugins/metrics/ssim.py", False),
        ("evaluation/scoring.py", False),
        ("apps/plan.py", False),
    ],
)
def test_a_comment_changes_it_only_in_the_rooms_of_the_stage(package: Path, file: str, changes: bool) -> None:
    before = of_train()
    with (package / file).open("a") as code:
        code.write("# a comment\n")
    assert (of_train() != before) == changes


def test_plug_ins_and_stages_differ() -> None:
    others: list[dict[str, str]] = [{}, {"backbone": "msrn"}, {"reg": "linear"}, {"degradation": "bsrgan"}]
    found = {provenance.code_digest("train", **RUN | other) for other in others} | {provenance.code_digest("report")}
    assert len(found) == 5


def test_a_new_file_and_a_renamed_one_count(package: Path) -> None:
    before = of_train()
    (package / "training" / "new.py").write_text("")
    new = of_train()
    (package / "training" / "new.py").rename(package / "training" / "newer.py")
    assert len({before, new, of_train()}) == 3
