"""Pictures of the gallery inside the page, so that one file can be passed on, or shown by MLflow."""

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from blindsr.data import images
from blindsr.reporting.page import rendering

BUDGET = 6 * 2**20
"""Bytes of pictures in a page, which base64 makes a third more."""


def inside(
    folder: Path, gallery: Sequence[Mapping[str, Any]], cases: Sequence[str], budget: int = BUDGET
) -> dict[str, str]:
    """The pictures that a page has inside: those of all images, under as many of the cases as fit the budget.

    Args:
        folder: Of the report, which the paths are relative to.
        gallery: As in `rendering.Page`.
        cases: The ones that matter most first.
        budget: Bytes.

    Returns:
        Path -> WebP without loss, in base64. A picture that is not there is left out.

    Raises:
        UserError: for a picture that cannot be read.
    """
    made: dict[str, str] = {}
    size = 0
    for case in cases:
        paths = [
            path for path in rendering.paths_of(gallery, [case]) if path not in made and (folder / path).is_file()
        ]
        own = {path: _webp(folder / path) for path in paths}
        size += sum(map(len, own.values()))
        if size > budget:
            break
        made |= {path: base64.b64encode(content).decode() for path, content in own.items()}
    return made


def _webp(path: Path) -> bytes:
    content = io.BytesIO()
    Image.fromarray(images.read_rgb(path)).save(content, format="WEBP", lossless=True, method=4)
    return content.getvalue()
