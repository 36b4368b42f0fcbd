"""A table beside the paper's, by hand: text of cells, marks, footnotes, files."""

import math
from pathlib import Path

import pandas as pd
import pytest

from blindsr.reporting.paper import comparison
from blindsr.reporting.paper.comparison import BETTER, WORSE, Line, PaperTable, TableCell

UP, DOWN, BOTH = (0.1, 0.3), (-0.3, -0.1), (-0.1, 0.3)


def one(cell: TableCell, *, signed: bool = False, decimals: int = 2, lower: bool = False) -> PaperTable:
    return PaperTable("t", "T", ["network"], ["clean"], [Line("", "net", "", [cell], signed)], decimals, lower)


def cells(*pairs: tuple[float, tuple[float, float] | None], lower: bool = False) -> PaperTable:
    """A row of values 1 with these p-values and intervals of the difference."""
    row = [TableCell(1.0, 0.5, 1.5, p=p, gain=gain) for p, gain in pairs]
    columns = [f"c{number}" for number in range(len(row))]
    return PaperTable("t", "T", ["network"], columns, [Line("", "net", "", row)], 2, lower)


@pytest.mark.parametrize(
    ("cell", "options", "text"),
    [
        (TableCell(), {}, "—"),
        (TableCell(paper=24.85), {}, "—\npaper 24.85"),
        (TableCell(25.0), {}, "25.00"),
        (TableCell(25.0, 24.5, 25.5), {}, "25.00\n[24.50, 25.50]"),
        (TableCell(25.0, 24.5, 25.5, 24.85), {}, "25.00\n[24.50, 25.50]\npaper 24.85 (+0.15)"),
        (TableCell(22.0, 21.5, 22.5, 22.99, True), {}, "22.00\n[21.50, 22.50]\npaper 22.99† (-0.99)"),
        (TableCell(0.5, -0.25, 1.25, 0.75), {"signed": True}, "+0.50\n[-0.25, +1.25]\npaper +0.75 (-0.25)"),
        (TableCell(0.25, 0.125, 0.375, 0.5), {"decimals": 3}, "0.250\n[0.125, 0.375]\npaper 0.500 (-0.250)"),
        (TableCell(26.0, 25.0, 27.0, p=0.01, gain=UP), {}, "26.00▲\n[25.00, 27.00]"),
        (TableCell(24.0, 23.0, 25.0, p=0.01, gain=DOWN), {}, "24.00▼\n[23.00, 25.00]"),
        (TableCell(0.5, 0.25, 0.75, p=0.01, gain=DOWN), {"lower": True}, "0.50▲\n[0.25, 0.75]"),
    ],
)
def test_text_of_a_cell(cell: TableCell, options: dict[str, bool], text: str, tmp_path: Path) -> None:
    assert comparison.write(one(cell, **options), tmp_path / "t", []).rows == [["net", text]]


def test_marks_need_both_the_test_and_the_interval() -> None:
    table = cells((0.001, UP), (0.001, BOTH), (0.2, UP), (0.001, DOWN), (math.nan, UP), (0.001, None))
    assert comparison.marks(table) == [[BETTER, "", "", WORSE, "", ""]]


def test_lower_is_better_turns_the_marks_round() -> None:
    assert comparison.marks(cells((0.001, UP), (0.001, DOWN), lower=True)) == [[WORSE, BETTER]]


def test_the_whole_table_is_one_family() -> None:
    """0.03 alone is below 0.05; of two it is 0.06; beside 0.02 it is still 0.04, and the 0.02 is 0.04 too."""
    assert comparison.marks(cells((0.03, UP))) == [[BETTER]]
    assert comparison.marks(cells((0.03, UP), (0.03, UP))) == [["", ""]]
    assert comparison.marks(cells((0.02, UP), (0.03, DOWN))) == [[BETTER, WORSE]]
    lines = [Line("", name, "", [TableCell(1.0, p=0.03, gain=UP)]) for name in ("a", "b")]
    assert comparison.marks(PaperTable("t", "T", ["network"], ["c"], lines, 2)) == [[""], [""]]


def test_what_is_not_known_does_not_count_in_the_family() -> None:
    assert comparison.marks(cells((0.03, UP), (math.nan, None), (math.nan, None))) == [[BETTER, "", ""]]


def test_files_and_front_columns(tmp_path: Path) -> None:
    ours = TableCell(25.0, 24.0, 26.0, 24.85, p=0.01, gain=UP)
    lines = [
        Line("Set5", "bicubic", "", [TableCell(24.0, 23.0, 25.0), TableCell()]),
        Line("Set5", "net", "+ ours", [ours, TableCell(paper=22.99, suspect=True)]),
    ]
    table = PaperTable("t1", "Title", ["benchmark", "network", ""], ["clean", "blur"], lines, 2)
    written = comparison.write(table, tmp_path / "t1", ["— blur is missing: ask."])
    assert written.header == ["benchmark", "network", " ", "clean", "blur"]
    assert written.rows[1] == [
        "Set5",
        "net",
        "+ ours",
        "25.00▲\n[24.00, 26.00]\npaper 24.85 (+0.15)",
        "—\npaper 22.99†",
    ]
    assert (written.key, written.title, written.left) == ("t1", "Title", 3)
    assert (tmp_path / "t1.csv").read_text() == (
        "benchmark,network,row,column,value,low,high,paper,minus_paper,suspect,mark\n"
        "Set5,bicubic,,clean,24.000,23.000,25.000,,,,\n"
        "Set5,bicubic,,blur,,,,,,,\n"
        "Set5,net,+ ours,clean,25.000,24.000,26.000,24.850,0.150,,better\n"
        "Set5,net,+ ours,blur,,,,22.990,,misprint?,\n"
    )
    markdown = (tmp_path / "t1.md").read_text()
    assert markdown.startswith("# Title\n\n| benchmark")
    assert "25.00▲<br>[24.00, 26.00]<br>paper 24.85 (+0.15)" in markdown
    assert markdown.endswith("\n— blur is missing: ask.\n")
    assert r"25.00\ensuremath{\uparrow}" in (tmp_path / "t1.tex").read_text()


def test_footnotes_say_what_is_there(tmp_path: Path) -> None:
    def notes(table: PaperTable) -> str:
        return " ".join(comparison.write(table, tmp_path / "t", ["own"]).notes)

    everything = notes(one(TableCell(25.0, 24.0, 26.0, 24.0, True, 0.01, UP)))
    assert "95 % bootstrap interval" in everything
    assert "for the 1 comparisons of this table" in everything
    assert "misprint" in everything
    assert notes(one(TableCell(paper=24.0))) == "own"


def test_front_of_two_columns_has_no_benchmark(tmp_path: Path) -> None:
    lines = [Line("", "net", "+ ours", [TableCell(1.0)])]
    table = PaperTable("t", "T", ["network", ""], ["Set5"], lines, 2)
    assert comparison.write(table, tmp_path / "t", []).rows == [["net", "+ ours", "1.00"]]


def test_empty_means_no_value_of_ours() -> None:
    assert one(TableCell(paper=24.0)).is_empty
    assert not one(TableCell(24.0)).is_empty


def test_numbers_of_the_csv_are_finer_than_the_text(tmp_path: Path) -> None:
    comparison.write(one(TableCell(1.23456, 1.0, 2.0), decimals=3), tmp_path / "t", [])
    frame = pd.read_csv(tmp_path / "t.csv")
    assert frame.loc[0, "value"] == 1.2346


def test_a_difference_without_an_interval_has_no_mark() -> None:
    """A benchmark of one image among those that are pooled leaves none."""
    assert comparison.marks(cells((1e-6, (math.nan, math.nan)))) == [[""]]
