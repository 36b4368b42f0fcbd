"""The report page as text: nothing escapes its place, nothing is fetched, the same data gives the same bytes."""

import json
import math
import re
import tomllib
from html.parser import HTMLParser
from pathlib import Path

import pytest

import synthetic_page
from blindsr.reporting.page import rendering
from blindsr.reporting.page.rendering import Page, PageFigure
from blindsr.reporting.tables import Table
from blindsr.reporting.verdicts import Verdict

ROOT = Path(__file__).resolve().parents[3]
SECTIONS = ["gains", "verdicts", "explorer", "compare", "scatter", "tables", "figures", "settings"]
NASTY = """</script><script>alert(1)</script><img src=x onerror=alert(1)> "'&amp; {{ 7 * 7 }} <!--"""
VOID = {"meta", "link", "img", "input", "br"}


class Elements(HTMLParser):
    """Tags with their attributes in order, the text of <script>s, and all other text; unclosed tags are an error."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.words = ""
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.scripts[-1] += data
        elif "style" not in self.open:
            self.words += data


def bare(**changes: object) -> Page:
    empty = {"metrics": {}, "cases": [], "benchmarks": [], "models": [], "values": {}, "baseline": "none"}
    return Page("t", "s", True, [], [], [], empty, [], "", {})._replace(**changes)


def nasty() -> Page:
    scores = {
        "metrics": {NASTY: {"label": NASTY, "decimals": 2, "higher_is_better": True}},
        "cases": [NASTY],
        "benchmarks": [{"name": NASTY, "images": [NASTY], "cases": [NASTY]}],
        "models": [{"name": NASTY, "backbone": NASTY, "reg": "none"}],
        "values": {NASTY: {NASTY: {NASTY: {NASTY: [1.0]}}}},
        "baseline": "none",
    }
    gallery = [{"benchmark": NASTY, "image": NASTY, "hr": NASTY, "cases": {NASTY: {"lr": NASTY, "models": {}}}}]
    return Page(
        NASTY,
        NASTY,
        False,
        [Verdict(NASTY, NASTY, "supported", NASTY)],
        [Table(NASTY, NASTY, [NASTY], [[NASTY]], 1, [NASTY])],
        [PageFigure(NASTY, NASTY, NASTY, "<svg></svg>")],
        scores,
        gallery,
        NASTY,
        {NASTY: NASTY},
    )


def test_text_stays_text_wherever_it_stands():
    harmless = nasty()
    found = Elements(rendering.render(harmless))
    plain = Elements(rendering.render(_harmless(harmless)))
    assert [tag for tag, _ in found.tags] == [tag for tag, _ in plain.tags]
    assert not any(name.startswith("on") for _, attributes in found.tags for name in attributes)
    assert found.words.count(NASTY) == plain.words.count("harmless") >= 12
    assert json.loads(found.scripts[0]) == harmless.scores
    assert json.loads(found.scripts[1]) == harmless.gallery
    assert not any("<!--" in script or "</" in script for script in found.scripts[:2])


def _harmless(value):
    """The same page with a plain word for each nasty one."""
    if isinstance(value, str):
        return value.replace(NASTY, "harmless")
    if isinstance(value, dict):
        return {_harmless(key): _harmless(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return type(value)(*map(_harmless, value))
    return [_harmless(item) for item in value] if isinstance(value, list) else value


def test_the_same_page_gives_the_same_bytes(tmp_path):
    first, second = synthetic_page.small(tmp_path / "a"), synthetic_page.small(tmp_path / "b")
    assert rendering.render(first) == rendering.render(second)


def test_nothing_outside_is_named(tmp_path):
    text = rendering.render(synthetic_page.small(tmp_path))
    found = Elements(text)
    linked = [value for _, attributes in found.tags for name, value in attributes.items() if name in ("src", "href")]
    assert linked
    for link in linked:
        assert re.match(r"#|data:|tables/[\w.]+$|figures/[\w.]+$", link), link
    assert not re.search(
        r"https?:|@import|url\(|\bfetch\(|XMLHttpRequest|\bimport\b", re.sub(r"data:[^\"]+", "", text)
    )
    policy = next(attributes["content"] for _, attributes in found.tags if "http-equiv" in attributes)
    assert policy.startswith("default-src 'none'")


@pytest.mark.parametrize("data", ["nothing", "no gallery", "one model"])
def test_every_section_is_there_in_order_without_its_data(data, tmp_path):
    small = synthetic_page.small(tmp_path)
    one = {**small.scores, "models": small.scores["models"][:1]}
    given = {"nothing": bare(), "no gallery": small._replace(gallery=[]), "one model": small._replace(scores=one)}
    found = Elements(rendering.render(given[data]))
    assert [attributes["id"] for tag, attributes in found.tags if tag == "section"] == SECTIONS
    links = [attributes["href"] for tag, attributes in found.tags if tag == "a"]
    assert [link for link in links if link.startswith("#")][1:9] == [f"#{name}" for name in SECTIONS]
    if data == "nothing":
        for words in ("No claim was judged", "No scores", "No pictures", "No tables", "No figures", "No settings"):
            assert words in found.words


def test_a_run_that_is_not_the_papers_says_so_under_the_title():
    assert "Not the paper’s experiment" in rendering.render(bare(faithful=False))
    assert "Not the paper’s experiment" not in rendering.render(bare(faithful=True))


def test_verdicts_are_words_and_counted():
    verdicts = [Verdict("a", "b", word, "c") for word in ("supported", "supported", "not testable")]
    found = Elements(rendering.render(bare(verdicts=verdicts)))
    assert "2 supported, 1 not testable." in found.words
    assert [attributes["class"] for tag, attributes in found.tags if tag == "li" and attributes] == [
        "supported", "supported", "not-testable",
    ]  # fmt: skip


def test_an_unknown_verdict_is_refused():
    with pytest.raises(ValueError, match="not 'maybe'"):
        rendering.render(bare(verdicts=[Verdict("a", "b", "maybe", "c")]))


def scored(values: list[float | None]) -> Page:
    metrics = {"psnr_db": {"label": "PSNR", "decimals": 2, "higher_is_better": True}}
    return bare(
        scores={**bare().scores, "metrics": metrics, "values": {"psnr_db": {"m": {"Set5": {"clean": values}}}}}
    )


def test_holes_are_null():
    found = Elements(rendering.render(scored([23.457, None, 7.0])))
    assert '"clean":[23.457,null,7.0]' in found.scripts[0]


@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_a_score_that_is_no_json_is_refused(value):
    with pytest.raises(ValueError):
        rendering.render(scored([value]))


def test_tables_link_their_files_and_keep_the_lines_of_a_cell():
    table = Table("table1_small", "Table 1", ["set", "clean"], [["Set5", "24.00\n[23, 25]"]], 1, ["a note"])
    text = rendering.render(bare(tables=[table]))
    assert '<th scope="row" class="name">Set5</th><td>24.00\n[23, 25]</td>' in text
    assert all(f'href="tables/table1_small.{suffix}"' in text for suffix in ("csv", "md", "tex"))
    assert "a note" in text


def test_figures_keep_their_place_before_they_are_loaded():
    svg = '<svg width="288pt" height="216pt" viewBox="0 0 288 216"></svg>'
    (image,) = [
        attributes
        for tag, attributes in Elements(rendering.render(bare(figures=[PageFigure("f", "t", "c", svg)]))).tags
        if tag == "img"
    ]
    assert (image["width"], image["height"], image["loading"]) == ("480", "360", "lazy")  # 288 pt = 384 px, enlarged


def test_code_in_notes_is_code_and_the_warning_stands_once():
    table = Table("t", "Title", ["set", "clean"], [["Set5", "24.00"]], 1, ["marks as in `other<`"])
    text = rendering.render(bare(size="480 iterations: not the paper's experiment", faithful=False, tables=[table]))
    assert "marks as in <code>other&lt;</code>" in text
    assert Elements(text).words.count("the paper's experiment") == 0
    assert Elements(text).words.count("the paper’s experiment") == 1


def test_names_of_a_row_without_repetition():
    rows = [["Set5", "bicubic", "bicubic", "24"], ["Set5", "rrdb", "rff", "25"]]
    text = rendering.render(bare(tables=[Table("t", "T", ["benchmark", "backbone", "reg", "clean"], rows, 3, [])]))
    assert re.findall(r'scope="row" class="name" data-of="([^"]*)"', text) == ["Set5", "Set5 rrdb"]


def luminance(colour: str) -> float:
    """Relative luminance of a colour as #rrggbb (WCAG 2)."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_text_has_enough_contrast(scheme):
    assert luminance("#ffffff") == pytest.approx(1)
    style = (Path(rendering.__file__).parent / "page.css").read_text()
    block = re.findall(r":root \{(.*?)\}", style, re.S)[scheme]
    colours = dict(re.findall(r"--([\w-]+): (#\w{6})", block))
    grounds = ["ground", "raised", "sunken"]
    pairs = [(ink, ground) for ink in ("ink", "soft", "accent", "good", "bad") for ground in grounds]
    pairs += [(tone, f"{tone}-wash") for tone in ("good", "bad", "open", "mute")]
    pairs += [("on-accent", "accent"), ("ink", "accent-wash"), ("soft", "accent-wash"), ("ink", "bad-wash")]
    for text, ground in pairs:
        light, dark = sorted((luminance(colours[text]), luminance(colours[ground])), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (text, ground)


def test_the_package_carries_the_parts_of_the_page():
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]["blindsr"]
    folder = Path(rendering.__file__).parent
    parts = {path for path in folder.glob("page*") if path.suffix != ".py"}
    assert {path.name for path in parts} == {*rendering.SCRIPTS, "page.css", "page.html.j2"}
    assert parts <= {path for pattern in patterns for path in folder.parents[1].glob(pattern)}
