"""Examples of docs/api.md: tests/docs/test_pages.py runs those whose output is shown; here is that for BasicSR."""

import re
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch
from torch import nn

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


class SRModel:
    """As BasicSR's, in what a subclass relies on."""

    def __init__(self) -> None:
        self.net_g = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 48, 3, padding=1), nn.PixelShuffle(4))
        self.init_training_settings()

    def init_training_settings(self) -> None:
        self.net_g.train()
        self.cri_pix = nn.L1Loss()

    def feed_data(self, data: dict[str, torch.Tensor]) -> None:
        self.lq, self.gt = data["lq"], data["gt"]

    def optimize_parameters(self) -> None:
        self.output = self.net_g(self.lq)
        self.loss = self.cri_pix(self.output, self.gt)
        self.loss.backward()


def test_every_other_example_shows_its_output() -> None:
    places = [place for place, (language, _) in enumerate(BLOCKS) if language == "python"]
    shown = [place for place in places if BLOCKS[place + 1][0] == "text"]
    (other,) = set(places) - set(shown)
    assert "basicsr" in BLOCKS[other][1]
    for place in places:
        assert len(BLOCKS[place][1].splitlines()) <= 18


def test_a_basicsr_model_is_aligned(monkeypatch: pytest.MonkeyPatch) -> None:
    code = next(text for _, text in BLOCKS if "basicsr" in text)
    for name, content in (
        ("basicsr", {}),
        ("basicsr.models", {}),
        ("basicsr.models.sr_model", {"SRModel": SRModel}),
        ("basicsr.utils", {}),
        ("basicsr.utils.registry", {"MODEL_REGISTRY": SimpleNamespace(register=lambda: lambda made: made)}),
    ):
        module = ModuleType(name)
        module.__dict__.update(content)
        monkeypatch.setitem(sys.modules, name, module)
    namespace: dict[str, type[SRModel]] = {}
    exec(compile(code, "docs/api.md", "exec"), namespace)
    model = namespace["AlignedModel"]()
    model.feed_data({"lq": torch.rand(2, 3, 24, 24), "gt": torch.rand(2, 3, 96, 96)})
    assert model.lq.shape == (4, 3, 24, 24)
    assert not torch.equal(model.lq[:2], model.lq[2:])  # two views
    model.optimize_parameters()
    plain = (model.output - model.gt).abs().mean()
    assert model.loss > plain
    assert model.net_g[0].weight.grad.abs().sum() > 0
