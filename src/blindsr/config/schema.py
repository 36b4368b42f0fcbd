"""The blocks of params.yaml as frozen, validated models.

Unknown keys, wrong types and impossible values are pydantic's errors here; params.py makes one line of them.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from blindsr.config.values import (
    Apart,
    Case,
    Count,
    Device,
    Devices,
    Mirror,
    Name,
    Names,
    Number,
    Pixels,
    Place,
    Seed,
    SetName,
    SetNames,
    Share,
    Threads,
    Tile,
    Weight,
    Whole,
    distinct,
    unique,
)

TRAINED = "training"
"""What the validation calls the degradation that is trained on, beside its cases."""
_TAKEN = {"mean": "the column of means of every table", "real": "the case of real LR images"}
_SLOW = 25  # times as many pixels as an image has may be computed for its tiles


class Model(BaseModel):
    """A block of params.yaml: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DegradationParams(Model):
    """Which degradation makes the training's LR images, and the keyword settings of its `build`."""

    name: Name
    settings: dict[str, Any] = {}


class BlurParams(Model):
    """Isotropic Gaussian blur: odd `kernel_size` and `sigma` in HR px."""

    kernel_size: Annotated[Whole, Field(ge=1, le=255)]
    sigma: Annotated[Number, Field(ge=0.01, le=100)]

    @model_validator(mode="after")
    def _odd(self) -> Self:
        if self.kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd, not {self.kernel_size}")
        return self


class CaseParams(Model):
    """One test case; a part that is None is left out. `noise_sigma` is in levels of 0..255."""

    blur: BlurParams | None = None
    noise_sigma: Annotated[Number, Field(gt=0, le=255)] | None = None
    jpeg_quality: Annotated[Whole, Field(ge=1, le=100)] | None = None


class ScheduleParams(Model):
    """Cosine annealing with restarts: lengths of the periods (iterations; [] is one over the whole run)."""

    periods: list[Count] = []
    restart_weights: list[Annotated[Number, Field(gt=0, le=1000)]] = [1.0]
    min_learning_rate: Annotated[Number, Field(ge=0)]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(self.restart_weights) != max(1, len(self.periods)):
            raise ValueError(
                f"restart_weights needs one entry per period, {max(1, len(self.periods))} and not "
                f"{len(self.restart_weights)}"
            )
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

    weight: Annotated[Number, Field(ge=0, le=1e9)]
    gradient_share: Annotated[Number, Field(gt=0, lt=1)] | None = None
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
    `train_on_benchmarks` lets images be trained on that are scored, too.
    """

    train: SetName
    benchmarks: SetNames
    lpips_trunk: SetName | None = None
    roots: dict[SetName, Place] = {}
    mirror: Mirror | None = None
    offline: bool = False
    require_all: bool = False
    train_on_benchmarks: bool = False

    @property
    def sets(self) -> list[str]:
        """Every data set that the pipeline wants, the training set first."""
        return [self.train, *self.benchmarks, *([self.lpips_trunk] if self.lpips_trunk else [])]


class PatchParams(Model):
    """Windows of the training images, in px."""

    size: Pixels
    step: Pixels

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.step > self.size:
            raise ValueError(
                f"step {self.step} leaves gaps between patches of size {self.size}: choose {self.size} or less"
            )
        return self


class SuiteParams(Model):
    """The test cases, in the order of the tables."""

    seed: Seed
    cases: Annotated[dict[Case, CaseParams], Apart]

    @model_validator(mode="after")
    def _check(self) -> Self:
        taken = [name for name in self.cases if name.casefold() in _TAKEN]
        if taken:
            raise ValueError(f"cases has {taken[0]!r}, which is {_TAKEN[taken[0].casefold()]}: rename it")
        return self


class ValidationParams(Model):
    """PSNR while training: every so many iterations (0: never), on so many training windows, under these cases."""

    every: Annotated[Whole, Field(ge=0, le=10**8)]
    windows: Annotated[Whole, Field(ge=1, le=1024)]
    cases: Annotated[dict[Case, CaseParams], Apart]

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
    iterations: Count
    batch: Annotated[Whole, Field(ge=1, le=4096)]
    crop: Annotated[Whole, Field(ge=1, le=2048)]
    window: Annotated[Whole, Field(ge=1, le=4096)]
    horizontal_flip: bool
    usm_target: bool
    learning_rate: Annotated[Number, Field(gt=0)]
    betas: tuple[Share, Share]
    ema_decay: Share
    schedule: ScheduleParams
    precision: Literal["fp32", "tf32", "bf16"]
    threads: Threads
    log_every: Count
    validation: ValidationParams

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.validation.every % self.log_every:
            raise ValueError(
                f"validation.every {self.validation.every} must be a multiple of log_every {self.log_every}, or 0"
            )
        if self.window < self.crop:
            raise ValueError(f"window {self.window} is smaller than crop {self.crop}")
        least = self.schedule.min_learning_rate
        if least > self.learning_rate:
            raise ValueError(
                f"schedule.min_learning_rate {least:g} is above learning_rate {self.learning_rate:g}: choose that or "
                "less"
            )
        ends = sum(self.schedule.periods)
        if 0 < ends < self.iterations:
            raise ValueError(
                f"schedule.periods end after {ends} of {self.iterations} iterations, and the rest would be trained "
                f"at the lowest learning rate: let them add up to {self.iterations} or more, or set them to []"
            )
        return self


class EvaluateParams(Model):
    """How a network is run over a benchmark and scored.

    `metrics` are the columns of scores in their order; `unaligned_metrics` those that images whose HR is not aligned
    with their LR have besides. `tile` in LR px, null for whole images, "auto" for whole ones up to a bound of memory.
    `max_shift` (HR px) bounds the search for the best shift of real LR images. `download_weights` lets packages of
    others fetch the weights of their metrics.
    """

    metrics: Names = ["psnr_db", "psnr_y_db", "ssim", "lpips"]
    unaligned_metrics: Annotated[list[str], AfterValidator(distinct)] = ["psnr_shift_db"]
    crop_border: Annotated[Whole, Field(ge=0, le=100)]
    tile: Tile = None
    max_shift: Annotated[Whole, Field(ge=0, le=256)] = 40
    overlap: Annotated[Whole, Field(ge=0, le=512)]
    threads: Threads
    download_weights: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if isinstance(self.tile, int) and (self.tile + 2 * self.overlap) ** 2 > _SLOW * self.tile**2:
            raise ValueError(
                f"tile {self.tile} is small beside an overlap of {self.overlap}, and takes {_SLOW} times as long as "
                f"needed: choose {-(-self.overlap // 2)} or more, or auto"
            )
        return self


class InteractionParams(Model):
    """Interaction of patches: a crop is cut into grid × grid patches."""

    grid: Annotated[Whole, Field(ge=2, le=16)]
    crops: Annotated[Whole, Field(ge=1, le=10_000)]
    pairs: Annotated[Whole, Field(ge=1, le=480)]
    contexts: Annotated[Whole, Field(ge=2, le=10_000)]
    dropout_rates: Annotated[list[Annotated[Number, Field(gt=0, lt=1)]], AfterValidator(unique)]


class AnalyseParams(Model):
    """Resolution of the analyses; `crop` is in LR px, `contents` the number of crops of all images together."""

    frequency_bands: Annotated[Whole, Field(ge=2, le=512)]
    images: Count
    crop: Annotated[Whole, Field(ge=2, le=1024)]
    contents: Annotated[Whole, Field(ge=2, le=10_000)]
    perplexity: Annotated[Number, Field(ge=1, le=1000)]
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

    crop: Annotated[Whole, Field(ge=16, le=4096)]


class RuntimeParams(Model):
    """How the work is done on this machine; changes no result beyond the rounding of float sums.

    `devices` is the number of processes that train one run together: one per GPU, one on MPS, or so many on a CPU.
    `compile` runs the backbone through torch.compile, and `cuda_graph` has a GPU record the training step and replay
    it. `keep_batches` keeps the training batches that a CPU makes, so that the next run of the same seed reads them.
    """

    device: Device
    devices: Devices
    workers: Annotated[Whole, Field(ge=0, le=256)]
    checkpoint_every: Count
    compile: bool
    cuda_graph: bool = True
    keep_batches: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        single = ":" in self.device or self.device == "mps"
        if single and self.devices not in (1, "auto"):
            raise ValueError(f"devices {self.devices} need more than the one GPU {self.device}: set device to auto")
        return self
