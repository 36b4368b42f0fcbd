"""params.yaml as one frozen, validated model: the only reader of settings.

Unknown keys, wrong types and impossible values end in one UserError that names the key.
"""

import os
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import AfterValidator, ValidationError, model_validator

from blindsr.config import conf, consistency
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
)
from blindsr.config.values import Seed, Word, unique
from blindsr.runtime import escaping, files, privacy
from blindsr.runtime.errors import UserError

_SHOWN = 80  # characters of a wrong value


class Params(Model):
    """The whole of params.yaml."""

    profile: Word
    scale: Literal[2, 3, 4]
    seeds: Annotated[list[Seed], AfterValidator(unique)]
    analysed_seeds: Annotated[list[Seed], AfterValidator(unique)]
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
        consistency.check_sizes(self.scale, self.patches, self.train)
        consistency.check_seeds(self.seeds, self.analysed_seeds)
        consistency.check_data(self.data)
        consistency.check_analyses(self.suite, self.analyse)
        consistency.check_backbones(self.backbone)
        consistency.check_regularizers(self.reg, self.train, self.runtime)
        consistency.check_degradation(self.degradation, self.scale, self.train)
        consistency.check_losses(self.train, self.data)
        consistency.check_metrics(self.evaluate)
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
        if not self.data.train_on_benchmarks:
            del settings["data"]["train_on_benchmarks"]
        return yaml.safe_dump(privacy.setting(settings), sort_keys=False)

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
    key = escaping.terminal(".".join(str(part) for part in item["loc"]) or "settings")
    if item["type"] == "extra_forbidden":
        return f"{source}: unknown key {key}: remove it, or correct its name in conf/"
    got, shown = item["input"], ""
    if isinstance(got, str | int | float | bool | None):
        text = privacy.without_secrets(repr(got))
        shown = f" (got {text if len(text) <= _SHOWN else f'{text[:_SHOWN]}…'})"
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
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # no UTF-8, a number of 5,000 digits, endless nests
        said = escaping.terminal(" ".join(str(error).split()))
        raise UserError(f"{path} is not YAML ({said}): run `make params` to write it anew") from None
    return _checked(settings, path, as_made=as_made)


def _checked(settings: Any, path: Path, *, as_made: bool) -> Params:
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
    except (UserError, ValueError, RecursionError, yaml.YAMLError):
        ours = (path.parent / "conf" / "config.yaml").is_file()
        return read(path, as_made=as_made) if ours else None  # which says what is wrong
    if not isinstance(settings, dict) or "suite" not in settings:
        return None
    return _checked(settings, path, as_made=as_made)
