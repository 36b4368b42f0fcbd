"""The documentation site: built as `make docs` builds it, it is complete and loads nothing from other hosts.

Runs where docs/requirements.txt is installed, and needs nothing of blindsr:
`.venv-docs/bin/python -m pytest --noconftest tests/docs/test_site.py`.
"""

import importlib.util
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

pytest.importorskip("mkdocs", reason="mkdocs is not installed: pip install -r docs/requirements.txt")
pytest.importorskip("mkdocstrings_handlers.python", reason="pip install -r docs/requirements.txt")

from mkdocs.commands.build import build
from mkdocs.config import load_config

ROOT = Path(__file__).resolve().parents[2]
# elements that a browser loads something for, and the attribute that says what
LOADS = {
    "script": "src",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "embed": "src",
    "link": "href",
}


class _Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.ids |= {values[name] for name in ("id", "name") if name in values}
        if tag in LOADS and values.get("rel") != "canonical" and values.get(LOADS[tag]):
            self.loads.append(values[LOADS[tag]])
        if tag == "a" and "href" in values:
            self.links.append(values["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    config = load_config(str(ROOT / "mkdocs.yml"), site_dir=str(folder))
    config.plugins.on_startup(command="build", dirty=False)
    build(config)  # strict: raises where a link or a page is missing
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, _Page]:
    return {path: _Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}


def test_pages_load_nothing_from_other_hosts(site: Path, pages: dict[Path, _Page]) -> None:
    assert len(pages) > 20
    remote = {
        (path.name, address)
        for path, page in pages.items()
        for address in page.loads
        if re.match(r"(https?:)?//", address)
    }
    assert not remote
    for sheet in site.rglob("*.css"):
        assert not re.search(r"(url\(|@import)\s*['\"]?(https?:)?//", sheet.read_text(encoding="utf-8")), sheet


def test_what_pages_load_and_link_to_is_there(site: Path, pages: dict[Path, _Page]) -> None:
    for path, page in pages.items():
        if path.name == "404.html":  # its addresses are those of a server's root
            continue
        for address in [*page.loads, *page.links]:
            if re.match(r"[a-z]+:", address):
                continue
            place, _, anchor = unquote(address).partition("#")
            target = (path.parent / place.split("?")[0]).resolve() if place else path.resolve()
            target = target / "index.html" if target.is_dir() else target
            assert target.is_file(), f"{path.relative_to(site)}: {address}"
            if anchor and target in pages:
                assert anchor in pages[target].ids or anchor.startswith("__"), f"{path.relative_to(site)}: {address}"


def test_formulas_are_mathml(pages: dict[Path, _Page]) -> None:
    (evaluation,) = (path for path in pages if path.name == "evaluation.html")
    text = evaluation.read_text(encoding="utf-8")
    assert "<math" in text
    assert "arithmatex" not in text
    assert r"\mathrm" not in text


def test_reference_has_docstrings(pages: dict[Path, _Page]) -> None:
    (reference,) = (page for path, page in pages.items() if path.name == "reference.html")
    assert {"blindsr.data.suite.degrade_suite", "blindsr.reporting.statistics.compare"} <= reference.ids


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[a](../reports/reference/weights.csv)", "[a](repository/reports/reference/weights.csv)"),
        ("[reports](../reports/reference)", "`reports`"),
        ("[t](../reports/reference/tables/power.md)", "[t](repository/reports/reference/tables/power.csv)"),
        ("[v](../reports/reference/tables/verdicts.md)", "`v`"),
        ("[b](../CONTRIBUTING.md#a-backbone)", "[b](extending.md#a-backbone)"),
        ("[c](glossary.md)", "[c](glossary.md)"),
        ("[d](https://example.org) [e](#here)", "[d](https://example.org) [e](#here)"),
        ("```\n[f](../reports/reference)\n```\n", "```\n[f](../reports/reference)\n```\n"),
        ("[g](../no/such/file)", "[g](../no/such/file)"),
    ],
)
def test_links_out_of_docs(text: str, expected: str) -> None:
    spec = importlib.util.spec_from_file_location("hooks", ROOT / "docs" / "hooks.py")
    assert spec is not None
    assert spec.loader is not None
    hooks = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hooks)
    from mkdocs.structure.files import File, Files
    from mkdocs.structure.pages import Page

    config = load_config(str(ROOT / "mkdocs.yml"))
    index, *copied = (
        File(uri, str(ROOT / "docs"), "nowhere", use_directory_urls=False)
        for uri in (
            "index.md",
            *(f"repository/reports/reference/{name}" for name in ("weights.csv", "tables/power.csv")),
        )
    )
    assert hooks.on_page_markdown(text, Page(None, index, config), config, Files(copied)) == expected
