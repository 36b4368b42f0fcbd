"""The train stage with networks of spandrel, and of a user's file, in the embedded profile."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from blindsr.config import conf, params
from blindsr.config.params import Params
from blindsr.config.run import Run
from blindsr.evaluation import benchmarks
from blindsr.foreign import checkpoints
from blindsr.runtime import tracking
from blindsr.runtime.errors import UserError
from blindsr.stages import train

ROOT = Path(__file__).resolve().parents[2]
OWN = """
from torch import nn

def build(scale):
    last = nn.Conv2d(8, 3 * scale**2, 3, padding=1)
    return nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), last, nn.PixelShuffle(scale))
"""


@pytest.fixture
def settings(store_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Params]:
    """Settings of two iterations, in a project that has patches; arguments are changes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setattr(tracking, "_open", lambda *arguments: tracking.Run(None, ""))
    Path("data").mkdir()
    Path("data/patches").symlink_to(store_folder)

    def make(*overrides: str) -> Params:
        return params.parse(
            conf.compose(ROOT / "conf", [
                "backbone=spandrel", "train.iterations=2", "train.log_every=2", "train.validation.every=2",
                "train.validation.windows=1", "train.batch=4", "train.window=144", "runtime.workers=0",
                "runtime.device=cpu", *overrides,
            ])
        )  # fmt: skip

    return make


@pytest.mark.needs("spandrel", "hydra")
def test_a_run_of_spandrel_is_trained_read_and_fine_tuned(settings: Callable[..., Params], tmp_path: Path) -> None:
    sizes = ["+backbone.hyper.spandrel.dim=8", "+backbone.hyper.spandrel.n_blocks=2"]
    project = settings("reg=rff", *sizes)
    train.run(project, Run("spandrel", "rff", 0))
    network, info = benchmarks.network_of(project, Run("spandrel", "rff", 0))
    assert info is not None
    assert info.hyper == {"architecture": "PLKSR", "dim": 8, "n_blocks": 2}
    assert next(iter(network.state_dict())) == "feats.0.weight"
    assert checkpoints.read(tmp_path / "models" / "spandrel-rff-0.safetensors")[1] == 4

    again = settings("reg=two_views", "train.init_from=models/spandrel-rff-0.safetensors", *sizes)
    start = train.build_network(again, Run("spandrel", "two_views", 0)).backbone.state_dict()
    assert all(torch.equal(start[key], value) for key, value in network.state_dict().items())


@pytest.mark.needs("spandrel", "hydra")
def test_a_wrong_architecture_is_known_before_training(settings: Callable[..., Params]) -> None:
    project = settings("reg=rff", "backbone.hyper.spandrel.architecture=PLSKR")
    with pytest.raises(UserError, match=r"backbone\.hyper\.spandrel: backbone 'spandrel': there is no architecture"):
        train.run(project, Run("spandrel", "rff", 0))


@pytest.mark.needs("hydra")
def test_a_network_of_a_user_s_file_is_trained_and_its_state_is_that_of_the_file(
    settings: Callable[..., Params],
) -> None:
    Path("net.py").write_text(OWN)
    project, run = (
        settings("reg=linear", "backbone.hyper.spandrel.architecture='net.py:build'"),
        Run("spandrel", "linear", 0),
    )
    before = train.state_folder(project, run)
    train.run(project, run)
    network, _ = benchmarks.network_of(project, run)
    assert list(network.state_dict()) == ["0.weight", "0.bias", "1.weight", "1.bias"]
    with pytest.raises(UserError, match="give --trust"):
        checkpoints.read(Path("models/spandrel-linear-0.safetensors"))
    assert checkpoints.read(Path("models/spandrel-linear-0.safetensors"), trust=True)[1] == 4
    Path("net.py").write_text(OWN.replace("8,", "16,"))
    assert train.state_folder(project, run) != before
