"""A user's photos: every kind of file that Pillow reads, with its depth, transparency, colour profile and EXIF.

`images.py` is for data sets, whose pixels are compared as they are stored. Here a photo keeps what it is: grey stays
grey, 16 bits stay 16 bits, and what belongs to the file comes back out of `encode`.
"""

import contextlib
import io
import struct
import zlib
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, UnidentifiedImageError

from blindsr.apps.photos import exif, tiff
from blindsr.data import images, repair
from blindsr.runtime.errors import UserError, one_line

SUFFIXES = {
    ".png": "png", ".jpg": "jpg", ".jpeg": "jpg", ".jpe": "jpg", ".webp": "webp", ".tif": "tif", ".tiff": "tif",
    ".bmp": "png", ".gif": "png", ".ppm": "png", ".pgm": "png", ".pnm": "png", ".tga": "png", ".jp2": "png",
    ".avif": "png",
}  # fmt: skip
"""Suffixes of photos -> the container that keeps all that they hold."""
_FORMATS = (*images.FORMATS, "GIF", "PPM", "TGA", "JPEG2000", "AVIF")  # of those suffixes, by Pillow's names
CONTAINERS = ("png", "jpg", "webp", "tif")
_SUBFILE_TYPE, _BITS = 254, 258  # tags of TIFF
_MARK = "blindsr upscale"
# one filter for all rows, and runs alone: a seventh of the time of Pillow's defaults, and as many bytes of a photo
_PNG_OPTIONS = (
    *(cv2.IMWRITE_PNG_COMPRESSION, 1),
    *(cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE),
    *(cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_PAETH),
)
_QUALITY = 95  # of JPEG and WebP
# what Pillow's decoders raise on damaged files, beside OSError
_DAMAGED = (OSError, SyntaxError, ValueError, EOFError, IndexError, OverflowError, struct.error, zlib.error)


class Photo(NamedTuple):
    """A photo, upright. Pixels are uint8 or uint16."""

    colour: NDArray[Any]
    """(H, W, 3) RGB or (H, W, 1) grey."""
    alpha: NDArray[Any] | None = None
    """(H, W), 0 is transparent; colours are not multiplied by it."""
    icc: bytes | None = None
    """Colour profile of `colour`."""
    exif: Image.Exif | None = None
    """What the camera wrote, without the orientation, which the pixels have."""
    lost: str = ""
    """What of the file was damaged and is not kept, in words."""

    @property
    def levels(self) -> int:
        """The value of white: 255 or 65535."""
        return int(np.iinfo(self.colour.dtype).max)


def decode(content: bytes) -> Photo:
    """The photo in the bytes of a file.

    Palettes become RGB, CMYK and LAB become sRGB (by the file's own profile where it has one), two-level images
    become grey, and the EXIF orientation is applied to the pixels. Of a phone's multi-picture JPEG the main picture
    is taken. Raises UserError, whose message follows the file's name, for what is damaged, no image, animated, of
    several pages, or of floating-point or more than 16-bit pixels.
    """
    try:
        return _decoded(content)
    except UserError as error:
        beside = error.__context__ is not None  # a decoder gave up; what is refused for what it is stays so
        found = repair.repaired(content) if beside else None
        if found is None:
            raise
    photo = _decoded(found.content)
    space = b"GRAY" if photo.colour.shape[2] == 1 else b"RGB "
    return photo._replace(lost=found.lost, icc=photo.icc or _profile(found.icc, space))


def _decoded(content: bytes) -> Photo:
    orientation, described, lost = 1, None, ""
    try:
        with images.open_image(io.BytesIO(content), _FORMATS) as image:
            frames = getattr(image, "n_frames", 1)
            if frames > 1 and image.format != "MPO" and not _are_thumbnails(image, frames):
                raise UserError(f"has {frames} frames or pages: save the one that you want as an image")
            layout = str(image.tile)  # gone after loading
            image.load()
            photo = _photo(image, content, layout)
            try:
                read = image.getexif()  # from the file
                orientation, described = read.get(ExifTags.Base.Orientation, 1), exif.descriptive(read)
            except Exception:  # damaged EXIF breaks Pillow in many ways; the pixels are sound
                lost = "EXIF"
    except UserError:
        raise
    except UnidentifiedImageError:
        raise UserError(f"is not an image of a format that is read ({', '.join(_FORMATS)})") from None
    except Image.DecompressionBombError:
        raise UserError("has more pixels than Pillow's safety limit: cut it into parts") from None
    except (*_DAMAGED, cv2.error) as error:
        raise UserError(f"is damaged ({one_line(error)})") from None
    colour = _upright(photo.colour, orientation)
    alpha = None if photo.alpha is None else _upright(photo.alpha, orientation)
    return photo._replace(colour=colour, alpha=alpha, exif=described, lost=lost)


def _are_thumbnails(image: Image.Image, frames: int) -> bool:
    """Whether all pages of a TIFF but the first are smaller copies, as its tags say."""
    if image.format != "TIFF":
        return False
    reduced = True
    for number in range(1, frames):
        image.seek(number)
        reduced &= bool(image.tag_v2.get(_SUBFILE_TYPE, 0) & 1)  # type: ignore[attr-defined]
    image.seek(0)
    return reduced


def _photo(image: Image.Image, content: bytes, layout: str) -> Photo:
    icc = image.info.get("icc_profile")
    if image.mode == "F" or "32F" in layout:
        raise UserError("has floating-point pixels of unknown range: convert it to 8 or 16 bits")
    if image.format == "TIFF" and max(image.tag_v2.get(_BITS, (8,))) == 16:  # type: ignore[attr-defined]
        pixels, transparent = tiff.read_deep(content)
        space = b"GRAY" if pixels.shape[2] - transparent == 1 else b"RGB "
        return _split(pixels, transparent, _profile(icc, space))
    if image.mode.startswith("I"):
        deep = np.asarray(image)
        if deep.min() < 0 or deep.max() > 65535:
            raise UserError("has more than 16 bits a pixel: convert it to 8 or 16 bits")
        clear = image.info.get("transparency")  # of a PNG: the grey that is transparent
        alpha = np.where(deep == clear, 0, 65535).astype(np.uint16) if isinstance(clear, int) else None
        return Photo(deep.astype(np.uint16)[:, :, None], alpha, _profile(icc, b"GRAY"))
    if image.mode in ("RGB", "RGBA") and ";16" in layout:
        return _deep(content, image, grey="LA;16" in layout, icc=icc)
    if image.mode in ("CMYK", "LAB"):
        return _from_print(image, icc)
    transparent = image.has_transparency_data
    if image.mode in ("1", "L", "LA", "La"):
        pixels = np.asarray(image.convert("LA" if transparent else "L"))
        pixels, space = (pixels if pixels.ndim == 3 else pixels[:, :, None]), b"GRAY"
    else:
        pixels, space = np.asarray(image.convert("RGBA" if transparent else "RGB")), b"RGB "
    return _split(pixels, transparent, _profile(icc, space))


def _split(pixels: NDArray[Any], transparent: bool, icc: bytes | None) -> Photo:
    if not transparent:
        return Photo(pixels, icc=icc)
    return Photo(pixels[:, :, :-1], alpha=pixels[:, :, -1], icc=icc)


def _deep(content: bytes, image: Image.Image, *, grey: bool, icc: bytes | None) -> Photo:
    """16-bit colours, which Pillow would cut to 8 bits."""
    size, clear = image.size, image.info.get("transparency")  # the colour that is transparent
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype != np.uint16 or pixels.shape[1::-1] != size or pixels.ndim != 3:
        raise UserError("is damaged, or of a 16-bit layout that OpenCV cannot read: convert it to PNG")
    transparent = pixels.shape[2] == 4
    if grey:
        return _split(pixels[:, :, [0, 3]], True, _profile(icc, b"GRAY"))
    if clear is not None and not transparent:
        hidden = (pixels[:, :, [2, 1, 0]] == np.asarray(clear)).all(2, keepdims=True)
        pixels, transparent = np.concatenate([pixels, np.where(hidden, 0, 65535).astype(np.uint16)], axis=2), True
    return _split(pixels[:, :, [2, 1, 0, 3] if transparent else [2, 1, 0]], transparent, _profile(icc, b"RGB "))


def _from_print(image: Image.Image, icc: bytes | None) -> Photo:
    """CMYK or LAB as sRGB: by the file's profile, else as Pillow converts inks that have none."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    own: Any = ImageCms.createProfile("LAB") if image.mode == "LAB" else None
    if icc and _profile(icc, image.mode.ljust(4).encode()):
        own = ImageCms.ImageCmsProfile(io.BytesIO(icc))
    if own is not None:
        with contextlib.suppress(ImageCms.PyCMSError):
            converted = ImageCms.profileToProfile(image, own, srgb, outputMode="RGB")
            if converted is not None:
                return Photo(np.asarray(converted), icc=srgb.tobytes())
    return Photo(np.asarray(image.convert("RGB")))


def _profile(icc: bytes | None, space: bytes) -> bytes | None:
    """The profile if it is one of the colour space, which stands in its header; a wrong one is worse than none."""
    return icc if icc and icc[16:20] == space else None


def _upright(pixels: NDArray[Any], orientation: Any) -> NDArray[Any]:
    """Apply the EXIF orientation 1…8 (other values: as stored)."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def mark(digest: str) -> str:
    """What `encode` writes into a file as the software that made it."""
    return f"{_MARK} {digest}"


def is_marked(content: bytes | Any, digest: str = "") -> bool:
    """Whether bytes of a file are of `encode`, and with this digest. Works for every container, and for any size."""
    return int(content.find(mark(digest).encode())) >= 0


def encode(photo: Photo, container: str, digest: str) -> bytes:
    """The bytes of a file: png (lossless), jpg or webp (quality 95), or tif (lossless; of the EXIF only texts).

    `digest` can be found again by `is_marked`. 16 bits are rounded to 8 for jpg and webp, which have no more. Raises
    UserError for transparency in jpg, and for more pixels than the container takes.
    """
    written = Image.Exif()
    for tag, value in (photo.exif or {}).items():
        written[tag] = value
    for directory in exif.DIRECTORIES if photo.exif else ():
        entries = dict((photo.exif or written).get_ifd(directory))
        if entries:
            # the size that the camera wrote is not that of these pixels any more
            sides = {ExifTags.Base.ExifImageWidth: photo.colour.shape[1]}
            sides[ExifTags.Base.ExifImageHeight] = photo.colour.shape[0]
            entries |= {tag: side for tag, side in sides.items() if tag in entries}
            written.get_ifd(directory).update(entries)
    written[ExifTags.Base.Software] = mark(digest)
    if photo.alpha is not None and container == "jpg":
        raise UserError("has transparency, which JPEG cannot hold: choose png or webp, or --no-alpha")
    try:
        if container == "tif":
            return _encode_tiff(photo, written)
        if container == "png":
            return _encode_png(photo, written)
        return _encode_pillow(photo, container, written)
    except (*_DAMAGED, cv2.error) as error:
        size = f"{photo.colour.shape[1]}×{photo.colour.shape[0]}"
        other = "tif" if container == "png" else "png"
        raise UserError(
            f"cannot be written as {container} of {size} pixels ({one_line(error)}): try {other}"
        ) from None


def to_8_bits(photo: Photo) -> Photo:
    """The photo with uint8 pixels, rounded."""
    if photo.colour.dtype == np.uint8:
        return photo
    colour = _cut(photo.colour)
    return photo._replace(colour=colour, alpha=None if photo.alpha is None else _cut(photo.alpha))


def _cut(pixels: NDArray[Any]) -> NDArray[Any]:
    return ((pixels + np.uint32(128)) // 257).astype(np.uint8)


def to_pillow(photo: Photo) -> Image.Image:
    """An 8-bit Pillow image of mode L, LA, RGB or RGBA."""
    photo = to_8_bits(photo)
    if photo.alpha is None:
        return Image.fromarray(photo.colour[:, :, 0] if photo.colour.shape[2] == 1 else photo.colour)
    return Image.fromarray(np.dstack([photo.colour, photo.alpha]), "LA" if photo.colour.shape[2] == 1 else "RGBA")


def _encode_pillow(photo: Photo, container: str, entries: Image.Exif) -> bytes:
    options: dict[str, dict[str, Any]] = {
        "png": {"compress_level": 1, "compress_type": zlib.Z_RLE},
        "jpg": {"quality": _QUALITY, "subsampling": 0, "optimize": True},
        "webp": {"quality": _QUALITY, "method": 4, "exact": True},
    }
    file = io.BytesIO()
    name = "JPEG" if container == "jpg" else container.upper()
    to_pillow(photo).save(file, name, exif=entries.tobytes(), icc_profile=photo.icc, **options[container])
    return file.getvalue()


def _encode_tiff(photo: Photo, entries: Image.Exif) -> bytes:
    """By tifffile, since Pillow writes 16 bits of grey only, and no camera's EXIF into a compressed file."""
    import tifffile

    pixels = photo.colour if photo.alpha is None else np.dstack([photo.colour, photo.alpha])
    texts = {tag: value.encode() if isinstance(value, str) else value
             for tag, value in entries.items() if isinstance(value, str | bytes)}  # fmt: skip
    file = io.BytesIO()
    tifffile.imwrite(
        file,
        pixels[:, :, 0] if pixels.shape[2] == 1 else pixels,
        photometric="minisblack" if photo.colour.shape[2] == 1 else "rgb",
        planarconfig="contig" if pixels.shape[2] > 1 else None,
        extrasamples=None if photo.alpha is None else ["unassalpha"],
        compression="zlib",
        iccprofile=photo.icc,
        software=False,  # it is among the texts
        metadata=None,
        extratags=[(int(tag), "s", 0, value, True) for tag, value in texts.items()],
    )
    return file.getvalue()


def _encode_png(photo: Photo, entries: Image.Exif) -> bytes:
    """By OpenCV, since Pillow takes twice the time and writes no 16-bit colours."""
    pixels = photo.colour if photo.alpha is None else np.dstack([photo.colour, photo.alpha])
    if pixels.shape[2] == 2:  # OpenCV writes no grey with transparency, and Pillow no 16 bits of it
        if pixels.dtype == np.uint8:
            return _encode_pillow(photo, "png", entries)
        pixels = pixels[:, :, [0, 0, 0, 1]]
    elif pixels.shape[2] == 3:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    elif pixels.shape[2] == 4:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_RGBA2BGRA)
    chunks = {
        cv2.IMAGE_METADATA_EXIF: entries.tobytes().removeprefix(b"Exif\0\0"),
        cv2.IMAGE_METADATA_ICCP: photo.icc,
    }
    present = {kind: np.frombuffer(value, np.uint8) for kind, value in chunks.items() if value}
    written, content = cv2.imencodeWithMetadata(".png", pixels, [*present], [*present.values()], _PNG_OPTIONS)
    if written:
        return bytes(content)
    # libpng refuses damaged colour profiles, and sides above a million; Pillow does not
    if pixels.dtype == np.uint8:
        return _encode_pillow(photo, "png", entries)
    if photo.icc:
        return _encode_png(photo._replace(icc=None), entries)
    raise ValueError("OpenCV refuses it")
