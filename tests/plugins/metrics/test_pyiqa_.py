"""Metrics of the pyiqa package: by name, absent in one line, never fetched unasked; and those of the real package."""

import importlib
import logging
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

import pyiqa_stand_in
from blindsr.config import registry
from blindsr.config.consistency import check_metrics
from blindsr.config.schema import EvaluateParams
from blindsr.evaluation import scoring
from blindsr.evaluation.scoring import Key, Measure
from blindsr.plugins.metrics import pyiqa_
from blindsr.plugins.metrics.base import RGB
from blindsr.plugins.metrics.psnr_db import psnr
from blindsr.runtime import packages
from blindsr.runtime.errors import UserError


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The stand-in."""
    with pyiqa_stand_in.installed(tmp_path, monkeypatch):
        yield


@pytest.fixture
def absent(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if there were no pyiqa."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *_: None if name == "pyiqa" else 1 / 0)


@pytest.fixture
def real() -> ModuleType:
    """The package itself."""
    if not packages.installed("pyiqa"):
        pytest.skip("pyiqa is not installed: pip install pyiqa")
    return packages.beside_torchvision("pyiqa")


def image(value: int, side: int = 32) -> RGB:
    return np.full((side, side, 3), value, np.uint8)


def built(*names: str, download: bool = False) -> list[scoring.Metric]:
    return scoring.build_metrics(
        names, crop_border=4, max_shift=0, trunk=None, no_trunk="", device=torch.device("cpu"), download=download
    )


@pytest.mark.usefixtures("package")
def test_names_directions_and_values_are_the_package_s() -> None:
    gap, light = built("pyiqa_gap", "pyiqa_light_a_plus")
    assert (gap.name, gap.label, gap.higher_is_better, gap.needs_hr) == ("pyiqa_gap", "GAP (pyiqa)", False, True)
    assert (light.name, light.higher_is_better, light.needs_hr) == ("pyiqa_light_a_plus", True, False)
    assert gap.measure(image(151), image(100), image(100, 8)) == pytest.approx(51 / 255)
    assert light.measure(image(51), image(100), image(100, 8)) == pytest.approx(51 / 255)
    assert not gap.lacks
    with pytest.raises(UserError, match="different sizes"):
        gap.measure(image(1), image(1, 16), image(1, 8))


@pytest.mark.usefixtures("package")
def test_a_record_alone_imports_nothing_and_measures_when_it_is_asked() -> None:
    record = registry.build("metric", "pyiqa_gap")
    assert record.higher_is_better is False
    assert "pyiqa" not in sys.modules
    assert record.measure(image(151), image(100), image(100)) == pytest.approx(51 / 255)


@pytest.mark.usefixtures("package")
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("pyiqa_gop", "metric 'pyiqa_gop': pyiqa has no metric 'gop': choose from gap"),
        ("pyiqa_fid", "metric 'pyiqa_fid': it is a score of many images at once, and cannot be had of one"),
        ("pyiqa_clipscore", "metric 'pyiqa_clipscore': it is a score of more than an image and its HR image"),
        ("pyiqa_", "unknown metric 'pyiqa_': choose one of .*ssim, pyiqa_…"),
    ],
)
def test_a_name_that_the_package_does_not_have(name: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        registry.build("metric", name)
    settings = EvaluateParams(metrics=["psnr_db", name], crop_border=4, overlap=0, threads=1)
    with pytest.raises(UserError, match=said):
        check_metrics(settings)


@pytest.mark.usefixtures("absent")
def test_without_the_package_the_others_are_computed(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    metrics = built("psnr_db", "pyiqa_dists")
    assert caplog.messages == ["pyiqa is not installed (pip install pyiqa): the pyiqa_dists column stays empty"]
    scored = Measure(metrics).against(image(100))(Key("Set", "clean", "a"), image(90), image(0, 8))
    assert scored.values == {"psnr_db": pytest.approx(psnr(image(90), image(100)))}
    with pytest.raises(UserError, match="pyiqa is not installed"):
        metrics[1].measure(image(1), image(1), image(1))
    assert registry.build("metric", "pyiqa_dists").higher_is_better is None


def refuse(*_: object, **__: object) -> None:
    raise AssertionError("the network was asked for")


@pytest.mark.usefixtures("package")
def test_weights_are_never_fetched_unasked(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    (metric,) = built("pyiqa_fetched")
    assert metric.lacks == (
        "pyiqa's fetched cannot be had here: its weights are neither in TORCH_HOME nor in HF_HOME, and downloads "
        "(weights.example.org) are off; allow them with --download-weights or evaluate.download_weights"
    )
    assert len(caplog.messages) == 1
    monkeypatch.setattr(socket, "getaddrinfo", refuse)  # no name is looked up here either
    assert built("pyiqa_fetched", download=True)[0].lacks.endswith("RuntimeError: tried another host")


@pytest.mark.usefixtures("package")
def test_an_image_that_a_metric_fails_on_leaves_a_hole(caplog: pytest.LogCaptureFixture) -> None:
    metrics = built("psnr_db", "pyiqa_small")
    for _ in range(2):
        values = Measure(metrics).against(image(100))(Key("Set", "clean", "a"), image(90), image(0, 8)).values
    assert np.isnan(values["pyiqa_small"])
    assert values["psnr_db"] == pytest.approx(psnr(image(90), image(100)))
    assert caplog.messages == [
        "pyiqa's small has no score of an image of 32×32 px: RuntimeError: images of 40 px or more"
    ]


@pytest.mark.usefixtures("package")
def test_random_crops_are_the_same_each_time_and_take_nothing_of_other_generators() -> None:
    (metric,) = built("pyiqa_drawn")
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    wanted = torch.rand(1).item(), np.random.rand()  # noqa: NPY002
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    first = metric.measure(image(1), image(1), image(1))
    assert (torch.rand(1).item(), np.random.rand()) == wanted  # noqa: NPY002
    assert metric.measure(image(1), image(1), image(1)) == first


@pytest.mark.usefixtures("package")
def test_what_the_package_prints_is_no_result(capsys: pytest.CaptureFixture[str]) -> None:
    built("pyiqa_gap")
    assert capsys.readouterr() == ("", "")
    built("pyiqa_gap", download=True)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "Loading" in captured.err


@pytest.mark.usefixtures("package")
def test_photos_without_hr_have_the_scores_that_need_none() -> None:
    metrics = built("psnr_db", "pyiqa_gap", "pyiqa_light_a_plus")
    values = Measure(metrics).against(None)(Key("Set", "real", "a"), image(51), image(0, 8)).values
    assert values == {"pyiqa_light_a_plus": pytest.approx(51 / 255)}


def test_the_stand_in_has_the_interface_of_the_package(real: ModuleType) -> None:
    table = importlib.import_module("pyiqa.default_model_configs").DEFAULT_CONFIGS
    names = [pyiqa_._member(name) for name in table]
    assert len(set(names)) == len(table) == len([name for name in names if name.replace("_", "").isalnum()])
    assert {about["metric_mode"] for about in table.values()} == {"FR", "NR"}
    for name in ("psnr", "entropy"):  # need no weights
        made = real.create_metric(name, device=torch.device("cpu"))
        assert made.metric_mode == table[name]["metric_mode"]
        assert made.lower_better == table[name].get("lower_better", False)


def natural(side: int = 96) -> RGB:
    """A random walk down each column: smooth, like a photo."""
    steps = np.random.default_rng(0).normal(0, 8, (side, side, 3))
    return np.clip(128 + steps.cumsum(0), 0, 255).astype(np.uint8)


@pytest.mark.usefixtures("real")
def test_the_real_package_measures(real: ModuleType) -> None:
    compared, alone, similar = built("pyiqa_psnr", "pyiqa_entropy", "pyiqa_fsim")
    sr, hr = natural(), natural()[::-1].copy()
    assert [metric.lacks for metric in (compared, alone, similar)] == ["", "", ""]
    assert compared.measure(sr, hr, sr) == pytest.approx(psnr(sr, hr, 0), abs=1e-3)
    assert compared.higher_is_better
    assert not alone.needs_hr
    assert similar.measure(hr, hr, hr) == pytest.approx(1, abs=1e-5)
    assert compared.made_by == f"pyiqa {real.__version__}"


@pytest.mark.usefixtures("real")
def test_the_real_package_fetches_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyiqa.utils.download_util.DEFAULT_CACHE_DIR", str(tmp_path))
    (metric,) = built("pyiqa_niqe")
    assert "downloads (" in metric.lacks
    assert not list(tmp_path.iterdir())
