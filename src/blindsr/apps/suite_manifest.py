"""manifest.json of a written test suite: hashes of every image, and the versions that made them."""

from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import PIL
from PIL import features
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

import blindsr
from blindsr.config.schema import SuiteParams
from blindsr.data.images import RGB
from blindsr.runtime import files, paths
from blindsr.runtime.errors import UserError

MANIFEST = "manifest.json"
Place = Annotated[str, AfterValidator(paths.require_inside)]  # below a folder


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LrEntry(_Model):
    """One LR image: its file below the suite's folder, and the SHA-256 of its bytes and of its pixels."""

    file: Place
    sha256: str
    pixels: str


class HrEntry(_Model):
    """One HR image, by the SHA-256 of its file and of what was decoded from it, and its LR image of each case."""

    file: Place
    sha256: str
    pixels: str
    cases: dict[str, LrEntry]


class SuiteManifest(_Model):
    """manifest.json: what the suite was made of and with."""

    benchmark: str
    scale: int
    suite: SuiteParams
    versions: dict[str, str]
    images: dict[str, HrEntry]


def read(out: Path) -> SuiteManifest:
    """The manifest of a suite. Raises UserError if there is none, or another file of its name."""
    path = out / MANIFEST
    try:
        return SuiteManifest.model_validate_json(files.read_text(path))
    except FileNotFoundError:
        raise UserError(f"{path} is missing: {out} holds no suite, write one with `blindsr suite`") from None
    except (ValidationError, UserError, OSError):
        raise UserError(f"{path} is no manifest of a suite: delete {out} and write it again") from None


def versions() -> dict[str, str]:
    """Versions of what decides the pixels, and of the compressor, which decides only the files' bytes."""
    return {
        "blindsr": blindsr.__version__,
        "pillow": PIL.__version__,
        "libjpeg": features.version("libjpeg_turbo") or features.version("jpg") or "none",
        "zlib": features.version("zlib_ng") or features.version("zlib") or "none",
        "opencv": cv2.__version__,
        "numpy": np.__version__,
    }


def pixels(image: RGB) -> str:
    """SHA-256 of the shape and the pixels."""
    return files.sha256(repr(image.shape).encode() + np.ascontiguousarray(image).tobytes())
