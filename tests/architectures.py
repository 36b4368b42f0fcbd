"""Which of spandrel's architectures can be trained, with which regularizers: `python -m tests.architectures`.

Builds each one at a tiny size, trains it for two steps beside every regularizer, writes and reads its weights, and
writes docs/architectures.md.
"""

import copy
import tempfile
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from blindsr.config import registry
from blindsr.model import architecture, weight_files
from blindsr.model.network import Network, build_regularizer
from blindsr.model.weight_files import WeightsInfo
from blindsr.plugins.backbones.base import Backbone
from blindsr.plugins.backbones.spandrel import classes
from blindsr.plugins.regularizers.base import Step
from blindsr.runtime import packages
from blindsr.runtime.errors import UserError
from blindsr.training import initial

PAGE = Path(__file__).resolve().parents[1] / "docs" / "architectures.md"
SIDE = 8
"""px of the LR images; one that is too small for a network is extended."""
SWIN = {"img_size": 16, "embed_dim": 16, "num_heads": [2, 2]}
TINY: dict[str, dict[str, Any]] = {
    "ATD": {"embed_dim": 16, "depths": [1, 1], "num_heads": [2, 2], "window_size": 4, "category_size": 16,
            "num_tokens": 8, "reducted_dim": 2},
    "AuraSR": {"dim": 8, "image_size": 64, "input_image_size": 16, "style_network": {"dim_in": 8, "dim_out": 8}},
    "CRAFT": {"window_size": 4, "embed_dim": 12, "depths": [1, 1], "num_heads": [2, 2], "split_size_0": 2,
              "split_size_1": 4},
    "Compact": {"num_feat": 8, "num_conv": 2},
    "DAT": SWIN | {"split_size": [2, 4], "depth": [1, 1], "expansion_factor": 2.0},
    "DCTLSA": {"nf": 10, "num_head": 2},
    "DITN": {"UFONE_blocks": 2, "dim": 12, "ITL_blocks": 1, "SAL_blocks": 1, "patch_size": 4},
    "DRCT": SWIN | {"depths": [1, 1], "window_size": 4, "gc": 8},
    "ESRGAN": {"num_filters": 8, "num_blocks": 2},
    "FDAT": {"embed_dim": 16, "num_groups": 2, "depth_per_group": 2, "num_heads": 2, "window_size": 4, "mid_dim": 8,
             "aim_reduction_ratio": 4},
    "GRL": {"img_size": 16, "embed_dim": 16, "depths": [1, 1], "num_heads_window": [1, 1],
            "num_heads_stripe": [1, 1], "window_size": 4, "stripe_size": [4, 4]},
    "HAT": SWIN | {"embed_dim": 12, "depths": [1, 1], "window_size": 4, "num_feat": 8, "squeeze_factor": 4},
    "IPT": {"patch_size": 12, "n_feats": 4, "num_heads": 2, "num_layers": 1},
    "MMRealSR": {"num_feat": 8, "num_block": 3, "num_grow_ch": 8, "num_feats": [4, 4, 4, 4],
                 "num_blocks": [1, 1, 1, 1]},
    "MoESR": {"dim": 8, "n_blocks": 2, "n_block": 1, "upsample_dim": 8},
    "MoSR": {"n_block": 2, "dim": 8},
    "OmniSR": {"num_feat": 8, "res_num": 2, "window_size": 4},
    "PLKSR": {"dim": 8, "n_blocks": 2, "kernel_size": 5},
    "RCAN": {"n_resgroups": 2, "n_resblocks": 1, "n_feats": 8, "reduction": 4},
    "RGT": SWIN | {"depth": [1, 1], "mlp_ratio": 2.0, "split_size": [4, 4]},
    "RealPLKSR": {"dim": 8, "n_blocks": 2, "kernel_size": 5},
    "SAFMN": {"dim": 8, "n_blocks": 2},
    "SAFMNBCIE": {"dim": 8, "n_blocks": 2, "num_layers": 2},
    "SPAN": {"feature_channels": 8},
    "SeemoRe": {"num_experts": 2, "num_layers": 2, "embedding_dim": 8},
    "SwiftSRGAN": {"num_channels": 8, "num_blocks": 3},
    "Swin2SR": SWIN | {"depths": [1, 1], "window_size": 4},
    "SwinIR": SWIN | {"depths": [1, 1], "window_size": 4, "upsampler": "nearest+conv"},
    "UpCunet2x": {}, "UpCunet2x_fast": {}, "UpCunet3x": {}, "UpCunet4x": {},
}  # fmt: skip
"""Settings of a network that takes little time."""
SCALES = {"UpCunet2x": 2, "UpCunet2x_fast": 2, "UpCunet3x": 3}


@dataclass
class Found:
    """What came of one architecture."""

    architecture: str
    scale: int
    backbone: Backbone | None = None
    failed: dict[str, str] = field(default_factory=dict)
    """Regularizer, "build" or "reading", to the reason in one line."""


def build(name: str, scale: int = 4) -> Backbone:
    """The tiny network of an architecture, anew."""
    torch.manual_seed(0)
    return architecture.build_backbone("spandrel", {"architecture": name, **TINY[name]}, scale)


def check(name: str, regularizers: list[str]) -> Found:
    """Train an architecture with each of the regularizers, and say what fails."""
    found = Found(name, SCALES.get(name, 4))
    try:
        found.backbone = build(name, found.scale)
    except UserError as error:
        found.failed["build"] = str(error).removeprefix("backbone 'spandrel': ")
        return found
    for reg in regularizers:
        try:
            trained = train(copy.deepcopy(found.backbone), reg)
        except Exception as error:
            found.failed[reg] = _line(error)
    try:
        require_readable(name, trained)
    except Exception as error:
        found.failed["reading"] = _line(error)
    return found


def _line(error: Exception) -> str:
    return (
        str(error).splitlines()[0][:100] if isinstance(error, AssertionError) else f"{type(error).__name__}: {error}"
    )


def train(backbone: Backbone, reg: str) -> Backbone:
    """Two steps with a regularizer; returns the backbone, in eval mode."""
    torch.manual_seed(0)
    scale = backbone.scale
    network = Network(backbone, build_regularizer(reg, {})).train()
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    with network.taps:
        for _ in range(2):
            hr = torch.rand(2, 3, SIDE * scale, SIDE * scale)
            step = Step(torch.rand(2 * network.views, 3, SIDE, SIDE), hr, network.views)
            penalty = network(step)
            assert all(features.ndim == 4 for features in step.features.values()), "features are no images"
            assert step.sr is not None
            assert step.sr.shape[2:] == hr.shape[2:]
            loss = (step.sr - torch.cat([hr] * network.views)).abs().mean() + 1e-3 * penalty
            optimizer.zero_grad()
            loss.backward()
            gradients = [p.grad for p in backbone.parameters() if p.grad is not None]
            assert all(bool(gradient.isfinite().all()) for gradient in gradients), "a gradient that is not finite"
            optimizer.step()
    after = backbone.state_dict()
    assert any(not torch.equal(before[key], after[key]) for key in before), "nothing was trained"
    return backbone.eval()


def require_readable(name: str, backbone: Backbone) -> None:
    """Hold a network against what is read once it was written, here and as a public checkpoint to fine-tune."""
    scale, state = backbone.scale, backbone.state_dict()
    info = WeightsInfo(
        backbone="spandrel", hyper={"architecture": name, **TINY[name]}, scale=scale, regularizer="none", seed=0,
        iterations=2, run="x",
    )  # fmt: skip
    tuned = build(name, scale).eval()
    with tempfile.TemporaryDirectory() as folder:
        ours, public = Path(folder) / "net.safetensors", Path(folder) / "net.pth"
        weight_files.save(backbone, info, ours)
        loaded, _ = weight_files.load(ours)
        torch.save({"params": state}, public)
        initial.start_from(tuned, str(public), scale)
    lr = torch.rand(1, 3, 9, 13)  # sides that are multiples of nothing
    with torch.no_grad():
        wanted = backbone(lr)
        assert wanted.shape == (1, 3, 9 * scale, 13 * scale)
        for other in (loaded, tuned):
            assert other.state_dict().keys() == state.keys()
            assert all(torch.equal(other.state_dict()[key], state[key]) for key in state), "other weights when read"
            assert torch.equal(other(lr), wanted), "another image when read, or of each run"


def page(results: list[Found], others: list[str], regularizers: list[str], version: str) -> str:
    """docs/architectures.md."""
    lines = [
        "# Which architectures can be trained",
        "",
        "`backbone=spandrel` trains any network of the package [spandrel](https://github.com/chaiNNer-org/spandrel)",
        "that upscales RGB images, and any of a file of yours; see `conf/backbone/spandrel.yaml`. The table is made",
        f"by `python -m tests.architectures`, with spandrel {version}: each architecture at a tiny size, two steps",
        f"beside each of the {len(regularizers)} regularizers, and the same weights and images after writing and",
        "reading.",
        "",
        "*Features* is the layer whose input the alignments see, *blocks* what `adaptive_dropout` goes through.",
        "*Smallest* is the side in px to which smaller images are extended, *multiple* what sides are extended to a",
        "multiple of; both depend on the settings, above all on the size of windows.",
        "",
        "| architecture | scale | regularizers | features | blocks | smallest | multiple |",
        "|:--|:--|:--|:--|:--|--:|--:|",
    ]
    for found in (each for each in results if each.backbone):
        backbone = found.backbone
        failed = {reg: why for reg, why in found.failed.items() if reg in regularizers}
        which = "all" if not failed else f"all but {', '.join(f'{reg} ({why})' for reg, why in failed.items())}"
        if "reading" in found.failed:
            which += f"; {found.failed['reading']}"
        blocks = f"{len(backbone.blocks)}, {_plain(backbone.blocks[0])} …" if backbone.blocks else "none"
        last = _plain(backbone.last) or "none"
        scales = f"×{found.scale}"
        sizes = f"{backbone.least} | {backbone.multiple}"
        lines.append(f"| {found.architecture} | {scales} | {which} | {last} | {blocks} | {sizes} |")
    lines += ["", "Not to be had at ×4:", "", "| architecture | why |", "|:--|:--|"]
    lines += [f"| {each.architecture} | {each.failed['build']} |" for each in results if not each.backbone]
    lines.append(
        f"| {', '.join(others)} | they do not upscale: denoising, deblurring, faces, inpainting and the like |"
    )
    return "\n".join(lines) + "\n"


def _plain(name: str) -> str:
    return name.removeprefix("network.")


def main() -> None:
    """Check every architecture, and write the page."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    regularizers = registry.names("regularizer")
    results = []
    for name in TINY:
        results.append(check(name, regularizers))
        print(name, results[-1].failed or "works", flush=True)
    others = sorted({name for name, _ in classes(packages.spandrel())} - set(TINY))
    version = packages.versions(["spandrel"])["spandrel"]
    PAGE.write_text(page(results, others, regularizers, version))


if __name__ == "__main__":
    main()
