"""Names and values from outside, one function for each place where they could be read as something else.

An image, a case, a checkpoint's key or a server's answer may hold anything. What is plain comes back as it is, so
that usual names look the same everywhere. HTML is escaped by Jinja, whose templates here all escape by themselves;
LaTeX by `reporting.latex.escape`, beside the tables that are its only text.
"""

import hashlib
import re
from typing import Any

_FORMULA = re.compile("'*[=+\\-@\t\r\n\N{FULLWIDTH EQUALS SIGN}\N{FULLWIDTH PLUS SIGN}"
                      "\N{FULLWIDTH HYPHEN-MINUS}\N{FULLWIDTH COMMERCIAL AT}]")  # fmt: skip
_NUMBER = re.compile(r"[+-]?((\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?|inf|nan)", re.IGNORECASE | re.ASCII)
_CODE = re.compile(r"(`[\w ./:=+-]+`)", re.ASCII)
_MARKS = re.compile(
    r"[\\`*~|$#]"  # anywhere
    r"|(?<![^\W_])_|_(?![^\W_])"  # emphasis, but not within a word such as psnr_db
    r"|<(?=[A-Za-z/!?])|&(?=#?\w+;)|\[(?=\^)|\](?=[(\[:])"  # tags, entities, footnotes, links
)
_KEY = re.compile(r"[^/\w.\- :]")
_LONGEST_KEY = 250
_LONGEST_VALUE = 500
_NOT_IN_NAMES = re.compile(r'[/\\:*?"<>|]')
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def terminal(text: str) -> str:
    """Text as one line that a terminal prints and does not obey: line breaks and control characters as escapes."""
    return text if text.isprintable() else "".join(map(_printable, text))


def csv_cell(value: Any) -> Any:
    """A cell that no spreadsheet takes for a formula: text that begins like one gets an apostrophe in front.

    Numbers, also as text, stay what they are. `csv_text` gives back what was written.
    """
    formula = isinstance(value, str) and _FORMULA.match(value) and not _NUMBER.fullmatch(value)
    return f"'{value}" if formula else value


def csv_text(cell: str) -> str:
    """What `csv_cell` was given."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def markdown(text: str) -> str:
    """Text within a line of Markdown, or within a cell: no link, picture, tag, emphasis, formula or further cell.

    Code in backticks stays, as long as it is words, paths and options alone.
    """
    plain = "".join(letter if letter.isprintable() else " " for letter in text)
    parts = _CODE.split(plain)
    return "".join(part if _CODE.fullmatch(part) else _MARKS.sub(r"\\\g<0>", part) for part in parts)


def svg(text: str) -> str:
    """Text of a figure: no formula of matplotlib, and no character that XML has not. Line breaks stay."""
    shown = "".join(
        letter if letter.isprintable() or letter == "\n" else "\N{REPLACEMENT CHARACTER}" for letter in text
    )
    return shown.replace("$", r"\$")


def mlflow_key(text: str) -> str:
    """The name of a metric, param or tag, of the characters that MLflow takes: + becomes -, as in the case b-n-j.

    What loses more than that by it keeps apart from others by a hash at its end.
    """
    usual = text.replace("+", "-")
    parts = [part if part.strip(".") else "-" for part in _KEY.sub("-", usual).split("/")]
    key = "/".join(parts)
    key = f"-{key}" if key.startswith("..") else key  # MLflow takes each such name for a path that leads up
    return key if key == usual and len(key) <= _LONGEST_KEY else f"{key[: _LONGEST_KEY - 9]}-{_digest(text)}"


def mlflow_value(value: Any) -> str:
    """A value as text that every database of MLflow takes: printable, and not too long."""
    return terminal(str(value))[:_LONGEST_VALUE]


def file_name(text: str, most: int = 200) -> str:
    """The name of a file or folder, the same on every system; it leads nowhere else.

    Args:
        text: Any name. A usual one comes back as it is, another one with a hash at its end, so that two stay apart.
        most: Bytes that it may have; file systems take 255, and suffixes and temporary names come on top.
    """
    plain = _NOT_IN_NAMES.sub("-", "".join(letter if letter.isprintable() else "-" for letter in text))
    plain = plain.strip(" ").rstrip(".")
    if _DEVICES.fullmatch(plain) or not plain.strip("."):
        plain = f"-{plain.lstrip('.')}"
    if plain == text and len(plain.encode()) <= most:
        return plain
    short = plain.encode()[: most - 9].decode(errors="ignore")
    return f"{short}-{_digest(text)}"


def _printable(letter: str) -> str:
    return letter if letter.isprintable() else letter.encode("unicode_escape").decode()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:8]
