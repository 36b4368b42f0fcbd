"""No float64 reaches Apple's MPS, which has none: every place that names it, and what forward passes make there."""

import ast
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from blindsr.model import architecture
from blindsr.model.network import Network, build_regularizer
from blindsr.plugins.losses import l1
from blindsr.plugins.regularizers.base import Step
from blindsr.training import validation
from blindsr.training.losses import Losses
from blindsr.training.objective import Objective

PACKAGE = Path(__file__).resolve().parents[1] / "src" / "blindsr"
MPS = torch.device("mps")

ON_THE_CPU = {
    "runtime/devices.py": {"widest_float", "exact", "place"},
    "plugins/metrics/pyiqa_.py": {"__call__"},  # of what was brought back
    "plugins/backbones/msrn.py": {"_to_unit_range"},  # of a file's tensors
    "plugins/degradations/operators/jpeg.py": {"_tables"},  # made there, and moved as float32
    "plugins/degradations/operators/usm.py": {"_blur_matrix"},  # likewise
    "plugins/regularizers/base.py": {"penalty"},  # keeps what is in it already
    "plugins/regularizers/rff_released.py": {"distance"},  # asks where it is
    "plugins/regularizers/operators/affine.py": {"<module>", "moments"},  # likewise
    "plugins/regularizers/frequency_mask.py": {"dct_basis"},  # made there, and moved as float32
    "plugins/backbones/bicubic.py": {"upsample", "_weights"},  # brings MPS' images to the CPU
    "plugins/backbones/lanczos.py": {"forward", "_weights"},  # likewise
    "training/trainer.py": {"train"},  # sums that move to the device's widest type
    "foreign/checkpoints.py": {"<module>"},  # what a file may hold
    "stages/analyse.py": {"_added", "play"},  # of what was brought back
    "analysis/channel_entropy.py": {"dominant_frequencies"},  # likewise
}
"""File -> functions that name float64 for tensors of the CPU."""


def named(path: Path) -> set[str]:
    """Functions, or classes, in which a file names torch's float64."""
    found: set[str] = set()

    def visit(node: ast.AST, place: str) -> None:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            place = node.name
        if isinstance(node, ast.Attribute) and (
            node.attr == "double" or (node.attr == "float64" and getattr(node.value, "id", "") == "torch")
        ):
            found.add(place)
        for child in ast.iter_child_nodes(node):
            visit(child, place)

    visit(ast.parse(path.read_text()), "<module>")
    return found


def test_every_place_that_names_float64_is_known() -> None:
    places = {path.relative_to(PACKAGE).as_posix(): named(path) for path in sorted(PACKAGE.rglob("*.py"))}
    assert {file: found for file, found in places.items() if found} == ON_THE_CPU


class NoFloat64(TorchDispatchMode):
    """Fails where an operation makes float64 on MPS."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, Tensor) and tensor.device.type == "mps":
                assert tensor.dtype != torch.float64, func
        return out


def on_mps(network: nn.Module) -> nn.Module:
    """The network with tensors that say they are on MPS, and hold nothing."""
    for module in network.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None:
                module._parameters[name] = nn.Parameter(torch.zeros(parameter.shape, device=MPS))
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = torch.zeros(buffer.shape, dtype=buffer.dtype, device=MPS)
    return network


HYPER = {
    "srresnet": {"num_blocks": 1, "num_features": 4},
    "rrdb": {"num_blocks": 1, "num_features": 4, "growth": 4},
    "msrn": {"num_blocks": 1, "num_features": 4},
}


@pytest.mark.parametrize("backbone", list(HYPER))
@pytest.mark.parametrize("reg", ["none", "dropout", "brute_force", "linear", "two_views"])
def test_a_forward_pass_with_its_loss_has_none(backbone: str, reg: str) -> None:
    """Fake tensors of MPS go through all but backward passes, uploads and slices of a machine without it."""
    network = Network(architecture.build_backbone(backbone, HYPER[backbone], 4), build_regularizer(reg, {}))
    with FakeTensorMode(allow_non_fake_inputs=True), NoFloat64(), torch.no_grad():
        objective = Objective(on_mps(network), Losses({"l1": (1.0, l1.build())}), 1.0)
        lr, hr = torch.zeros(4, 3, 8, 8, device=MPS), torch.zeros(4 // network.views, 3, 32, 32, device=MPS)
        assert objective(Step(lr, hr, network.views)).loss.device.type == "mps"


def test_statistics_of_validation_are_exact_on_the_cpu() -> None:
    with FakeTensorMode(), NoFloat64():
        features = torch.zeros(2, 4, 8, 8, device=MPS)
        with pytest.raises(DataDependentOutputException):  # at its end: there is no number to return
            validation.statistics_distances(features, features)
        with pytest.raises(AssertionError, match="_to_copy"):
            features.double()  # what the test looks for
