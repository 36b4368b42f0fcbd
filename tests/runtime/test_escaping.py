"""Hostile names and values in each place where they could be read as something else."""

import csv
import io
import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from matplotlib.figure import Figure
from mlflow.utils.validation import _validate_metric_name

from blindsr.runtime import escaping, files

USUAL = [
    "baby.png",
    "psnr_db",
    "b+n+j",
    "srresnet-rff-0",
    "Set5/b+n+j",
    "© Jürgen Müller.jpg",
    "図 01.png",
    "a (1).tif",
]
HOSTILE = [
    "=HYPERLINK(\"http://evil\",\"x\")", "+1+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "'=1",
    "<script>alert(1)</script>", "[x](javascript:alert)", "![x](http://evil/p.png)", "a|b", "`rm`", "$x^2$",
    "\x1b[2J\x1b]0;title\x07", "a\nb\rc", "\u202egnp.exe", "..", "../../etc/passwd", "CON", "nul.txt", "x" * 400,
]  # fmt: skip
texts = st.one_of(st.sampled_from(USUAL + HOSTILE), st.text(max_size=40))


@pytest.mark.parametrize("text", USUAL)
def test_what_is_usual_comes_back_as_it_is(text: str) -> None:
    assert escaping.terminal(text) == text
    assert escaping.csv_cell(text) == text
    assert escaping.markdown(text) == text
    assert escaping.svg(text) == text
    assert escaping.mlflow_value(text) == text
    if "/" not in text:
        assert escaping.file_name(text) == text


@given(texts)
def test_a_terminal_is_given_one_line_without_control_characters(text: str) -> None:
    assert escaping.terminal(text).isprintable()


def test_what_a_terminal_is_given_by_hand() -> None:
    assert escaping.terminal("a\x1b[2Jb\n") == r"a\x1b[2Jb\n"


@pytest.mark.parametrize("number", ["1", "-2.5", "+0.04", "1e-7", ".5", "inf", "-inf", "nan"])
def test_numbers_are_no_formulas(number: str) -> None:
    assert escaping.csv_cell(number) == number
    assert escaping.csv_cell(-1.5) == -1.5


@given(texts)
def test_no_cell_is_a_formula_and_all_come_back(text: str) -> None:
    cell = escaping.csv_cell(text)
    assert escaping.csv_text(cell) == text
    if cell[:1] in tuple("=+-@\t\r\n"):
        float(cell)


@given(st.lists(texts, min_size=1, max_size=4))
def test_a_table_comes_back_from_its_file(tmp_path_factory: pytest.TempPathFactory, row: list[str]) -> None:
    path = tmp_path_factory.getbasetemp() / "table.csv"
    row = [text.encode(errors="replace").decode() for text in row]
    files.write_csv(path, [f"c{n}" for n in range(len(row))], [row])
    assert list(files.read_csv(path)[0].values()) == row
    cells = list(csv.reader(io.StringIO(path.read_bytes().decode(), newline=""), strict=True))[1]
    assert not any(cell.startswith(("=", "@", "\t")) for cell in cells)


@given(texts)
def test_markdown_shows_text_and_nothing_else(text: str) -> None:
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parseInline(escaping.markdown(text))
    kinds = {child.type for token in tokens for child in token.children or []}
    assert kinds <= {"text", "text_special", "code_inline"}


@given(texts)
def test_a_figure_draws_any_text_as_it_is(text: str) -> None:
    shown = escaping.svg(text)
    figure = Figure()
    drawn = figure.text(0, 0, shown)
    drawn._preprocess_math(shown)
    assert not re.search(r"(?<!\\)\$", shown)


@given(texts)
@example("..0")
def test_mlflow_takes_every_key(text: str) -> None:
    if text:
        _validate_metric_name(escaping.mlflow_key(text))


def test_keys_that_differ_stay_apart() -> None:
    assert escaping.mlflow_key("psnr_db/Set5/b+n+j") == "psnr_db/Set5/b-n-j"
    assert escaping.mlflow_key("a:é") != escaping.mlflow_key("a:è")
    assert len(escaping.mlflow_key("k" * 400)) <= 250


@given(texts)
def test_a_file_name_leads_nowhere_else(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    folder = tmp_path_factory.getbasetemp()
    name = escaping.file_name(text)
    assert Path(folder / name).parent == folder
    assert name not in ("", ".", "..")
    assert len(name.encode()) <= 200


def test_file_names_that_differ_stay_apart() -> None:
    assert escaping.file_name("a/b") != escaping.file_name("a:b")
    assert escaping.file_name("CON") != "CON"
    assert escaping.file_name("x" * 300) != escaping.file_name("x" * 301)
