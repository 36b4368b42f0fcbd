"""Penalties of a batch that two processes share: value and gradient are those of one process, to rounding."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

NAMES = ["linear", "rff", "rff_released", "affine_alignment", "affine_rff", "content_alignment", "log_euclidean"]
# prints the mean penalty over the ranks and its gradient by the features, of which this rank has its samples
SCRIPT = """
import json, os, sys
import torch
import torch.distributed as dist
from blindsr.config import registry
from blindsr.plugins.regularizers.base import Share, Step
from blindsr.training.distributed import World
rank, ranks = int(os.environ["RANK"]), int(os.environ["RANKS"])
if ranks > 1:
    dist.init_process_group("gloo", init_method=f"file://{sys.argv[1]}", rank=rank, world_size=ranks)
world = World(torch.device("cpu"), rank, ranks)
share = Share(rank, ranks, world.gather)
generator = torch.Generator().manual_seed(0)
contents = torch.randn(4, 5, 1, 1, generator=generator, dtype=torch.float64)
views = [contents + torch.randn(4, 5, 6, 6, generator=generator, dtype=torch.float64) for _ in range(2)]
found = {}
for name in sys.argv[2].split(","):
    mine = [share.of(view).clone().requires_grad_() for view in views]
    lr = torch.zeros(2 * len(mine[0]), 3, 4, 4)
    step = Step(lr, torch.zeros(len(mine[0]), 3, 16, 16), 2, share=share)
    step.features, step.sr = {"last": torch.cat(mine)}, torch.zeros(1)
    torch.manual_seed(7)
    penalty = registry.build("regularizer", name).penalty(step)
    penalty.backward()
    means = penalty.detach().clone()
    if ranks > 1:
        dist.all_reduce(means)
    gradient = torch.stack([view.grad for view in mine]) / ranks  # as DistributedDataParallel averages it
    found[name] = [means.item() / ranks, gradient.flatten().tolist()]
print(json.dumps(found))
"""


def ranks(count: int, folder: Path) -> list[dict[str, tuple[float, list[float]]]]:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(folder / f"meet{count}"), ",".join(NAMES)],
            env={**os.environ, "RANK": str(rank), "RANKS": str(count)}, stdout=subprocess.PIPE, text=True,
        )
        for rank in range(count)
    ]  # fmt: skip
    said = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * count
    return [json.loads(text.splitlines()[-1]) for text in said]


def test_two_ranks_have_value_and_gradient_of_one(tmp_path: Path) -> None:
    """Also where random directions are mixed of the whole batch, and each rank's own samples are then mapped."""
    (alone,), both = ranks(1, tmp_path), ranks(2, tmp_path)
    for name in NAMES:
        value, gradient = alone[name]
        assert [part[name][0] for part in both] == pytest.approx([value] * 2, rel=1e-9), name
        size = len(gradient) // 4  # of a view, the samples of a rank
        parts = [part[name][1] for part in both]
        joined = [parts[0][:size], parts[1][:size], parts[0][size:], parts[1][size:]]
        largest = max(map(abs, gradient))
        assert [number for part in joined for number in part] == pytest.approx(gradient, abs=1e-9 * largest), name
