"""The report page in headless Chromium: comparing pictures, and the scatter that opens them."""

import numpy as np
import pytest

import synthetic_page
from blindsr.reporting.page import pictures, rendering

pytest.importorskip("selenium", reason="selenium is absent: pip install -r requirements-dev.txt")
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.actions.wheel_input import ScrollOrigin
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

# ---- the pictures


def test_pictures_are_loaded_only_when_they_are_looked_at(tab):
    assert [url for url in tab.requests() if "/gallery/" in url] == []
    tab.see_pictures()
    tab.wait("document.querySelectorAll('#strip img').length >= 7")
    tab.wait("[...document.querySelectorAll('#viewer img')].every(image => image.naturalWidth === 160)")
    tab.see('#strip [data-model="hr"]')  # the viewer shows two models: only the strip has the original
    tab.wait("document.querySelector('#strip [data-model=hr] img').naturalWidth === 160")
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
    Select(tab.find("#pick-testCase")).select_by_visible_text("b+n+j")
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
    assert (
        tab.find('[data-model="srresnet-dropout"] .absent').text
        == f"not there: gallery/Set5/set5_000/{synthetic_page.ABSENT}"
    )


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


def test_pictures_inside_the_page_need_no_folder(tab, small, tmp_path):
    made = small[0]
    paths = rendering.paths_of(made.gallery, ["clean"])
    inside = pictures.inside(small[1].parent, made.gallery, ["clean"])
    assert set(inside) == {path for path in paths if (small[1].parent / path).is_file()}
    assert len(inside) == len(set(paths)) - 1
    (tmp_path / "one.html").write_text(rendering.render(made._replace(pictures=inside)), "utf-8")
    tab.open(tmp_path / "one.html")
    tab.see_pictures()
    tab.wait("[...document.querySelectorAll('#viewer img')].every(image => image.naturalWidth === 160)")
    assert [url for url in tab.requests() if "/gallery/" in url and not url.endswith(synthetic_page.ABSENT)] == []
    said = tab.find("#compare .lead").text
    assert said.startswith(f"{len(inside)} of {len(set(rendering.paths_of(made.gallery)))} pictures are inside")
    (tmp_path / "two.html").write_text(
        rendering.render(made._replace(pictures=dict.fromkeys(rendering.paths_of(made.gallery), "")))
    )
    assert "are inside this file, without loss." in (tmp_path / "two.html").read_text()


def test_a_row_without_pictures_is_in_the_tables_alone(tab, small, tmp_path):
    """none_rescaled is computed of scores: no network makes pictures of it."""
    made = small[0]
    scores = {**made.scores, "models": [*made.scores["models"]]}
    scores["models"].append({"name": "srresnet-none_rescaled", "backbone": "srresnet", "reg": "none_rescaled"})
    rescaled = {
        metric: {**own, "srresnet-none_rescaled": own["srresnet-rff"]} for metric, own in scores["values"].items()
    }
    inside = pictures.inside(small[1].parent, made.gallery, ["clean", "b+n+j"])
    page = made._replace(scores={**scores, "values": rescaled}, pictures=inside)
    (tmp_path / "more.html").write_text(rendering.render(page), "utf-8")
    tab.open(tmp_path / "more.html")
    tab.see_pictures()
    assert len(tab.all("#strip figure")) == 2 + 7
    assert "none_rescaled" in [row[2] for row in tab.rows()]
    tab.see("#scatter-plot")
    Select(tab.find("#scatter-controls label:nth-child(3) select")).select_by_visible_text("none_rescaled")
    assert tab.all(".point.filled") == []
    tab.js("document.querySelector('.point').dispatchEvent(new MouseEvent('click'))")
    assert "none_rescaled" in tab.find("#scatter-scores").text


# ---- the scatter


def test_the_scatter_shows_differences(tab, small):
    tab.see("#scatter-plot")
    values = small[0].scores["values"]["psnr_db"]
    change = np.subtract(values["srresnet-rff"]["Set5"]["b+n+j"], values["srresnet-none"]["Set5"]["b+n+j"])
    zero = float(tab.find("#scatter-plot .zero").get_attribute("y1"))
    median = float(tab.find("#scatter-plot .median").get_attribute("y1"))
    height = [float(tab.find(f'[data-image="Set5/set5_{n:03d}"]').get_attribute("cy")) for n in range(5)]
    assert median < zero  # the planted gain is upward
    ratio = (zero - np.array(height)) / change  # one scale for all points, from the line of no change
    assert ratio == pytest.approx(np.full(5, ratio[0]), rel=1e-3)
    assert ratio[0] * 0.04 > 5  # px: a difference of 0.04 dB is seen


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
        Select(tab.find(f"#pick-{name}")).first_selected_option.text
        for name in ("image", "testCase", "left", "right")
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
