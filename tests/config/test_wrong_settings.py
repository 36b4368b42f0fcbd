"""Wrong values of every setting: each is one line with its key and what is right, before the first stage begins.

Every value is given as it is typed, and read twice: as Hydra reads it of `dvc exp run -S KEY=VALUE`, and as YAML does
in params.yaml.
"""

import copy
from typing import Any

import pytest
import yaml

import committed
from blindsr.config import params, preflight
from blindsr.runtime.errors import UserError

HUGE = "9" * 40
WRONG = [
    # what the whole is of
    ("profile", "''", "profile: "),
    ("profile", "../../x", "profile: "),
    ("profile", "[a]", "profile: Input should be a valid string"),
    ("scale", "5", "scale: Input should be 2, 3 or 4 (got 5)"),
    ("scale", "1", "2, 3 or 4"),
    ("scale", "nan", "2, 3 or 4"),
    ("scale", "null", "2, 3 or 4"),
    ("scale", "[4]", "2, 3 or 4"),
    ("scale", "3", "train.crop 64 must be a multiple of the scale 3: choose 63 or 66"),
    ("seeds", "[]", "at least one entry"),
    ("seeds", "0", "seeds: Input should be a valid list"),
    ("seeds", "[-1]", "greater than or equal to 0"),
    ("seeds", "[1.5]", "seeds.0: Input should be a valid integer"),
    ("seeds", "[0,0]", "each once"),
    ("seeds", "[true]", "seeds.0: must be a number, not true"),
    ("seeds", f"[{HUGE}]", "seeds.0: Input should be less than"),
    ("seeds", "[one]", "seeds.0: Input should be a valid integer"),
    ("analysed_seeds", "[1]", "analysed_seeds 1 must be among seeds [0]"),
    ("analysed_seeds", "[]", "at least one entry"),
    # data
    ("data.train", "''", "data.train"),
    ("data.train", "null", "data.train: Input should be a valid string"),
    ("data.train", "../x", "data.train: must be letters, digits and _"),
    ("data.train", "[a,b]", "data.train: Input should be a valid string"),
    ("data.train", "embedded_test", "data.train embedded_test is one of data.benchmarks"),
    ("data.benchmarks", "[]", "data.benchmarks: must hold at least one entry"),
    ("data.benchmarks", "Set5", "data.benchmarks: Input should be a valid list"),
    ("data.benchmarks", "[Set5,Set5]", "each once"),
    ("data.benchmarks", "[Set5/x]", "data.benchmarks.0: must be letters, digits and _"),
    ("data.benchmarks", "[5]", "data.benchmarks.0: Input should be a valid string"),
    ("data.lpips_trunk", "''", "data.lpips_trunk"),
    ("data.lpips_trunk", "a.pth", "data.lpips_trunk: must be letters, digits and _"),
    ("data.roots", "{Set5: ''}", "data.roots.Set5: must be the path of a folder"),
    ("data.roots", "{Set5: null}", "data.roots.Set5"),
    ("data.roots", "{Set5: 5}", "data.roots.Set5"),
    ("data.roots", "{a-b: c}", "data.roots"),
    ("data.roots", "[a]", "data.roots: Input should be a valid dictionary"),
    ("data.mirror", "ftp://a.example", "data.mirror: must be an address such as https://mirror.example.org"),
    ("data.mirror", "mirror.example.org", "data.mirror: must be an address"),
    ("data.mirror", "https://me:secret@a.example", "keep the password in ~/.netrc"),
    ("data.mirror", "https://me:sec/secret@a.example", "keep the password in ~/.netrc"),
    ("data.mirror", "'https://a.example/?token=secret'", "without user, password or query"),
    ("data.offline", "2", "data.offline: Input should be a valid boolean"),
    ("data.offline", "perhaps", "data.offline: Input should be a valid boolean"),
    ("data.require_all", "null", "data.require_all: Input should be a valid boolean"),
    ("data.train_on_benchmarks", "[true]", "data.train_on_benchmarks: Input should be a valid boolean"),
    # patches
    ("patches.size", "0", "patches.size: Input should be greater than or equal to 1"),
    ("patches.size", "60", "step 96 leaves gaps between patches of size 60: choose 60 or less"),
    ("patches.size", "1000000000", "patches.size: Input should be less than or equal to 65536"),
    ("patches.step", "0", "patches.step: Input should be greater than or equal to 1"),
    ("patches.step", "193", "patches: step 193 leaves gaps between patches of size 192: choose 192 or less"),
    ("patches.step", "100000", "patches.step"),
    ("patches.step", "1.5", "patches.step: Input should be a valid integer"),
    # the test suite
    ("suite.seed", "-1", "suite.seed"),
    ("suite.seed", "1e400", "suite.seed"),
    ("suite.cases", "{}", "suite.cases is empty: name at least one"),
    ("suite.cases", "{clean: {}}", "suite.cases has one test case"),
    ("suite.cases", "{a: {}, A: {}}", "differ in upper and lower case alone"),
    ("suite.cases", "{a: {}, ..: {}}", "suite.cases"),
    ("suite.cases", "{a: {}, b/c: {}}", "suite.cases"),
    ("suite.cases", "{a: {}, mean: {}}", "'mean', which is the column of means"),
    ("suite.cases", "{a: {}, real: {}}", "'real', which is the case of real LR images"),
    ("suite.cases", "[clean,blur]", "suite.cases: Input should be a valid dictionary"),
    ("suite.cases.blur", "{blur: {kernel_size: 20, sigma: 2}}", "kernel_size must be odd, not 20"),
    ("suite.cases.blur", "{blur: {kernel_size: 99999, sigma: 2}}", "less than or equal to 255"),
    ("suite.cases.blur", "{blur: {kernel_size: 21, sigma: 0}}", "Input should be greater than or equal to 0.01"),
    ("suite.cases.blur", "{blur: {kernel_size: 21, sigma: inf}}", "suite.cases.blur.blur.sigma"),
    ("suite.cases.blur", "{blur: {kernel_size: 21, sigma: nan}}", "finite number"),
    ("suite.cases.blur", "{blur: {sigma: 2}}", "suite.cases.blur.blur.kernel_size: Field required"),
    ("suite.cases.noise", "{noise_sigma: -1}", "suite.cases.noise.noise_sigma"),
    ("suite.cases.noise", "{noise_sigma: 1e9}", "less than or equal to 255"),
    ("suite.cases.noise", "{sigma: 20}", "unknown key suite.cases.noise.sigma"),
    ("suite.cases.jpeg", "{jpeg_quality: 0}", "greater than or equal to 1"),
    ("suite.cases.jpeg", "{jpeg_quality: 101}", "less than or equal to 100"),
    ("suite.cases.jpeg", "{jpeg_quality: 50.5}", "jpeg_quality: Input should be a valid integer"),
    ("patches", "{size: 60, step: 30}", "train.crop 64 is larger than patches.size 60"),
    # training
    ("train.losses", "{}", "train.losses"),
    ("train.losses", "{l1: 0}", "train.losses.l1: Input should be greater than 0"),
    ("train.losses", "{l1: nan}", "train.losses.l1: Input should be"),
    ("train.losses", "{l1: 1e400}", "train.losses.l1: Input should be a finite number"),
    ("train.losses", "{l2: 1}", "unknown loss 'l2': choose one of charbonnier, l1, perceptual"),
    ("train.losses", "l1", "train.losses: Input should be a valid dictionary"),
    ("train.loss_settings", "{charbonnier: {eps: 0}}", "train.loss_settings.charbonnier: loss 'charbonnier': eps"),
    ("train.loss_settings", "{charbonnier: {eps: 1.0e-30}}", "eps must be from 1e-12 to 1e+12"),
    ("train.loss_settings", "{charbonnier: {sigma: 1}}", "has no setting 'sigma': choose from eps"),
    ("train.loss_settings", "{perceptual: {distance: l3}}", "distance must be one of l1, l2, not 'l3'"),
    ("train.loss_settings", "{l2: {}}", "unknown loss 'l2'"),
    ("train.init_from", "''", "train.init_from: String should have at least 1 character"),
    ("train.init_from", "3", "train.init_from: Input should be a valid string"),
    ("train.iterations", "0", "train.iterations: Input should be greater than or equal to 1"),
    ("train.iterations", "-3", "greater than or equal to 1 (got -3)"),
    ("train.iterations", "1000000000000", "less than or equal to 100000000"),
    ("train.iterations", "many", "train.iterations: Input should be a valid integer"),
    ("train.iterations", "10.5", "train.iterations: Input should be a valid integer"),
    ("train.iterations", "true", "train.iterations: must be a number, not true"),
    ("train.iterations", "null", "train.iterations: Input should be a valid integer"),
    ("train.iterations", "''", "train.iterations: Input should be a valid integer"),
    ("train.iterations", "inf", "train.iterations"),
    ("train.batch", "0", "train.batch"),
    ("train.batch", "1000000", "train.batch: Input should be less than or equal to 4096"),
    ("train.batch", "7", "train.batch 7 cannot hold 2 views of each patch, which regularizer 'brute_force' needs"),
    ("train.crop", "0", "train.crop"),
    ("train.crop", "66", "train.crop 66 must be a multiple of the scale 4: choose 64 or 68"),
    ("train.crop", "196", "is smaller than crop 196"),
    ("train.crop", "-64", "train.crop"),
    ("train.window", "60", "window 60 is smaller than crop 64"),
    ("train.window", "64", "degradation.settings: choose 76 or more, or settings that shrink"),
    ("train.window", "1000000", "train.window: Input should be less than or equal to 4096"),
    ("train.horizontal_flip", "3", "train.horizontal_flip: Input should be a valid boolean"),
    ("train.usm_target", "null", "train.usm_target: Input should be a valid boolean"),
    ("train.learning_rate", "0", "train.learning_rate: Input should be greater than 0"),
    ("train.learning_rate", "-1e-3", "train.learning_rate: Input should be greater than 0"),
    ("train.learning_rate", "nan", "train.learning_rate"),
    ("train.learning_rate", "1e400", "train.learning_rate: Input should be a finite number"),
    ("train.learning_rate", "true", "train.learning_rate: must be a number"),
    ("train.learning_rate", "fast", "train.learning_rate: Input should be a valid number"),
    ("train.betas", "[0.9]", "train.betas"),
    ("train.betas", "[0.9,1.0]", "train.betas.1: Input should be less than 1"),
    ("train.betas", "[0.9,nan]", "train.betas.1"),
    ("train.ema_decay", "1", "train.ema_decay: Input should be less than 1"),
    ("train.ema_decay", "-0.1", "train.ema_decay: Input should be greater than or equal to 0"),
    ("train.schedule.periods", "[0]", "train.schedule.periods.0"),
    ("train.schedule.periods", "[100]", "schedule.periods end after 100 of 480 iterations"),
    ("train.schedule.periods", "[300,300]", "restart_weights needs one entry per period, 2 and not 1"),
    ("train.schedule.restart_weights", "[]", "restart_weights needs one entry per period"),
    ("train.schedule.restart_weights", "[inf]", "train.schedule.restart_weights.0"),
    ("train.schedule.min_learning_rate", "1", "1 is above learning_rate 0.001: choose that or less"),
    ("train.schedule.min_learning_rate", "-1", "train.schedule.min_learning_rate"),
    ("train.precision", "fp16", "train.precision: Input should be 'fp32', 'tf32' or 'bf16'"),
    ("train.precision", "32", "'fp32', 'tf32' or 'bf16'"),
    ("train.threads", "0", "train.threads"),
    ("train.threads", "100000", "train.threads: Input should be less than or equal to 1024"),
    ("train.log_every", "0", "train.log_every"),
    ("train.log_every", "7", "validation.every 120 must be a multiple of log_every 7, or 0"),
    ("train.validation.every", "-1", "train.validation.every"),
    ("train.validation.every", "30", "validation.every 30 must be a multiple of log_every 20, or 0"),
    ("train.validation.windows", "0", "train.validation.windows"),
    ("train.validation.windows", "1000000", "train.validation.windows: Input should be less than or equal to 1024"),
    ("train.validation.cases", "{training: {}}", "'training', which is the degradation that is trained on"),
    ("train.validation.cases", "{a: {}, A: {}}", "differ in upper and lower case alone"),
    # evaluation
    ("evaluate.metrics", "[]", "evaluate.metrics: must hold at least one entry"),
    ("evaluate.metrics", "[ssim]", "evaluate.metrics lacks psnr_db"),
    ("evaluate.metrics", "[psnr_db,mse]", "unknown metric 'mse': choose one of detail_amplitude"),
    ("evaluate.metrics", "psnr_db", "evaluate.metrics: Input should be a valid list"),
    ("evaluate.unaligned_metrics", "[ssim,ssim]", "must hold each entry once"),
    ("evaluate.unaligned_metrics", "[shift]", "unknown metric 'shift'"),
    ("evaluate.crop_border", "-1", "evaluate.crop_border: Input should be greater than or equal to 0"),
    ("evaluate.crop_border", "500", "evaluate.crop_border: Input should be less than or equal to 100"),
    ("evaluate.crop_border", "null", "evaluate.crop_border: Input should be a valid integer"),
    ("evaluate.tile", "1", "evaluate.tile: must be auto, null (whole images), or LR px from 16 to 65536 (got 1)"),
    ("evaluate.tile", "whole", "evaluate.tile: must be auto, null"),
    ("evaluate.tile", "true", "evaluate.tile: must be auto, null"),
    ("evaluate.tile", "nan", "evaluate.tile: must be auto, null"),
    ("evaluate.overlap", "-1", "evaluate.overlap"),
    ("evaluate.overlap", "100000", "evaluate.overlap: Input should be less than or equal to 512"),
    ("evaluate.max_shift", "1000", "evaluate.max_shift: Input should be less than or equal to 256"),
    ("evaluate.threads", "0", "evaluate.threads"),
    # analyses and pictures
    ("analyse.frequency_bands", "1", "analyse.frequency_bands: Input should be greater than or equal to 2"),
    ("analyse.frequency_bands", "1000000000", "analyse.frequency_bands: Input should be less than or equal to 512"),
    ("analyse.images", "0", "analyse.images"),
    ("analyse.crop", "4000", "analyse.crop: Input should be less than or equal to 1024"),
    ("analyse.crop", "15", "crop 15 must be a multiple of interaction.grid 4"),
    ("analyse.contents", "1", "analyse.contents: Input should be greater than or equal to 2"),
    ("analyse.contents", "1000000000", "analyse.contents: Input should be less than or equal to 10000"),
    ("analyse.contents", "5000", "under 8 cases are more points than an analysis can take: choose 500"),
    ("analyse.perplexity", "0", "analyse.perplexity: Input should be greater than or equal to 1"),
    ("analyse.perplexity", "inf", "analyse.perplexity"),
    ("analyse.interaction.grid", "1", "analyse.interaction.grid"),
    ("analyse.interaction.grid", "3", "crop 16 must be a multiple of interaction.grid 3"),
    ("analyse.interaction.crops", "25", "interaction.crops 25 are more than contents 24"),
    ("analyse.interaction.pairs", "0", "analyse.interaction.pairs"),
    ("analyse.interaction.contexts", "1", "analyse.interaction.contexts"),
    ("analyse.interaction.contexts", "10000", "passes through each network, and 200000 are the most: lower crops"),
    ("analyse.interaction.dropout_rates", "[]", "at least one entry"),
    ("analyse.interaction.dropout_rates", "[0.5,1.0]", "dropout_rates.1: Input should be less than 1"),
    ("analyse.interaction.dropout_rates", "[0.5,0.5]", "each once"),
    ("gallery.crop", "8", "gallery.crop: Input should be greater than or equal to 16"),
    ("gallery.crop", "10000000", "gallery.crop: Input should be less than or equal to 4096"),
    # how the work is done
    ("runtime.device", "gpu", "runtime.device: must be auto, cpu, mps, cuda or cuda:N"),
    ("runtime.device", "cuda:x", "runtime.device: must be auto, cpu, mps, cuda or cuda:N"),
    ("runtime.device", "0", "runtime.device: Input should be a valid string"),
    ("runtime.devices", "0", "runtime.devices: must be auto, or a number of processes from 1 to 1024"),
    ("runtime.devices", "all", "runtime.devices: must be auto"),
    ("runtime.devices", "3", "runtime.devices 3 cannot share the 8 patches of a batch of regularizer 'none' equally"),
    ("runtime.workers", "-1", "runtime.workers"),
    ("runtime.workers", "10000", "runtime.workers: Input should be less than or equal to 256"),
    ("runtime.checkpoint_every", "0", "runtime.checkpoint_every"),
    ("runtime.compile", "7", "runtime.compile: Input should be a valid boolean"),
    # networks
    ("backbone.names", "[]", "backbone.names: must hold at least one entry"),
    ("backbone.names", "srresnet", "backbone.names: Input should be a valid list"),
    ("backbone.names", "[srrresnet]", "choose one of bicubic, bilinear, lanczos, msrn, rrdb, spandrel, srresnet"),
    ("backbone.names", "[SRResNet]", "backbone.names.0: must be a-z, digits and _"),
    ("backbone.names", "[bicubic]", "bicubic is always evaluated: take it out of backbone.names"),
    ("backbone.names", "[srresnet,srresnet]", "each once"),
    ("backbone.hyper.srresnet", "{width: 3}", "choose from num_blocks, num_features"),
    ("backbone.hyper.srresnet.num_blocks", "0", "backbone.hyper.srresnet: backbone 'srresnet': num_blocks must be"),
    ("backbone.hyper.srresnet.num_blocks", "1e3", "num_blocks must be"),
    ("backbone.hyper.srresnet.num_blocks", "100000", "num_blocks must be at most 256"),
    ("backbone.hyper.srresnet.num_blocks", "true", "num_blocks must be a whole number"),
    ("backbone.hyper.srresnet.num_features", "1.5", "num_features must be a whole number >= 1, not 1.5"),
    ("backbone.hyper.srresnet.num_features", "null", "num_features must be a whole number"),
    ("backbone.hyper.srresnet.num_features", "nan", "backbone.hyper.srresnet"),
    ("backbone.hyper.srresnet.num_features", "[16]", "num_features must be a whole number"),
    ("backbone.hyper.srresnet", "{num_blocks: 250, num_features: 4096}", "and 1,000,000,000 are the most"),
    # regularizers
    ("reg.names", "[]", "reg.names: must hold at least one entry"),
    ("reg.names", "[rfff]", "unknown regularizer 'rfff': choose one of adaptive_dropout"),
    ("reg.names", "[rff,rff]", "each once"),
    ("reg.settings.rff.weight", "-1", "reg.settings.rff.weight: Input should be greater than or equal to 0"),
    ("reg.settings.rff.weight", "nan", "reg.settings.rff.weight"),
    ("reg.settings.rff.weight", "1e400", "reg.settings.rff.weight: Input should be a finite number"),
    ("reg.settings.rff.weight", "null", "reg.settings.rff.weight: Input should be a valid number"),
    ("reg.settings.rff", "{weight: 1, gradient_share: 1}", "gradient_share: Input should be less than 1"),
    ("reg.settings.rff", "{weight: 0, gradient_share: 0.1}", "needs a penalty of two views, and a weight above 0"),
    ("reg.settings.dropout", "{weight: 1, gradient_share: 0.1}", "dropout.gradient_share needs a penalty"),
    ("reg.settings.rff.hyper", "{dims: 3}", "regularizer 'rff' has no setting 'dims': choose from dim, sigma"),
    ("reg.settings.rff.hyper", "{dim: 0}", "reg.settings.rff.hyper: regularizer 'rff': dim must be"),
    ("reg.settings.rff.hyper", "{dim: 1000000000}", "dim must be at most 65536"),
    ("reg.settings.rff.hyper", "{sigma: 0}", "sigma must be a finite number > 0, not 0"),
    ("reg.settings.rff.hyper", "{sigma: nan}", "sigma"),
    ("reg.settings.rff.hyper", "{sigma: 1e-300}", "sigma must be"),
    ("reg.settings.dropout.hyper", "{rate: 1}", "rate must be a number in [0, 1), not 1"),
    ("reg.settings.dropout.hyper", "{rate: half}", "rate must be a number in [0, 1), not 'half'"),
    ("reg.settings.dropout.hyper", "{elementwise: 3}", "elementwise must be true or false, not 3"),
    ("reg.settings.dropout.per_backbone", "{srresnet: {rate: 2}}", "reg.settings.dropout.per_backbone.srresnet: "),
    ("reg.settings.dropout.per_backbone", "{resnet: {}}", "unknown backbone 'resnet'"),
    ("reg.settings.input_mask.hyper", "{least: 0.9, most: 0.1}", "least 0.9 must not be above most 0.1"),
    ("reg.settings.adaptive_dropout.hyper", "{every: 0}", "every must be a number in (0, 1], not 0"),
    # the degradation that is trained on
    ("degradation.name", "third_order", "unknown degradation 'third_order': choose one of bsrgan, second_order"),
    ("degradation.name", "bsrgan", "degradation 'bsrgan' has no setting 'first': choose from kernel_sizes"),
    ("degradation.settings", "{third: {}}", "has no setting 'third': choose from first, second, final_sinc"),
    ("degradation.settings", "[a]", "degradation.settings: Input should be a valid dictionary"),
    ("degradation.settings.final_sinc_probability", "1.5", "final_sinc_probability must be in [0, 1], not 1.5"),
    ("degradation.settings.first.kernel_sizes", "[8,21]", "first.kernel_sizes must be [smallest, largest] odd sizes"),
    ("degradation.settings.first.kernel_sizes", "[7,99999]", "first.kernel_sizes must be in [1, 21], not 99999"),
    ("degradation.settings.first.kernel_probabilities", "{iso: 0.5}", "probabilities must add up to 1, not 0.5"),
    ("degradation.settings.first.sigma", "[0.2,inf]", "first.sigma"),
    ("degradation.settings.first.sigma", "[0.2,1e9]", "first.sigma must be in [0.01, 100]"),
    ("degradation.settings.first.sigma", "[0,3]", "first.sigma must be greater than 0"),
    ("degradation.settings.first.sigma", "[3,0.2]", "first.sigma must be [smallest, largest]"),
    ("degradation.settings.first.sigma", "3", "first.sigma must be [smallest, largest], not 3"),
    ("degradation.settings.first.noise_sigma", "[0,inf]", "noise_sigma"),
    ("degradation.settings.first.noise_sigma", "[nan,1]", "noise_sigma"),
    ("degradation.settings.first.resize", "[1e-6,1.5]", "first.resize must be in [0.01, 8]"),
    ("degradation.settings.first.resize", "[0.02,1.5]", "train.window 160 is too small for degradation"),
    ("degradation.settings.first.resize", "[0.5,1e6]", "first.resize must be in [0.01, 8]"),
    ("degradation.settings.second.resize", "[0.3,0.9]", "second.resize must contain 1"),
    ("degradation.settings.second.jpeg_quality", "[30,101]", "second.jpeg_quality must be in [1, 99], not 101"),
    ("degradation.settings.second.grey_probability", "true", "second.grey_probability must be a number, not True"),
]  # fmt: skip
"""Key, value as it is typed, and what the message says."""


def as_hydra_reads(value: str) -> Any:
    """The value of `-S KEY=value`."""
    from hydra.core.override_parser.overrides_parser import OverridesParser

    return OverridesParser.create().parse_override(f"key={value}").value()


def refused(key: str, value: Any) -> str:
    """What the settings of the project say to this value, from its file to the first stage."""
    settings = committed.settings()
    place = settings
    *parents, last = key.split(".")
    for part in parents:
        place = place[part]
    place[last] = copy.deepcopy(value)
    with pytest.raises(UserError) as caught:
        preflight.check(params.parse(settings))
    return str(caught.value)


@pytest.mark.needs("hydra")
@pytest.mark.parametrize(("key", "value", "says"), WRONG)
def test_a_wrong_value_is_one_line_that_names_key_and_choice(key: str, value: str, says: str) -> None:
    for read in (as_hydra_reads, yaml.safe_load):
        message = refused(key, read(value))
        assert says in message, message
        assert message.isprintable(), message
        assert "secret" not in message, message
        named = [*key.split(".")[-2:], "unknown", "degradation.settings"]
        assert any(part in message for part in named), message


def test_every_setting_has_wrong_values() -> None:
    """All leaves of the settings are in the table, but for those of the other plug-ins and of the same passes."""
    tried = [key for key, _, _ in WRONG]
    left_out = ("backbone.hyper", "reg.settings", "degradation.settings", "suite.cases", "train.validation.cases")
    left_out += ("train.losses", "train.loss_settings", "data.roots", "runtime.keep_batches", "runtime.cuda_graph")

    def leaves(block: Any, prefix: str = "") -> list[str]:
        if not isinstance(block, dict):
            return [prefix]
        return [leaf for key, value in block.items() for leaf in leaves(value, f"{prefix}.{key}".lstrip("."))]

    forgotten = [
        leaf
        for leaf in leaves(committed.settings())
        if not leaf.startswith(left_out) and not any(leaf == key or leaf.startswith(f"{key}.") for key in tried)
    ]
    assert not forgotten
    assert len(WRONG) >= 175
