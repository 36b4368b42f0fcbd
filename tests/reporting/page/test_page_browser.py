"""The report page in headless Chromium: its table of means, and the page as a whole."""

import numpy as np
import pytest

import synthetic_page
from blindsr.reporting.page import rendering

pytest.importorskip("selenium", reason="selenium is absent: pip install -r requirements-dev.txt")
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys


def means(made: rendering.Page, model: str, benchmark: str, metric: str = "psnr_db") -> list[float]:
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


def test_of_a_neutral_metric_nothing_is_better(tab):
    tab.press("Metric", "detail_amplitude")
    assert "neither higher nor lower is better" in tab.find("#explorer-status").text
    assert not tab.all("#explorer-table tbody b")
    tab.press("Show", "difference")
    assert not tab.all("#explorer-table td.up, #explorer-table td.down")


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


# ---- the page as a whole


@pytest.mark.parametrize("width", [320, 390, 1440])
def test_the_page_itself_never_scrolls_sideways(tab, small, width):
    tab.open(small[1], width=width)
    tab.js("document.querySelectorAll('details').forEach(part => { part.open = true })")
    for section in ("gains", "verdicts", "explorer", "compare", "scatter", "tables", "figures", "settings"):
        tab.see(f"#{section}")
        shown, whole = tab.js("const page = document.documentElement; return [page.clientWidth, page.scrollWidth]")
        assert shown - 20 <= whole <= shown <= width, section  # a scrollbar is 15 px
    assert (
        tab.js("const box = document.querySelector('#tables .box'); return box.scrollWidth > box.clientWidth")
        or width > 390
    )


def test_numbers_are_on_the_screen_of_a_phone(tab, small):
    tab.open(small[1], width=390)
    for table in ("#explorer-table", "#tables table"):
        tab.see(table)
        first = f"document.querySelector('{table} tbody tr')"
        names = tab.js(f"return [...{first}.querySelectorAll('th')].filter(cell => cell.checkVisibility()).length")
        right = tab.js(f"return {first}.querySelectorAll('td')[1].getBoundingClientRect().right")
        assert names == 1
        assert right < 390  # two columns of numbers, at least
    before = "return getComputedStyle(document.querySelector('#explorer-table .name[data-of]'), '::before').content"
    assert tab.js(before) == '"Set5"'
    assert "linear-gradient" in str(tab.js("return getComputedStyle(document.querySelector('.box')).backgroundImage"))


def test_a_wide_window_is_used(tab, small):
    tab.open(small[1], width=1440)
    verdicts = tab.js(
        "return [...document.querySelectorAll('.verdicts li')].map(li => li.getBoundingClientRect().top)"
    )
    assert verdicts[0] == verdicts[1] < verdicts[2]  # two beside each other
    beside = "return document.querySelector('#figures figcaption').getBoundingClientRect().left"
    assert tab.js(beside) > tab.js("return document.querySelector('#figures img').getBoundingClientRect().right")
    assert tab.js("return document.querySelector('#scatter-plot svg').getBoundingClientRect().width") > 700


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
    poor = made._replace(gallery=[], scores={**made.scores, "models": only})
    (tmp_path / "poor.html").write_text(rendering.render(poor), "utf-8")
    tab.open(tmp_path / "poor.html")
    assert len(tab.rows()) == 4
    assert not tab.find('[data-value="difference"]').is_enabled()
    assert "nothing to compare with" in tab.find("#scatter-status").text


def test_a_page_without_any_score_has_no_errors(tab, small, tmp_path):
    nothing = {**small[0].scores, "metrics": {}, "values": {}, "benchmarks": []}
    (tmp_path / "nothing.html").write_text(rendering.render(small[0]._replace(gallery=[], scores=nothing)), "utf-8")
    tab.open(tmp_path / "nothing.html")
    assert "No scores." in tab.find("#explorer").text
    assert "No scores." in tab.find("#scatter").text


def test_the_papers_grid_opens(tab, tmp_path, capsys):
    (tmp_path / "paper.html").write_text(rendering.render(synthetic_page.paper()), "utf-8")
    tab.open(tmp_path / "paper.html")
    assert len(tab.rows()) == 150  # 25 models on 6 benchmarks
    assert len(tab.all(".point")) == 428
    paint = tab.js("return performance.getEntriesByName('first-contentful-paint')[0].startTime")
    ready = tab.js("return performance.getEntriesByType('navigation')[0].domComplete")
    with capsys.disabled():
        print(f"\nfirst paint of the paper's grid: {paint:.0f} ms; complete after {ready:.0f} ms")
