"""A photo beside its upscaled version: one PNG, and one HTML page with a slider that needs no other file."""

import base64
import io
from importlib import resources
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from blindsr.apps.photos import photos
from blindsr.apps.photos.photos import Photo
from blindsr.runtime import files

_LONGEST = 4096  # px of a side in a comparison: beyond it a page is slow, and both images are scaled down alike
_GAP = 8  # px between the two of the PNG


def write(lr: Photo, sr: Photo, model: str, digest: str, png: Path, html: Path) -> None:
    """Write both files, each whole or not at all; they carry the mark of `photos.encode` with `digest`.

    Both images are shown at the size of `sr` (at most 4096 px), the photo as a bicubic enlargement.
    """
    width, height = _size(sr)
    after = photos.to_pillow(sr)
    if after.size != (width, height):
        after = after.resize((width, height), Image.Resampling.LANCZOS)
    before = photos.to_pillow(lr).resize((width, height), Image.Resampling.BICUBIC)
    labels = (f"{_pixels(lr)}, bicubic", f"{_pixels(sr)}, {model}")
    files.write_atomic(png, _side_by_side(before, after, labels, sr.icc, digest))
    import jinja2  # which only this needs

    environment = jinja2.Environment(autoescape=True, keep_trailing_newline=True)
    template = environment.from_string(
        (resources.files("blindsr.apps.photos") / "compare.html.j2").read_text("utf-8")
    )
    page = template.render(
        mark=photos.mark(digest),
        title=png.name.removesuffix(".compare.png"),
        width=width,
        height=height,
        type="image/webp",
        before_label=labels[0],
        after_label=labels[1],
        before=_embedded(before, sr.icc),
        after=_embedded(after, sr.icc),
    )
    files.write_atomic(html, page)


def _size(sr: Photo) -> tuple[int, int]:
    height, width = sr.colour.shape[:2]
    factor = min(1.0, _LONGEST / max(height, width))
    return max(1, round(width * factor)), max(1, round(height * factor))


def _pixels(photo: Photo) -> str:
    return f"{photo.colour.shape[1]} x {photo.colour.shape[0]}"


def _embedded(image: Image.Image, icc: bytes | None) -> str:
    """WebP, lossless while that is small, in base64."""
    file = io.BytesIO()
    lossless = image.width * image.height <= 2**20
    image.save(file, "WEBP", lossless=lossless, quality=75 if lossless else 92, method=2, icc_profile=icc)
    return base64.b64encode(file.getvalue()).decode()


def _side_by_side(
    before: Image.Image, after: Image.Image, labels: tuple[str, str], icc: bytes | None, digest: str
) -> bytes:
    mode = after.mode
    size = max(12, min(24, after.width // 24))
    font = ImageFont.load_default(size)
    band = int(size * 1.6)
    canvas = Image.new(mode, (2 * after.width + _GAP, after.height + band), "white")
    draw = ImageDraw.Draw(canvas)
    for image, label, left in ((before, labels[0], 0), (after, labels[1], after.width + _GAP)):
        canvas.paste(image, (left, band))
        draw.text((left + 4, band // 8), label, fill="black", font=font)
    exif = Image.Exif()
    exif[0x0131] = photos.mark(digest)
    file = io.BytesIO()
    canvas.save(file, "PNG", compress_level=3, exif=exif, icc_profile=icc)
    return file.getvalue()
