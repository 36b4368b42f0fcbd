"""What several test files share."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder with real benchmark images and LPIPS weights; the test is skipped where there is none."""
    folder = Path(os.environ.get("BLINDSR_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "benchmarks").is_dir():
        pytest.skip("real benchmark images are absent: set BLINDSR_TEST_DATA to a folder that has benchmarks/")
    return folder
