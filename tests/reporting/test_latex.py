"""LaTeX by hand: escapes, lines of a cell, blocks of rows."""

import pytest

from blindsr.reporting import latex


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        (r"a\b{c}", r"a\textbackslash{}b\{c\}"),
        ("50 % & $1 #2 psnr_db", r"50 \% \& \$1 \#2 psnr\_db"),
        ("~x^2", r"\textasciitilde{}x\textasciicircum{}2"),
        ("a < b > c", r"a \textless{} b \textgreater{} c"),
        ("— 1–2 −3", r"--- 1--2 \ensuremath{-}3"),
        ("4× ±1 px²…", r"4\ensuremath{\times} \ensuremath{\pm}1 px\textsuperscript{2}\dots{}"),
        (
            "+0.50▲ -0.20▼ 22.99†",
            r"+0.50\ensuremath{\uparrow} -0.20\ensuremath{\downarrow} 22.99\ensuremath{\dagger}",
        ),
        ("b+n+j", "b+n+j"),
    ],
)
def test_escapes(text: str, escaped: str) -> None:
    assert latex.escape(text) == escaped


def test_a_table_by_hand() -> None:
    header = ["network", "row", "clean_1"]
    rows = [["net", "+ ours", "25.00▲\n[24.00, 26.00]\npaper 24.0"], ["net", "all", "—"], ["other", "+ ours", "1%"]]
    text = latex.table(header, rows, left=2, title="T & U", label="t1", notes=["50 %.", "— gone."])
    assert (
        text
        == r"""\begin{table}
\centering
\caption{T \& U}
\label{tab:t1}
\begin{tabular}{llr}
\toprule
network & row & clean\_1 \\
\midrule
net & + ours & 25.00\ensuremath{\uparrow} \\
 &  & {\scriptsize [24.00, 26.00]} \\
 &  & {\scriptsize paper 24.0} \\
net & all & --- \\
\addlinespace
other & + ours & 1\% \\
\bottomrule
\end{tabular}
\par\smallskip{\footnotesize 50 \%.\par}
\par\smallskip{\footnotesize --- gone.\par}
\end{table}
"""
    )


def test_one_text_column_has_no_blocks() -> None:
    text = latex.table(["network", "x"], [["a", "1"], ["b", "2"]], left=1, title="T", label="t", notes=[])
    assert r"\addlinespace" not in text
    assert r"\begin{tabular}{lr}" in text


def test_no_line_begins_with_a_bracket() -> None:
    r"""LaTeX would take a bracket after `\\` for the length of a space."""
    text = latex.table(["n", "x"], [["a", "1\n[0, 2]"], ["b", "3\n[2, 4]"]], left=1, title="T", label="t", notes=[])
    assert not any(line.lstrip().startswith(("[", "*")) for line in text.splitlines())
