"""Several processes that train one run: the samples and, up to the order of float sums, the weights of one alone."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch

from blindsr.config.schema import TrainParams
from blindsr.data.patch_store import PatchStore
from blindsr.plugins.degradations.base import Degradation
from blindsr.runtime.errors import UserError
from blindsr.training import distributed
from blindsr.training.distributed import World
from blindsr.training.samples import Batches

BOUND = 0.001
"""Largest difference of any weight after twelve iterations, in learning rates (a step of Adam): 3e-5 was seen."""
SIGNAL = """
import os, signal
from blindsr.training.step import Stepper
step, count = Stepper.__call__, 0
def dying(*arguments, **more):
    global count
    if count == {after} and os.environ["RANK"] == "{rank}":
        os.kill(os.getpid(), signal.{signal})
    count += 1
    return step(*arguments, **more)
Stepper.__call__ = dying
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def together(local_run: Any, ranks: int, reg: str = "rff", before: str = "") -> list[Any]:
    """As many processes as torchrun would start."""
    shared = {"WORLD_SIZE": str(ranks), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    return [
        local_run.start(reg, "0", before=before, RANK=str(rank), LOCAL_RANK=str(rank), **shared)
        for rank in range(ranks)
    ]


def differs(a: Any, b: Any, reg: str = "rff") -> float:
    """Largest difference of two runs' weights, in learning rates."""
    return float((a.weights(reg) - b.weights(reg)).abs().max()) / 1e-3


@pytest.mark.parametrize("views", [1, 2])
@pytest.mark.parametrize("ranks", [2, 4])
def test_ranks_make_the_samples_of_one(
    store: PatchStore, train_params: TrainParams, degradation: Degradation, views: int, ranks: int
) -> None:
    settings: dict[str, Any] = {"seed": 3, "views": views, "scale": 4}
    params = train_params.model_copy(update={"batch": 8})
    whole = Batches(store, params, degradation, **settings)[5]
    parts = [Batches(store, params, degradation, ranks=ranks, rank=rank, **settings)[5] for rank in range(ranks)]
    assert torch.equal(torch.cat([part.hr for part in parts]), whole.hr)
    lr = torch.cat([part.lr.unflatten(0, (views, -1)) for part in parts], dim=1)
    assert torch.equal(lr.flatten(0, 1), whole.lr)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("reg", "ranks"), [("rff", 2), ("rff", 4), ("rff_released", 2), ("dropout", 2), ("affine_rff", 2)]
)
def test_ranks_end_with_the_weights_of_one(
    local_run: Callable[..., Any], undisturbed: Any, reg: str, ranks: int
) -> None:
    """Dropout's masks, random features and a penalty over the whole batch too."""
    own = ["reg=affine_rff"] if reg == "affine_rff" else []  # which the settings of the others do not name
    mine, alone = local_run(*own), undisturbed(reg, *own)
    for rank, process in enumerate(together(mine, ranks, reg)):
        mine.wait(process, rank=str(rank))
    assert differs(mine, alone, reg) <= BOUND
    ours, theirs = ((place.folder / f"reports/curves/srresnet-{reg}-0.csv").read_text() for place in (mine, alone))
    for row, other in zip(ours.splitlines()[1:], theirs.splitlines()[1:], strict=True):
        for mine_value, value in zip(row.split(","), other.split(","), strict=True):
            assert mine_value == value or float(mine_value) == pytest.approx(float(value), rel=2e-3, abs=1e-12)


@pytest.mark.slow
def test_devices_starts_the_processes_itself_and_a_signal_stops_them_all(
    local_run: Callable[..., Any], undisturbed: Any
) -> None:
    """The launcher gets SIGTERM from rank 1, which knows it as its parent, and passes it on."""
    mine = local_run("runtime.devices=2")
    (mine.folder / "sitecustomize.py").write_text(
        "import os, threading\n"
        "if os.environ.get('RANK') == '1':\n"
        "    from blindsr.training.step import Stepper\n"
        "    step, count = Stepper.__call__, []\n"
        "    def dying(*arguments, **more):\n"
        "        count.append(1)\n"
        "        if len(count) == 5: os.kill(os.getppid(), 15)\n"
        "        return step(*arguments, **more)\n"
        "    Stepper.__call__ = dying\n"
    )
    source = str(Path(distributed.__file__).parents[2])
    said = mine.train(status=143, PYTHONPATH=f"{mine.folder}{os.pathsep}{source}")
    assert "error: stopped by SIGTERM after iteration" in said
    assert len([line for line in said.splitlines() if "mlflow is not installed" not in line]) == 1
    (mine.folder / "sitecustomize.py").unlink()
    alone = local_run()  # resumes with one process
    (alone.folder / ".train_state").symlink_to(mine.folder / ".train_state")
    alone.train()
    assert differs(alone, undisturbed()) <= BOUND


@pytest.mark.slow
def test_a_killed_rank_is_one_line_and_the_run_goes_on_with_another_number(
    local_run: Callable[..., Any], undisturbed: Any
) -> None:
    mine = local_run()
    survivor, killed = together(mine, 2, before=SIGNAL.format(after=7, rank=1, signal="SIGKILL"))
    mine.wait(killed, -signal.SIGKILL, "1")
    said = mine.wait(survivor, 2, "0").splitlines()
    assert said[-1].startswith("error: rank 0 has lost another rank")
    assert said[-1].endswith("the same command resumes from the last checkpoint")
    mine.train()
    assert differs(mine, undisturbed()) <= BOUND


def test_a_loss_that_is_not_finite_on_one_rank_stops_all_with_the_whole_batch_kept(
    local_run: Callable[..., Any],
) -> None:
    """The average of the gradients brings the NaN of rank 1 to rank 0, which tells it, once."""
    mine = local_run()
    broken = """
import os
from blindsr.model.network import Network
forward, count = Network.forward, 0
def broken(self, step):
    global count
    count += 1
    if count == 5 and os.environ["RANK"] == "1":
        step.lr = step.lr * float("nan")
    return forward(self, step)
Network.forward = broken
"""
    first, second = together(mine, 2, before=broken)
    said = mine.wait(first, 2, "0")
    assert said.startswith("error: training diverged: the loss or its gradient is not finite in iteration 5; ")
    assert len(said.splitlines()) == 1
    assert mine.wait(second, 2, "1") == ""
    (kept,) = (mine.folder / ".train_state").glob("*.failure.json")
    samples = json.loads(kept.read_text())["samples"]
    assert [sample["key"] for sample in samples] == [[0, 4, number, 0] for number in range(4)]


def test_a_signal_to_one_rank_stops_all_after_the_same_iteration(local_run: Callable[..., Any]) -> None:
    mine = local_run()
    first, second = together(mine, 2, before=SIGNAL.format(after=4, rank=1, signal="SIGTERM"))
    said = mine.wait(first, 143, "0")
    assert said == "error: stopped by SIGTERM after iteration 5: the same command resumes from there\n"
    assert mine.wait(second, 143, "1") == ""


@pytest.mark.slow
def test_two_machines_of_which_one_is_killed(local_run: Callable[..., Any], undisturbed: Any) -> None:
    """Two torchrun agents that meet at a c10d rendezvous on loopback, each with one process."""
    mine = local_run()
    source = Path(distributed.__file__).parents[2]
    environment = {
        **os.environ, "PYTHONPATH": str(source), "DVC_EXP_NAME": "a-test", "DVC_ROOT": str(mine.folder),
        "GLOO_SOCKET_IFNAME": "lo", "MLFLOW_TRACKING_URI": "http://127.0.0.1:9",
    }  # fmt: skip
    code = "from blindsr.runtime import tracking as t; t._open = lambda *a: t.Run(None, '')\n"
    (mine.folder / "train.py").write_text(
        f"{code}{SIGNAL.format(after=7, rank=1, signal='SIGKILL')}"
        "kill = os.kill\n"
        "def machine(process, number):\n"
        "    kill(os.getppid(), number)  # the agent, and then its process\n"
        "    kill(process, number)\n"
        "os.kill = machine\n"
        "from blindsr.cli import main\nmain()\n"
    )
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1", "--max-restarts=0",
        "--rdzv-backend=c10d", f"--rdzv-endpoint=127.0.0.1:{free_port()}", "--rdzv-id=one", "--local-addr=127.0.0.1",
        "train.py", "train", "srresnet", "rff", "0",
    ]  # fmt: skip
    agents = [
        subprocess.Popen(command, cwd=mine.folder, env=environment, text=True, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    said = [agent.communicate(timeout=120)[1] for agent in agents]
    statuses = sorted(agent.returncode for agent in agents)
    assert statuses[0] == -signal.SIGKILL, said
    assert statuses[1] == 1, said
    assert "error: rank 0 has lost another rank" in "".join(said)
    mine.train()
    assert differs(mine, undisturbed()) <= BOUND


def test_devices_are_counted_and_nonsense_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    assert distributed.count("auto", "cpu") == 1
    assert distributed.count(4, "cpu") == 4
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert distributed.count("auto", "auto") == 2
    assert distributed.count("auto", "cuda:1") == 1
    with pytest.raises(UserError, match="runtime.devices 4: this machine has 2 usable GPUs"):
        distributed.count(4, "auto")


@pytest.mark.parametrize("left", [{}, {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}], ids=["half", "whole"])
@pytest.mark.parametrize("rank", ["0", "1"])
def test_an_environment_that_is_left_over_is_one_line(
    monkeypatch: pytest.MonkeyPatch, left: dict[str, str], rank: str
) -> None:
    """Of a torchrun that is no more: the other process never comes."""
    left = left and left | {"MASTER_PORT": str(free_port())}
    for name in ("MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_USE_AGENT_STORE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"RANK": rank, "WORLD_SIZE": "2", "LOCAL_RANK": rank, **left}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(distributed, "_GATHERING", timedelta(seconds=0.5))
    says = r"has not met 1 more of the 2 processes" if left else "WORLD_SIZE is 2, but MASTER_ADDR and MASTER_PORT is"
    with (
        pytest.raises(UserError, match=f"{says} .*o work alone, put `env -u RANK -u WORLD_SIZE -u LOCAL_RANK`"),
        distributed.join("cpu"),
    ):
        pass


def test_alone_nothing_is_exchanged() -> None:
    world, rows = World(torch.device("cpu")), torch.ones(2, 3)
    assert world.main
    assert world.gather(rows) is world.total(rows) is rows
    assert world.largest(15) == 15
    assert world.from_rank0(lambda: "state") == "state"
    world.require_same("a", "do this")
