"""All figures of a report, with their captions, from the files of the other stages."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from blindsr.params import BICUBIC
from blindsr.reporting import analysis_figures, differences, figures, selection, visual_figures
from blindsr.reporting.book import Source
from blindsr.reporting.page import PageFigure
from blindsr.reporting.tables import BASELINE, MEAN
from blindsr.reporting.verdicts import HARDEST


def draw(source: Source) -> list[PageFigure]:
    """Write figures/*.svg and *.png; a figure without data is left out."""
    folder, size, made = source.folder / "figures", source.size, dict[str, tuple[str, str]]()
    if BASELINE in source.params.reg.names and len(source.params.reg.names) > 1 and not source.psnr.dropna().empty:
        title = "PSNR gained by each regularizer"
        figures.improvement_bars(*_gains(source), folder / "improvement", title=f"{title} ({size})")
        made["improvement"] = (title, "Over the baseline, per case and on average (Fig. 6), with 95 % intervals.")
    _pictures(source, folder)
    title = "Training"
    figures.learning_curves(source.curves, HARDEST, folder / "learning_curves", title=f"{title} ({size})")
    made["learning_curves"] = (
        title,
        "Means over seeds, bands from the least to the greatest. PSNR is that of the averaged weights on windows of "
        "training images: under the degradations of training together, and under each of them alone or none.",
    )
    title = "Error of the spectrum"
    figures.frequency_curves(_frequency(source), folder / "frequency", title=f"{title} ({size})")
    made["frequency"] = (title, "Mean absolute percentage error of the magnitudes, per radial band (Fig. 2).")
    title = "How evenly channels share out the frequencies"
    entropy = source.analysis("channel_entropy")
    analysis_figures.channel_entropy(entropy, folder / "channel_entropy", title=f"{title} ({size})")
    made["channel_entropy"] = (title, "Shannon entropy of the channels' dominant DCT bands (Fig. 3).")
    title = "The regularizers at work"
    analysis_figures.regularizers_at_work(source.curves, folder / "regularizers", title=f"{title} ({size})")
    made["regularizers"] = (
        title,
        "Penalty, its share of the gradient, and how far apart the two views' features are.",
    )
    title = "Cost against quality"
    figures.cost_against_quality(_costs(source), folder / "cost_quality", title=f"{title} ({size})")
    made["cost_quality"] = (title, "Operations of one training run, and PSNR over all benchmarks and cases.")
    made |= _representation(source, folder)
    return [_page_figure(folder, key, *text) for key, text in made.items() if (folder / f"{key}.svg").is_file()]


def _representation(source: Source, folder: Path) -> dict[str, tuple[str, str]]:
    if not source.has_crops:
        return {}
    size, made = source.size, {}
    title = "Do features tell degradations apart?"
    analysis_figures.separation(source.analysis("separation"), folder / "separation", title=f"{title} ({size})")
    made["separation"] = (title, "Calinski-Harabasz index of deep features (Fig. 8): lower is more invariant.")
    title = "t-SNE planes of deep features"
    analysis_figures.planes(source.analysis("plane"), folder / "planes", title=f"{title} ({size})")
    made["planes"] = (title, "One point per crop and case (Fig. 8), first seed.")
    title = "Interaction of neighbouring patches"
    analysis_figures.interaction(source.analysis("interaction"), folder / "interaction", title=f"{title} ({size})")
    made["interaction"] = (title, "By order, and what is left of the highest order under Dropout (Sec. 3).")
    return made


def gallery(source: Source) -> list[dict[str, Any]]:
    """The index that the gallery stage wrote; empty where there is none."""
    path = source.folder / "gallery" / "index.json"
    entries: list[dict[str, Any]] = json.loads(path.read_text()) if path.is_file() else []
    return entries


def _pictures(source: Source, folder: Path) -> None:
    """comparison_<backbone>_<benchmark>: images of the gallery, each in the case where the rows differ most.

    The page has the same pictures to look at more closely.
    """
    method, baseline = selection.compared(source.params.reg.names)
    suite = source.scores[source.scores["benchmark"].isin(source.suite)]
    means = suite.groupby(["benchmark", "image", "backbone", "reg", "case"])["psnr_db"].mean()
    entries = gallery(source)
    for backbone in source.params.backbone.names:
        models = {BICUBIC: (BICUBIC, BICUBIC)} | {
            f"{backbone}-{reg}": (backbone, reg)
            for reg in source.params.reg.names
            if reg in {BASELINE, "dropout", method}
        }
        against = BICUBIC if baseline is None else f"{backbone}-{baseline}"
        for benchmark in dict.fromkeys(entry["benchmark"] for entry in entries):
            rows = []
            for entry in (one for one in entries if one["benchmark"] == benchmark):
                image = means[(benchmark, entry["image"])]
                gains = image[(backbone, method)] - image[models[against]]
                case = str(gains.reindex(list(entry["cases"])).abs().idxmax())
                rows.append((entry, case, {name: float(image[(*row, case)]) for name, row in models.items()}))
            title = f"{benchmark}, x{source.params.scale} ({source.size})"
            shown = {name: row[1] for name, row in models.items()}
            stem = folder / f"comparison_{backbone}_{benchmark}"
            visual_figures.comparison(rows, shown, source.folder, stem, title=f"{backbone}: {title}")


def _gains(source: Source) -> tuple[pd.DataFrame, pd.DataFrame]:
    suite = source.scores[source.scores["benchmark"].isin(source.suite)]
    gains = differences.pooled(suite, source.suite, source.cases, "psnr_db", by_case=True)
    trained = source.psnr.drop(index=BICUBIC, level="backbone").dropna()
    baseline = trained.xs(BASELINE, level="reg")
    bicubic = source.psnr.xs((BICUBIC, BICUBIC), level=("backbone", "reg"))
    own = bicubic.reindex(baseline.index.get_level_values("benchmark"))
    return gains, (own.to_numpy() - baseline).groupby(level="backbone", sort=False).mean()


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


def _page_figure(folder: Path, key: str, title: str, caption: str) -> PageFigure:
    return PageFigure(key, title, caption, (folder / f"{key}.svg").read_text(encoding="utf-8"))
