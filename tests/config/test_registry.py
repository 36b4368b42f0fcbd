import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from blindsr.config import registry
from blindsr.plugins import backbones, degradations, losses, metrics, regularizers
from blindsr.runtime.errors import UserError

EXPECTED = {
    "degradation": {"bsrgan", "second_order"},
    "backbone": {"bicubic", "msrn", "rrdb", "srresnet", "swinir"},
    "loss": {"charbonnier", "l1", "perceptual"},
    "metric": {"lpips", "psnr_db", "psnr_shift_db", "psnr_y_db", "ssim"},
    "regularizer": {"brute_force", "dropout", "linear", "none", "rff", "rff_released", "two_views"},
}
PACKAGES = {"backbone": backbones, "degradation": degradations, "loss": losses, "metric": metrics}
PACKAGES |= {"regularizer": regularizers}
KINDS = sorted(EXPECTED)
EVERY = [(kind, name) for kind in KINDS for name in registry.names(kind)]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def add(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str, str, str], None]:
    """Adds a file to the folder of a kind, for the time of a test."""

    def _add(kind: str, name: str, source: str) -> None:
        (tmp_path / f"{name}.py").write_text(source)
        path = [*PACKAGES[kind].__path__, str(tmp_path)]
        monkeypatch.setattr(PACKAGES[kind], "__path__", path)

    return _add


def test_the_project_s_own_are_found(kind: str) -> None:
    assert EXPECTED[kind] <= set(registry.names(kind))


def test_names_are_sorted_and_without_private_files(kind: str) -> None:
    names = registry.names(kind)
    assert names == sorted(names)
    assert not {"_blocks", "base", "operators"} & set(names)
    assert "__init__" not in names


@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_names_are_such_that_run_names_can_be_split(kind: str, name: str) -> None:
    """DVC joins the keys of a matrix with hyphens."""
    assert re.fullmatch(r"[a-z0-9_]+", name)


@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_build_takes_keyword_settings_with_defaults(kind: str, name: str) -> None:
    parameters = inspect.signature(registry.load(kind, name)).parameters
    for key, parameter in parameters.items():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            assert registry.takes_any(kind, name)
            continue
        assert parameter.kind is inspect.Parameter.KEYWORD_ONLY, key
        assert key == "scale" or parameter.default is not inspect.Parameter.empty, key
    assert ("scale" in parameters) == (kind == "backbone")


@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_settings_are_the_arguments_of_build_but_those_that_it_is_given(kind: str, name: str) -> None:
    settings = registry.settings(kind, name)
    given = {"scale", "crop_border", "max_shift", "trunk", "device", "download"}
    parameters = inspect.signature(registry.load(kind, name)).parameters
    named = {key for key, parameter in parameters.items() if parameter.kind is not parameter.VAR_KEYWORD}
    assert set(settings) == named - given
    assert registry.takes_any(kind, name) == (named != set(parameters))


@pytest.mark.parametrize("name", registry.names("regularizer"))
def test_load_returns_what_builds(name: str) -> None:
    assert isinstance(registry.load("regularizer", name)(), nn.Module)


def test_settings_by_name() -> None:
    assert registry.settings("regularizer", "rff") == ["dim", "sigma", "stride"]
    assert registry.settings("regularizer", "dropout") == ["rate", "elementwise"]
    assert registry.settings("regularizer", "none") == []


@pytest.mark.parametrize("wrong", ["nosuch", "", "RFF", "_blocks", "__init__", "rff.py", "../rff", "none.build"])
@pytest.mark.parametrize("function", [registry.load, registry.settings])
def test_a_wrong_name_lists_the_right_ones(kind: str, wrong: str, function: Callable[[str, str], Any]) -> None:
    with pytest.raises(UserError) as caught:
        function(kind, wrong)
    message = str(caught.value)
    assert "\n" not in message
    assert kind in message
    assert repr(wrong) in message
    for name in registry.names(kind):
        assert name in message


def test_kinds_are_apart() -> None:
    with pytest.raises(UserError, match="unknown backbone 'rff'"):
        registry.load("backbone", "rff")


def test_a_dropped_file_is_a_plugin(kind: str, add: Callable[[str, str, str], None]) -> None:
    add(kind, "dropped_in", "def build(*, scale=4, depth=3):\n    return depth * scale\n")
    assert "dropped_in" in registry.names(kind)
    assert registry.settings(kind, "dropped_in") == ["depth"]
    assert registry.load(kind, "dropped_in")(depth=5) == 20


def test_a_private_file_is_none(kind: str, add: Callable[[str, str, str], None]) -> None:
    add(kind, "_helpers", "")
    assert "_helpers" not in registry.names(kind)


def test_nothing_is_imported_before_it_is_wanted(kind: str, add: Callable[[str, str, str], None]) -> None:
    add(kind, "explosive", "raise RuntimeError('imported')")
    assert "explosive" in registry.names(kind)
    with pytest.raises(RuntimeError, match="imported"):
        registry.load(kind, "explosive")


def test_build_gives_what_is_asked_for(add: Callable[[str, str, str], None]) -> None:
    add("loss", "asks", "def build(*, trunk=None, depth=3):\n    return trunk, depth\n")
    add("loss", "asks_nothing", "def build(*, depth=3):\n    return depth\n")
    assert registry.takes("loss", "asks", "trunk")
    assert not registry.takes("loss", "asks_nothing", "trunk")
    assert registry.build("loss", "asks", {"depth": 5}, trunk="here", device="cpu") == ("here", 5)
    assert registry.build("loss", "asks") == (None, 3)
    assert registry.build("loss", "asks_nothing", trunk="here") == 3


def test_build_refuses_in_one_line(add: Callable[[str, str, str], None]) -> None:
    add("metric", "refuses", "def build(*, depth=3):\n    raise ValueError(f'depth {depth} is odd')\n")
    add("metric", "misnamed", "class build:\n    name = 'other'\n")
    with pytest.raises(UserError, match="metric 'refuses': depth 5 is odd"):
        registry.build("metric", "refuses", {"depth": 5})
    with pytest.raises(UserError, match="metric 'refuses' has no setting 'width': it takes depth"):
        registry.build("metric", "refuses", {"width": 5})
    with pytest.raises(UserError, match="metric 'misnamed' calls itself 'other'"):
        registry.build("metric", "misnamed")


def test_a_name_is_required_without_importing_it(kind: str, add: Callable[[str, str, str], None]) -> None:
    add(kind, "explosive", "raise RuntimeError('imported')")
    registry.require(kind, "explosive")
    with pytest.raises(UserError, match=f"unknown {kind} 'implosive': choose one of .*explosive"):
        registry.require(kind, "implosive")


def test_build_makes_what_the_settings_say() -> None:
    assert registry.build("degradation", "bsrgan", {"halve_probability": 1}).settings.halve_probability == 1
    assert registry.build("regularizer", "rff", {"dim": 7}).dim == 7


@pytest.mark.parametrize(
    ("kind", "name", "settings", "says"),
    [
        ("degradation", "bsrgan", {"jpeg_quality": [50, 20]}, "degradation 'bsrgan': jpeg_quality must be [smallest"),
        ("degradation", "bsrgan", {"sharpness": 1}, "degradation 'bsrgan' has no setting 'sharpness': it takes "),
        ("regularizer", "rff", {"sigma": 0}, "regularizer 'rff': "),
        ("degradation", "third_order", {}, "unknown degradation 'third_order': choose one of bsrgan, second_order"),
    ],
)
def test_what_build_refuses_is_one_line(kind: str, name: str, settings: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError) as caught:
        registry.build(kind, name, settings)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_family_makes_every_plug_in_whose_name_begins_like_it(add: Callable[[str, str, str], None]) -> None:
    add("loss", "many_", "def build(member, *, device='cpu', power=1):\n    return member, device, power\n")
    assert registry.families("loss") == ["many_"]
    assert registry.family("loss", "many_edges") == "many_"
    assert registry.family("loss", "many_") is registry.family("loss", "l1") is None
    assert "many_" not in registry.names("loss")
    registry.require("loss", "many_edges")
    assert registry.settings("loss", "many_edges") == ["power"]
    assert registry.build("loss", "many_edges", {"power": 2}, device="cuda", trunk=None) == ("edges", "cuda", 2)
    with pytest.raises(UserError, match=r"unknown loss 'many_': choose one of charbonnier, .*, many_…"):
        registry.require("loss", "many_")
