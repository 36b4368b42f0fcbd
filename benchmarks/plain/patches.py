"""Training patches as the public scripts cut them: one image file per overlapping window, decoded to be read."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from blindsr.data.patch_store import PatchStore, Window

Encoding = tuple[str, list[int]]
PNG: Encoding = (".png", [cv2.IMWRITE_PNG_COMPRESSION, 3])
WEBP: Encoding = (".webp", [cv2.IMWRITE_WEBP_QUALITY, 101])  # above 100: lossless


def write(store: PatchStore, windows: list[Window], folder: Path, encoding: Encoding) -> int:
    """Write the patches at `windows` of `store` into `folder`; returns the bytes that the files take."""
    folder.mkdir(parents=True)
    suffix, options = encoding
    total = 0
    for number, window in enumerate(windows):
        patch = store.image(window.image)[window.top :, window.left :][: window.height, : window.width]
        done, encoded = cv2.imencode(suffix, cv2.cvtColor(np.ascontiguousarray(patch), cv2.COLOR_RGB2BGR), options)
        if not done:
            raise ValueError(f"OpenCV cannot write {suffix}")
        (folder / f"{number:06d}{suffix}").write_bytes(encoded.tobytes())
        total += encoded.size
    return total


def read_window(folder: Path, encoding: Encoding, side: int, number: int, top: int, left: int) -> NDArray[np.uint8]:
    """A window (side, side, 3), RGB, at (top, left) of patch `number`: the whole patch is decoded for it."""
    content = np.frombuffer((folder / f"{number:06d}{encoding[0]}").read_bytes(), np.uint8)
    decoded = cv2.imdecode(content, cv2.IMREAD_COLOR)
    if decoded is None:
        raise ValueError(f"patch {number} is damaged")
    patch = np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), np.uint8)
    return np.ascontiguousarray(patch[top : top + side, left : left + side])
