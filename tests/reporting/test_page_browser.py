"""The report page in headless Chromium: what is pressed, dragged and read, and what is loaded."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import synthetic_page
from blindsr.reporting import page

pytest.importorskip("selenium", reason="selenium is absent: pip install -r requirements.txt")
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.actions.wheel_input import ScrollOrigin
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

import browser
from browser import Tab

pytestmark = pytest.mark.skipif(
    not (browser.BROWSER and browser.DRIVER),
    reason="chromium or chromedriver is absent: apt-get install chromium chromium-driver",
)
ABSENT = "clean/srresnet-dropout.png"  # the picture that synthetic_page leaves out


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory):
    with browser.chromium(tmp_path_factory.mktemp("chromium")) as driver:
        yield driver


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[page.Page, Path]:
    folder = tmp_path_factory.mktemp("small")
    made = synthetic_page.small(folder)
    (folder / "report.html").write_text(page.render(made), "utf-8")
    return made, folder / "report.html"


@pytest.fixture
def tab(driver, small: tuple[page.Page, Path]) -> Iterator[Tab]:
    """The small page; afterwards its console is empty and nothing but files and data was asked for."""
    tab = Tab(driver)
    tab.open(small[1])
    yield tab
    assert [line for line in tab.complaints() if ABSENT not in line] == []
    asked = tab.requests()
    assert all(re.match("file:|data:|about:", url) for url in asked), asked


def means(made: page.Page, model: str, benchmark: str, metric: str = "psnr_db") -> list[float]:
    cases = made.scores["values"][metric][model][benchmark]
    each = [float(np.mean(np.round(scores, 3 if metric == "psnr_db" else 5))) for scores in cases.values()]
    return [*each, float(np.mean(each))]


# ---- the explorer


def test_means_are_those_of_the_scores_and_bicubic_survives_every_filter(tab, small):
    assert len(tab.rows()) == 14  # (bicubic and six regularizers) on two benchmarks
    tab.press("Regularizer", "rff")
    tab.press("Benchmark", "Set14")
    rows = tab.rows()
    assert [row[:3] for row in rows] == [["Set14", "bicubic", "bicubic"], ["Set14", "srresnet", "rff"]]
    expected = means(small[0], "srresnet-rff", "Set14")
    assert [float(text) for text in rows[1][3:]] == pytest.approx(expected, abs=0.00501)
    tab.press("Case", "blur")
    tab.press("Case", "b+n+j")
    heads = [head.text for head in tab.all("#explorer-table thead button")]
    assert heads == ["benchmark", "backbone", "regularizer", "blur", "b+n+j", "mean"]
    assert float(tab.rows()[1][5]) == pytest.approx((expected[1] + expected[7]) / 2, abs=0.00501)
    tab.press("Regularizer", "")  # all
    assert len(tab.rows()) == 7


def test_metric_and_difference_to_the_baseline(tab, small):
    tab.press("Metric", "lpips")
    tab.press("Show", "difference")
    tab.press("Benchmark", "Set5")
    rows = {row[2]: row for row in tab.rows()}
    assert set(rows["bicubic"][3:]) == {"—"}
    assert set(rows["none"][3:]) == {"0.0000"}
    difference = (
        means(small[0], "srresnet-rff", "Set5", "lpips")[-1] - means(small[0], "srresnet-none", "Set5", "lpips")[-1]
    )
    assert difference < 0  # the planted gain
    assert rows["rff"][-1] == f"−{-difference:.4f}"
    assert "lower is better" in tab.find("#explorer-status").text
    assert "up" in tab.all("#explorer-table tbody tr")[5].find_elements(By.CSS_SELECTOR, "td")[-1].get_attribute(
        "class"
    )


def test_sorting_by_pointer_and_keyboard(tab):
    order = [row[:3] for row in tab.rows()]
    tab.press("Benchmark", "Set5")
    tab.find('#explorer-table [data-key="=mean"]').click()
    values = [float(row[-1]) for row in tab.rows()]
    assert values == sorted(values, reverse=True)
    assert tab.focus_has("data-key") == "=mean"
    sort = "return document.activeElement.closest('th').getAttribute('aria-sort')"
    assert tab.js(sort) == "descending"
    tab.send(Keys.ENTER)
    assert [float(row[-1]) for row in tab.rows()] == sorted(values)
    assert tab.js(sort) == "ascending"
    tab.send(Keys.SPACE)
    tab.press("Benchmark", "")
    assert [row[:3] for row in tab.rows()] == order
    for number, key in enumerate(("benchmark", "backbone", "reg")):
        tab.find(f'#explorer-table [data-key="{key}"]').click()
        names = [row[number].lower() for row in tab.rows()]
        assert names == sorted(names)
    tab.press("Metric", "lpips")
    tab.find('#explorer-table [data-key="=clean"]').click()
    values = [float(row[3]) for row in tab.rows()]
    assert values == sorted(values)  # best first: lower is better
    tab.press("Show", "difference")
    assert tab.rows()[-1][3] == "—"  # holes come last


# ---- the pictures


def test_pictures_are_loaded_only_when_they_are_looked_at(tab):
    assert [url for url in tab.requests() if "/gallery/" in url] == []
    tab.see_pictures()
    tab.wait("document.querySelectorAll('#strip img').length >= 7")
    tab.wait("[...document.querySelectorAll('#viewer img')].every(image => image.naturalWidth === 160)")
    assert any(url.endswith("/hr.png") for url in tab.requests())


def test_the_slider_by_keyboard_and_pointer(tab):
    tab.see_pictures()
    slider = tab.find("#viewer-at")
    tab.js("arguments[0].focus()", slider)
    tab.send(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    at = "return document.getElementById('viewer').style.getPropertyValue('--at')"
    assert tab.js(at) == "52%"
    assert slider.get_attribute("aria-valuetext") == "52 % srresnet none, 48 % srresnet rff"
    tab.send(Keys.END)
    assert tab.js(at) == "100%"
    width = slider.size["width"]
    drag = ActionChains(tab.driver).move_to_element(slider).click_and_hold()
    drag.move_by_offset(-width // 4, 0).release().perform()
    assert float(str(tab.js(at)).rstrip("%")) == pytest.approx(25, abs=1)
    clip = tab.js("return getComputedStyle(document.getElementById('viewer-left')).clipPath")
    assert clip.startswith("inset(0px ")


def test_each_side_shows_any_model_and_the_strip_shows_all(tab, small):
    tab.see_pictures()
    strip = [figure.get_attribute("data-model") for figure in tab.all("#strip figure")]
    names = [model["name"] for model in small[0].scores["models"]]
    assert strip == ["hr", "lr", *names]
    Select(tab.find("#pick-left")).select_by_visible_text("LR")
    Select(tab.find("#pick-right")).select_by_visible_text("HR")
    Select(tab.find("#pick-case")).select_by_visible_text("b+n+j")
    sources = [image.get_attribute("src") for image in tab.all("#viewer img")]
    assert [source.split("/gallery/")[1] for source in sources] == [
        "Set5/set5_000/b+n+j/lr.png",
        "Set5/set5_000/hr.png",
    ]
    rff, none = (
        small[0].scores["values"]["psnr_db"][f"srresnet-{reg}"]["Set5"]["b+n+j"][0] for reg in ("rff", "none")
    )
    caption = tab.find('#strip [data-model="srresnet-rff"] figcaption').text
    assert caption == f"srresnet rff\n{rff:.2f} dB ({rff - none:+.2f})".replace("-", "−")
    Select(tab.find("#pick-image")).select_by_index(1)
    assert "median difference" in tab.find("#about-image").text
    assert "set5_001" in tab.find("#viewer img").get_attribute("src")


def test_a_picture_that_is_not_there_is_said_in_words(tab):
    tab.see_pictures()
    tab.see('[data-model="srresnet-dropout"]')
    tab.wait("document.querySelector('[data-model=\"srresnet-dropout\"] .absent')")
    assert tab.find('[data-model="srresnet-dropout"] .absent').text == f"not there: gallery/Set5/set5_000/{ABSENT}"


def test_zoom_and_pan_by_keyboard_are_the_same_in_every_picture(tab):
    tab.see_pictures()
    assert tab.zoom() == (1, 0.5, 0.5)
    tab.focus_on("#strip")
    tab.send("+", "+")
    assert tab.zoom() == (pytest.approx(2), pytest.approx(0.5), pytest.approx(0.5))
    code = """return new Set([...document.querySelectorAll('#strip img, #viewer img')].map(image => {
        const style = getComputedStyle(image), m = new DOMMatrix(style.transform), w = parseFloat(style.width);
        return [m.a, m.e / w, m.f / w].map(n => n.toFixed(3)).join() })).size"""
    tab.send(Keys.ARROW_RIGHT, Keys.ARROW_UP)
    assert tab.zoom() == (pytest.approx(2), pytest.approx(0.575), pytest.approx(0.425))  # 0.15 of what is shown
    assert tab.js(code) == 1
    ActionChains(tab.driver).key_down(Keys.SHIFT).send_keys(Keys.ARROW_LEFT).key_up(Keys.SHIFT).perform()
    assert tab.zoom()[1] == pytest.approx(0.575 - 1 / 160)
    tab.send(*"+" * 20)
    assert tab.zoom()[0] == 40  # four pixels across
    assert "4.0 × 4.0 px" in tab.find("#zoom-state").text
    assert tab.js("return getComputedStyle(document.querySelector('#strip img')).imageRendering") == "pixelated"
    tab.send(*[Keys.ARROW_LEFT] * 300)
    assert tab.zoom()[1] == pytest.approx(0.5 / 40)  # no further than the border
    tab.send("0")
    assert tab.zoom() == (1, 0.5, 0.5)
    tab.find("#zoom-in").click()
    tab.find("#zoom-out").click()
    assert tab.zoom()[0] == pytest.approx(1)


def test_zoom_and_pan_by_pointer(tab):
    tab.see_pictures()
    tab.find("#zoom-in").click()
    tab.find("#zoom-in").click()
    frame = tab.find('#strip [data-model="bicubic"] .frame')
    tab.see('#strip [data-model="bicubic"]')
    drag = ActionChains(tab.driver).move_to_element(frame).click_and_hold()
    drag.move_by_offset(20, -10).release().perform()
    width = frame.size["width"]
    assert tab.zoom() == (
        pytest.approx(2),
        pytest.approx(0.5 - 20 / width / 2, abs=2e-3),
        pytest.approx(0.5 + 10 / width / 2, abs=2e-3),
    )
    before = tab.js("return scrollY")
    wheel = ActionChains(tab.driver).scroll_from_origin(
        ScrollOrigin.from_element(frame), 0, -100
    )  # the drag gave the strip the focus
    wheel.perform()
    assert tab.zoom()[0] > 2.5
    assert tab.js("return scrollY") == before


def test_two_fingers_zoom(tab):
    tab.see_pictures()
    tab.see('#strip [data-model="bicubic"]')
    box = tab.find('#strip [data-model="bicubic"] .frame').size
    corner = "const box = document.querySelector('[data-model=bicubic] .frame').getBoundingClientRect()"
    at = tab.js(f"{corner}; return [box.x, box.y]")
    x, y = at[0] + box["width"] / 2, at[1] + box["height"] / 2

    def fingers(kind: str, *gaps: int) -> None:
        points = [{"x": x + gap, "y": y, "id": number} for number, gap in enumerate(gaps)]
        tab.driver.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    fingers("touchStart", -10, 10)
    for gap in (15, 20, 25, 30):
        fingers("touchMove", -gap, gap)
    fingers("touchEnd")
    assert tab.zoom()[0] == pytest.approx(3, rel=0.1)


# ---- the scatter


def test_a_point_opens_its_image(tab):
    tab.see("#scatter-plot")
    Select(tab.find("#scatter-controls label:nth-child(3) select")).select_by_visible_text("linear")
    point = tab.find('[data-image="Set5/set5_001"]')
    assert "filled" in point.get_attribute("class")
    tab.js("arguments[0].scrollIntoView({block: 'center'})", point)
    ActionChains(tab.driver).move_to_element(point).click().perform()
    tab.wait("document.activeElement.id === 'viewer-at'")
    tab.wait("document.querySelectorAll('#viewer img').length === 2")
    chosen = [
        Select(tab.find(f"#pick-{name}")).first_selected_option.text for name in ("image", "case", "left", "right")
    ]
    assert chosen == ["Set5: set5_001", "b+n+j", "srresnet none", "srresnet linear"]
    top = tab.js("return document.getElementById('viewer').getBoundingClientRect().top")
    assert 0 <= top < 900


def test_points_by_keyboard_and_scores_of_an_image_without_pictures(tab, small):
    tab.see("#scatter-plot")
    Select(tab.find("#scatter-controls label:nth-child(4) select")).select_by_visible_text("Set14")
    assert len(tab.all(".point")) == 14
    assert [point.get_attribute("tabindex") for point in tab.all(".point")].count("0") == 1
    tab.focus_on('.point[tabindex="0"]')
    tab.send(Keys.ARROW_RIGHT)
    image = tab.focus_has("data-image")
    values = small[0].scores["values"]["psnr_db"]
    at = int(image[-3:])
    assert sorted(values["srresnet-none"]["Set14"]["b+n+j"]).index(values["srresnet-none"]["Set14"]["b+n+j"][at]) == 1
    assert image.replace("/", ": ") in tab.find("#scatter-readout").text
    tab.send(Keys.ENTER)
    rows = [
        [cell.text for cell in row.find_elements(By.CSS_SELECTOR, "th, td")]
        for row in tab.all("#scatter-scores tbody tr")
    ]
    assert [row[0] for row in rows][:2] == ["bicubic", "srresnet none"]
    assert rows[1][1] == f"{values['srresnet-none']['Set14']['b+n+j'][at]:.2f}"


def test_the_scatter_counts_the_images_that_gained(tab, small):
    values = small[0].scores["values"]["psnr_db"]
    pairs = [
        (ours, theirs)
        for benchmark in ("Set5", "Set14")
        for ours, theirs in zip(
            *(np.round(values[f"srresnet-{reg}"][benchmark]["b+n+j"], 3) for reg in ("rff", "none")), strict=True
        )
    ]
    gained = sum(ours > theirs for ours, theirs in pairs)
    assert f"rff is better on {gained} of 19 images" in tab.find("#scatter-status").text


# ---- the page as a whole


@pytest.mark.parametrize("width", [320, 390, 1440])
def test_the_page_itself_never_scrolls_sideways(tab, small, width):
    tab.open(small[1], width=width)
    tab.js("document.querySelectorAll('details').forEach(part => { part.open = true })")
    for section in ("verdicts", "explorer", "compare", "scatter", "tables", "figures", "settings"):
        tab.see(f"#{section}")
        shown, whole = tab.js("const page = document.documentElement; return [page.clientWidth, page.scrollWidth]")
        assert shown - 20 <= whole <= shown <= width, section  # a scrollbar is 15 px
    assert (
        tab.js("const box = document.querySelector('#tables .box'); return box.scrollWidth > box.clientWidth")
        or width > 390
    )


def test_verdicts_tables_and_figures_need_no_script(tab, small):
    tab.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        tab.driver.get(small[1].as_uri())
        assert "RFF beats Dropout" in tab.find("#verdicts").text
        assert "paper 2" in tab.find("#tables .box").text
        assert tab.find("#figures img").is_displayed()
        assert "need JavaScript" in tab.find("#explorer").text
        assert not tab.find("#explorer .needs-script").is_displayed()
    finally:
        tab.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_every_control_can_be_reached_by_tab_and_has_a_name(tab):
    tab.see_pictures()
    nodes = tab.js("""return [...document.querySelectorAll('a, button, select, input, summary, [tabindex]')]
        .filter(n => n.checkVisibility()).map(n => [n.outerHTML.slice(0, 90), n.tabIndex, n.getAttribute('class'),
        (n.getAttribute('aria-label') ?? n.closest('label')?.textContent ?? n.textContent).trim()])""")
    assert len(nodes) > 50
    for html, index, kind, name in nodes:
        assert name, html
        assert index == 0 or (kind or "").startswith("point"), html


def test_a_page_without_gallery_or_baseline_has_no_errors(tab, small, tmp_path):
    made = small[0]
    only = [model for model in made.scores["models"] if model["reg"] in ("bicubic", "rff")]
    values = {**made.scores["values"], "lpips": {}}
    poor = made._replace(gallery=[], scores={**made.scores, "models": only, "values": values})
    (tmp_path / "poor.html").write_text(page.render(poor), "utf-8")
    tab.open(tmp_path / "poor.html")
    assert len(tab.rows()) == 4
    assert not tab.find('[data-value="difference"]').is_enabled()
    assert not tab.find('[data-value="lpips"]').is_enabled()
    assert "nothing to compare with" in tab.find("#scatter-status").text


def test_the_papers_grid_opens(tab, tmp_path, capsys):
    (tmp_path / "paper.html").write_text(page.render(synthetic_page.paper()), "utf-8")
    tab.open(tmp_path / "paper.html")
    assert len(tab.rows()) == 150  # 25 models on 6 benchmarks
    assert len(tab.all(".point")) == 428
    paint = tab.js("return performance.getEntriesByName('first-contentful-paint')[0].startTime")
    ready = tab.js("return performance.getEntriesByType('navigation')[0].domComplete")
    with capsys.disabled():
        print(f"\nfirst paint of the paper's grid: {paint:.0f} ms; complete after {ready:.0f} ms")
