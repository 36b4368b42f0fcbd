"""State dicts inside of what training codes save."""

import argparse
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from blindsr.foreign import checkpoints, wrappers
from blindsr.model import architecture
from blindsr.runtime.errors import UserError

HYPER = {"num_blocks": 1, "num_features": 4}
LR = torch.rand(1, 3, 9, 7, generator=torch.Generator().manual_seed(0))
State = dict[str, Tensor]


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return architecture.build_backbone("srresnet", HYPER, 4).eval()


def before(prefix: str, state: State) -> State:
    return {prefix + name: value for name, value in state.items()}


def zeros(state: State) -> State:
    return {name: torch.zeros_like(value) for name, value in state.items()}


CRITIC = {"critic.0.weight": torch.zeros(2, 2)}
WRAPPERS = {
    "lightning": lambda s: {"state_dict": before("model.", s), "pytorch-lightning_version": "2.4.0"},
    "lightning with a critic": lambda s: {"state_dict": before("generator.", s) | before("discriminator.", CRITIC)},
    "compiled in DDP": lambda s: before("_orig_mod.module.", s),
    "DDP in compile": lambda s: {"model": before("module._orig_mod.", s)},
    "generator": lambda s: {"generator": s, "discriminator": CRITIC},
    "net_g": lambda s: {"net_g": s, "net_d": CRITIC, "iteration": 7},
    "ema beside": lambda s: {"model": zeros(s), "ema": s},
    "ema by its name": lambda s: {"state_dict": before("model.", zeros(s)) | before("ema_model.", s)},
    "ema of a module": lambda s: {"ema_model": before("module.", s), "n_averaged": torch.tensor(3)},
    "a number of numpy": lambda s: {
        "params": s,
        "psnr": np.float64(27.3),
        "best": np.float32(0.5),
        "it": np.int64(7),
    },
    "paths and arguments": lambda s: {
        "state_dict": before("model.", s),
        "hyper_parameters": argparse.Namespace(lr=1e-4),
        "callbacks": {"best": Path("runs") / "best.ckpt"},
        "optimizer_states": [{"state": {0: {"exp_avg": torch.zeros(3)}}}],
    },
    "optimizer": lambda s: {"network": s, "optimizer": {"state": {0: {"step": torch.tensor(1.0)}}}},
}


@pytest.mark.parametrize("name", WRAPPERS)
def test_the_weights_are_found(network, tmp_path, name: str) -> None:
    torch.save(WRAPPERS[name](network.state_dict()), tmp_path / "net.pth")
    loaded, scale = checkpoints.read(tmp_path / "net.pth")
    assert scale == 4
    with torch.inference_mode():
        torch.testing.assert_close(loaded(LR), network(LR), rtol=0, atol=0)


def test_a_file_that_holds_itself_is_one_line(tmp_path) -> None:
    content: dict = {"epoch": 1}
    content["params"] = content
    torch.save(content, tmp_path / "net.pth")
    with pytest.raises(UserError, match=r"holds no state dict.*its keys are epoch, params"):
        checkpoints.read(tmp_path / "net.pth")


@pytest.mark.parametrize(
    ("content", "said"),
    [({}, "it is empty"), ([1], "it is a list"), (dict.fromkeys("abcdefg", 1), "a, b, c, d, e, …")],
)
def test_what_was_found_instead_is_said(content, said: str) -> None:
    assert said in wrappers.described(content)
    assert list(wrappers.candidates(content)) == []


def test_a_checkpoint_that_holds_itself_is_looked_into_once(network, tmp_path) -> None:
    itself: dict[str, object] = {}
    itself |= {f"key{number}": itself for number in range(30)}
    with pytest.raises(UserError, match="holds no state dict"):
        torch.save(itself, tmp_path / "net.pth")
        checkpoints.read(tmp_path / "net.pth")
    shared: dict[str, object] = {"state_dict": network.state_dict()}
    for _ in range(6):
        shared = {f"key{number}": shared for number in range(30)}
    assert len(list(wrappers.candidates(shared))) == 1
    itself["model"] = network.state_dict()
    torch.save(itself, tmp_path / "net.pth")
    assert checkpoints.read(tmp_path / "net.pth")[1] == 4
