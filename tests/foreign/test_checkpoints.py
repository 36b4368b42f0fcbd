"""Networks from anyone's files: what loads, and the one line for what does not."""

import importlib
import os
import pickle
import sys
import zipfile
from pathlib import Path

import pytest
import safetensors.torch
import torch
import torch.nn.functional as F
from torch import nn

from blindsr.foreign import checkpoints
from blindsr.model import architecture, weight_files
from blindsr.model.weight_files import WeightsInfo
from blindsr.runtime.errors import UserError

HYPER = {"num_blocks": 1, "num_features": 4}
LR = torch.rand(1, 3, 9, 7, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def network():
    torch.manual_seed(0)
    return architecture.build_backbone("srresnet", HYPER, 4).eval()


def refusal(path, scale=4):
    with pytest.raises(UserError) as caught:
        checkpoints.load(path, scale)
    line = str(caught.value)
    assert "\n" not in line
    assert str(path) in line
    return line


def same(loaded, network, atol=0.0):
    with torch.inference_mode():
        torch.testing.assert_close(loaded(LR), network(LR), rtol=0, atol=atol)
    assert not loaded.training


def test_our_own_weights(network, tmp_path):
    info = WeightsInfo(backbone="srresnet", hyper=HYPER, scale=4, regularizer="rff", seed=0, iterations=1, run="x")
    weight_files.save(network, info, tmp_path / "own.safetensors")
    same(checkpoints.load(tmp_path / "own.safetensors", 4), network)
    assert "upscales by 4, not by 2: give --scale 4" in refusal(tmp_path / "own.safetensors", scale=2)


def test_public_safetensors(network, tmp_path):
    safetensors.torch.save_file(network.state_dict(), tmp_path / "net.safetensors")
    same(checkpoints.load(tmp_path / "net.safetensors", 4), network)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(
    "wrap",
    [
        lambda s: s,
        lambda s: {"params": s},
        lambda s: {"params": {k: torch.zeros_like(v) for k, v in s.items()}, "params_ema": s},
        lambda s: {"state_dict": s, "epoch": 3, "lr": 1e-4},
        lambda s: {"model": {"params": s}},
        lambda s: {f"module.{k}": v for k, v in s.items()},
        lambda s: {"params": {f"module._orig_mod.{k}": v for k, v in s.items()}},
        lambda s: {"n_averaged": torch.tensor(7), **{f"module.{k}": v for k, v in s.items()}},
    ],
)
def test_what_training_codes_wrap_around_weights(network, tmp_path, wrap, zipped):
    torch.save(wrap(network.state_dict()), tmp_path / "net.pth", _use_new_zipfile_serialization=zipped)
    same(checkpoints.load(tmp_path / "net.pth", 4), network)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floats_are_widened_to_float32(network, tmp_path, dtype):
    network = network.to(dtype)
    torch.save(network.state_dict(), tmp_path / "net.pth")
    loaded = checkpoints.load(tmp_path / "net.pth", 4)
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}
    same(loaded, network.float())


@pytest.mark.parametrize("dtype", [torch.int8, torch.int64, torch.float8_e4m3fn, torch.complex64])
def test_weights_of_another_type_are_refused(network, tmp_path, dtype):
    state = dict(network.state_dict()) | {"conv_hr.weight": torch.zeros(4, 4, 3, 3).to(dtype)}
    torch.save(state, tmp_path / "net.pth")
    assert f"conv_hr.weight as {str(dtype)[6:]}: convert" in refusal(tmp_path / "net.pth")


class Malicious:
    """Runs a shell command when it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.system, (f"touch {self.mark}",)


@pytest.mark.parametrize("name", ["evil.pth", "evil.pt", "evil.ckpt", "evil.safetensors", "evil.onnx"])
@pytest.mark.parametrize("how", ["zip", "legacy", "pickle"])
def test_a_pickle_that_wants_to_run_code_is_refused_and_nothing_is_run(network, tmp_path, name, how):
    mark, path = tmp_path / "was_here", tmp_path / name
    content = {"params": network.state_dict(), "extra": Malicious(mark)}
    if how == "pickle":
        path.write_bytes(pickle.dumps(content["extra"], protocol=2))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=how == "zip")
    line = refusal(path)
    if not name.endswith(".onnx"):
        assert "is refused: it wants to call posix.system" in line
    assert not mark.exists()
    pickle.loads(pickle.dumps(Malicious(mark)))  # the file is what it says
    assert mark.exists()


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("absent.pth", None, "No such file"),
        ("empty.pth", b"", "is empty"),
        ("text.pth", b"hello, this is not a network", "damaged or no weights file"),
        ("cut.safetensors", b"\x90\x00\x00\x00\x00\x00\x00\x00{\"a\":", "is damaged"),
        ("list.pth", [1, 2], "holds no state dict"),
        ("number.pth", {"epoch": 3}, "holds no state dict"),
    ],
)  # fmt: skip
def test_what_is_no_network_is_one_line(tmp_path, name, content, says):
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    assert says in refusal(path)


def test_a_folder_and_a_truncated_file_are_one_line(network, tmp_path):
    assert "is not a regular file" in refusal(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    assert "is not a regular file" in refusal(tmp_path / "pipe")  # and nobody waits for who writes into it
    torch.save(network.state_dict(), tmp_path / "net.pth")
    content = (tmp_path / "net.pth").read_bytes()
    (tmp_path / "net.pth").write_bytes(content[: len(content) // 2])
    assert "damaged" in refusal(tmp_path / "net.pth")


def test_without_spandrel_an_unknown_architecture_names_the_mend(tmp_path, monkeypatch):
    torch.save({"head.weight": torch.zeros(3, 3)}, tmp_path / "net.pth")
    monkeypatch.setitem(sys.modules, "spandrel", None)
    line = refusal(tmp_path / "net.pth")
    assert "another architecture" in line
    assert "head.weight" in line


def test_an_architecture_that_spandrel_alone_knows(spandrel, tmp_path):
    """A compact SRVGGNet, as of realesr-general-x4v3: PReLU convolutions and one pixel shuffle."""
    module = importlib.import_module("spandrel.architectures.Compact.__arch.SRVGG")
    torch.manual_seed(0)
    original = module.SRVGGNetCompact(num_feat=8, num_conv=2, upscale=4).eval()
    torch.save({"params": original.state_dict()}, tmp_path / "compact.pth")
    loaded = checkpoints.load(tmp_path / "compact.pth", 4)
    with torch.inference_mode():
        torch.testing.assert_close(loaded(LR), original(LR).clamp(0, 1), rtol=0, atol=1e-6)
    assert "upscales by 4, not by 2" in refusal(tmp_path / "compact.pth", scale=2)


def test_spandrel_agrees_with_our_backbone_on_public_names(spandrel, tmp_path):
    torch.manual_seed(0)
    ours = architecture.build_backbone("rrdb", {"num_blocks": 2, "num_features": 8, "growth": 32}, 4).eval()
    theirs = spandrel.ModelLoader(device="cpu").load_from_state_dict(dict(ours.state_dict()))
    with torch.inference_mode():
        torch.testing.assert_close(theirs(LR), ours(LR).clamp(0, 1), rtol=0, atol=1e-5)


def test_bytes_beside_the_weights_are_taken(spandrel, tmp_path):
    """MoESR and FDAT keep how they upsample in a buffer of uint8."""
    module = importlib.import_module("spandrel.architectures.MoESR")
    torch.save(module.MoESR(dim=8, n_blocks=2, n_block=1).state_dict(), tmp_path / "moesr.pth")
    assert checkpoints.read(tmp_path / "moesr.pth")[1] == 4


@pytest.mark.parametrize(("count", "says"), [(1, "1 channel (greyscale)"), (4, "4 (RGB with transparency)")])
def test_networks_of_other_channels_are_named(spandrel, tmp_path, count, says):
    module = importlib.import_module("spandrel.architectures.Compact")
    torch.save(module.Compact(num_in_ch=count, num_out_ch=count, num_feat=8).state_dict(), tmp_path / "net.pth")
    assert f"that maps {says} to {says}: give weights for RGB images" in refusal(tmp_path / "net.pth")
    module = importlib.import_module("spandrel.architectures.ESRGAN")  # its names begin with "model."
    torch.save(module.ESRGAN(in_nc=count, out_nc=count, num_blocks=1).state_dict(), tmp_path / "net.pth")
    assert f"that maps {says} to {says}: give weights for RGB images" in refusal(tmp_path / "net.pth")


@pytest.mark.parametrize(
    ("architecture", "settings"),
    [
        ("RealCUGAN.UpCunet2x", {}),  # 32 px at least
        ("DRCT.DRCT", {"embed_dim": 16, "depths": [1], "num_heads": [2], "window_size": 4, "gc": 8, "upscale": 4,
                       "upsampler": "pixelshuffle", "img_size": 16}),  # multiples of 16
    ],
)  # fmt: skip
def test_images_smaller_than_a_network_takes_and_of_odd_sides_are_upscaled(
    spandrel, tmp_path, architecture, settings
):
    room, name = architecture.split(".")
    torch.manual_seed(0)
    network = getattr(importlib.import_module(f"spandrel.architectures.{room}"), name)(**settings)
    torch.save({"params": network.state_dict()}, tmp_path / "net.pth")
    loaded, scale = checkpoints.read(tmp_path / "net.pth")
    with torch.inference_mode():
        assert loaded(LR).shape == (1, 3, 9 * scale, 7 * scale)
        lr = torch.rand(1, 3, 48, 64)
        torch.testing.assert_close(loaded(lr), network.eval()(lr).clamp(0, 1), rtol=0, atol=1e-5)


def test_a_network_that_works_in_place_leaves_the_image_as_it_was(spandrel, tmp_path):
    """RCAN scales its input to 255; in tiles that overlap it would do so again."""
    torch.manual_seed(0)
    module = importlib.import_module("spandrel.architectures.RCAN")
    torch.save(module.RCAN(n_resgroups=1, n_resblocks=1, n_feats=8, reduction=4).state_dict(), tmp_path / "rcan.pth")
    loaded, lr = checkpoints.load(tmp_path / "rcan.pth", 4), LR.clone()
    with torch.inference_mode():
        assert torch.equal(loaded(lr), loaded(lr))
    assert torch.equal(lr, LR)


def test_what_spandrel_does_not_know_is_one_line(spandrel, tmp_path):
    torch.save({"head.weight": torch.zeros(3, 3)}, tmp_path / "net.pth")
    assert "spandrel knows it neither" in refusal(tmp_path / "net.pth")


# torch has announced that it will give TorchScript up one day; the files are out there
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")


class Shuffle(nn.Module):
    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale = scale
        self.conv = nn.Conv2d(3, 3 * scale * scale, 3, padding=1)

    def forward(self, lr: torch.Tensor) -> torch.Tensor:
        return F.pixel_shuffle(self.conv(lr), self.scale)


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("name", ["net.pt", "net.ts", "net.pth"])
def test_torchscript(tmp_path, name, frozen):
    torch.manual_seed(0)
    module = Shuffle(4).eval()
    script = torch.jit.script(module)
    (torch.jit.freeze(script) if frozen else script).save(tmp_path / name)
    same(checkpoints.load(tmp_path / name, 4), module)
    assert "upscales by 4, not by 3" in refusal(tmp_path / name, scale=3)


def test_a_script_that_fails_or_returns_something_else_names_its_file(tmp_path):
    class Two(nn.Module):
        def forward(self, lr: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return lr, lr

    class Picky(nn.Module):
        def forward(self, lr: torch.Tensor) -> torch.Tensor:
            return F.interpolate(lr.view(-1, 3, 32, 32), scale_factor=4.0)

    torch.jit.script(Two()).save(tmp_path / "two.pt")
    assert "returns a tuple instead of" in refusal(tmp_path / "two.pt")
    torch.jit.script(Picky()).save(tmp_path / "picky.pt")
    loaded = checkpoints.load(tmp_path / "picky.pt", 4)
    with pytest.raises(UserError, match=r"picky\.pt fails on an LR image of 7×9 pixels \(.*shape"):
        loaded(LR)
    torch.jit.script(nn.Flatten()).save(tmp_path / "flat.pt")
    assert "it is not an RGB network for a whole scale" in refusal(tmp_path / "flat.pt")


def test_a_damaged_script_is_one_line(tmp_path):
    torch.jit.script(Shuffle(4)).save(tmp_path / "whole.pt")
    with zipfile.ZipFile(tmp_path / "whole.pt") as whole, zipfile.ZipFile(tmp_path / "net.pt", "w") as damaged:
        for name in whole.namelist():
            content = whole.read(name)
            damaged.writestr(name, content.replace(b"return", b"retorn") if name.endswith(".py") else content)
    assert "damaged TorchScript file" in refusal(tmp_path / "net.pt")


def test_a_state_of_another_network_is_one_line(real_data, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "spandrel", None)
    assert "another architecture" in refusal(Path(real_data / "weights" / "squeeze.backbone.pth"))


def test_tensors_that_are_larger_than_their_file_are_refused(tmp_path):
    half = torch.zeros(1, dtype=torch.float16)
    torch.save({"body.0.conv1.weight": half.expand(1 << 33)}, tmp_path / "one.pth")
    assert "its tensors are of 17179869184 bytes, and the file of" in refusal(tmp_path / "one.pth")
    many = torch.zeros(1 << 16, dtype=torch.float16)
    torch.save({f"name{number}": many[number:] for number in range(100)}, tmp_path / "many.pth")
    assert "its tensors are of" in refusal(tmp_path / "many.pth")


def test_a_compressed_archive_is_refused_before_it_is_unpacked(network, tmp_path):
    torch.save({"weight": torch.zeros(1 << 22, dtype=torch.uint8)}, tmp_path / "plain.pth")
    with (
        zipfile.ZipFile(tmp_path / "plain.pth") as plain,
        zipfile.ZipFile(tmp_path / "net.pth", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for member in plain.infolist():
            packed.writestr(member.filename, plain.read(member))
    assert "it is compressed, and 419" in refusal(tmp_path / "net.pth")


def test_a_pipe_is_no_model(tmp_path):
    os.mkfifo(tmp_path / "net.pth")
    assert "is not a regular file" in refusal(tmp_path / "net.pth")
