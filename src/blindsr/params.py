"""params.yaml as frozen, validated models: the only reader of settings.

Unknown keys, wrong types and impossible values end in one UserError that names the key.
"""

import os
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from blindsr import conf, plugins
from blindsr.errors import UserError

BICUBIC = "bicubic"
"""Backbone without weights: a row of every table, never trained."""


def _unique(items: list[Any]) -> list[Any]:
    if not items or len(set(items)) != len(items):
        raise ValueError("must hold at least one entry, each once")
    return items


class Model(BaseModel):
    """A block of params.yaml: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Names = Annotated[list[Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]], AfterValidator(_unique)]
Case = Annotated[str, Field(pattern=r"^[A-Za-z0-9+_.]+$")]
Probability = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[int, Field(ge=1)]


def _interval(pair: tuple[float, float]) -> tuple[float, float]:
    if pair[0] > pair[1]:
        raise ValueError(f"must be [smallest, largest], not {list(pair)}")
    return pair


def _distribution(probabilities: dict[str, float]) -> dict[str, float]:
    if abs(sum(probabilities.values()) - 1) > 1e-6:
        raise ValueError(f"probabilities must add up to 1, not {sum(probabilities.values()):g}")
    return probabilities


Interval = Annotated[tuple[Annotated[float, Field(ge=0)], Annotated[float, Field(ge=0)]], AfterValidator(_interval)]
PositiveInterval = Annotated[
    tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]], AfterValidator(_interval)
]
KernelKind = Literal["iso", "aniso", "generalized_iso", "generalized_aniso", "plateau_iso", "plateau_aniso"]


class PassParams(Model):
    """One pass of the second-order degradation: blur, resize, noise, JPEG.

    Ranges are uniform and inclusive. `kernel_sizes` are odd; `sigma` is the blur's, in px; `betag` and `betap` are
    the shapes of generalized and plateau kernels; `resize` bounds the factors of "down" and "up"; `noise_sigma`
    is on the scale of 255.
    """

    kernel_sizes: tuple[Annotated[int, Field(ge=1, le=21)], Annotated[int, Field(ge=1, le=21)]]
    kernel_probabilities: Annotated[dict[KernelKind, Probability], AfterValidator(_distribution)]
    blur_probability: Probability
    sinc_probability: Probability
    sigma: PositiveInterval
    betag: PositiveInterval
    betap: PositiveInterval
    resize_probabilities: Annotated[dict[Literal["up", "down", "keep"], Probability], AfterValidator(_distribution)]
    resize: PositiveInterval
    gaussian_probability: Probability
    noise_sigma: Interval
    poisson_scale: Interval
    grey_probability: Probability
    jpeg_quality: Annotated[
        tuple[Annotated[float, Field(ge=1, le=99)], Annotated[float, Field(ge=1, le=99)]], AfterValidator(_interval)
    ]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not all(size % 2 for size in self.kernel_sizes) or self.kernel_sizes[0] > self.kernel_sizes[1]:
            raise ValueError(f"kernel_sizes must be [smallest, largest] odd sizes, not {list(self.kernel_sizes)}")
        for name in ("betag", "betap", "resize"):
            low, high = getattr(self, name)
            if not low <= 1 <= high:
                raise ValueError(f"{name} must contain 1 (draws fall below it and above), not [{low:g}, {high:g}]")
        return self


class DegradationParams(Model):
    """The second-order degradation of training (Sec. 5.1 of the paper)."""

    first: PassParams
    second: PassParams
    final_sinc_probability: Probability


class BlurParams(Model):
    """Isotropic Gaussian blur: odd `kernel_size` and `sigma` in HR px."""

    kernel_size: Annotated[int, Field(ge=1)]
    sigma: Annotated[float, Field(gt=0, allow_inf_nan=False)]

    @model_validator(mode="after")
    def _odd(self) -> Self:
        if self.kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd, not {self.kernel_size}")
        return self


class CaseParams(Model):
    """One test case; a part that is None is left out. `noise_sigma` is in levels of 0..255."""

    blur: BlurParams | None = None
    noise_sigma: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    jpeg_quality: Annotated[int, Field(ge=1, le=100)] | None = None


class ScheduleParams(Model):
    """Cosine annealing with restarts: lengths of the periods (iterations; [] is one over the whole run)."""

    periods: list[Positive] = []
    restart_weights: list[Annotated[float, Field(gt=0)]] = [1.0]
    min_learning_rate: Annotated[float, Field(ge=0)]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(self.restart_weights) != max(1, len(self.periods)):
            raise ValueError("restart_weights needs one entry per period")
        return self


class BackboneParams(Model):
    """Which networks are trained, and the keyword settings of each one's `build`."""

    names: Names
    hyper: dict[str, dict[str, Any]]


class RegularizerSettings(Model):
    """Weight of the penalty beside L1, and the keyword settings of `build`, some of them per backbone."""

    weight: Annotated[float, Field(ge=0)]
    hyper: dict[str, Any] = {}
    per_backbone: dict[str, dict[str, Any]] = {}

    def hyper_for(self, backbone: str) -> dict[str, Any]:
        """Settings of `build` beside a given backbone."""
        return self.hyper | self.per_backbone.get(backbone, {})


class RegularizerParams(Model):
    """Which regularizers are trained."""

    names: Names
    settings: dict[str, RegularizerSettings]


class DataParams(Model):
    """Data sets by the names of their manifests; `roots` are folders used in place."""

    train: str
    benchmarks: Annotated[list[str], AfterValidator(_unique)]
    lpips_trunk: str | None = None
    roots: dict[str, Path] = {}
    require_all: bool = False

    @property
    def sets(self) -> list[str]:
        """Every data set that the pipeline wants, the training set first."""
        return [self.train, *self.benchmarks, *([self.lpips_trunk] if self.lpips_trunk else [])]


class PatchParams(Model):
    """Windows of the training images, in px."""

    size: Positive
    step: Positive


class SuiteParams(Model):
    """The test cases, in the order of the tables."""

    seed: Annotated[int, Field(ge=0)]
    cases: dict[Case, CaseParams]


class TrainParams(Model):
    """Everything of training that changes its result."""

    iterations: Positive
    batch: Positive
    crop: Positive
    window: Positive
    horizontal_flip: bool
    usm_target: bool
    learning_rate: Annotated[float, Field(gt=0)]
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]]
    ema_decay: Annotated[float, Field(ge=0, lt=1)]
    schedule: ScheduleParams
    precision: Literal["fp32", "bf16"]
    threads: Positive
    log_every: Positive

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.batch % 2:
            raise ValueError(f"batch {self.batch} must be even: two-view regularizers take batch / 2 patches")
        if self.window < self.crop:
            raise ValueError(f"window {self.window} is smaller than crop {self.crop}")
        return self


class EvaluateParams(Model):
    """How a network is run over a benchmark and scored."""

    crop_border: Annotated[int, Field(ge=0)]
    tile: Positive | None = None
    overlap: Annotated[int, Field(ge=0)]
    threads: Positive


class AnalyseParams(Model):
    """Resolution of the analyses."""

    frequency_bands: Annotated[int, Field(ge=2)]
    entropy_bands: Annotated[int, Field(ge=2)]
    images: Positive


class RuntimeParams(Model):
    """How the work is done on this machine; changes no result."""

    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")]
    workers: Annotated[int, Field(ge=0)]
    checkpoint_every: Positive


class Params(Model):
    """The whole of params.yaml."""

    profile: str
    scale: Literal[4]
    seeds: Annotated[list[Annotated[int, Field(ge=0)]], AfterValidator(_unique)]
    backbone: BackboneParams
    reg: RegularizerParams
    data: DataParams
    patches: PatchParams
    degradation: DegradationParams
    suite: SuiteParams
    train: TrainParams
    evaluate: EvaluateParams
    analyse: AnalyseParams
    runtime: RuntimeParams

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for size, name in ((self.train.crop, "train.crop"), (self.train.window, "train.window")):
            if size % self.scale:
                raise ValueError(f"{name} {size} must be a multiple of the scale {self.scale}")
        if self.train.crop > self.patches.size:
            raise ValueError(f"train.crop {self.train.crop} is larger than patches.size {self.patches.size}")
        if not self.suite.cases:
            raise ValueError("suite.cases is empty: name at least one test case")
        _check_plugins("backbone", self.backbone.names, self.backbone.hyper)
        _check_plugins("regularizer", self.reg.names, {n: s.hyper for n, s in self.reg.settings.items()})
        for name, settings in self.reg.settings.items():
            for backbone, hyper in settings.per_backbone.items():
                plugins.load("backbone", backbone)
                _check_plugins("regularizer", [name], {name: hyper})
        return self

    @property
    def cells(self) -> list[tuple[str, str, int]]:
        """Every (backbone, regularizer, seed) to train, in the order of the tables."""
        return [(b, r, s) for b in self.backbone.names for r in self.reg.names for s in self.seeds]

    def require_cell(self, backbone: str, reg: str, seed: int) -> None:
        """Raise UserError unless the settings name this cell."""
        if (backbone, reg, seed) not in self.cells:
            known = ", ".join(cell_name(*cell) for cell in self.cells)
            raise UserError(f"the settings have no cell {cell_name(backbone, reg, seed)}: choose one of {known}")


def cell_name(backbone: str, reg: str, seed: int) -> str:
    """Name of a trained cell: that of its files, its MLflow run and its DVC stage."""
    return f"{backbone}-{reg}-{seed}"


def _check_plugins(kind: str, names: list[str], settings: dict[str, dict[str, Any]]) -> None:
    """Every name is a plug-in with settings, and every setting an argument of its `build`."""
    for name in [*names, *settings]:
        allowed = plugins.settings(kind, name)
        if name == BICUBIC:
            raise UserError("bicubic is always evaluated: take it out of backbone.names")
        if name not in settings:
            raise UserError(f"{kind} {name!r} has no settings: add them to conf/ ({kind}: {name})")
        for key in settings[name]:
            if key not in allowed:
                choices = ", ".join(allowed) or "none at all"
                raise UserError(f"{kind} {name!r} has no setting {key!r}: choose from {choices}")


def parse(settings: Any, source: str = "params.yaml") -> Params:
    """Validate a mapping. Raises UserError with every wrong key, its value and what is allowed."""
    try:
        return Params.model_validate(settings)
    except ValidationError as error:
        raise UserError("; ".join(_problem(source, item) for item in error.errors())) from None


def _problem(source: str, item: Any) -> str:
    key = ".".join(str(part) for part in item["loc"]) or "settings"
    got = item["input"]
    if item["type"] == "extra_forbidden":
        return f"{source}: unknown key {key}: remove it, or correct its name in conf/"
    shown = f" (got {got!r})" if isinstance(got, str | int | float | bool | None) else ""
    return f"{source}: {key}: {item['msg'].removeprefix('Value error, ')}{shown}"


def read(path: Path = Path("params.yaml")) -> Params:
    """Read and validate params.yaml. Raises UserError if it is missing, broken, or older than conf/.

    conf/ is what people edit, so outside of an experiment params.yaml must be its composition.
    """
    try:
        settings = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise UserError(f"{path} is missing: run `make params`, in the project's root") from None
    except yaml.YAMLError as error:
        raise UserError(
            f"{path} is not YAML ({error}): run `make params` to write it anew".replace("\n", " ")
        ) from None
    params = parse(settings, path.name)
    if "DVC_EXP_NAME" not in os.environ:
        conf.refuse_stale(settings, path)
    return params
