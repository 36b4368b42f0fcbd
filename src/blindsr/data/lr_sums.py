"""Hashes of the LR images of the test suite, beside them: data/lr/SHA256SUMS, which `sha256sum -c` reads, too."""

import re
from collections.abc import Mapping
from pathlib import Path

from blindsr.runtime import files, paths
from blindsr.runtime.errors import UserError

FILE = "SHA256SUMS"
_LINE = re.compile(r"([0-9a-f]{64})  (.+)")


def name(lr: Path) -> str:
    """What the list calls an image: its path below data/lr, with "/"."""
    return lr.relative_to(paths.LR).as_posix()


def write(sums: Mapping[str, str]) -> None:
    """Write the list.

    Args:
        sums: `name` -> SHA-256 of each image.

    Raises:
        UserError: where the file cannot be written.
    """
    files.write_atomic(paths.LR / FILE, "".join(f"{sums[key]}  {key}\n" for key in sorted(sums)))


def read() -> dict[str, str] | None:
    """Read the list.

    Returns:
        As for `write`; None where there is none.

    Raises:
        UserError: where it is damaged.
    """
    try:
        lines = (paths.LR / FILE).read_bytes().decode().splitlines()
    except OSError:
        return None
    except UnicodeDecodeError:
        lines = [""]
    found = [_LINE.fullmatch(line) for line in lines]
    if not all(found):
        raise UserError(
            f"{paths.LR / FILE} is damaged: `blindsr verify`, then `dvc repro --force degrade`, brings it back"
        )
    return {match[2]: match[1] for match in found if match}
