"""The flat settings of a run: every one that decides it, readable, and nothing private."""

from pathlib import Path

import pytest

from blindsr.config import conf, params
from blindsr.config.described import described
from blindsr.config.params import Params

CONF = Path(__file__).resolve().parents[2] / "conf"


def settings(*overrides: str) -> Params:
    return params.parse(conf.compose(CONF, list(overrides)))


def test_what_one_sweeps_has_a_name_and_a_plain_value() -> None:
    chosen = settings("reg=rff", "seeds=[3]", "train.learning_rate=5e-4")
    found = described(chosen, chosen.runs[0])
    expected = {
        "backbone": "srresnet", "reg": "rff", "seed": "3", "scale": "4", "profile": "embedded",
        "backbone.num_blocks": "4", "reg.weight": "100", "reg.hyper.sigma": "1", "reg.hyper.dim": "32",
        "degradation.name": "second_order", "degradation.first.jpeg_quality": "[30.0, 95.0]",
        "train.learning_rate": "0.0005", "train.usm_target": "false", "train.losses.l1": "1",
        "train.schedule.min_learning_rate": "0", "train.init_from": "none", "data.train": "embedded_train",
    }  # fmt: skip
    assert expected.items() <= found.items()
    assert all(isinstance(value, str) and "(" not in value for value in found.values())


def test_a_setting_of_one_backbone_is_that_of_the_run() -> None:
    chosen = settings("reg=dropout", "backbone=rrdb")
    assert described(chosen, chosen.runs[0])["reg.hyper.rate"] == "0.5"


@pytest.mark.parametrize("name", ["train.validation.every", "train.log_every", "train.loss_settings.charbonnier.eps"])
def test_what_changes_no_weight_is_left_out(name: str) -> None:
    chosen = settings("reg=none")
    assert name not in described(chosen, chosen.runs[0])


def test_of_a_file_to_start_from_only_its_name_is_told() -> None:
    chosen = settings("reg=none", "train.init_from=/home/someone/secret/start.safetensors")
    assert described(chosen, chosen.runs[0])["train.init_from"] == "start.safetensors"


def test_no_setting_tells_where_files_lie() -> None:
    chosen = settings("reg=none", "train.init_from='/home/anna berg/start.pth'")
    net = {"architecture": "/home/anna berg/net.py:build", "dim": 8}
    hyper = chosen.backbone.hyper | {"srresnet": net}
    chosen = chosen.model_copy(update={"backbone": chosen.backbone.model_copy(update={"hyper": hyper})})
    for text in (chosen.as_text(), repr(described(chosen, chosen.runs[0]))):
        assert "net.py:build" in text
        assert "start.pth" in text
        assert "anna" not in text


def test_a_share_of_the_gradient_is_there_if_one_is_wanted() -> None:
    chosen = settings("reg=rff", "+reg.settings.rff.gradient_share=0.2")
    assert described(chosen, chosen.runs[0])["reg.gradient_share"] == "0.2"
    chosen = settings("reg=rff")
    assert "reg.gradient_share" not in described(chosen, chosen.runs[0])
