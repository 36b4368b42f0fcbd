"""params.yaml: what is accepted, and the one line that says what is not."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

import committed
from blindsr.config import conf, params, registry
from blindsr.config.run import Run
from blindsr.runtime.errors import UserError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def composed() -> dict[str, Any]:
    return committed.settings()


def changed(settings: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    """A copy of `settings` with the dotted key set (a new last part is added)."""
    result = copy.deepcopy(settings)
    place = result
    *parents, last = key.split(".")
    for part in parents:
        place = place[part]
    place[last] = value
    return result


@pytest.mark.parametrize("profile", ["embedded", "reduced", "paper"])
@pytest.mark.parametrize("backbone", ["srresnet", "rrdb", "msrn", "swinir"])
def test_every_profile_with_every_backbone_is_valid(profile: str, backbone: str) -> None:
    parsed = params.parse(conf.compose(ROOT / "conf", [f"profile={profile}", f"backbone={backbone}"]))
    assert parsed.profile == profile
    assert parsed.runs[0] == Run(backbone, "none", 0)


@pytest.mark.parametrize("name", registry.names("degradation"))
def test_every_degradation_has_its_conf(name: str) -> None:
    """Chosen by its group alone: what is composed is its settings and no other's, and all of them."""
    parsed = params.parse(conf.compose(ROOT / "conf", [f"degradation={name}"])).degradation
    assert parsed.name == name
    assert list(parsed.settings) == registry.settings("degradation", name)


def test_the_paper_grid_has_24_runs() -> None:
    parsed = params.parse(conf.compose(ROOT / "conf", ["profile=paper"]))
    assert len(parsed.runs) == 4 * 6
    assert parsed.runs[-1].name == "swinir-rff_released-0"


def test_dropout_rates_are_those_of_the_paper(composed: dict[str, Any]) -> None:
    dropout = params.parse(composed).reg.settings["dropout"]
    rates = {name: dropout.hyper_for(name)["rate"] for name in ("srresnet", "rrdb", "msrn", "swinir")}
    assert rates == {"srresnet": 0.7, "rrdb": 0.5, "msrn": 0.5, "swinir": 0.5}


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("train.iterations", -3, "train.iterations: Input should be greater than or equal to 1 (got -3)"),
        ("train.iterations", "many", "train.iterations"),
        ("train.learning_rate", 0, "train.learning_rate"),
        ("train.crop", 130, "train.crop 130 must be a multiple of the scale 4: choose 128 or 132"),
        ("train.window", 32, "window 32 is smaller than crop 64"),
        ("train.precision", "fp8", "'fp32', 'tf32' or 'bf16'"),
        ("train.losses", {}, "train.losses"),
        ("train.losses", {"l1": 0}, "train.losses.l1: Input should be greater than 0 (got 0)"),
        ("train.losses", {"l1": float("inf")}, "train.losses.l1: Input should be a finite number"),
        ("train.losses", {"l2": 1}, "unknown loss 'l2': choose one of charbonnier, l1, perceptual"),
        (
            "train.loss_settings",
            {"charbonnier": {"sigma": 1}},
            "loss 'charbonnier' has no setting 'sigma': choose from",
        ),
        (
            "train.loss_settings",
            {"perceptual": {"trunk": "a"}},
            "'perceptual' has no setting 'trunk': choose from dist",
        ),
        (
            "evaluate.metrics",
            ["psnr_db", "mse"],
            "unknown metric 'mse': choose one of detail_amplitude",
        ),
        ("evaluate.metrics", ["ssim"], "evaluate.metrics lacks psnr_db"),
        ("evaluate.metrics", ["psnr_db", "psnr_db"], "evaluate.metrics: must hold at least one entry, each once"),
        ("evaluate.unaligned_metrics", ["shift"], "unknown metric 'shift'"),
        ("evaluate.unaligned_metrics", ["ssim", "ssim"], "must hold each entry once"),
        ("train.unknown", 1, "unknown key train.unknown"),
        ("surprise", 1, "unknown key surprise"),
        ("scale", 5, "scale: Input should be 2, 3 or 4 (got 5)"),
        ("seeds", [], "seeds: must hold at least one entry"),
        ("seeds", [1, 1], "seeds: must hold at least one entry, each once"),
        ("seeds", [-1], "seeds.0"),
        ("analysed_seeds", [7], "analysed_seeds 7 must be among seeds [0]"),
        ("backbone.names", ["srrresnet"], "choose one of bicubic, bilinear, lanczos, msrn, rrdb, spandrel, srresnet"),
        ("backbone.names", ["bicubic"], "bicubic is always evaluated"),
        ("backbone.names", ["bilinear"], "bilinear is always evaluated"),
        ("backbone.names", ["lanczos"], "lanczos has no weights to train"),
        ("train.validation.cases", {"training": {}}, "'training', which is the degradation that is trained on"),
        ("backbone.names", ["SRResNet"], "backbone.names.0"),
        ("reg.names", ["rfff"], "choose one of adaptive_dropout, affine_alignment"),
        ("reg.settings.rff.weight", -1, "reg.settings.rff.weight"),
        ("reg.settings.rff.hyper", {"dims": 3}, "regularizer 'rff' has no setting 'dims': choose from dim, sigma"),
        ("reg.settings.none.hyper", {"rate": 1}, "choose from none at all"),
        ("reg.settings.dropout.per_backbone", {"resnet": {}}, "unknown backbone 'resnet'"),
        ("backbone.hyper.srresnet", {"width": 3}, "choose from num_blocks, num_features"),
        ("degradation.settings.first.kernel_sizes", [8, 21], "'second_order': first.kernel_sizes must be [smallest"),
        ("degradation.settings.second.resize", [0.3, 0.9], "second.resize must contain 1"),
        ("degradation.settings.first.sharpness", 1, "first has no setting 'sharpness'"),
        (
            "degradation.settings.third",
            {},
            "has no setting 'third': choose from first, second, final_sinc",
        ),
        ("degradation.name", "third_order", "unknown degradation 'third_order': choose one of bsrgan, second_order"),
        ("degradation.name", "bsrgan", "degradation 'bsrgan' has no setting 'first': choose from kernel_sizes"),
        ("degradation.name", "second-order", "degradation.name"),
        ("suite.cases", {}, "suite.cases is empty"),
        ("suite.cases.blur", {"blur": {"kernel_size": 20, "sigma": 2.0}}, "kernel_size must be odd"),
        ("suite.cases.jpeg", {"jpeg_quality": 101}, "jpeg_quality"),
        ("train.schedule.restart_weights", [1.0, 0.5], "one entry per period"),
        ("runtime.device", "gpu", "runtime.device"),
        ("runtime.devices", 0, "runtime.devices"),
        (
            "runtime",
            {"device": "cuda:1", "devices": 2, "workers": 0, "checkpoint_every": 1, "compile": False},
            "devices 2 need more than the one GPU cuda:1",
        ),
        ("train.validation.every", 7, "validation.every 7 must be a multiple of log_every 20"),
        ("data.benchmarks", [], "data.benchmarks"),
    ],
)
def test_a_wrong_value_is_one_line_with_its_key(composed: dict[str, Any], key: str, value: Any, says: str) -> None:
    with pytest.raises(UserError) as error:
        params.parse(changed(composed, key, value))
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_all_errors_are_reported_at_once(composed: dict[str, Any]) -> None:
    wrong = changed(changed(composed, "train.iterations", 0), "evaluate.crop_border", -1)
    with pytest.raises(UserError, match=r"train\.iterations.*evaluate\.crop_border"):
        params.parse(wrong)


def test_numbers_that_yaml_reads_as_text_are_numbers(composed: dict[str, Any]) -> None:
    text = yaml.safe_load("2e-4")
    assert text == "2e-4"  # PyYAML's reading
    assert params.parse(changed(composed, "train.learning_rate", text)).train.learning_rate == 2e-4


def test_settings_are_immutable(composed: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        params.parse(composed).train.iterations = 3


def test_a_run_that_the_settings_do_not_name_is_refused(composed: dict[str, Any]) -> None:
    parsed = params.parse(composed)
    parsed.require(Run("srresnet", "rff", 0))
    with pytest.raises(UserError, match=r"no run srresnet-rff-7: did you mean srresnet-rff-0"):
        parsed.require(Run("srresnet", "rff", 7))
    with pytest.raises(UserError, match="no run x-y-3: choose one of srresnet-none-0, "):
        parsed.require(Run("x", "y", 3))


@pytest.mark.parametrize(("scale", "crop", "window"), [(2, 64, 160), (3, 63, 159), (4, 64, 160)])
def test_scales_with_a_crop_and_window_of_whole_lr_pixels(scale: int, crop: int, window: int) -> None:
    """The border that scores leave out is the scale, as the field does."""
    overrides = [f"scale={scale}", f"train.crop={crop}", f"train.window={window}"]
    parsed = params.parse(conf.compose(ROOT / "conf", overrides))
    assert (parsed.scale, parsed.evaluate.crop_border) == (scale, scale)


def test_a_scale_that_divides_neither_crop_nor_window_names_both() -> None:
    with pytest.raises(UserError, match=r"train\.crop 64 .*choose 63 or 66; train\.window 160 .*choose 159 or 162"):
        params.parse(conf.compose(ROOT / "conf", ["scale=3"]))


def test_runs_rows_and_scored_runs_are_in_the_order_of_the_tables() -> None:
    parsed = params.parse(conf.compose(ROOT / "conf", ["reg=rff", "seeds=[3, 5]", "analysed_seeds=[5]"]))
    assert [run.name for run in parsed.scored] == ["bicubic", "bilinear", "srresnet-rff-3", "srresnet-rff-5"]
    assert parsed.rows == [("bicubic", "bicubic"), ("bilinear", "bilinear"), ("srresnet", "rff")]
    assert parsed.analysed == [Run("srresnet", "rff", 5)]


def test_read_names_the_mend_for_a_missing_or_broken_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="run `make params`"):
        params.read(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("a: [1\nb: 2")
    with pytest.raises(UserError, match="is not YAML"):
        params.read(tmp_path / "params.yaml")


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_another_encoding_is_one_line_that_names_the_file(
    tmp_path: Path, composed: dict[str, Any], encoding: str
) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(changed(composed, "profile", "größer"), allow_unicode=True), encoding)
    with pytest.raises(
        UserError, match=r"params\.yaml is not UTF-8 \(byte 0x\w\w at \d+\): save it in this encoding"
    ):
        params.read(path)
    assert params.find(path) is None  # of somebody else's project
    (tmp_path / "conf").symlink_to(ROOT / "conf")
    with pytest.raises(UserError, match=r"params\.yaml is not UTF-8"):
        params.find(path)


def test_a_byte_order_mark_is_no_setting(tmp_path: Path, composed: dict[str, Any]) -> None:
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(composed), "utf-8-sig")
    assert params.read(tmp_path / "params.yaml") == params.parse(composed)


def test_read_takes_an_experiments_params_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "conf").symlink_to(ROOT / "conf")
    overridden = conf.compose(ROOT / "conf", ["reg=rff"])
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(overridden))
    monkeypatch.delenv("DVC_EXP_NAME", raising=False)
    with pytest.raises(UserError, match=r"differs from conf/ in reg\.names"):
        params.read(tmp_path / "params.yaml")
    assert params.read(tmp_path / "params.yaml", as_made=True).reg.names == ["rff"]
    found = params.find(tmp_path / "params.yaml", as_made=True)
    assert found is not None
    assert found.reg.names == ["rff"]
    monkeypatch.setenv("DVC_EXP_NAME", "some-name")
    assert params.read(tmp_path / "params.yaml").reg.names == ["rff"]


def test_outside_of_a_project_there_are_no_settings(tmp_path: Path, composed: dict[str, Any]) -> None:
    path = tmp_path / "params.yaml"
    assert params.find(path) is None
    for text in ("train: {epochs: 3}\n", "- suite\n", "a: [", ""):  # of another DVC project, or broken
        path.write_text(text)
        assert params.find(path) is None
    path.write_text(yaml.safe_dump(composed))
    assert params.find(path) == params.parse(composed)
    path.write_text(yaml.safe_dump(changed(composed, "suite.seed", -1)))
    with pytest.raises(UserError, match=r"suite\.seed"):
        params.find(path)


@pytest.mark.parametrize(("tile", "good"), [("auto", True), (None, True), (64, True), (0, False), ("whole", False)])
def test_tile_is_auto_a_side_or_none(composed: dict[str, Any], tile: Any, good: bool) -> None:
    settings = changed(composed, "evaluate.tile", tile)
    if good:
        assert params.parse(settings).evaluate.tile == tile
    else:
        with pytest.raises(UserError, match=r"evaluate\.tile"):
            params.parse(settings)
