"""params.yaml as one frozen, validated model: the only reader of settings.

Unknown keys, wrong types and impossible values end in one UserError that names the key.
"""

import os
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import AfterValidator, Field, ValidationError, model_validator

from blindsr.config import conf, registry
from blindsr.config.run import CONTROLS, Row, Run, did_you_mean
from blindsr.config.schema import (
    AnalyseParams,
    BackboneParams,
    DataParams,
    DegradationParams,
    EvaluateParams,
    GalleryParams,
    Model,
    PatchParams,
    RegularizerParams,
    RuntimeParams,
    SuiteParams,
    TrainParams,
    unique,
)
from blindsr.runtime import files
from blindsr.runtime.errors import UserError

RANKED = "psnr_db"
"""The metric that networks are compared by: no evaluation goes without it."""


class Params(Model):
    """The whole of params.yaml."""

    profile: str
    scale: Literal[2, 3, 4]
    seeds: Annotated[list[Annotated[int, Field(ge=0)]], AfterValidator(unique)]
    analysed_seeds: Annotated[list[Annotated[int, Field(ge=0)]], AfterValidator(unique)]
    backbone: BackboneParams
    reg: RegularizerParams
    data: DataParams
    patches: PatchParams
    degradation: DegradationParams
    suite: SuiteParams
    train: TrainParams
    evaluate: EvaluateParams
    analyse: AnalyseParams
    gallery: GalleryParams
    runtime: RuntimeParams

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        sizes = {"train.crop": self.train.crop, "train.window": self.train.window}
        wrong = [_multiple(name, size, self.scale) for name, size in sizes.items() if size % self.scale]
        if wrong:
            raise ValueError("; ".join(wrong))
        if self.train.crop > self.patches.size:
            raise ValueError(f"train.crop {self.train.crop} is larger than patches.size {self.patches.size}")
        unknown = [str(seed) for seed in self.analysed_seeds if seed not in self.seeds]
        if unknown:
            raise ValueError(f"analysed_seeds {', '.join(unknown)} must be among seeds {self.seeds}")
        if not self.suite.cases:
            raise ValueError("suite.cases is empty: name at least one test case")
        _check_plugins("backbone", self.backbone.names, self.backbone.hyper)
        _check_plugins("regularizer", self.reg.names, {n: s.hyper for n, s in self.reg.settings.items()})
        _check_plugins("degradation", [self.degradation.name], {self.degradation.name: self.degradation.settings})
        registry.build("degradation", self.degradation.name, self.degradation.settings)
        for name, settings in self.reg.settings.items():
            for backbone, hyper in settings.per_backbone.items():
                registry.load("backbone", backbone)
                _check_plugins("regularizer", [name], {name: hyper})
        for name in self.train.losses:
            registry.require("loss", name)
        for name, keys in self.train.loss_settings.items():
            _check_settings("loss", name, keys)
        for name in [*self.evaluate.metrics, *self.evaluate.unaligned_metrics]:
            registry.require("metric", name)
        if RANKED not in self.evaluate.metrics:
            raise ValueError(f"evaluate.metrics lacks {RANKED}, which tables and figures compare networks by: add it")
        return self

    @property
    def runs(self) -> list[Run]:
        """Every run to train, in the order of the tables."""
        return [Run(b, r, s) for b in self.backbone.names for r in self.reg.names for s in self.seeds]

    @property
    def scored(self) -> list[Run]:
        """Every run with a file of scores, the controls first."""
        return [*map(Run.control, CONTROLS), *self.runs]

    @property
    def rows(self) -> list[Row]:
        """Every row of the tables, the controls' first."""
        return list(dict.fromkeys(Row(run.backbone, run.reg) for run in self.scored))

    @property
    def analysed(self) -> list[Run]:
        """Those of `runs` that the analyse stage looks at."""
        return [run for run in self.runs if run.seed in self.analysed_seeds]

    def as_text(self) -> str:
        """The settings that decide results, as YAML: without `runtime` and where data lies on this machine."""
        settings = self.model_dump(mode="json", exclude={"runtime"})
        for here in ("roots", "mirror", "offline", "require_all"):
            del settings["data"][here]
        return yaml.safe_dump(settings, sort_keys=False)

    def require(self, run: Run) -> None:
        """Refuse a run that the settings do not name.

        Args:
            run: A trained run; a control is none of `runs`.

        Raises:
            UserError: with the nearest names, or all of them where none is near.
        """
        if run not in self.runs:
            known = [known.name for known in self.runs]
            nearest = did_you_mean(run.name, known) or f": choose one of {', '.join(known)}"
            raise UserError(f"the settings have no run {run}{nearest}")


def _multiple(name: str, size: int, scale: int) -> str:
    below = size // scale * scale
    nearest = f"{below} or {below + scale}" if below else f"{scale}"
    return f"{name} {size} must be a multiple of the scale {scale}: choose {nearest}"


def _check_plugins(kind: str, names: list[str], settings: dict[str, dict[str, Any]]) -> None:
    """Every name is a plug-in with settings, and every setting an argument of its `build`."""
    for name in [*names, *settings]:
        registry.require(kind, name)
        if name in CONTROLS:
            raise UserError(f"{name} is always evaluated: take it out of backbone.names")
        if name not in settings:
            raise UserError(f"{kind} {name!r} has no settings: add them to conf/ ({kind}: {name})")
        _check_settings(kind, name, settings[name])


def _check_settings(kind: str, name: str, settings: dict[str, Any]) -> None:
    """Every setting is an argument of the plug-in's `build`."""
    allowed = registry.settings(kind, name)
    for key in settings:
        if key not in allowed:
            choices = ", ".join(allowed) or "none at all"
            raise UserError(f"{kind} {name!r} has no setting {key!r}: choose from {choices}")


def parse(settings: Any, source: str = "params.yaml") -> Params:
    """Validate the settings.

    Args:
        settings: What params.yaml holds, as plain values.
        source: Name of the file, for messages.

    Returns:
        The settings, frozen.

    Raises:
        UserError: with every wrong key, its value and what is allowed.
    """
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


def read(path: Path = Path("params.yaml"), *, as_made: bool = False) -> Params:
    """Read and validate params.yaml.

    conf/ is what people edit, so outside of an experiment params.yaml must be its composition.

    Args:
        path: Path of the file.
        as_made: Take the file as it is, also where it is not conf/'s composition: for what looks at the results that
            are here, which after an experiment in the workspace are of its params.yaml.

    Returns:
        The settings, frozen.

    Raises:
        UserError: if the file is missing or no YAML, holds wrong settings, or differs from conf/.
    """
    try:
        settings = yaml.safe_load(files.read_text(path))
    except FileNotFoundError:
        raise UserError(f"{path} is missing: run `make params`, in the project's root") from None
    except yaml.YAMLError as error:
        raise UserError(
            f"{path} is not YAML ({error}): run `make params` to write it anew".replace("\n", " ")
        ) from None
    params = parse(settings, path.name)
    if "DVC_EXP_NAME" not in os.environ and not as_made:
        conf.refuse_stale(settings, path)
    return params


def find(path: Path = Path("params.yaml"), *, as_made: bool = False) -> Params | None:
    """Read the settings of the project in the working directory, if it is one.

    Other projects have a params.yaml, too: without a test suite it is not one of ours.

    Args:
        path: Path of the file.
        as_made: As for `read`.

    Returns:
        The settings; None outside of a project.

    Raises:
        UserError: as `read` does, inside of one.
    """
    try:
        settings = yaml.safe_load(files.read_text(path))
    except OSError:
        return None
    except (UserError, yaml.YAMLError):
        ours = (path.parent / "conf" / "config.yaml").is_file()
        return read(path, as_made=as_made) if ours else None  # which says what is wrong
    return read(path, as_made=as_made) if isinstance(settings, dict) and "suite" in settings else None
