"""The losses of a training: parts and their sum, settings, and what determines a run."""

from pathlib import Path

import pytest
import torch
import yaml
from torch.nn import functional

from blindsr.config import conf, params
from blindsr.config.schema import TrainParams
from blindsr.plugins import alexnet
from blindsr.plugins import losses as plugin_losses
from blindsr.runtime.errors import UserError
from blindsr.training import losses

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def train() -> TrainParams:
    return params.parse(conf.compose(ROOT / "conf")).train


def images() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.rand(2, 3, 33, 35, generator=generator) for _ in range(2)]


def test_l1_alone_is_torchs_to_the_bit_with_its_gradient(train: TrainParams) -> None:
    built = losses.build_losses(train)
    (sr, hr), found = images(), []
    for loss in (lambda sr: built.total(built(sr, hr)), lambda sr: functional.l1_loss(sr, hr)):
        own = sr.clone().requires_grad_()
        value = loss(own)
        value.backward()
        found.append((value.detach(), own.grad))
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1])
    assert list(built(sr, hr)) == ["l1"]


def test_parts_are_without_weights_and_the_total_is_their_weighted_sum(train: TrainParams) -> None:
    changed = train.model_copy(
        update={"losses": {"charbonnier": 0.25, "l1": 2.0}, "loss_settings": {"charbonnier": {"eps": 0.5}}}
    )
    built = losses.build_losses(changed)
    sr, hr = images()
    parts = built(sr, hr)
    assert list(parts) == ["charbonnier", "l1"]
    charbonnier, l1 = ((sr - hr).square() + 0.25).sqrt().mean(), (sr - hr).abs().mean()
    torch.testing.assert_close(parts, {"charbonnier": charbonnier, "l1": l1})
    torch.testing.assert_close(built.total(parts), 0.25 * charbonnier + 2 * l1)
    assert list(built.parameters()) == []


def test_the_perceptual_loss_gets_the_trunk_and_without_one_there_is_a_line(
    train: TrainParams, tmp_path: Path
) -> None:
    changed = train.model_copy(update={"losses": {"l1": 1.0, "perceptual": 0.1}})
    assert not losses.needs_trunk(train)
    assert losses.needs_trunk(changed)
    with pytest.raises(UserError, match="the perceptual loss needs AlexNet's weights"):
        losses.build_losses(changed)
    trunk = tmp_path / "alexnet.pth"
    torch.save({f"features.{key}": value for key, value in alexnet.Trunk().features.state_dict().items()}, trunk)
    built = losses.build_losses(changed, trunk)
    assert built(*images())["perceptual"] > 0
    assert not any(parameter.requires_grad for parameter in built.parameters())


def test_l1_alone_determines_nothing_more_and_every_other_choice_does(train: TrainParams, tmp_path: Path) -> None:
    assert losses.determining(train) == {}
    weighted = losses.determining(train.model_copy(update={"losses": {"l1": 2.0}}))
    assert weighted == {"losses": {"l1": 2.0}, "loss_settings": {"l1": {}}, "trunk": None}
    charbonnier = train.model_copy(update={"losses": {"charbonnier": 1.0}})
    assert losses.determining(charbonnier)["loss_settings"] == {"charbonnier": {"eps": 1e-3}}
    (tmp_path / "a").write_bytes(b"weights")
    (tmp_path / "b").write_bytes(b"others")
    perceptual = train.model_copy(update={"losses": {"perceptual": 1.0}})
    first, second = (losses.determining(perceptual, tmp_path / name) for name in "ab")
    assert first != second


def test_a_loss_of_ones_own_is_the_file_of_contributing(
    train: TrainParams, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Word for word; the gradients of the errors below are 1 down and 2 to the right."""
    text = (ROOT / "CONTRIBUTING.md").read_text()
    source = text.split("/edges.py`:\n\n```python\n")[1].split("```")[0]
    settings = yaml.safe_load(text.split("and its settings:\n\n```yaml\n")[1].split("```")[0])["train"]
    (tmp_path / "edges.py").write_text(source)
    monkeypatch.setattr(plugin_losses, "__path__", [*plugin_losses.__path__, str(tmp_path)])
    composed = conf.compose(ROOT / "conf")
    composed["train"] |= settings
    built = losses.build_losses(params.parse(composed).train)
    sr, hr = torch.tensor([[0.0, 2.0], [1.0, 3.0]]).expand(1, 3, 2, 2), torch.zeros(1, 3, 2, 2)
    parts = built(sr, hr)
    assert {name: part.item() for name, part in parts.items()} == {"l1": 1.5, "edges": 1.5}
    assert built.total(parts).item() == pytest.approx(1.65)


def test_a_setting_that_a_loss_refuses_is_one_line(train: TrainParams) -> None:
    changed = train.model_copy(update={"losses": {"charbonnier": 1.0}, "loss_settings": {"charbonnier": {"eps": 0}}})
    with pytest.raises(UserError, match="loss 'charbonnier': eps must be a finite number > 0, not 0"):
        losses.build_losses(changed)
