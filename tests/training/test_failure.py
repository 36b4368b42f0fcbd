"""A batch whose loss is not finite: named, kept, and shown by --replay."""

import json
from collections.abc import Callable
from typing import Any

import pytest

DIVERGES = "train.learning_rate=1e30"  # after one step, the next loss overflows


@pytest.mark.slow
def test_a_loss_that_is_not_finite_is_kept_and_replayed(local_run: Callable[..., Any]) -> None:
    mine = local_run(DIVERGES)
    nothing = mine.train("rff", "0", "--replay", status=2)
    assert (
        nothing
        == "error: nothing to replay: no training of this run, with these settings, has met a loss not finite\n"
    )
    for _ in range(2):  # the same command meets it again
        said = mine.train(status=2)
        assert "diverged: the loss or its gradient is not finite in iteration 2; lower train.learning_rate" in said
        assert "`blindsr train srresnet rff 0 --replay` shows the batch" in said

    (kept,) = (mine.folder / ".train_state").glob("*.failure.json")
    record = json.loads(kept.read_text())
    assert record["iteration"] == 2
    assert [sample["key"] for sample in record["samples"]] == [[0, 1, number, 0] for number in range(4)]

    mine.train("rff", "0", "--replay")
    shown = (mine.folder / "stdout").read_text()
    assert "iteration 2: L1 " in shown
    assert "not finite" in shown
    assert "gradient of " in shown
    assert "finite here" not in shown
    for number, sample in enumerate(record["samples"]):
        place = f"{sample['image']} at ({sample['top']}, {sample['left']})"
        assert f"sample {number}: key [0, 1, {number}, 0], {place}" in shown
    quality = record["samples"][3]["views"][1]["second"]["jpeg_quality"]
    assert f"jpeg_quality {quality:.4g}" in shown


def test_an_allocation_that_fails_is_one_line(local_run: Callable[..., Any]) -> None:
    greedy = """
import torch
from blindsr.model.network import Network
forward, count = Network.forward, 0
def greedy(self, step):
    global count
    count += 1
    return torch.empty(2**60) if count == 6 else forward(self, step)
Network.forward = greedy
"""
    said = local_run().train(before=greedy, status=2)
    assert said == (
        "error: out of memory on cpu in iteration 6: lower train.batch (8 LR images), train.crop (32 px) or "
        "train.window\n"
    )
