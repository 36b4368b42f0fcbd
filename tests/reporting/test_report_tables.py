"""All tables of a report: planted differences to the byte, reasons for holes, the paper's whole grid.

The files of golden/ are what `report_tables.write` makes of planted differences. After a meant change of the tables
renew them, and look at every line that moved before you commit it:

    PYTHONPATH=src:tests python tests/reporting/test_report_tables.py
"""

import difflib
import tempfile
from pathlib import Path

import pandas as pd
import pytest

import synthetic_grid
from blindsr.config.params import Params
from blindsr.reporting import report_tables, scores
from blindsr.reporting.source import Source

GOLDEN = Path(__file__).parent / "golden"
FILES = [
    "ablation.md", "differences_pooled.md", "differences_split.md", "dropout.md", "figure6_average.md",
    "generalization.md", "headline.md", "paper_lens.md", "power.md", "table1_other.md", "table1_small.csv",
    "table1_small.md", "table1_small.tex", "table2_lpips.md", "verdicts.md",
]  # fmt: skip
SIZES = {"Set5": 5, "Set14": 14, "photos": 12}
HOLES = {"Urban100": "ask the makers of Urban100"}
RENEW = "if this is meant, renew it and look at every line that moved: the head of this test file says how"


def source(folder: Path, parsed: Params, holes: dict[str, str]) -> Source:
    known = scores.read(folder / "scores", parsed.scored, parsed.evaluate.metrics)
    return Source(parsed, folder, known, list(parsed.data.benchmarks), holes)


def planted(folder: Path) -> Source:
    """Two networks, four regularizers, three seeds, two analysed; three cases, two benchmarks, ours, a hole."""
    settings = synthetic_grid.settings(
        "backbone=paper",
        "reg=paper",
        benchmarks=["Set5", "Set14", "photos", "Urban100"],
        names=["none", "dropout", "brute_force", "rff"],
        seeds=[0, 1, 2],
    )
    backbone = settings.backbone.model_copy(update={"names": ["srresnet", "rrdb"]})
    cases = {name: settings.suite.cases[name] for name in ("clean", "noise", "b+n+j")}
    suite = settings.suite.model_copy(update={"cases": cases})
    changes = {"backbone": backbone, "suite": suite, "analysed_seeds": settings.seeds[:2]}
    settings = settings.model_copy(update=changes)
    synthetic_grid.write(folder, folder / "index", settings, SIZES)
    return source(folder, settings, HOLES)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, report_tables.ReportTables]:
    """The folder of the planted grid's files, and its book."""
    folder = tmp_path_factory.mktemp("planted")
    return folder, report_tables.write(planted(folder))


@pytest.mark.parametrize("name", FILES)
def test_planted_differences_give_the_expected_file(made: tuple[Path, report_tables.ReportTables], name: str) -> None:
    new, old = ((folder / name).read_text() for folder in (made[0] / "tables", GOLDEN))
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), "golden", "new", lineterm="", n=0)
    if new != old:
        pytest.fail("\n".join([f"{name} differs: {RENEW}", *lines]))


def test_planted_gains_are_what_the_tables_say(made: tuple[Path, report_tables.ReportTables]) -> None:
    """The golden files against what was planted: rff 0.6 dB under clean, 0.45 and 0.3 under the other two."""
    table = pd.read_csv(made[0] / "tables" / "table1_small.csv")
    gains = table[(table["row"] == "improvement") & table["value"].notna()]
    assert len(gains) == 2 * 2 * 4
    for column, gain in {"clean": 0.6, "noise": 0.45, "b+n+j": 0.3, "mean": 0.45}.items():
        own = gains[gains["column"] == column]
        assert own["value"].tolist() == pytest.approx([gain] * 4, abs=0.03)
        assert own["mark"].tolist() == ["better"] * 4
    pooled = pd.read_csv(made[0] / "tables" / "differences_pooled.csv").set_index(["backbone", "reg"])
    for reg, gain, mark in (("dropout", 0.225, "better"), ("brute_force", -0.15, "worse"), ("rff", 0.45, "better")):
        for backbone in ("srresnet", "rrdb"):
            assert pooled.loc[(backbone, reg), "difference"] == pytest.approx(gain, abs=0.01)
            assert pooled.loc[(backbone, reg), "mark"] == mark


def test_verdicts_of_the_planted_grid(made: tuple[Path, report_tables.ReportTables]) -> None:
    """LPIPS was planted to fall with PSNR, so Dropout lowers it; linear and real LR images are not there."""
    assert [one.verdict for one in made[1].verdicts] == [
        "supported", "supported", "supported", "contradicted", "supported", "not testable",
        "supported", "supported", "supported",  # the controls: the rescaled baseline, its cosine, bilinear
        "not testable", "not testable", "not testable",
        "contradicted", "contradicted",  # planted the other way round
        "supported", "supported",
    ]  # fmt: skip


def test_tables_without_a_value_are_named(made: tuple[Path, report_tables.ReportTables]) -> None:
    folder, found = made
    assert found.empty == {"table1_large", "table2_ntire"}
    keys = [table.key for table in found.tables]
    assert keys == [
        "headline", "table1_small", "table1_large", "table1_other", "dropout", "ablation", "table2_ntire",
        "table2_lpips", "figure6_average", "paper_lens", "differences_pooled", "differences",
        "differences_none_rescaled", "differences_bilinear", "differences_split", "generalization",
            "power", "improvement_psnr_db",
        "psnr_db", "psnr_y_db", "ssim", "lpips", "detail_cosine", "detail_amplitude", "psnr_best_db",
        "training_cost", "regularizers", "representation", "interaction",
    ]  # fmt: skip
    assert {f"{key}{suffix}" for key in keys for suffix in (".csv", ".md", ".tex")} | {"verdicts.md"} == {
        path.name for path in (folder / "tables").iterdir()
    }


def test_every_hole_has_its_reason_and_every_title_its_size(made: tuple[Path, report_tables.ReportTables]) -> None:
    folder, found = made
    large = (folder / "tables" / "table1_large.md").read_text()
    assert "— Urban100 is missing: ask the makers of Urban100." in large
    assert "— Manga109 is missing: data.benchmarks does not name it." in large
    assert "photos" not in large
    ablation = (folder / "tables" / "ablation.md").read_text()
    assert "— Rows `+ linear` are empty: reg.names does not name linear.\n" in ablation
    assert ablation.endswith("they are means of its eight cases, and not all are here.\n")
    assert "are empty" not in large
    for table in found.tables:
        if table.key == "paper_lens":  # of the paper's experiment, whatever was run here
            continue
        assert "profile embedded, 480 iterations, seeds 0, 1, 2: not the paper's experiment" in table.title
    assert "not the paper's experiment" in (folder / "tables" / "verdicts.md").read_text()


def test_without_trunk_weights_both_tables_of_lpips_say_so(tmp_path: Path) -> None:
    settings = synthetic_grid.settings("reg=paper", benchmarks=["Set14"], names=["none", "rff"])
    synthetic_grid.write(tmp_path, tmp_path / "index", settings, {"Set14": 14}, lpips=False)
    found = report_tables.write(source(tmp_path, settings, {"lpips_alexnet": "no file"}))
    assert "table2_lpips" in found.empty
    for name in ("lpips.md", "table2_lpips.md", "table2_lpips.tex"):
        assert "lpips has no trunk weights: no file." in (tmp_path / "tables" / name).read_text()
    assert "trunk" not in (tmp_path / "tables" / "psnr_db.md").read_text()


def test_without_the_metric_the_papers_table_of_lpips_says_so(tmp_path: Path) -> None:
    chosen = "evaluate.metrics=[ssim,psnr_db]"
    settings = synthetic_grid.settings("reg=paper", chosen, benchmarks=["Set14"], names=["none", "rff"])
    synthetic_grid.write(tmp_path, tmp_path / "index", settings, {"Set14": 14})
    for path in (tmp_path / "scores").iterdir():
        pd.read_csv(path).drop(columns=["lpips", "psnr_y_db"]).to_csv(path, index=False)
    found = report_tables.write(source(tmp_path, settings, {}))
    assert "table2_lpips" in found.empty
    assert "— evaluate.metrics does not name lpips." in (tmp_path / "tables" / "table2_lpips.md").read_text()
    keys = [table.key for table in found.tables]
    assert [key for key in keys if key in ("psnr_db", "psnr_y_db", "ssim", "lpips")] == ["ssim", "psnr_db"]


def test_with_cosine_and_amplitude_differences_are_split(tmp_path: Path) -> None:
    chosen = "evaluate.metrics=[psnr_db,detail_cosine,detail_amplitude]"
    settings = synthetic_grid.settings("reg=paper", chosen, benchmarks=["Set5"], names=["none", "rff"])
    synthetic_grid.write(tmp_path, tmp_path / "index", settings, {"Set5": 5})
    found = report_tables.write(source(tmp_path, settings, {}))
    assert "differences_split" in [table.key for table in found.tables]
    text = (tmp_path / "tables" / "differences_split.md").read_text()
    assert "direction: what is added to a bicubic upsampling is more right." in text
    assert text.count("| rff ") == 3


def test_no_benchmark_at_all_is_a_book_of_holes(tmp_path: Path) -> None:
    settings = synthetic_grid.settings("reg=paper", benchmarks=["Set5"], names=["none", "rff"])
    synthetic_grid.write(tmp_path, tmp_path / "index", settings, {"Set5": 5})
    for path in (tmp_path / "scores").iterdir():  # as the evaluate stage writes it without any image
        path.write_text(path.read_text().splitlines()[0] + "\n")
    found = report_tables.write(source(tmp_path, settings, {"Set5": "ask"}))
    assert {"table1_small", "dropout", "ablation", "figure6_average"} <= found.empty
    assert "— Set5 is missing: ask." in (tmp_path / "tables" / "psnr_db.md").read_text()
    assert {one.verdict for one in found.verdicts} == {"not testable"}


@pytest.mark.slow
def test_the_papers_whole_grid(tmp_path: Path) -> None:
    """4 networks x 6 regularizers x 2 seeds x 6 benchmarks of 338 images x 8 cases: all tables are there and full."""
    names = ["none", "dropout", "brute_force", "linear", "rff", "rff_released"]
    sizes = synthetic_grid.PAPER_SIZES
    settings = synthetic_grid.settings(
        "profile=paper", "backbone=paper", "reg=paper", benchmarks=list(sizes), names=names, seeds=[0, 1]
    )
    synthetic_grid.write(tmp_path, tmp_path / "index", settings, sizes)
    found = report_tables.write(source(tmp_path, settings, {}))
    assert found.empty == {"table2_ntire"}
    rows = {table.key: len(table.rows) for table in found.tables}
    assert rows["table1_small"] == rows["table1_large"] == 3 * (2 + 4 * 3)
    assert rows["dropout"] == 6 * (2 + 4 * 5)
    assert rows["ablation"] == 2 + 4 * 6
    assert rows["differences"] == 6 * 4 * 6 * 8
    assert rows["paper_lens"] == 6 * 4 * 8
    assert rows["headline"] == 2 + 4 * 7
    for table in found.tables:
        assert "not the paper's" not in table.title
    said = {one.claim: one.verdict for one in found.verdicts}
    assert said["Full alignment (RFF) beats linear alignment"] == "supported"
    assert said["Brute-force alignment falls below the baseline, alignment of moments does not"] == "supported"


def test_the_control_has_a_table_of_its_own(tmp_path: Path) -> None:
    settings = synthetic_grid.settings(benchmarks=["Set14"], names=["none", "rff", "two_views"])
    synthetic_grid.write(
        tmp_path, tmp_path / "index", settings, {"Set14": 14}, gains={"none": 0, "rff": 0.5, "two_views": 0.2}
    )
    found = report_tables.write(source(tmp_path, settings, {}))
    assert "differences_two_views" in [table.key for table in found.tables]
    rows = pd.read_csv(tmp_path / "tables" / "differences_two_views.csv").set_index("reg")
    # a planted gain shrinks to its half, case by case
    assert rows.loc["rff", "difference"] == pytest.approx(0.75 * 0.3, abs=0.02)
    assert rows.loc["none", "difference"] == pytest.approx(0.75 * -0.2, abs=0.02)


def renew() -> None:
    """Write golden/ anew."""
    with tempfile.TemporaryDirectory() as folder:
        report_tables.write(planted(Path(folder)))
        GOLDEN.mkdir(exist_ok=True)
        for name in FILES:
            (GOLDEN / name).write_bytes((Path(folder) / "tables" / name).read_bytes())


if __name__ == "__main__":
    renew()
