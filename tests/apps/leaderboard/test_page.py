"""The leaderboard's page in headless Chromium: sorting, narrow screens, and nothing from elsewhere."""

from pathlib import Path

import numpy as np
import pytest

from blindsr.apps.leaderboard import leaderboard
from blindsr.apps.leaderboard.leaderboard import Options
from blindsr.data import images

pytest.importorskip("selenium", reason="selenium is absent: pip install -r requirements.txt")
import browser

if not (browser.BROWSER and browser.DRIVER):
    pytest.skip("chromium or chromedriver is absent", allow_module_level=True)


def test_it_sorts_and_fits_a_phone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "One").mkdir()
    for name in "ab":
        drawn = np.random.default_rng(ord(name)).integers(0, 256, (6, 5, 3), dtype=np.uint8)
        images.write_png(tmp_path / "One" / f"{name}.png", images.bicubic_upscale(drawn, 8))
    (tmp_path / "list.yaml").write_text("- {model: lanczos, title: a name that is longer than a phone is wide}")
    leaderboard.run(["bicubic", "bilinear", "list.yaml"], ["One"], Options(out=tmp_path))
    with browser.chromium(tmp_path / "profile") as driver:
        tab = browser.Tab(driver)
        tab.open(tmp_path / "index.html")
        head = tab.all("#ranks thead button")[3]
        assert head.text.startswith("SSIM")
        ssim = "return [...document.querySelectorAll('#ranks tbody tr')].map(row => Number(row.cells[3].innerText))"
        head.click()
        assert tab.js(ssim) == sorted(tab.js(ssim), reverse=True)
        head.click()
        assert tab.js(ssim) == sorted(tab.js(ssim))
        assert tab.find("#ranks thead th[aria-sort]").get_attribute("aria-sort") == "ascending"
        tab.open(tmp_path / "index.html", width=390)
        assert tab.js("return document.documentElement.scrollWidth") == 390
        place = "return document.querySelector('#ranks tbody th').getBoundingClientRect()"
        before = tab.js(place)
        tab.js("document.querySelector('#ranks .box').scrollLeft = 200")
        after = tab.js(place)
        assert tab.js("return document.querySelector('#ranks .box').scrollLeft") == 200
        assert after["left"] == before["left"]
        assert before["width"] < 150
        assert tab.complaints() == []
        assert [url for url in tab.requests() if not url.startswith("file:///")] == []
