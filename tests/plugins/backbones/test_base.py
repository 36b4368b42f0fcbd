"""What every backbone promises, whichever it is, and the parts they share."""

import ast
import copy
import inspect
import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from blindsr.config import registry
from blindsr.plugins.backbones import base
from steps import features_of

NAMES = registry.names("backbone")
NEEDS = {"spandrel": ("spandrel",)}
SMALL = yaml.safe_load((Path(__file__).parents[3] / "conf" / "profile" / "embedded.yaml").read_text())["backbone"][
    "hyper"
] | {"spandrel": {"architecture": "PLKSR", "dim": 8, "n_blocks": 2, "kernel_size": 5}}


def build(name, seed=0):
    torch.manual_seed(seed)
    return registry.load("backbone", name)(**SMALL.get(name, {}))


def images(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(params=[pytest.param(name, marks=pytest.mark.needs(*NEEDS.get(name, ()))) for name in NAMES])
def name(request):
    return request.param


def test_build_takes_named_settings_with_defaults_only(name):
    parameters = inspect.signature(registry.load("backbone", name)).parameters.values()
    named = [p for p in parameters if p.kind is not p.VAR_KEYWORD]
    assert all(p.kind is p.KEYWORD_ONLY and p.default is not p.empty for p in named)
    assert {p.name: p.default for p in named}["scale"] == 4


def test_imports_torch_and_its_blocks_only(name):
    tree = ast.parse(inspect.getsource(inspect.getmodule(registry.load("backbone", name))))
    imported = {a.name for node in ast.walk(tree) if isinstance(node, ast.Import) for a in node.names}
    imported |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    first_party = {module for module in imported if module.startswith("blindsr")}
    assert first_party <= {"blindsr.plugins.backbones.base", "blindsr.runtime", "blindsr.runtime.errors"}
    others = {module.partition(".")[0] for module in imported} - set(sys.stdlib_module_names)
    assert others <= {"blindsr", "torch", "numpy"}


@pytest.mark.parametrize("size", [(8, 8), (5, 11), (1, 1), (1, 9), (17, 2)])
def test_shapes_and_features(name, size):
    backbone, lr = build(name), images(2, 3, *size)
    assert backbone.scale == 4
    sr = backbone(lr)
    assert sr.shape == (2, 3, 4 * size[0], 4 * size[1])
    assert sr.isfinite().all()
    if backbone.last:
        features = features_of(backbone, lr)
        shuffled = (backbone.get_submodule(backbone.last).out_channels // 3) ** 0.5  # by a pixel shuffle behind it
        assert features.shape[0] == 2
        assert [shuffled * side for side in features.shape[2:]] == [4 * size[0], 4 * size[1]]


def test_layers_that_are_named_are_there(name):
    """Blocks in the order in which they run, each of them once; the last layer makes the three colours, also of those
    pixels that a pixel shuffle lays out."""
    backbone, lr = build(name), images(1, 3, 8, 8)
    if not backbone.last:
        assert not backbone.blocks
        return
    assert backbone.get_submodule(backbone.last).out_channels in (3, 3 * 2**2, 3 * 4**2)
    order = []
    for block in backbone.blocks:
        backbone.get_submodule(block).register_forward_hook(lambda *_, block=block: order.append(block))
    backbone.get_submodule(backbone.last).register_forward_hook(lambda *_: order.append(backbone.last))
    backbone(lr)
    assert order == [*backbone.blocks, backbone.last]
    assert backbone.blocks


def test_images_of_a_batch_do_not_mix_and_the_input_stays(name):
    backbone, lr = build(name).double(), images(3, 3, 9, 8).double()
    given = lr.clone()
    together = backbone(lr)
    assert torch.equal(lr, given)
    torch.testing.assert_close(together[1:2], backbone(lr[1:2]), rtol=0, atol=1e-12)


def test_gradient_reaches_every_parameter(name):
    backbone = build(name)
    sr = backbone(images(2, 3, 16, 16))
    if not list(backbone.parameters()):
        assert not sr.requires_grad
        return
    (sr - images(2, 3, 64, 64, seed=1)).square().sum().backward()
    for key, parameter in backbone.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.isfinite().all(), key
        assert parameter.grad.abs().sum() > 0, key


def test_the_last_convolution_sees_only_the_features(name):
    """A regularizer's penalty on the features reaches all parameters but those of the last convolution."""
    backbone = build(name)
    if backbone.last:
        features = features_of(backbone, images(1, 3, 16, 16))
        features.sum().backward()
        untouched = [key for key, parameter in backbone.named_parameters() if parameter.grad is None]
        assert len(untouched) == 2
        assert {key.rpartition(".")[2] for key in untouched} == {"weight", "bias"}


def test_equal_seeds_give_equal_networks(name):
    a, b, other = build(name), build(name), build(name, seed=1)
    lr = images(1, 3, 8, 8)
    assert torch.equal(a(lr), b(lr))
    if list(a.parameters()):
        assert not torch.equal(a(lr), other(lr))


def test_weights_round_trip_and_copies_are_independent(name):
    a, b = build(name), build(name, seed=1)
    lr = images(1, 3, 8, 8)
    b.load_state_dict(a.state_dict())
    twin = copy.deepcopy(a)
    assert torch.equal(a(lr), b(lr))
    with torch.no_grad():
        for parameter in a.parameters():
            parameter.zero_()
    assert torch.equal(twin(lr), b(lr))


def test_mode_changes_nothing(name):
    backbone, lr = build(name), images(1, 3, 8, 8)
    assert torch.equal(backbone.train()(lr), backbone.eval()(lr))


def test_channels_last_gives_the_same_image(name):
    backbone, lr = build(name), images(2, 3, 12, 8)
    expected = backbone(lr)
    backbone.to(memory_format=torch.channels_last)
    torch.testing.assert_close(backbone(lr.to(memory_format=torch.channels_last)), expected, rtol=1e-5, atol=1e-5)


def test_traces_into_one_graph(name):
    backbone, lr = build(name), images(1, 3, 16, 8)
    compiled = torch.compile(backbone, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(lr), backbone(lr), rtol=1e-6, atol=1e-6)


def test_autocast_stays_close(name):
    backbone, lr = build(name), images(1, 3, 16, 8)
    with torch.autocast("cpu", torch.bfloat16):
        sr = backbone(lr)
    assert sr.dtype in (torch.float32, torch.bfloat16)
    torch.testing.assert_close(sr.float(), backbone(lr), rtol=0, atol=0.03)


@pytest.mark.parametrize("scale", [0, -4, 1.5, 7.5, "4", None, True])
def test_impossible_scales_are_refused(name, scale):
    with pytest.raises(ValueError, match="scale"):
        registry.load("backbone", name)(scale=scale)


def test_every_number_of_blocks_or_channels_must_be_whole_and_positive(name):
    for setting in registry.settings("backbone", name):
        for value in (0, -1, True, "8", None):
            with pytest.raises(ValueError, match=setting):
                registry.load("backbone", name)(**{setting: value})


def test_errors_name_the_setting_and_what_is_allowed():
    with pytest.raises(ValueError, match=r"^scale must be one of 2, 3, 4, not 8$"):
        base.require_scale(8, 2, 3, 4)
    with pytest.raises(ValueError, match=r"^scale must be 4, not 2$"):
        base.require_scale(2, 4)
    with pytest.raises(ValueError, match=r"^growth must be a whole number >= 1, not 1\.5$"):
        base.require_counts(num_blocks=2, growth=1.5)
    base.require_scale(3, 2, 3)
    base.require_counts(num_blocks=1, growth=32)


def test_kaiming_spread_and_zero_bias():
    torch.manual_seed(0)
    a, b = base.conv3x3(32, 64), base.conv3x3(32, 64)
    base.kaiming_(a, b, scale=0.1)
    for convolution in (a, b):
        assert convolution.weight.std().item() == pytest.approx(0.1 * math.sqrt(2 / (9 * 32)), rel=0.03)
        assert abs(convolution.weight.mean().item()) < 3e-4
        assert not convolution.bias.any()
    assert not torch.equal(a.weight, b.weight)


def test_on_the_meta_device_torchs_compiler_is_not_loaded():
    """It took every command that looks at shapes, such as `blindsr fetch`, two seconds."""
    code = (
        "import sys, torch\n"
        "from blindsr.model import architecture\n"
        "with torch.device('meta'):\n"
        "    made = [architecture.build_backbone(name, {}, 4) for name in ('srresnet', 'rrdb', 'msrn')]\n"
        "assert all(p.is_meta for network in made for p in network.parameters())\n"
        "assert 'torch._dynamo' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(("scale", "factors"), [(2, [2]), (3, [3]), (4, [2, 2])])
def test_pixel_shuffle_upsampler(scale, factors):
    layers = base.pixel_shuffle_upsampler(scale, 5)
    shapes = {key: tuple(value.shape) for key, value in layers.state_dict().items()}
    expected = {}
    for i, factor in enumerate(factors):
        expected |= {f"{2 * i}.weight": (5 * factor**2, 5, 3, 3), f"{2 * i}.bias": (5 * factor**2,)}
    assert shapes == expected
    assert layers(torch.zeros(1, 5, 3, 4)).shape == (1, 5, 3 * scale, 4 * scale)


@pytest.mark.parametrize("factor", [2, 3])
def test_pixel_shuffle_is_torchs_and_keeps_channels_last(factor: int) -> None:
    x = torch.randn(2, 5 * factor**2, 3, 4).to(memory_format=torch.channels_last).requires_grad_()
    made = base.PixelShuffle(factor)(x)
    wanted = torch.nn.functional.pixel_shuffle(x, factor)
    assert torch.equal(made, wanted)
    assert made.is_contiguous(memory_format=torch.channels_last)
    cotangent = torch.randn_like(wanted)
    gradients = [torch.autograd.grad(out, x, cotangent)[0] for out in (made, wanted)]
    assert torch.equal(*gradients)
    assert base.PixelShuffle(factor)(x.contiguous()).is_contiguous()
