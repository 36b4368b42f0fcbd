"""The report of a grid with several seeds, from recorded files alone."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from blindsr.config import conf, params
from blindsr.config.params import Params
from blindsr.config.run import CONTROLS, Run
from blindsr.data.indices import Index, IndexedImage
from blindsr.data.pairing import PrefixRule
from blindsr.data.pairs import REAL
from blindsr.evaluation import benchmarks
from blindsr.evaluation.scoring import Key, Score
from blindsr.runtime import paths
from blindsr.stages import report

ROOT = Path(__file__).resolve().parents[2]
COMMITTED = sorted(path.parent.name for path in (ROOT / "reports").glob("*/params.yaml"))
IMAGES = [f"{number:02d}" for number in range(12)]


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    """Files of two regularizers and three seeds on a set of twelve images, and of one set that is missing.

    rff gains 0.5 dB, and 0.1 more with every seed; the images and cases of a run differ by noise of 0.05 dB.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(report, "publish", lambda _: None)  # MLflow has tests of its own
    composed = conf.compose(ROOT / "conf", ["reg=rff"])
    composed["reg"]["names"] = ["none", "rff"]
    composed["reg"]["settings"]["none"] = {"weight": 0.0, "hyper": {}}
    composed["data"]["benchmarks"] = ["Toy", "Gone"]
    composed["seeds"] = [0, 1, 2]
    parsed = params.parse(composed)
    here = [IndexedImage(name=name, file=f"{name}.png", width=64, height=64, sha256="0" * 64) for name in IMAGES]
    Index(name="Toy", images=here).write(paths.INDEX)
    Index(name="Gone", missing="ask its authors").write(paths.INDEX)
    Index(name="lpips_alexnet", missing="no file").write(paths.INDEX)
    Index(name="embedded_train").write(paths.INDEX)
    for control in CONTROLS:
        _scores(parsed, control, 24.0)
    for run in parsed.runs:
        _scores(parsed, run.name, 25.0 + 0.1 * run.seed + (0.5 if run.reg == "rff" else 0.0))
        _analysis(parsed, run)
    return parsed


OTHERS = {
    "psnr_y_db": 26.0, "ssim": 0.8, "detail_cosine": 0.3, "detail_amplitude": 0.5, "psnr_best_db": 26.0
}  # fmt: skip


def _scores(parsed: Params, name: str, level: float) -> None:
    generator = np.random.default_rng(len(name))
    rows = [
        Score(
            Key("Toy", case, image),
            {"psnr_db": level + 0.05 * generator.normal(), **OTHERS},
        )
        for case in parsed.suite.cases
        for image in IMAGES
    ]
    benchmarks.write_csv(rows, parsed.evaluate.metrics, paths.SCORES / f"{name}.csv")


def _analysis(parsed: Params, run: Run) -> None:
    folder, cases = paths.ANALYSIS / run.name, list(parsed.suite.cases)
    folder.mkdir(parents=True)
    paths.CURVES.mkdir(parents=True, exist_ok=True)
    share = 0.5 if run.reg == "rff" else 0.0
    frames = {
        paths.CURVES / f"{run}.csv": {"iteration": [20, 40, 60], "l1": [0.3, 0.2, 0.1], "penalty": share / 1e3,
                                      "penalty_gradient_share": share, "view_distance": share},
        folder / "frequency.csv": {"benchmark": "Toy", "case": np.repeat(cases, 2), "image": "00",
                                   "band": [0, 1] * len(cases), "mape_percent": 10.0 + run.seed},
        folder / "channel_entropy.csv": {"benchmark": "Toy", "case": cases, "image": "00", "entropy_nats": 1.0},
        folder / "separation.csv": {"layer": ["last", "last"], "label": ["degradation", "content"],
                                    "chi": [2.0, 5.0], "low": [1.0, 4.0], "high": [3.0, 6.0]},
        folder / "plane.csv": {"case": cases, "benchmark": "Toy", "image": "00", "top": 0, "left": 0,
                               "x": np.arange(len(cases)), "y": run.seed},
        folder / "interaction.csv": {"benchmark": "Toy", "image": ["00"] * 3 + ["01"] * 3, "top": 0, "left": 0,
                                     "order": [0, 14, 14] * 2, "rate": [0, 0, 0.5] * 2, "squared_strength": 0.25},
        folder / "cost.csv": {"parameters": [10], "lr_images": 8, "hr_patches": 4, "iteration_flops": 100,
                              "penalty_flops": 1, "iterations": parsed.train.iterations},
    }  # fmt: skip
    for path, columns in frames.items():
        pd.DataFrame(columns).to_csv(path, index=False)


def test_several_seeds_are_one_row_with_an_interval_over_them(
    settings: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report.all_figures, "draw", lambda *_: [])
    report.run(settings)
    means = pd.read_csv(paths.TABLES / "psnr_db.csv").set_index(["benchmark", "reg"])
    assert means.loc[("Toy", "rff"), "mean"] == pytest.approx(25.6, abs=0.02)
    assert np.isnan(means.loc[("Gone", "rff"), "mean"])
    rows = pd.read_csv(paths.TABLES / "differences.csv").set_index(["benchmark", "reg", "case"])
    row = rows.loc[("Toy", "rff", "clean")]
    assert (row["seeds"], row["images"]) == (3, 12)
    # the standard error of two means of three seeds 0.1 apart is 0.082, and Student's t of four degrees is 2.8
    assert row["high"] - row["low"] == pytest.approx(2 * 2.78 * 0.0816, rel=0.15)
    assert row["mark"] == "better"
    pooled = pd.read_csv(paths.TABLES / "differences_pooled.csv")
    assert pooled.loc[0, "difference"] == pytest.approx(0.5, abs=0.02)
    assert "t test over the 3 seeds" in (paths.TABLES / "differences.md").read_text()


def test_real_lr_images_have_a_table_of_their_own(settings: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report.all_figures, "draw", lambda *_: [])
    data = settings.data.model_copy(update={"benchmarks": ["Toy", "NTIRE2018_mild", "NTIRE2018_wild", "Own"]})
    settings = settings.model_copy(update={"data": data})
    here = [IndexedImage(name="0801x4m", file="0801x4m.png", width=16, height=16, sha256="0" * 64)]
    pairs: dict[str, Any] = {
        "hr": "DIV2K_valid",
        "pairing": PrefixRule(rule="prefix", characters=4),
        "aligned": False,
    }
    Index(name="NTIRE2018_mild", images=here, **pairs).write(paths.INDEX)
    Index(name="NTIRE2018_wild", missing="ask ETH", **pairs).write(paths.INDEX)
    Index(name="Own", images=here, **pairs | {"aligned": True}).write(paths.INDEX)
    for path in sorted(paths.SCORES.iterdir()):
        gain = 1.0 if "rff" in path.name else 0.0
        values = {"psnr_db": 17.0 + gain, "psnr_y_db": 18.0, "ssim": 0.5, "psnr_shift_db": 20.0}
        real = [Score(Key("NTIRE2018_mild", REAL, "0801x4m"), values)]
        real.append(Score(Key("Own", REAL, "0801x4m"), {"psnr_db": 30.0 - gain, "psnr_y_db": 31.0, "ssim": 0.5}))
        benchmarks.write_csv([*benchmarks.read_csv(path), *real], settings.evaluate.metrics, path)
    report.run(settings)
    rows = pd.read_csv(paths.TABLES / "real_lr.csv").set_index(["benchmark", "reg"])
    assert rows.loc[("NTIRE2018_mild", "rff"), ["psnr_db", "psnr_shift_db"]].tolist() == [18.0, 20.0]
    assert np.isnan(rows.loc[("NTIRE2018_wild", "none"), "psnr_db"])
    assert rows.loc[("Own", "rff"), "psnr_db"] == 29.0
    assert np.isnan(rows.loc[("Own", "rff"), "psnr_shift_db"])
    text = (paths.TABLES / "real_lr.md").read_text()
    assert "NTIRE2018_wild is missing: ask ETH" in text
    assert "psnr_shift_db is empty for Own: LR and HR are aligned" in text
    # the paper's claim is about NTIRE 2018: on the other set rff is worse
    verdict = (paths.TABLES / "verdicts.md").read_text().split("Alignment (RFF) raises PSNR on NTIRE 2018")[1]
    assert "one training run cannot tell" in verdict.splitlines()[0]
    for table in ("psnr_db", "differences"):
        assert "NTIRE" not in (paths.TABLES / f"{table}.csv").read_text()


@pytest.mark.slow
def test_every_table_and_figure_is_there_twice_the_same(settings: Params) -> None:
    def made() -> dict[str, bytes]:
        files = [*paths.TABLES.iterdir(), *paths.FIGURES.iterdir(), *paths.PLOTS.iterdir(), paths.METRICS, paths.PAGE]
        return {file.name: file.read_bytes() for file in sorted(files)}

    report.run(settings)
    first = made()
    figures = ["channel_entropy", "cosine_amplitude", "cost_quality", "frequency", "improvement", "interaction",
               "learning_curves",
               "planes", "regularizers", "separation"]  # fmt: skip
    tables = ["ablation", "detail_amplitude", "detail_cosine", "differences", "differences_bilinear",
              "differences_pooled", "differences_split", "dropout", "figure6_average", "generalization", "headline",
              "improvement_psnr_db", "interaction", "lpips", "power", "psnr_best_db", "psnr_db", "psnr_y_db",
              "regularizers", "representation", "ssim", "table1_large", "table1_other", "table1_small",
              "table2_lpips", "table2_ntire", "training_cost"]  # fmt: skip
    expected = {f"{name}{suffix}" for name in figures for suffix in (".png", ".svg")}
    expected |= {f"{name}{suffix}" for name in tables for suffix in (".csv", ".md", ".tex")}
    assert set(first) == expected | {"verdicts.md", "report.html", "metrics.json", "scores.csv", "curves.csv"}
    assert "Gone is missing: ask its authors" in first["psnr_db.md"].decode()
    report.run(settings)
    assert made() == first


def test_the_page_shows_every_table_with_a_value(settings: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report.all_figures, "draw", lambda *_: [])
    report.run(settings)
    page = paths.PAGE.read_text()
    assert "profile embedded, 480 iterations, seeds 0, 1, 2</p>" in page
    assert page.count("not the paper's experiment") == 0  # the banner says it once, and no title
    assert page.count("Not the paper’s experiment") == 1
    assert "<h3>PSNR-Y (dB), x4</h3>" in page
    assert "Table 1, other benchmarks: PSNR in dB" in page
    assert "Table 2, left: PSNR" not in page  # no track of NTIRE is here: the file says so, the page leaves it out
    assert (
        "NTIRE2018_mild is missing: data.benchmarks does not name it"
        in (paths.TABLES / "table2_ntire.md").read_text()
    )
    assert "iterations: 480" in page  # the settings
    for of_this_machine in ("roots:", "runtime:", "num_workers:"):
        assert of_this_machine not in page


def _restored(names: list[str]) -> None:
    """Bicubic restores these images exactly on clean inputs, as images of one colour."""
    path = paths.SCORES / "bicubic.csv"
    frame = pd.read_csv(path, dtype={"image": str})
    exact = (frame["case"] == "clean") & frame["image"].isin(names)
    frame.loc[exact, ["psnr_db", "psnr_y_db", "psnr_best_db"]] = np.inf
    frame.loc[exact, ["detail_cosine", "detail_amplitude"]] = np.nan
    frame.to_csv(path, index=False, float_format="%.6f", lineterminator="\n")


def _standard(text: str) -> Any:
    """JSON as other programs read it: without NaN and Infinity."""

    def refuse(name: str) -> None:
        raise AssertionError(name)

    return json.loads(text, parse_constant=refuse)


@pytest.mark.slow
def test_an_image_that_is_restored_exactly_is_named_and_in_no_number(settings: Params) -> None:
    _restored(["03"])
    report.run(settings)
    scored = pd.read_csv(paths.SCORES / "bicubic.csv", dtype={"image": str})
    rest = scored[(scored["case"] == "clean") & (scored["image"] != "03")]["psnr_db"]
    assert len(rest) == 11
    found = _standard(paths.METRICS.read_text())
    assert found["bicubic"]["psnr_db"]["clean"] == pytest.approx(rest.mean(), abs=1e-4)
    _standard((paths.REPORTS / "summary.json").read_text())
    left_out = "Left out, since a row restores them exactly (infinite PSNR): Toy/03."
    assert left_out in (paths.TABLES / "psnr_db.md").read_text()
    page = paths.PAGE.read_text()
    assert left_out in page
    for data in re.findall(r'type="application/json"[^>]*>(.*?)</script>', page, re.DOTALL):
        _standard(data)
    for table in paths.TABLES.glob("*.csv"):
        assert not re.search(r"(?<![a-z_])inf(?![a-z_])", table.read_text()), table


@pytest.mark.slow
def test_a_set_of_nothing_else_is_a_hole(settings: Params) -> None:
    _restored(IMAGES)
    report.run(settings)
    assert "psnr_db" not in _standard(paths.METRICS.read_text()).get("bicubic", {})
    assert _standard((paths.REPORTS / "summary.json").read_text()) == {}
    assert "Left out, since a row restores them exactly" in (paths.TABLES / "psnr_db.md").read_text()


def test_any_folder_can_be_reported(settings: Params, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of files elsewhere, with its own index: nothing is written below the working directory."""
    kept = tmp_path / "kept"
    paths.REPORTS.rename(kept)
    paths.INDEX.rename(kept / "index")
    published: list[Params] = []
    monkeypatch.setattr(report, "publish", published.append)
    monkeypatch.setattr(report.all_figures, "draw", lambda *_: [])
    report.run(settings, kept, kept / "index")
    assert (kept / "report.html").is_file()
    assert (kept / "tables" / "psnr_db.md").is_file()
    assert not paths.REPORTS.exists()
    assert published == []


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMITTED)
def test_committed_scores_rebuild_the_committed_tables(tmp_path: Path, name: str) -> None:
    """A committed report, byte for byte, from its own folder alone."""
    folder = tmp_path / name
    shutil.copytree(ROOT / "reports" / name, folder, ignore=shutil.ignore_patterns("tables", "figures"))
    report.run(params.read(folder / "params.yaml"), folder, folder / "index")
    committed = sorted((ROOT / "reports" / name / "tables").iterdir())
    assert len(committed) > 40
    assert [path.name for path in committed] == sorted(path.name for path in (folder / "tables").iterdir())
    for path in committed:
        assert (folder / "tables" / path.name).read_bytes() == path.read_bytes(), path.name
