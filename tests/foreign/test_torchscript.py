"""TorchScript that does more than compute is refused before anything of it runs."""

import zipfile
from pathlib import Path

import pytest
import torch
from torch import nn

from blindsr.foreign import checkpoints, torchscript
from blindsr.model import architecture
from blindsr.runtime.errors import UserError

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning", "ignore::torch.jit.TracerWarning")
NETWORKS = {
    "srresnet": {"num_blocks": 1, "num_features": 4},
    "rrdb": {"num_blocks": 1, "num_features": 4, "growth": 4},
    "msrn": {"num_blocks": 1, "num_features": 4},
    "swinir": {"depths": [2], "num_heads": [2], "dim": 8, "window_size": 4},
}


class Overwrites(nn.Module):
    """Maps a file of the attacker's choice into memory, and writes into it."""

    def __init__(self, victim: str) -> None:
        super().__init__()
        self.victim = victim

    def forward(self, lr: torch.Tensor) -> torch.Tensor:
        mapped = torch.from_file(self.victim, shared=True, size=4, dtype=torch.uint8)
        mapped[0] = 0
        # used, or TorchScript leaves it out
        return nn.functional.interpolate(lr, scale_factor=4.0) + mapped.sum() * 0.0


class OnLoad(nn.Module):
    """Does the same as soon as it is loaded."""

    def __init__(self, victim: str) -> None:
        super().__init__()
        self.victim = victim
        self.mapped = torch.zeros(4, dtype=torch.uint8)

    @torch.jit.export
    def __getstate__(self) -> tuple[str, bool]:
        return self.victim, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[str, bool]) -> None:
        self.victim = state[0]
        self.training = state[1]
        mapped = torch.from_file(self.victim, shared=True, size=4, dtype=torch.uint8)
        mapped[0] = 0
        self.mapped = mapped

    def forward(self, lr: torch.Tensor) -> torch.Tensor:
        return nn.functional.interpolate(lr, scale_factor=4.0)


class Endless(nn.Module):
    def forward(self, lr: torch.Tensor) -> torch.Tensor:
        while bool((lr == lr).all()):
            lr = lr + 0
        return lr


@pytest.mark.parametrize("kind", [Overwrites, OnLoad])
def test_a_program_that_maps_files_is_refused_and_nothing_is_run(kind: type, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"keep")
    torch.jit.script(kind(str(victim))).save(tmp_path / "net.pt")
    victim.write_bytes(b"keep")
    with pytest.raises(UserError, match=r"net\.pt is refused: its program uses from_file.*--trust"):
        checkpoints.read(tmp_path / "net.pt")
    assert victim.read_bytes() == b"keep"


def test_whoever_trusts_a_file_runs_it(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"keep")
    torch.jit.script(Overwrites(str(victim))).save(tmp_path / "net.pt")
    assert victim.read_bytes() == b"keep"
    assert checkpoints.read(tmp_path / "net.pt", trust=True)[1] == 4
    assert victim.read_bytes() == b"\0eep"


def test_a_loop_without_a_bound_is_refused(tmp_path: Path) -> None:
    torch.jit.script(Endless()).save(tmp_path / "net.pt")
    with pytest.raises(UserError, match="uses while"):
        checkpoints.read(tmp_path / "net.pt")


def rewritten(path: Path, new: Path, change) -> None:
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(new, "w") as archive:
        for name in old.namelist():
            archive.writestr(name, change(name, old.read(name)))


@pytest.mark.parametrize(
    ("plain", "odd"),
    [
        (b"torch.from_file(", b"torch . from_file("),
        (b"torch.from_file(", b"torch.ops.aten.from_file("),
        (b"torch.from_file(", b"torch.\\\n  from_file("),
    ],
)
def test_other_ways_to_write_a_name_are_the_name(plain: bytes, odd: bytes, tmp_path: Path) -> None:
    torch.jit.script(Overwrites("/nowhere")).save(tmp_path / "net.pt")
    rewritten(tmp_path / "net.pt", tmp_path / "odd.pt",
              lambda name, content: content.replace(plain, odd) if name.endswith(".py") else content)  # fmt: skip
    with pytest.raises(UserError, match="uses from_file"):
        torchscript.require_harmless(tmp_path / "odd.pt")


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_an_archive_with_two_files_of_one_name_is_refused(tmp_path: Path) -> None:
    torch.jit.script(Overwrites("/nowhere")).save(tmp_path / "net.pt")
    with zipfile.ZipFile(tmp_path / "net.pt", "a") as archive:
        name = next(name for name in archive.namelist() if name.endswith(".py"))
        archive.writestr(name, "")
    with pytest.raises(UserError, match="some perhaps of one name"):
        checkpoints.read(tmp_path / "net.pt")


@pytest.mark.parametrize("name", NETWORKS)
def test_every_backbone_that_was_traced_is_harmless(name: str, tmp_path: Path) -> None:
    network = architecture.build_backbone(name, NETWORKS[name], 4).eval()
    torch.jit.trace(network, torch.zeros(1, 3, 16, 16), check_trace=False).save(tmp_path / "net.pt")
    torchscript.require_harmless(tmp_path / "net.pt")


def test_no_harmless_operator_takes_the_name_of_a_file() -> None:
    schemas = torch._C._jit_get_all_schemas()
    harmless = torchscript.harmless()
    taking = {schema.name.split("::")[-1] for schema in schemas
              for argument in schema.arguments if "file" in argument.name.lower()}  # fmt: skip
    assert taking
    assert not taking & harmless
    assert not {"set_", "as_strided", "as_strided_", "save", "load", "resize_"} & harmless


@pytest.mark.parametrize("inside", ["net/data/{}", "net/code/{}.py"])
def test_an_archive_of_more_files_than_a_network_has_is_refused(
    inside: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torchscript, "_MOST_FILES", 50)
    with zipfile.ZipFile(tmp_path / "net.pth", "w") as archive:
        for number in range(60):
            archive.writestr(inside.format(number), b"")
    with pytest.raises(UserError, match=r"net\.pth is refused: it holds 60 files"):
        checkpoints.read(tmp_path / "net.pth")
