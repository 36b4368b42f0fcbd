"""The gallery stage on a tiny project: complete, the right windows of what networks give, twice the same bytes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from blindsr.config import conf, params
from blindsr.config.params import Params
from blindsr.config.run import CONTROLS
from blindsr.data import images, suite
from blindsr.data.indices import Index, IndexedImage
from blindsr.data.pairing import PrefixRule
from blindsr.data.pairs import REAL
from blindsr.evaluation import benchmarks
from blindsr.evaluation.scoring import Key, Score
from blindsr.model import architecture, weight_files
from blindsr.model.weight_files import WeightsInfo
from blindsr.reporting import selection
from blindsr.runtime import devices, files, paths
from blindsr.runtime.errors import UserError
from blindsr.stages import gallery

ROOT = Path(__file__).resolve().parents[2]
HYPER = {"num_blocks": 1, "num_features": 4}
CASES = ["clean", "b+n+j"]
GAINS = {"Toy": {"a": 0.2, "b": -0.9, "c": 0.5}, "One": {"x": 0.1}}
"""Mean PSNR in dB of rff over none: b differs most, c is in the middle."""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    """Two networks and two seeds (the second has scores alone), benchmarks of three images and of one, one missing,
    and a set of real LR images; HR of 70 x 83 px, whose last rows and columns the scale cuts off.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    settings = conf.compose(ROOT / "conf", ["reg=paper"])
    settings["reg"]["names"] = ["none", "rff"]
    settings["data"] |= {"benchmarks": ["Toy", "Gone", "One", "Track"], "lpips_trunk": None}
    settings["suite"]["cases"] = {name: settings["suite"]["cases"][name] for name in CASES}
    settings["seeds"] = [0, 1]
    settings["gallery"] = {"crop": 32}
    parsed = params.parse(settings)
    generator = np.random.default_rng(0)
    for benchmark, gains in GAINS.items():
        entries = []
        for name in gains:
            hr = generator.integers(0, 256, (70, 83, 3), dtype=np.uint8)
            file = paths.RAW / benchmark / f"{name}.png"
            write(file, hr)
            entries.append(IndexedImage(name=name, file=file.name, width=83, height=70, sha256=files.sha256(file)))
            for case, settings in parsed.suite.cases.items():
                draws = suite.case_generator(parsed.suite.seed, benchmark, case, name)
                lr = suite.degrade_case(hr, settings, draws, parsed.scale)
                write(paths.LR / benchmark / case / f"{name}.png", lr)
        Index(name=benchmark, images=entries).write(paths.INDEX)
    Index(name="Gone", missing="ask").write(paths.INDEX)
    write(paths.RAW / "Track" / "x_lr.png", np.zeros((20, 17, 3), np.uint8))
    track = IndexedImage(name="x_lr", file="x_lr.png", width=20, height=17, sha256="0" * 64)
    rule = PrefixRule(rule="prefix", characters=1)
    Index(name="Track", hr="Originals", pairing=rule, aligned=False, images=[track]).write(paths.INDEX)
    Index(name="Originals", images=[track.model_copy(update={"name": "x_lr"})]).write(paths.INDEX)
    for number, reg in enumerate(("none", "rff")):
        network = architecture.build_backbone("srresnet", HYPER, 4)
        for weight in network.parameters():  # far enough from each other, and from bilinear, to differ in 8 bits
            weight.data = weight.data * (1 + number) + 0.02 * (number + 1)
        info = WeightsInfo(
            backbone="srresnet", hyper=HYPER, scale=4, regularizer=reg, seed=0, iterations=1, run="x"
        )  # fmt: skip
        weight_files.save(network, info, paths.MODELS / f"srresnet-{reg}-0.safetensors")
        for seed in parsed.seeds:
            write_scores(f"srresnet-{reg}-{seed}", {} if reg == "none" else GAINS, 20.0 + seed)
    for control in CONTROLS:
        write_scores(control, {}, 20.0)
    return parsed


def write(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    images.write_png(path, image)


OTHERS = {
    "psnr_y_db": 20.0, "ssim": 0.5, "detail_cosine": 0.3, "detail_amplitude": 0.5, "psnr_best_db": 21.0
}  # fmt: skip


def write_scores(name: str, gains: dict[str, dict[str, float]], level: float) -> None:
    rows = [
        Score(Key(benchmark, case, image), OTHERS | {"psnr_db": level + gains.get(benchmark, {}).get(image, 0.0)})
        for benchmark, own in GAINS.items()
        for case in CASES
        for image in own
    ]
    real = OTHERS | {"psnr_db": 99.0 * len(gains), "psnr_shift_db": 20.0}
    rows.append(Score(Key("Track", REAL, "x_lr"), real))
    benchmarks.write_csv(rows, ["psnr_db", *OTHERS, "lpips"], paths.SCORES / f"{name}.csv")


def index() -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = json.loads((paths.GALLERY / "index.json").read_text())
    return entries


def psnr(model: str, entry: dict[str, Any]) -> float:
    """That of the first seed, which is the one in the picture: the second one's is 1 dB higher."""
    return 20 + (GAINS[entry["benchmark"]][entry["image"]] if model == "srresnet-rff" else 0.0)


def super_resolved(parsed: Params, model: str, benchmark: str, image: str, case: str) -> np.ndarray:
    """What `evaluate` scores: the whole SR image."""
    if model in CONTROLS:
        network = architecture.build_backbone(model, {}, 4)
    else:
        network, _ = weight_files.load(paths.MODELS / f"{model}-0.safetensors")
    lr = images.read_rgb(paths.LR / benchmark / case / f"{image}.png")
    settings = parsed.evaluate
    return benchmarks.upscale(network, lr, scale=4, tile=settings.tile, overlap=settings.overlap)


def test_the_index_is_complete(project: Params) -> None:
    gallery.run(project)
    entries = index()
    assert [(one["benchmark"], one["image"], one["rule"], one["gain_db"]) for one in entries] == [
        ("Toy", "b", "largest difference", -0.9),
        ("Toy", "c", "median difference", 0.5),
        ("One", "x", "only image", 0.1),
    ]
    models = ["bicubic", "bilinear", "srresnet-none", "srresnet-rff"]
    for entry in entries:
        place = f"gallery/{entry['benchmark']}/{entry['image']}"
        assert entry["hr"] == f"{place}/hr.png"
        assert sorted(entry["cases"]) == sorted(CASES)
        for case, files_of in entry["cases"].items():
            assert files_of == {
                "lr": f"{place}/{case}/lr.png",
                "models": {
                    model: {"picture": f"{place}/{case}/{model}.png", "psnr_db": psnr(model, entry)}
                    for model in models
                },
            }
    listed = {one["hr"] for one in entries}
    cases = [case for one in entries for case in one["cases"].values()]
    listed |= {path for case in cases for path in [case["lr"], *(one["picture"] for one in case["models"].values())]}
    on_disk = {path.relative_to(paths.REPORTS).as_posix() for path in paths.GALLERY.rglob("*.png")}
    assert on_disk == listed


def test_pictures_are_the_windows_of_what_the_networks_give(project: Params) -> None:
    gallery.run(project)
    for entry in index():
        benchmark, image = entry["benchmark"], entry["image"]
        with devices.threads(project.evaluate.threads):  # their number decides the order of float sums
            sr = {
                (case, model): super_resolved(project, model, benchmark, image, case)
                for case in CASES
                for model in (*CONTROLS, "srresnet-none", "srresnet-rff")
            }
        ends = [(sr[case, "srresnet-rff"], sr[case, "srresnet-none"]) for case in CASES]
        top, left, height, width = entry["window"]
        assert (top, left, height, width) == selection.window(ends, 32, 4)
        assert (height, width) == (32, 32)
        hr = images.read_rgb(paths.RAW / benchmark / f"{image}.png")
        np.testing.assert_array_equal(
            images.read_rgb(paths.REPORTS / entry["hr"]), hr[top : top + 32, left : left + 32]
        )
        for case, own in entry["cases"].items():
            lr = images.read_rgb(paths.LR / benchmark / case / f"{image}.png")
            small = lr[top // 4 : top // 4 + 8, left // 4 : left // 4 + 8]
            np.testing.assert_array_equal(images.read_rgb(paths.REPORTS / own["lr"]), small)
            for model, shown in own["models"].items():
                crop = sr[case, model][top : top + 32, left : left + 32]
                np.testing.assert_array_equal(images.read_rgb(paths.REPORTS / shown["picture"]), crop)
        assert (sr["clean", "srresnet-rff"] != sr["clean", "srresnet-none"]).any()


def test_twice_the_same_bytes(project: Params) -> None:
    def made() -> dict[str, bytes]:
        found = {path.as_posix(): path.read_bytes() for path in sorted(paths.GALLERY.rglob("*")) if path.is_file()}
        for path in found:
            Path(path).unlink()
        return found

    gallery.run(project)
    first = made()
    assert len(first) == 1 + 3 * (1 + 2 * 5)
    gallery.run(project)
    assert made() == first


def test_without_a_baseline_the_window_is_where_it_differs_from_bicubic(project: Params) -> None:
    alone = project.model_copy(update={"reg": project.reg.model_copy(update={"names": ["rff"]})})
    gallery.run(alone)
    entry = index()[0]
    place = entry["benchmark"], entry["image"]
    ends = [
        (super_resolved(project, "srresnet-rff", *place, case), super_resolved(project, "bicubic", *place, case))
        for case in CASES
    ]
    assert tuple(entry["window"]) == selection.window(ends, 32, 4)
    assert sorted(entry["cases"]["clean"]["models"]) == ["bicubic", "bilinear", "srresnet-rff"]


def test_no_benchmark_here_is_an_empty_index(project: Params) -> None:
    data = project.data.model_copy(update={"benchmarks": ["Gone"]})
    gallery.run(project.model_copy(update={"data": data}))
    assert index() == []


def test_an_image_that_is_restored_exactly_is_not_shown(project: Params) -> None:
    """Else its infinite gain would be the largest difference."""
    path = paths.SCORES / "srresnet-rff-1.csv"
    path.write_text(path.read_text().replace("Toy,clean,c,21.500000", "Toy,clean,c,inf", 1))
    assert "inf" in path.read_text()
    gallery.run(project)
    assert {entry["image"] for entry in index() if entry["benchmark"] == "Toy"} == {"a", "b"}


def test_missing_weights_are_one_line(project: Params) -> None:
    (paths.MODELS / "srresnet-rff-0.safetensors").unlink()
    with pytest.raises(UserError, match=r"srresnet-rff-0.safetensors is missing: run `dvc repro`"):
        gallery.run(project)
    assert not (paths.GALLERY / "index.json").exists()
