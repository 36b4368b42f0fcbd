"""LPIPS against the real package and against published values."""

import importlib.util
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch

from blindsr.data.images import read_rgb
from blindsr.plugins.metrics.lpips import build, load_lpips
from blindsr.runtime.errors import UserError

SHAPES = {0: (64, 3, 11), 3: (192, 64, 5), 6: (384, 192, 3), 8: (256, 384, 3), 10: (256, 256, 3)}


def picture(height=80, width=72, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def state():
    generator = torch.Generator().manual_seed(7)
    weights = {}
    for index, (out, into, side) in SHAPES.items():
        spread = (2 / (into * side * side)) ** 0.5
        weights[f"features.{index}.weight"] = spread * torch.randn(out, into, side, side, generator=generator)
        weights[f"features.{index}.bias"] = 0.1 * torch.randn(out, generator=generator)
    return weights


@pytest.fixture(scope="module")
def trunk(state, tmp_path_factory):
    path = tmp_path_factory.mktemp("trunk") / "alexnet.pth"
    torch.save(state | {"classifier.1.bias": torch.zeros(3)}, path)
    return path


@pytest.fixture(scope="module")
def metric(trunk):
    return load_lpips(trunk)


@pytest.fixture(scope="module")
def real_package(state, torchvision_operators):
    """`lpips.LPIPS` with the same trunk."""
    try:
        lpips = importlib.import_module("lpips")
    except Exception as error:
        pytest.skip(f"lpips cannot be imported: {error}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        package = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False)
    slices = [
        package.net.slice1,
        package.net.slice2,
        package.net.slice3,
        package.net.slice4,
        package.net.slice5,
    ]
    for part, index in zip(slices, SHAPES, strict=True):
        convolution = next(layer for layer in part if isinstance(layer, torch.nn.Conv2d))
        convolution.load_state_dict({name: state[f"features.{index}.{name}"] for name in ("weight", "bias")})
    return package


@pytest.mark.parametrize("size", [(31, 31), (64, 64), (80, 72), (97, 33)])
def test_agrees_with_the_real_package(metric, real_package, size):
    generator = torch.Generator().manual_seed(size[0])
    a, b = (torch.rand(2, 3, *size, generator=generator) * 2 - 1 for _ in range(2))
    expected = real_package(a, b).flatten()
    assert expected.min() > 0.01
    torch.testing.assert_close(metric.distances(a, b), expected.detach(), rtol=0, atol=1e-6)


def test_score_is_the_package_on_minus_one_to_one(metric, real_package):
    sr, hr = picture(seed=1), picture(seed=2)
    tensors = [torch.from_numpy(i.astype(np.float32) / 127.5 - 1).permute(2, 0, 1)[None] for i in (sr, hr)]
    assert metric(sr, hr) == pytest.approx(real_package(*tensors).item(), abs=1e-6)


def test_reference_pairs(real_data):
    metric = load_lpips(real_data / "weights" / "alexnet_features.pth")
    reference, *others = (read_rgb(real_data / "lpips_reference" / f"ex_{name}.png") for name in ("ref", "p0", "p1"))
    assert [metric(other, reference) for other in others] == pytest.approx([0.7219, 0.1376], abs=1e-4)


def test_a_reference_scores_as_the_pair_does_and_computes_the_hr_once(metric, monkeypatch):
    hr, srs = picture(), [picture(seed=seed) for seed in (1, 2, 3)]
    expected = [metric(sr, hr, 4) for sr in srs]
    runs, activations = [], metric.trunk.forward
    monkeypatch.setattr(metric.trunk, "forward", lambda image: runs.append(1) or activations(image))
    distance = metric.reference(hr, 4)
    assert [distance(sr) for sr in srs] == expected
    assert len(runs) == 4
    with pytest.raises(UserError, match="different sizes"):
        distance(picture()[:-1])


def test_equal_images_score_zero_and_order_does_not_matter(metric):
    a, b = picture(seed=1), picture(seed=2)
    assert metric(a, a.copy()) == 0
    assert metric(a, b) == pytest.approx(metric(b, a), abs=1e-6)
    assert not metric.training
    assert not any(parameter.requires_grad for parameter in metric.parameters())


def test_border_does_not_count(metric):
    hr = picture()
    sr = hr.copy()
    sr[:4], sr[-4:], sr[:, :4], sr[:, -4:] = 0, 0, 0, 0
    assert metric(sr, hr, crop_border=4) == 0
    assert metric(sr, hr) > 0


def test_bad_pairs(metric):
    with pytest.raises(UserError, match="different sizes"):
        metric(picture(), picture(seed=1)[:-1])
    with pytest.raises(UserError, match="needs 39 on each side"):
        metric(picture(38, 60), picture(38, 60), crop_border=4)
    with pytest.raises(ValueError, match="float64"):
        metric(picture() / 255, picture() / 255)


def test_missing_heads_are_a_user_error(trunk, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install lpips"):
        load_lpips(trunk)


def test_neither_lpips_nor_torchvision_is_imported(trunk):
    program = (
        "import sys; from blindsr.plugins.metrics.lpips import load_lpips; load_lpips(sys.argv[1]);"
        "assert not {'lpips', 'torchvision'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program, str(trunk)], check=True)


def test_the_record_is_the_network_on_whole_images(metric, trunk):
    sr, hr, lr = picture(seed=1), picture(seed=2), picture(20, 18)
    record = build(trunk=trunk)
    assert (record.name, record.title, record.decimals, record.higher_is_better) == ("lpips", "LPIPS", 4, False)
    assert record.lacks == ""
    assert record.measure(sr, hr, lr) == record.against(hr)(sr, lr) == metric(sr, hr)


def test_without_a_trunk_the_record_says_what_it_lacks(tmp_path):
    record = build()
    assert record.lacks == "no LPIPS trunk weights"
    with pytest.raises(UserError, match="no LPIPS trunk weights: give AlexNet's"):
        record.measure(picture(), picture(), picture())
    with pytest.raises(UserError, match="no LPIPS trunk at"):
        build(trunk=tmp_path / "absent.pth")
