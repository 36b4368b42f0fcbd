"""A table of formatted cells as LaTeX, with the rules of booktabs."""

from collections.abc import Sequence

_SPECIAL = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "&": r"\&",
        "%": r"\%",
        "$": r"\$",
        "#": r"\#",
        "_": r"\_",
        "{": r"\{",
        "}": r"\}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "—": "---",
        "–": "--",
        "−": r"\ensuremath{-}",
        "×": r"\ensuremath{\times}",
        "±": r"\ensuremath{\pm}",
        "²": r"\textsuperscript{2}",
        "▲": r"\ensuremath{\uparrow}",
        "▼": r"\ensuremath{\downarrow}",
        "†": r"\ensuremath{\dagger}",
        "…": r"\dots{}",
    }
)


def escape(text: str) -> str:
    """The text as LaTeX prints it: special characters, and those that the fonts of LaTeX lack."""
    return text.translate(_SPECIAL)


def table(
    header: Sequence[str], rows: Sequence[Sequence[str]], *, left: int, title: str, label: str, notes: Sequence[str]
) -> str:
    """A table environment that needs the package booktabs alone.

    The first `left` columns are text, set to the left. A newline in a cell begins a further, smaller line of its
    row; a first column that changes begins a new block.
    """
    lines = [r"\begin{table}", r"\centering", rf"\caption{{{escape(title)}}}", rf"\label{{tab:{label}}}"]
    lines += [rf"\begin{{tabular}}{{{'l' * left}{'r' * (len(header) - left)}}}", r"\toprule"]
    lines += [_line(header), r"\midrule"]
    for number, row in enumerate(rows):
        if number and left > 1 and row[0] and row[0] != rows[number - 1][0]:
            lines.append(r"\addlinespace")
        parts = [cell.split("\n") for cell in row]
        for depth in range(max(map(len, parts))):
            cells = [part[depth] if depth < len(part) else "" for part in parts]
            lines.append(_line(cells, small=depth > 0))
    lines += [r"\bottomrule", r"\end{tabular}"]
    lines += [rf"\par\smallskip{{\footnotesize {escape(note)}\par}}" for note in notes]
    return "\n".join([*lines, r"\end{table}"]) + "\n"


def _line(cells: Sequence[str], small: bool = False) -> str:
    shown = [escape(cell) for cell in cells]
    if small:
        shown = [rf"{{\scriptsize {cell}}}" if cell else "" for cell in shown]
    return " & ".join(shown) + r" \\"
