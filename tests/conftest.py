"""What several test files share."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from blindsr.datasets import inspection
from blindsr.datasets.catalog import Manifest, UserSource
from blindsr.datasets.indices import IndexedImage

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder with real benchmark images and LPIPS weights; the test is skipped where there is none."""
    folder = Path(os.environ.get("BLINDSR_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "benchmarks").is_dir():
        pytest.skip("real benchmark images are absent: set BLINDSR_TEST_DATA to a folder that has benchmarks/")
    return folder


@pytest.fixture(scope="session")
def index_images() -> Callable[[Path], list[IndexedImage]]:
    """The index that the fetch stage would write for all images of a folder."""
    source = UserSource(kind="user", help="made by the test")
    manifest = Manifest(name="made", role="train", title="made", licence="none", sources=[source])
    return lambda folder: inspection.inspect(manifest, folder).images
