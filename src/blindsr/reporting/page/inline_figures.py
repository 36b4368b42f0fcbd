"""Figures as the page has them: inside it, as wide as their lettering needs, without the title that stands above."""

import base64
import re
from xml.sax.saxutils import escape

_TEXT = r"\s*<text [^>]*translate\([\d.]+ (?P<y>[\d.]+)\)[^>]*>{words}</text>"
_VIEW = re.compile(r'(<svg[^>]*?\sviewBox=")0 0 (?P<width>[\d.]+) (?P<height>[\d.]+)"')
_DESCENT = 3.5  # pt below the line of the title
_ENLARGED = 4 / 3 * 1.25  # CSS pixels of a point, and lettering of 9 pt as large as the page's


def without_title(svg: str, title: str, size: str) -> str:
    """A figure without its title.

    Args:
        svg: As matplotlib writes it, with texts as texts.
        title: Its first line.
        size: What stands in brackets in the second one.

    Returns:
        The figure, cut off below the title; as it was if it has another one.
    """
    view = _VIEW.search(svg)
    lines = [re.search(_TEXT.format(words=re.escape(escape(words))), svg) for words in (title, f"({size})")]
    found = [line for line in lines if line]
    if not view or len(found) < len(lines):
        return svg
    top = max(float(line["y"]) for line in found) + _DESCENT
    for line in found:
        svg = svg.replace(line[0], "", 1)
    cut = f'{view[1]}0 {top:g} {view["width"]} {float(view["height"]) - top:g}"'
    cut = re.sub(r'\sheight="[^"]*"', f' height="{float(view["height"]) - top:g}pt"', cut, count=1)
    return svg.replace(view[0], cut, 1)


def data_uri(svg: str) -> str:
    """A figure as the address of an image."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()


def size(svg: str) -> tuple[int, int] | None:
    """Width and height in CSS pixels, which keep the place of a figure that is not loaded yet; None: not known."""
    found = re.search(r'<svg[^>]*?\sviewBox="[\d.]+ [\d.]+ ([\d.]+) ([\d.]+)"', svg)
    return (round(float(found[1]) * _ENLARGED), round(float(found[2]) * _ENLARGED)) if found else None
