"""All figures of a report, with their captions, from the files of the other stages."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
from pydantic import BaseModel, Field, TypeAdapter

from blindsr.config.run import BICUBIC, Row
from blindsr.config.schema import TRAINED
from blindsr.reporting import analysis_figures, detail_figures, figures, selection, visual_figures
from blindsr.reporting.page.rendering import PageFigure
from blindsr.reporting.scores import BASELINE, HARDEST
from blindsr.reporting.source import Source
from blindsr.reporting.tables import MEAN
from blindsr.runtime import recorded
from blindsr.runtime.errors import UserError


def draw(source: Source, entries: Sequence[Mapping[str, Any]]) -> list[PageFigure]:
    """Write figures/*.svg and *.png; a figure without data is left out. `entries` as from `gallery`."""
    folder, made = source.folder / "figures", dict[str, tuple[str, str]]()

    def add(key: str, drawn: Callable[..., None], data: tuple[Any, ...], title: str, caption: str) -> None:
        drawn(*data, folder / key, title=f"{title} ({source.size})")
        made[key] = (title, caption)

    if BASELINE in source.params.reg.names and len(source.params.reg.names) > 1 and not source.psnr.dropna().empty:
        add(
            "improvement",
            figures.improvement_bars,
            (source.gains, _bicubic(source)),
            "PSNR gained by each regularizer",
            "Over the baseline, per case and on average (Fig. 6), with 95 % intervals.",
        )
    _pictures(source, entries, folder)
    add(
        "learning_curves",
        figures.learning_curves,
        (source.curves, list(source.params.train.losses), TRAINED if _follows_training(source) else HARDEST),
        "Training",
        "Means over seeds, bands from the least to the greatest. PSNR is that of the averaged weights on windows of "
        "training images: under the degradations of training, and the mean under the other cases.",
    )
    if _follows_training(source):
        add(
            "detail_curves",
            detail_figures.curves_of_detail,
            (source.curves,),
            "Added detail while training",
            "How right and how much it is, under the degradation that is trained on and under test cases.",
        )
    if source.is_split:
        suite = source.in_suite
        trained = suite[(suite["backbone"] != suite["reg"]) & suite["case"].isin(source.ends)]
        if trained["detail_cosine"].notna().any():
            add(
                "cosine_amplitude",
                detail_figures.cosine_and_amplitude,
                (trained, source.ends),
                "How right the added detail is, and how much there is of it",
                "Lines: PSNR over bicubic upsampling. Up: more right; to the side: more or less of it. Small: seeds.",
            )
    add(
        "frequency",
        figures.frequency_curves,
        (_frequency(source),),
        "Error of the spectrum",
        "Mean absolute percentage error of the magnitudes, per radial band (Fig. 2).",
    )
    add(
        "channel_entropy",
        analysis_figures.channel_entropy,
        (source.analysis("channel_entropy"),),
        "How evenly channels share out the frequencies",
        "Shannon entropy of the channels' dominant DCT bands (Fig. 3).",
    )
    add(
        "regularizers",
        analysis_figures.regularizers_at_work,
        (source.curves,),
        "The regularizers at work",
        "Penalty, its share of the gradient, and how far apart the two views' features are.",
    )
    add(
        "cost_quality",
        figures.cost_against_quality,
        (_costs(source),),
        "Cost against quality",
        "Operations of one training run, and PSNR over all benchmarks and cases.",
    )
    if source.has_crops:
        add(
            "separation",
            analysis_figures.separation,
            (source.separation,),
            "Do features tell degradations apart?",
            "Calinski-Harabasz index of deep features (Fig. 8): lower is more invariant.",
        )
        add(
            "planes",
            analysis_figures.planes,
            (source.analysis("plane"),),
            "t-SNE planes of deep features",
            "One point per crop and case (Fig. 8), first seed.",
        )
        add(
            "interaction",
            analysis_figures.interaction,
            (source.strengths,),
            "Interaction of neighbouring patches",
            "By order, and what is left of the highest order under Dropout (Sec. 3).",
        )
    drawn = {key: folder / f"{key}.svg" for key in made if (folder / f"{key}.svg").is_file()}
    return [PageFigure(key, *made[key], path.read_text(encoding="utf-8")) for key, path in drawn.items()]


class _Picture(BaseModel):
    picture: str
    psnr_db: float


class _Case(BaseModel):
    lr: str
    models: dict[str, _Picture]


class _Entry(BaseModel):
    """An image of the gallery, as its stage describes it."""

    benchmark: str
    image: str
    rule: str
    gain_db: float
    window: Annotated[list[int], Field(min_length=4, max_length=4)]
    hr: str
    cases: dict[str, _Case]


_ENTRIES: TypeAdapter[Any] = TypeAdapter(list[_Entry])


def gallery(source: Source) -> list[dict[str, Any]]:
    """The index that the gallery stage wrote, of the test cases' benchmarks; empty where there is none.

    Raises UserError where it or a picture is damaged, or has other cases or networks than the settings.
    """
    path = source.folder / "gallery" / "index.json"
    recorded.require(path)
    try:
        content = path.read_bytes() if path.is_file() else b"[]"
        _ENTRIES.validate_json(content)
        entries: list[dict[str, Any]] = json.loads(content)
    except ValueError:
        raise UserError(f"{path} is damaged: run `dvc repro --force gallery`") from None
    cases, models = set(source.cases), {row.name for row in source.params.rows}
    for entry in entries:
        if set(entry["cases"]) != cases or any(set(case["models"]) != models for case in entry["cases"].values()):
            raise UserError(f"{path} is of other cases or networks than the settings: run `dvc repro gallery`")
    return [entry for entry in entries if entry["benchmark"] in source.suite]


def _pictures(source: Source, entries: Sequence[Mapping[str, Any]], folder: Path) -> None:
    """comparison_<backbone>_<benchmark>: images of the gallery, each in the case where the rows differ most.

    The page has the same pictures to look at more closely.
    """
    method, baseline = selection.compared(source.params.reg.names)
    for backbone in source.params.backbone.names:
        shown = [reg for reg in source.params.reg.names if reg in {BASELINE, "dropout", method}]
        models = {BICUBIC: BICUBIC} | {Row(backbone, reg).name: reg for reg in shown}
        ends = Row(backbone, method).name, BICUBIC if baseline is None else Row(backbone, baseline).name
        for benchmark in dict.fromkeys(entry["benchmark"] for entry in entries):
            own = [entry for entry in entries if entry["benchmark"] == benchmark]
            rows = [(entry, max(source.cases, key=lambda case: _gain(entry, case, ends))) for entry in own]
            title = f"{backbone}: {benchmark}, x{source.params.scale} ({source.size})"
            stem = folder / f"comparison_{backbone}_{benchmark}"
            visual_figures.comparison(rows, models, source.folder, stem, title=title)


def _gain(entry: Mapping[str, Any], case: str, ends: tuple[str, str]) -> float:
    """How far apart the PSNR of two networks' pictures are, in dB."""
    first, second = (float(entry["cases"][case]["models"][name]["psnr_db"]) for name in ends)
    return abs(first - second)


def _bicubic(source: Source) -> pd.DataFrame:
    """Bicubic's PSNR over the baseline's in dB, per backbone and case, over the benchmarks that have scores."""
    trained = source.psnr.drop(index=BICUBIC, level="backbone").dropna()
    baseline = trained.xs(BASELINE, level="reg")
    bicubic = source.psnr.xs((BICUBIC, BICUBIC), level=("backbone", "reg"))
    own = bicubic.reindex(baseline.index.get_level_values("benchmark"))
    return (own.to_numpy() - baseline).groupby(level="backbone", sort=False).mean()


def _follows_training(source: Source) -> bool:
    """Whether the validation saw the degradation that is trained on."""
    return f"detail_cosine_{TRAINED}" in source.curves


def _frequency(source: Source) -> pd.DataFrame:
    errors = source.analysis("frequency")
    one = len(source.params.backbone.names) == 1
    errors["row"] = errors["reg"] if one else errors["backbone"] + ", " + errors["reg"]
    return errors.groupby(["case", "row", "band"], sort=False)["mape_percent"].mean().reset_index()


def _costs(source: Source) -> pd.DataFrame:
    """Operations of a training run beside the mean PSNR over benchmarks and cases."""
    known = source.analysis("cost").groupby(["backbone", "reg"], sort=False).first()
    tflop = known["iterations"] * known["iteration_flops"] / 1e12
    psnr = source.psnr[MEAN].groupby(level=["backbone", "reg"]).mean()
    costs = pd.DataFrame({"tflop": tflop, "psnr_db": psnr.reindex(tflop.index)})
    return costs.dropna().reset_index()
