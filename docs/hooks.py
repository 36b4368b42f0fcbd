"""What `mkdocs build` does beside: pages from other places, links out of docs/, formulas, the notebook."""

import json
import posixpath
import re
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOK = "quick_start.ipynb"
# pages of the site that stand elsewhere in the repository
PAGES = {
    "CONTRIBUTING.md": "extending.md",
    "CHANGELOG.md": "changelog.md",
    "benchmarks/RESULTS.md": "benchmarks/RESULTS.md",
    "benchmarks/RESULTS-GPU.md": "benchmarks/RESULTS-GPU.md",
}
_HOMES = {page: place for place, page in PAGES.items()}
_LINK = re.compile(r"(?P<picture>!?)\[(?P<text>[^\]\n]*)\]\((?P<target>[^)\s]+)\)")
_FORMULA = re.compile(r'<(div|span) class="arithmatex">(\\\[|\\\()(.*?)(\\\]|\\\))</\1>', re.DOTALL)
_INTERVAL = re.compile(r"(\[[+−-]?[\d.]+), ([+−-]?[\d.]+\])")
_FENCED = re.compile(r"^(```|~~~).*?^\1", re.DOTALL | re.MULTILINE)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages that stand elsewhere, and the notebook as a page."""
    for place, page in PAGES.items():
        files.append(File.generated(config, page, content=(ROOT / place).read_text(encoding="utf-8")))
    notebook = ROOT / "docs" / NOTEBOOK
    files.append(
        File.generated(config, "quick_start.md", content=notebook_page(json.loads(notebook.read_text("utf-8"))))
    )
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Makes links out of docs/ work: to a page of the site, to a copy of the file.

    That to a folder is its name alone, as is that to Markdown which is no page.
    """
    source = page.file.src_uri
    home = posixpath.dirname(_HOMES.get(source, f"docs/{source}"))

    def linked(match: re.Match[str]) -> str:
        target, _, anchor = match["target"].partition("#")
        if not target or ":" in target:
            return match[0]
        place = posixpath.normpath(posixpath.join(home, target))
        if place.startswith("docs/"):
            uri = place.removeprefix("docs/")
        elif place in PAGES:
            uri = PAGES[place]
        elif place == "README.md":
            uri = "index.md"
        elif (ROOT / place).is_file() and not (copy := _copy_of(place)).endswith(".md"):
            uri = f"repository/{copy}"
            if files.get_file_from_path(uri) is None:
                files.append(File.generated(config, uri, abs_src_path=str(ROOT / copy)))
        elif (ROOT / place).exists():
            return match["text"] if match["text"].startswith("`") else f"`{match['text']}`"
        else:
            return match[0]  # mkdocs says that it is broken
        anchor = f"#{anchor}" if anchor else ""
        return (
            f"{match['picture']}[{match['text']}]({posixpath.relpath(uri, posixpath.dirname(source) or '.')}{anchor})"
        )

    parts, end = [], 0
    for fence in _FENCED.finditer(markdown):
        parts += [_LINK.sub(linked, markdown[end : fence.start()]), fence[0]]
        end = fence.end()
    return "".join([*parts, _LINK.sub(linked, markdown[end:])])


def _copy_of(place: str) -> str:
    """The file to copy: of a table in Markdown the CSV beside it, since mkdocs takes Markdown for a page."""
    table = f"{place.removesuffix('.md')}.csv"
    return table if place.endswith(".md") and (ROOT / table).is_file() else place


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Formulas become MathML, which browsers draw without any script; intervals such as [−0.1, +0.2] do not break."""

    def formula(match: re.Match[str]) -> str:
        display = "block" if match[1] == "div" else "inline"
        latex = match[3].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
        math = convert(latex.strip(), display=display)
        return f'<div class="formula">{math}</div>' if display == "block" else math

    return _INTERVAL.sub(r"\1,&nbsp;\2", _FORMULA.sub(formula, html))


def notebook_page(notebook: dict[str, Any]) -> str:
    """A notebook with its stored outputs as Markdown."""
    parts = []
    for cell in notebook["cells"]:
        text = "".join(cell["source"])
        parts.append(text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```")
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "image/png" in data:
                picture = "".join(data["image/png"]).replace("\n", "")
                parts.append(f'<img alt="Output of the cell above" src="data:image/png;base64,{picture}">')
            else:
                parts.append(f"```text\n{''.join(output.get('text', data.get('text/plain', []))).rstrip()}\n```")
    return "\n\n".join(parts) + f"\n\n[Download this notebook]({NOTEBOOK})\n"
