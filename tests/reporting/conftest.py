"""The small synthetic page, open in headless Chromium."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import synthetic_page
from blindsr.reporting.page import rendering
from blindsr.reporting.page.rendering import Page


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Chromium; the test is skipped where it, its driver or selenium is absent."""
    pytest.importorskip("selenium", reason="selenium is absent: pip install -r requirements-dev.txt")
    import browser

    if not (browser.BROWSER and browser.DRIVER):
        pytest.skip("chromium or chromedriver is absent: apt-get install chromium chromium-driver")
    with browser.chromium(tmp_path_factory.mktemp("chromium")) as driver:
        yield driver


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Page, Path]:
    folder = tmp_path_factory.mktemp("small")
    made = synthetic_page.small(folder)
    (folder / "report.html").write_text(rendering.render(made), "utf-8")
    return made, folder / "report.html"


@pytest.fixture
def tab(driver: Any, small: tuple[Page, Path]) -> Iterator[Any]:
    """The small page; afterwards its console is empty and nothing but files and data was asked for."""
    import browser

    tab = browser.Tab(driver)
    tab.open(small[1])
    yield tab
    assert [line for line in tab.complaints() if synthetic_page.ABSENT not in line] == []
    asked = tab.requests()
    assert all(url.startswith(("file:", "data:", "about:")) for url in asked), asked
