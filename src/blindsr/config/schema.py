"""The blocks of params.yaml as frozen, validated models.

Unknown keys, wrong types and impossible values are pydantic's errors here; params.py makes one line of them.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator


def unique(items: list[Any]) -> list[Any]:
    """Validator: at least one entry, none twice."""
    if not items or len(set(items)) != len(items):
        raise ValueError("must hold at least one entry, each once")
    return items


def distinct(items: list[Any]) -> list[Any]:
    """Validator: no entry twice."""
    if len(set(items)) != len(items):
        raise ValueError("must hold each entry once")
    return items


class Model(BaseModel):
    """A block of params.yaml: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Name = Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
Names = Annotated[list[Name], AfterValidator(unique)]
Case = Annotated[str, Field(pattern=r"^[A-Za-z0-9+_.]+$")]
TRAINED = "training"
"""What the validation calls the degradation that is trained on, beside its cases."""
Positive = Annotated[int, Field(ge=1)]
Weight = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class DegradationParams(Model):
    """Which degradation makes the training's LR images, and the keyword settings of its `build`."""

    name: Name
    settings: dict[str, Any] = {}


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
    """Weight of the penalty beside L1, and the keyword settings of `build`, some of them per backbone.

    With a `gradient_share` the weight is only the first: it is adapted while training until the penalty has that
    share of the gradient at the last features, so that penalties of different units compare.
    """

    weight: Annotated[float, Field(ge=0)]
    gradient_share: Annotated[float, Field(gt=0, lt=1)] | None = None
    hyper: dict[str, Any] = {}
    per_backbone: dict[str, dict[str, Any]] = {}

    def hyper_for(self, backbone: str) -> dict[str, Any]:
        """Find the keyword settings of `build` beside a backbone.

        Args:
            backbone: Its name.

        Returns:
            `hyper`, with what `per_backbone` has for this backbone in place of its own.
        """
        return self.hyper | self.per_backbone.get(backbone, {})

    def determining(self) -> dict[str, Any]:
        """What determines a training: a share that nobody asked for is not there."""
        return self.model_dump(exclude={"gradient_share"} if self.gradient_share is None else None)


class RegularizerParams(Model):
    """Which regularizers are trained."""

    names: Names
    settings: dict[str, RegularizerSettings]


class DataParams(Model):
    """Data sets by the names of their manifests.

    `roots` are folders used in place; `mirror` is asked instead of the sets' own hosts, for <mirror>/<host>/<path>.
    """

    train: str
    benchmarks: Annotated[list[str], AfterValidator(unique)]
    lpips_trunk: str | None = None
    roots: dict[str, Path] = {}
    mirror: Annotated[str, Field(pattern=r"^https?://")] | None = None
    offline: bool = False
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


class ValidationParams(Model):
    """PSNR while training: every so many iterations (0: never), on so many training windows, under these cases."""

    every: Annotated[int, Field(ge=0)]
    windows: Positive
    cases: dict[Case, CaseParams]

    @model_validator(mode="after")
    def _check(self) -> Self:
        if TRAINED in self.cases:
            raise ValueError(f"cases has {TRAINED!r}, which is the degradation that is trained on: rename it")
        return self


class TrainParams(Model):
    """Everything of training that changes its result.

    `init_from` is a file of weights to start from instead of the seed's initial ones, relative to the project.
    `losses` maps names of losses to their weights; `loss_settings` has the keyword settings of each one's `build`.
    """

    losses: Annotated[dict[str, Weight], Field(min_length=1)] = {"l1": 1.0}
    loss_settings: dict[str, dict[str, Any]] = {}
    init_from: Annotated[str, Field(min_length=1)] | None = None
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
    precision: Literal["fp32", "tf32", "bf16"]
    threads: Positive
    log_every: Positive
    validation: ValidationParams

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.validation.every % self.log_every:
            raise ValueError(
                f"validation.every {self.validation.every} must be a multiple of log_every {self.log_every}, or 0"
            )
        if self.window < self.crop:
            raise ValueError(f"window {self.window} is smaller than crop {self.crop}")
        return self


class EvaluateParams(Model):
    """How a network is run over a benchmark and scored.

    `metrics` are the columns of scores in their order; `unaligned_metrics` those that images whose HR is not aligned
    with their LR have besides. `tile` in LR px, null for whole images, "auto" for whole ones up to a bound of memory.
    `max_shift` (HR px) bounds the search for the best shift of real LR images.
    """

    metrics: Names = ["psnr_db", "psnr_y_db", "ssim", "lpips"]
    unaligned_metrics: Annotated[list[str], AfterValidator(distinct)] = ["psnr_shift_db"]
    crop_border: Annotated[int, Field(ge=0)]
    tile: Positive | Literal["auto"] | None = None
    max_shift: Annotated[int, Field(ge=0)] = 40
    overlap: Annotated[int, Field(ge=0)]
    threads: Positive


class InteractionParams(Model):
    """Interaction of patches: a crop is cut into grid × grid patches."""

    grid: Annotated[int, Field(ge=2)]
    crops: Positive
    pairs: Positive
    contexts: Annotated[int, Field(ge=2)]
    dropout_rates: Annotated[list[Annotated[float, Field(gt=0, lt=1)]], AfterValidator(unique)]


class AnalyseParams(Model):
    """Resolution of the analyses; `crop` is in LR px, `contents` the number of crops of all images together."""

    frequency_bands: Annotated[int, Field(ge=2)]
    images: Positive
    crop: Positive
    contents: Annotated[int, Field(ge=2)]
    perplexity: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    interaction: InteractionParams

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.crop % self.interaction.grid:
            raise ValueError(f"crop {self.crop} must be a multiple of interaction.grid {self.interaction.grid}")
        if self.interaction.crops > self.contents:
            raise ValueError(f"interaction.crops {self.interaction.crops} are more than contents {self.contents}")
        return self


class GalleryParams(Model):
    """Pictures of the report: `crop` is the side of the window that is shown, in HR px, cut to whole LR pixels."""

    crop: Annotated[int, Field(ge=16)]


class RuntimeParams(Model):
    """How the work is done on this machine; changes no result beyond the rounding of float sums.

    `devices` is the number of processes that train one run together: one per GPU, one on MPS, or so many on a CPU.
    `compile` runs the backbone through torch.compile, and `cuda_graph` has a GPU record the training step and replay
    it. `keep_batches` keeps the training batches that a CPU makes, so that the next run of the same seed reads them.
    """

    device: Annotated[str, Field(pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$")]
    devices: Positive | Literal["auto"]
    workers: Annotated[int, Field(ge=0)]
    checkpoint_every: Positive
    compile: bool
    cuda_graph: bool = True
    keep_batches: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        single = ":" in self.device or self.device == "mps"
        if single and self.devices not in (1, "auto"):
            raise ValueError(f"devices {self.devices} need more than the one GPU {self.device}: set device to auto")
        return self
