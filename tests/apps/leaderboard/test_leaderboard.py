"""blindsr leaderboard from models and images to files: values, the cache, failures, scales, the sealed suite."""

import csv
import json
import os
import re
import zipfile
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from blindsr.apps import sealed
from blindsr.apps import suite as suites
from blindsr.apps.leaderboard import leaderboard
from blindsr.apps.leaderboard.leaderboard import Options
from blindsr.cli import app
from blindsr.data import images, suite
from blindsr.model import architecture
from blindsr.plugins.metrics.psnr_db import psnr
from blindsr.runtime.errors import UserError

SECRET = "0f3c5e1a9b7d4c2e8f60"
CASES = ["clean", "jpeg"]


def picture(seed: int, height: int = 48, width: int = 40) -> images.RGB:
    drawn = np.random.default_rng(seed).integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
    return images.bicubic_upscale(drawn, 8)


def network(path: str, scale: int = 4, seed: int = 0) -> None:
    """Weights of a public architecture, as other codes save them."""
    torch.manual_seed(seed)
    tiny = architecture.build_backbone("srresnet", {"num_blocks": 1, "num_features": 8}, scale)
    torch.save({"params_ema": tiny.state_dict()}, path)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two sets of images and a network, outside of any project."""
    monkeypatch.chdir(tmp_path)
    for number, (name, count) in enumerate({"One": 2, "Two": 3}.items()):
        (tmp_path / name).mkdir()
        for image in range(count):
            images.write_png(tmp_path / name / f"{image}.png", picture(10 * number + image))
    network("net.pth")
    return tmp_path


def run(*models: str, on: tuple[str, ...] = ("One",), **options: object) -> None:
    leaderboard.run(models, on, Options(**{"cases": CASES, "out": Path("out")} | options))


def rows(path: str = "out/leaderboard.csv") -> list[dict[str, str]]:
    with Path(path).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def kept() -> int:
    """Scores in the cache."""
    return sum(bool(line) for path in Path(".leaderboard").glob("*.jsonl") for line in path.read_text().splitlines())


def test_values_files_and_terminal(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("bicubic", "lanczos", "net.pth", on=("One", "Two"), title="<Mine> & theirs")
    found = {(row["set"], row["model"]): row for row in rows()}
    assert list(dict.fromkeys(key[0] for key in found)) == ["all", "One", "Two"]
    clean = []
    for name, count in {"One": 2, "Two": 3}.items():
        each = []
        for image in range(count):
            hr = images.read_rgb(place / name / f"{image}.png")
            each.append(psnr(images.bicubic_upscale(images.bicubic_downscale(hr, 4), 4), hr))
        clean.append(np.mean(each))
        assert float(found[name, "bicubic"]["psnr_db/clean"]) == pytest.approx(clean[-1], abs=0.02)
    assert float(found["all", "bicubic"]["psnr_db/clean"]) == pytest.approx(np.mean(clean), abs=0.02)
    assert found["all", "bicubic"]["detail_cosine"] == found["all", "bicubic"]["least_gain_case"] == ""
    net = found["all", "net"]
    tiny = architecture.build_backbone("srresnet", {"num_blocks": 1, "num_features": 8}, 4)
    assert int(net["parameters"]) == architecture.count_parameters(tiny)
    assert int(net["flops_64x64"]) == architecture.count_flops(tiny, 64, 64)
    assert (net["images"], net["scale"], net["worst_case"] in CASES) == ("5", "4", True)
    assert "seconds_per_megapixel" not in net
    assert {int(row["rank_first"]) for key, row in found.items() if key[0] == "all"} <= {1, 2, 3}
    page, text = (Path("out", name).read_text("utf-8") for name in ("index.html", "leaderboard.md"))
    assert "<title>&lt;Mine&gt; &amp; theirs</title>" in page
    assert "# \\<Mine> & theirs" in text
    for made in (page, text, Path("out/leaderboard.csv").read_text("utf-8")):
        assert net["sha256"] in made
        assert str(place) not in made
    assert "https://" not in page
    printed = capsys.readouterr().out
    assert "Ranks by PSNR, ×4, on One (2), Two (3)" in printed
    assert "lanczos" in printed


def test_only_what_is_new_is_scored_and_the_same_scores_give_the_same_bytes(place: Path) -> None:
    run("bicubic", "net.pth")
    first = {path.name: path.read_bytes() for path in Path("out").iterdir()}
    assert kept() == 2 * 2 * 2
    os.rename("net.pth", "same.pth")
    Path("list.yaml").write_text("- model: same.pth\n  title: net\n")
    run("bicubic", "list.yaml")
    assert kept() == 8
    assert {path.name: path.read_bytes() for path in Path("out").iterdir()} == first
    images.write_png(place / "One" / "0.png", picture(99))  # other pixels
    network("same.pth", seed=1)  # other weights
    run("bicubic", "list.yaml", "bilinear")
    assert kept() == 8 + 2 + 4 + 4


def test_a_model_that_fails_is_named_and_the_others_are_done(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("broken.pth").write_bytes(b"no weights")
    (place / "One" / "bad.png").write_bytes(b"no image")
    with pytest.raises(UserError, match="4 problems are named above"):
        run("absent.pth", "bicubic", "broken.pth", "net.pth")
    printed = capsys.readouterr().out
    assert "error: absent: absent.pth: no such file" in printed
    assert "error: broken: broken.pth is damaged or no weights file" in printed
    assert "error: net: One/bad.png is not an image" in printed
    assert sorted(row["model"] for row in rows() if row["set"] == "all") == ["bicubic", "net"]
    assert {row["images"] for row in rows() if row["set"] == "all"} == {"2"}
    assert "no model could be scored on them: One/bad." in Path("out/leaderboard.md").read_text("utf-8")


def test_files_of_every_kind_are_a_line_each_and_the_others_are_ranked(
    place: Path, spandrel: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    from spandrel.architectures.Compact.__arch.SRVGG import SRVGGNetCompact

    def state(channels: int = 3, scale: int = 4) -> dict[str, torch.Tensor]:
        torch.manual_seed(0)
        return SRVGGNetCompact(
            num_in_ch=channels, num_out_ch=channels, num_feat=8, num_conv=2, upscale=scale
        ).state_dict()

    critic = {"0.weight": torch.zeros(4, 3, 3, 3), "1.weight": torch.zeros(1, 4, 3, 3)}
    optimizer = {"state": {0: {"step": torch.tensor(1.0)}}, "param_groups": [{"lr": 1e-4}]}
    lightning = {
        "state_dict": {f"model.{name}": value for name, value in state().items()} | {"disc.0.weight": torch.zeros(2)},
        "optimizer_states": [optimizer], "pytorch-lightning_version": "2.4.0", "hyper_parameters": {"lr": 1e-4},
    }  # fmt: skip
    good = {
        "plain.pth": {"params": state()},
        "half.pth": {"params": {name: value.half() for name, value in state().items()}},
        "double.pth": {"params": {name: value.double() for name, value in state().items()}},
        "gan.pth": {"generator": state(), "discriminator": critic, "optimizer": optimizer, "iter": 7},
        "lightning.ckpt": lightning,
        "two.pth": {"params": state(scale=2)},
        "three.pth": {"params": state(scale=3)},
    }
    bad = {
        "grey.pth": ({"params": state(1)}, "maps 1 channel"),
        "rgba.pth": ({"params": state(4)}, "maps 4 .RGB with transparency"),
        "critic.pth": ({"net_d": critic}, "of another architecture"),
        "optimizer.pth": ({"optimizers": [optimizer], "iter": 7}, "holds no state dict"),
        "levels.pth": ({"params": {name: value.to(torch.int8) for name, value in state().items()}}, "as int8"),
    }
    for name, content in (good | {name: content for name, (content, _) in bad.items()}).items():
        torch.save(content, name)
    says = {name: said for name, (_, said) in bad.items()}
    says |= {"folder": "is not a regular file", "packed.zip": "is a zip archive: unpack it.*it holds plain.pth"}
    Path("folder").mkdir()
    with zipfile.ZipFile("packed.zip", "w") as archive:
        archive.write("plain.pth")
    with pytest.raises(UserError, match="7 problems are named above"):
        run(*says, *good, cases=["clean"])
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("error: ")]
    assert len(lines) == len(says)
    for name, said in says.items():
        (line,) = (line for line in lines if line.startswith(f"error: {Path(name).stem}: "))
        assert re.search(said, line)
    found = {(row["model"], row["scale"]): row["psnr_db/clean"] for row in rows() if row["set"] == "all"}
    scales = {"two": "2", "three": "3"}
    assert set(found) == {(Path(name).stem, scales.get(Path(name).stem, "4")) for name in good}
    same = {found[name, "4"] for name in ("plain", "double", "gan", "lightning")}
    assert len(same) == 1
    assert float(found["half", "4"]) == pytest.approx(float(*same), abs=0.05)


class Cutting(torch.nn.Module):
    """Loses a column of images that are not 32 px wide."""

    def forward(self, lr: torch.Tensor) -> torch.Tensor:
        sr = torch.nn.functional.interpolate(lr, scale_factor=4.0)
        return sr if lr.shape[-1] == 32 else sr[..., 1:]


def test_a_network_that_breaks_off_is_one_line(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.warns(DeprecationWarning, match="torch.jit"):
        torch.jit.script(Cutting()).save("cutting.pt")
    with pytest.raises(UserError, match="1 problem is named above"):
        run("cutting.pt", "bicubic")
    assert "error: cutting: the network returned shape (1, 3, 48, 39) instead of (1, 3, 48, 40)" in (
        capsys.readouterr().out
    )
    assert [row["model"] for row in rows() if row["set"] == "all"] == ["bicubic"]
    assert "cutting has no rank: 0 of its 4 scores could be made." in Path("out/leaderboard.md").read_text("utf-8")


def test_nothing_to_rank_is_one_line_and_leaves_what_was_there(place: Path) -> None:
    run("bicubic")
    before = Path("out/leaderboard.csv").read_bytes()
    with pytest.raises(UserError, match="no model could be ranked: 1 problem is named above"):
        run("absent.pth")
    assert Path("out/leaderboard.csv").read_bytes() == before


def test_each_scale_has_its_own_ranks(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network("two.pth", scale=2)
    network("three.pth", scale=3)
    run("bicubic", "two.pth", "three.pth", "net.pth")
    found = [(row["scale"], row["model"]) for row in rows() if row["set"] == "all"]
    assert sorted(found) == [
        ("2", "bicubic"), ("2", "two"), ("3", "bicubic"), ("3", "three"), ("4", "bicubic"), ("4", "net"),
    ]  # fmt: skip
    hr = [images.mod_crop(images.read_rgb(path), 3) for path in sorted((place / "One").iterdir())]
    wanted = np.mean([psnr(images.bicubic_upscale(images.bicubic_downscale(one, 3), 3), one, 3) for one in hr])
    three = next(row for row in rows() if (row["scale"], row["set"], row["model"]) == ("3", "all", "bicubic"))
    assert float(three["psnr_db/clean"]) == pytest.approx(wanted, abs=0.02)
    with pytest.raises(UserError, match="2 problems"):
        run("bicubic", "two.pth", "three.pth", "net.pth", scale=2)
    assert "net: net.pth upscales by 4, not by 2" in capsys.readouterr().out
    assert {row["scale"] for row in rows()} == {"2"}


def test_the_sealed_suite_shows_hashes_alone(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("bicubic", cases=["b+n+j"])
    public = rows()[0]
    run("bicubic", cases=["b+n+j"], sealed=SECRET, out=Path("sealed"))
    assert rows("sealed/leaderboard.csv")[0]["psnr_db"] != public["psnr_db"]
    drawn = sealed.draw(suite.select(suite.PAPER, ["b+n+j"]), SECRET)
    for name in ("index.html", "leaderboard.md"):
        text = Path("sealed", name).read_text("utf-8")
        assert sealed.digest(drawn) in text
        assert sealed.ranges() in text
        for hidden in (SECRET, str(drawn.seed), f"sigma {drawn.cases['b+n+j'].noise_sigma:g}"):
            assert hidden not in text
    capsys.readouterr()
    suites.write(place / "One", place / "lr", cases=["b+n+j"], secret=SECRET)
    assert f"suite: SHA-256 {sealed.digest(drawn)}" in capsys.readouterr().out
    assert json.loads((place / "lr" / "manifest.json").read_text("utf-8"))["suite"] == drawn.model_dump(mode="json")


def test_another_metric_ranks_and_seconds_are_there_where_asked(place: Path) -> None:
    run("bicubic", "net.pth", by="ssim", timed=True)
    overall = [row for row in rows() if row["set"] == "all"]
    assert float(overall[0]["ssim"]) >= float(overall[1]["ssim"])
    assert all(float(row["seconds_per_megapixel"]) > 0 and row["worst_ssim"] for row in overall)
    for wrong, says in (
        ("detail_amplitude", "models can be ranked by psnr_db, ssim, lpips"),
        ("mse", "unknown metric 'mse'"),
        ("lpips", "needs its weights"),
    ):
        with pytest.raises(UserError, match=says):
            run("bicubic", by=wrong)


def test_other_metrics_on_demand(place: Path) -> None:
    run("bicubic", "net.pth", by="ssim", metrics=("ssim", "psnr_y_db"))
    assert {"ssim", "psnr_y_db"} <= set(rows()[0])
    assert "lpips" not in rows()[0]
    assert "PSNR-Y" in Path("out/leaderboard.md").read_text("utf-8")
    for by, metrics, says in (
        ("psnr_db", ("ssim", "detail_amplitude"), "--by psnr_db: models can be ranked by ssim$"),
        ("ssim", ("ssim", "smim"), "unknown metric 'smim'"),
    ):
        with pytest.raises(UserError, match=says):
            run("bicubic", by=by, metrics=metrics)


def test_the_command_line(place: Path) -> None:
    Path("list.yaml").write_text(
        "- model: net.pth\n  title: '=Tiny|[x](y) [red]'\n  link: https://example.org/tiny\n"
    )
    arguments = ["bicubic", "list.yaml", "--on", "One, Three=Two", "--cases", "clean", "--out", "board"]
    done = CliRunner().invoke(app, ["leaderboard", *arguments])
    assert done.exit_code == 0, done.output
    assert "on One (2), Three (3)" in done.output
    assert '<a href="https://example.org/tiny"' in Path("board/index.html").read_text("utf-8")
    assert "=Tiny|[x](y) [red]" in done.output  # no markup anywhere
    text = Path("board/leaderboard.md").read_text("utf-8")
    assert "[=Tiny\\|[x\\](y) [red]](<https://example.org/tiny>)" in text
    assert ",'=Tiny|[x](y) [red]," in Path("board/leaderboard.csv").read_text("utf-8")
