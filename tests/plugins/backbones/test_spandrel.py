"""Networks of the spandrel package, and of a user's file, as backbones."""

from pathlib import Path

import pytest
import torch
from torch import nn

import architectures
from blindsr.config import registry
from blindsr.model import architecture, taps, weight_files
from blindsr.model.weight_files import WeightsInfo
from blindsr.plugins.backbones.spandrel import build, classes
from blindsr.runtime.errors import UserError
from blindsr.training import initial

REGULARIZERS = registry.names("regularizer")
OWN = """
import torch
from torch import nn
from torch.nn import functional
from beside import WIDTH

class Net(nn.Module):
    def __init__(self, upscale, width):
        super().__init__()
        self.head = nn.Conv2d(3, width, 3, padding=1)
        self.body = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(3))
        self.tail = nn.Conv2d(width, 3 * upscale**2, 3, padding=1)
        self.after = nn.Conv2d(3, 3, 1)
        self.upscale = upscale

    def forward(self, x):
        if x.shape[2] % 4 or x.shape[3] % 4 or min(x.shape[2:]) < 8:
            raise RuntimeError("sides must be multiples of 4, and 8 or more")
        x = self.head(x)
        for block in self.body:
            x = x + block(x).relu()
        return self.after(functional.pixel_shuffle(self.tail(x), self.upscale)), x

def build(upscale, width=WIDTH):
    return Net(upscale, width)

def image(scale):
    return 3

def smaller(scale):
    return nn.Conv2d(3, 3, 3, padding=1)
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A file of a user's, which imports what lies beside it."""
    (tmp_path / "net.py").write_text(OWN)
    (tmp_path / "beside.py").write_text("WIDTH = 6\n")
    return tmp_path / "net.py"


@pytest.mark.needs("spandrel")
class TestSpandrel:
    @pytest.mark.parametrize("reg", REGULARIZERS)
    def test_an_architecture_trains_with_every_regularizer(self, reg: str) -> None:
        architectures.train(architectures.build("PLKSR"), reg)

    @pytest.mark.parametrize("name", ["SPAN", "HAT", "RCAN"])
    def test_architectures_train_and_are_the_same_after_writing_and_reading(self, name: str) -> None:
        """Blocks as attributes that return tuples; windows, with a smallest size; a colour shift as last layer."""
        backbone = architectures.build(name)
        for reg in ("adaptive_dropout", "linear"):
            architectures.train(backbone, reg)
        architectures.require_readable(name, backbone)

    @pytest.mark.parametrize(
        ("name", "last", "blocks"),
        [
            ("PLKSR", "feats.3", ["feats.1", "feats.2"]),
            ("SPAN", "upsampler.0", [f"block_{number}" for number in range(1, 7)]),
            ("RCAN", "tail.1", ["body.0", "body.1"]),
            ("Compact", "body.6", ["body.2", "body.4"]),
            ("ESRGAN", "model.10", ["model.1.sub.0", "model.1.sub.1"]),
        ],
    )
    def test_layers_are_found_by_running_the_network(self, name: str, last: str, blocks: list[str]) -> None:
        backbone = architectures.build(name)
        assert backbone.last == f"network.{last}"
        assert list(backbone.blocks) == [f"network.{block}" for block in blocks]

    def test_the_state_dict_is_that_of_the_network_itself(self, tmp_path: Path) -> None:
        backbone = architectures.build("PLKSR")
        theirs = dict(classes(__import__("spandrel")))["PLKSR"](upscaling_factor=4, **architectures.TINY["PLKSR"])
        assert backbone.state_dict().keys() == theirs.state_dict().keys()
        torch.save({"params_ema": theirs.state_dict()}, tmp_path / "public.pth")
        initial.start_from(backbone, str(tmp_path / "public.pth"), 4)
        lr = torch.rand(1, 3, 9, 7)
        with torch.no_grad():
            assert torch.equal(backbone.eval()(lr), theirs.eval()(lr))

    def test_weights_of_another_architecture_or_size_are_named(self, tmp_path: Path) -> None:
        path = tmp_path / "net.pth"
        torch.save(architectures.build("SPAN").state_dict(), path)
        with pytest.raises(UserError, match="holds SPAN and not PLKSR: train that backbone"):
            initial.start_from(architectures.build("PLKSR"), str(path), 4)
        torch.save(build(architecture="PLKSR", dim=16, n_blocks=2, kernel_size=5).state_dict(), path)
        with pytest.raises(UserError, match=r"another spandrel \(feats\.0\.weight is 16×3×3×3 in the file and 8×"):
            initial.start_from(architectures.build("PLKSR"), str(path), 4)

    @pytest.mark.parametrize(
        ("settings", "says"),
        [
            ({"architecture": "PLSKR"}, "there is no architecture 'PLSKR': choose one of ATD, "),
            ({"dims": 8}, "architecture PLKSR has no setting 'dims': choose from dim, n_blocks, "),
            ({"upscaling_factor": 2}, "has no setting 'upscaling_factor'"),
            ({"dim": 10**6}, "dim must be at most 4096, not 1000000"),
            ({"dim": "wide"}, "architecture PLKSR refuses its settings (TypeError: "),
            (
                {"architecture": "NAFNet", "width": 4, "enc_blk_nums": [1], "dec_blk_nums": [1]},
                "NAFNet cannot upscale RGB images by 4 with these settings: of 43×41 px it makes (1, 3, 41, 43)",
            ),
            ({"architecture": "IPT"} | architectures.TINY["IPT"], "IPT cannot upscale RGB images by 4"),
        ],
    )
    def test_wrong_settings_are_one_line(self, settings: dict, says: str) -> None:
        with pytest.raises(UserError) as caught:
            registry.build("backbone", "spandrel", settings)
        assert says in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_it_is_built_without_memory_and_draws_nothing(self) -> None:
        """For a look at its size; finding its layers leaves torch's generator where building alone does."""
        with torch.device("meta"):
            assert all(parameter.is_meta for parameter in architectures.build("HAT").parameters())
        architectures.build("PLKSR")
        drawn = torch.rand(1)
        torch.manual_seed(0)
        dict(classes(__import__("spandrel")))["PLKSR"](upscaling_factor=4, **architectures.TINY["PLKSR"])
        assert torch.equal(torch.rand(1), drawn)


def test_without_spandrel_the_mend_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "spandrel", None)
    with pytest.raises(UserError, match="backbone spandrel needs spandrel, which is not installed: pip install span"):
        build()


class TestOwnFile:
    def test_layers_sizes_and_scale(self, own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(own.parent)
        for where in ("net.py:build", f"{own}:build"):
            backbone = architecture.build_backbone("spandrel", {"architecture": where}, 3)
            assert backbone.state_dict()["head.weight"].shape[0] == 6
            assert backbone.last == "network.tail"  # `after` gets an image, and no features
            assert list(backbone.blocks) == ["network.body.0", "network.body.1", "network.body.2"]
            assert (backbone.multiple, backbone.least) == (4, 8)
            for side in (1, 7, 8, 13):
                lr = torch.rand(2, 3, side, 9)
                sr, seen = taps.read(backbone, lr, ["last", "blocks.-1:output"])
                assert sr.shape == (2, 3, 3 * side, 27)
                assert seen["last"].shape[1] == seen["blocks.-1:output"].shape[1] == 6

    def test_a_file_in_the_project_is_found_in_a_temporary_copy(
        self, own: Path, tmp_path_factory, monkeypatch
    ) -> None:
        monkeypatch.chdir(tmp_path_factory.mktemp("copy"))
        monkeypatch.setenv("DVC_ROOT", str(own.parent))
        assert isinstance(build(architecture="net.py:build"), nn.Module)

    @pytest.mark.parametrize(
        ("where", "says"),
        [
            ("absent.py:build", "absent.py:build: no such file: give the path of a Python file"),
            ("net.py:made", "net.py has no function made: name the one"),
            ("net.py:image", "returns a int instead of a network"),
            ("net.py:smaller", "cannot upscale RGB images by 4"),
            ("broken.py:build", "broken.py cannot be imported (ZeroDivisionError: division by zero)"),
        ],
    )
    def test_what_is_wrong_is_one_line(
        self, own: Path, monkeypatch: pytest.MonkeyPatch, where: str, says: str
    ) -> None:
        monkeypatch.chdir(own.parent)
        Path("broken.py").write_text("1 / 0\n")
        with pytest.raises(UserError) as caught:
            registry.build("backbone", "spandrel", {"architecture": where})
        assert says in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_weights_that_name_one_run_it_only_when_they_are_trusted(self, own: Path, tmp_path: Path) -> None:
        hyper = {"architecture": f"{own}:build"}
        network = architecture.build_backbone("spandrel", hyper, 4)
        info = WeightsInfo(
            backbone="spandrel", hyper=hyper, scale=4, regularizer="none", seed=0, iterations=1, run="x"
        )
        weight_files.save(network, info, tmp_path / "w.safetensors")
        own.write_text(f"{OWN}\nopen({str(tmp_path / 'was_here')!r}, 'w').close()\n")
        with pytest.raises(UserError, match=r"w\.safetensors is of a network that .*net\.py builds, .* give --trust"):
            weight_files.load(tmp_path / "w.safetensors")
        assert not (tmp_path / "was_here").exists()
        loaded, _ = weight_files.load(tmp_path / "w.safetensors", trust=True)
        assert all(torch.equal(value, network.state_dict()[key]) for key, value in loaded.state_dict().items())
