"""Files for `dvc plots`, by hand; the plots of dvc.yaml and their page need them, and no network."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest
import yaml

from blindsr.reporting import plot_data

ROOT = Path(__file__).parents[2]


def test_scores_are_means_over_the_benchmarks_by_case() -> None:
    runs = [("srresnet", "none"), ("srresnet", "rff"), ("srresnet", "none_rescaled"), ("bicubic", "bicubic")]
    index = pd.MultiIndex.from_tuples(
        [(b, *run) for b in "AB" for run in runs], names=["benchmark", "backbone", "reg"]
    )
    clean, mixed = [20.0, 21.0, 20.5, 26.0, 23.0, 25.0, 24.5, 28.0], [10.0, *[None] * 3, 11.0, *[None] * 3]
    psnr = pd.DataFrame({"clean": clean, "b+n": mixed}, index)
    assert plot_data.scores(psnr) == [
        ["clean", "srresnet-none", "21.5000", "0"],
        ["clean", "srresnet-rff", "23.0000", "0"],
        ["clean", "srresnet-none_rescaled", "22.5000", "1"],
        ["clean", "bicubic", "27.0000", "1"],
        ["b+n", "srresnet-none", "10.5000", "0"],
    ]


def point(seed: int, iteration: int, l1: float, *watched: float) -> dict[str, object]:
    names = ("psnr_db_training", "psnr_db_clean", "psnr_db_b-n-j", "detail_cosine_training", "detail_cosine_clean")
    values = watched or (float("nan"),) * len(names)
    run = {"backbone": "srresnet", "reg": "rff", "seed": seed, "iteration": iteration}
    return {**run, "l1": l1, **dict(zip(names, values, strict=True))}


def test_curves_are_means_over_seeds_at_the_validations() -> None:
    known = pd.DataFrame(
        [
            point(0, 10, 0.6),
            point(0, 20, 0.4, 20.0, 30.0, 22.0, 0.1, 0.3),
            point(0, 30, 0.2, 21.0, 31.0, 23.0, 0.2, 0.4),
            point(1, 30, 0.4, 23.0, 33.0, 23.0, 0.4, 0.6),  # in any order
            point(1, 20, 0.3, 22.0, 30.0, 24.0, 0.3, 0.3),
        ]
    )
    made = plot_data.curves(known, ["l1"])
    assert list(made) == list(plot_data.CURVES)
    assert made["row"].tolist() == ["srresnet-rff"] * 2
    assert made["iteration"].tolist() == [20, 30]
    assert made["l1"].tolist() == pytest.approx([(0.5 + 0.3) / 2, (0.2 + 0.4) / 2])
    assert made["psnr_db_seen"].tolist() == [21.0, 22.0]
    assert made["psnr_db_unseen"].tolist() == pytest.approx([(26 + 27) / 2, (27 + 28) / 2])
    assert made["detail_cosine_seen"].tolist() == pytest.approx([0.2, 0.3])
    assert made["detail_cosine_unseen"].tolist() == pytest.approx([0.3, 0.5])


def test_rows_come_in_the_order_of_the_settings() -> None:
    values = (20.0, 30.0, 22.0, 0.1, 0.3)
    known = pd.DataFrame(
        [point(seed, 20, 0.4, *values) | {"reg": reg} for reg in ("none", "dropout", "linear") for seed in (0, 1)]
    )
    assert plot_data.curves(known, ["l1"])["row"].tolist() == ["srresnet-none", "srresnet-dropout", "srresnet-linear"]


def test_without_validation_there_are_no_curves() -> None:
    made = plot_data.curves(pd.DataFrame({"backbone": ["a"], "reg": ["b"], "seed": [0], "iteration": [1]}), ["l1"])
    assert made.empty
    assert list(made) == list(plot_data.CURVES)


def test_the_plots_of_dvc_yaml_are_of_columns_that_are_written() -> None:
    columns = {"reports/plots/scores.csv": plot_data.SCORES, "reports/plots/curves.csv": plot_data.CURVES}
    for entry in yaml.safe_load((ROOT / "dvc.yaml").read_text())["plots"]:
        (plot,) = entry.values()
        for file, column in plot["y"].items():
            assert column in columns[file]
        template = json.loads((ROOT / ".dvc" / "plots" / f"{plot['template']}.json").read_text())
        assert '"<DVC_METRIC_DATA>"' in json.dumps(template)


def test_the_legend_of_curves_shows_the_strokes_of_experiments() -> None:
    """Points that had the strokes, too, would leave Vega's legend blank."""
    template = json.loads((ROOT / ".dvc" / "plots" / "curve.json").read_text())
    line, points = template["layer"]
    assert line["encoding"]["strokeDash"]["field"] == "rev"
    assert "encoding" not in points
    assert "strokeDash" not in template["encoding"]


def test_the_page_of_the_plots_loads_nothing() -> None:
    page = (ROOT / ".dvc" / "plots" / "page.html").read_text("utf-8")
    head, rest = page.split("<script>")
    script, tail = rest.split("</script>")
    assert "{plot_divs}" in tail
    assert "window.vegaEmbed" in script
    assert not re.search(r"<(script|link|img)[^>]*(src|href)=", head + tail)
