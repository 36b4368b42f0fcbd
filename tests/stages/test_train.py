"""The train stage: which settings, data and code a resumable state belongs to. `tests/training` runs the stage."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from blindsr.config import conf, params
from blindsr.config.run import Run
from blindsr.data.indices import Index, IndexedImage
from blindsr.data.patch_store import INDEX
from blindsr.runtime import paths, provenance
from blindsr.runtime.errors import UserError
from blindsr.stages import train

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """The state folder of the run srresnet-rff-0, or another, under changes of the settings."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.setenv("DVC_EXP_NAME", "a-test")  # params.yaml is taken as it is
    paths.PATCHES.mkdir(parents=True)
    (paths.PATCHES / INDEX).write_text("{}")

    def of(*overrides: str, reg: str = "rff", seed: int = 0) -> Path:
        settings: dict[str, Any] = conf.compose(ROOT / "conf", list(overrides))
        Path("params.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
        return train.state_folder(params.read(), Run("srresnet", reg, seed))

    return of


@pytest.mark.parametrize(
    "override",
    [
        "train.learning_rate=3e-3", "train.iterations=481", "train.batch=4", "train.ema_decay=0.9",
        "train.schedule.min_learning_rate=1e-7", "train.threads=2",
        "degradation.settings.second.jpeg_quality=[40, 95]", "degradation=bsrgan",
        "reg.settings.rff.weight=2", "reg.settings.rff.hyper.sigma=2", "backbone.hyper.srresnet.num_blocks=2",
        "train.losses={l1: 0.5}", "+train.losses.charbonnier=0.1",
    ],
)  # fmt: skip
def test_another_setting_has_another_state(folder: Callable[..., Path], override: str) -> None:
    assert folder(override).name.split("-")[0] != folder().name.split("-")[0]


def test_another_run_other_patches_and_other_code_have_another_state(
    folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [folder(), folder(reg="linear"), folder("seeds=[0, 1]", seed=1)]
    monkeypatch.setattr(provenance, "code_digest", lambda stage, **plugins: f"code of {'+'.join(plugins.values())}")
    found.append(folder())
    assert found[-1].name.endswith("-code of srresnet+rff+second_order")
    (paths.PATCHES / INDEX).write_text('{"patches": []}')
    found.append(folder())
    assert len(set(found)) == 5


@pytest.mark.parametrize(
    "override",
    [
        "runtime.workers=3",
        "runtime.checkpoint_every=7",
        "runtime.devices=2",
        "reg=rff",
        "evaluate.overlap=16",
        "train.loss_settings.charbonnier.eps=0.01",
    ],
)
def test_what_changes_no_result_keeps_the_state(folder: Callable[..., Path], override: str) -> None:
    """Another grid around the run too."""
    assert folder(override) == folder()


def test_settings_that_the_end_could_not_follow_end_a_training_before_it_begins(folder: Callable[..., Path]) -> None:
    """Those of a later run too; there is nothing here that could be trained on."""
    folder()
    image = IndexedImage(name="a", file="a.png", width=60, height=90, sha256="0" * 64)
    Index(name="embedded_test", images=[image]).write(paths.INDEX)
    with pytest.raises(UserError, match=r"embedded_test: a\.png is 60×90 px, and analyse\.crop wants 64 px a side"):
        train.run(params.read(), Run("srresnet", "rff", 0))
    folder("backbone=paper", "backbone.hyper.rrdb.growth=0")
    with pytest.raises(UserError, match=r"backbone\.hyper\.rrdb: backbone 'rrdb': growth must be"):
        train.run(params.read(), Run("srresnet", "rff", 0))
