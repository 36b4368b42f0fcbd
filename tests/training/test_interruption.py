"""Training in processes of its own that are killed, stopped, or run out of disk: the same command ends with the same
bytes."""

import os
import random
import re
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from blindsr.training import checkpoint
from blindsr.training.interruption import Interruption

DYING_STEP = """
import os, signal
from blindsr.training.step import Stepper
step, count = Stepper.__call__, 0
def dying(*arguments, **more):
    global count
    if count == {after}:
        os.kill(os.getpid(), signal.{signal})
    count += 1
    return step(*arguments, **more)
Stepper.__call__ = dying
"""
# of the files that are written, the second is the second checkpoint (of iteration 6), the fifth the weights
DYING_WRITE = """
import os, signal
sync, count = os.fsync, 0
def dying(handle):
    global count
    count += 1
    if count == {number}:
        os.truncate(handle, 1000)
        {what}
    sync(handle)
os.fsync = dying
"""
KILL = "os.kill(os.getpid(), signal.SIGKILL)"
FULL = "raise OSError(28, 'No space left on device')"


def test_killed_twice_at_random_it_ends_with_the_same_bytes(local_run: Callable[..., Any], undisturbed: Any) -> None:
    mine, chance = local_run(), random.Random(5)
    first = chance.randrange(12)
    second = chance.randrange(12 - first // 3 * 3)  # it resumes from the last of iterations 0, 3, 6 and 9
    for after in (first, second):
        mine.train(before=DYING_STEP.format(after=after, signal="SIGKILL"), status=-signal.SIGKILL)
    said = mine.train()
    assert mine.results() == undisturbed().results(), f"killed after {first} and {second} more iterations"
    # plain lines, since this is no terminal
    line = r"srresnet-rff-0: 12/12, \d+\.\d/s, 0 s left L1 0\.\d+ penalty \S+ \d+ images/s \d+% data wait"
    assert re.fullmatch(line, said.splitlines()[-1])


def test_killed_while_a_checkpoint_is_written(local_run: Callable[..., Any], undisturbed: Any) -> None:
    mine = local_run()
    mine.train(before=DYING_WRITE.format(what=KILL, number=2), status=-signal.SIGKILL)
    states = next(path for path in (mine.folder / ".train_state").iterdir() if path.is_dir())
    assert [path.name[:9] for path in states.iterdir()] == ["000000003"]  # of the second nothing is left
    mine.train()
    assert mine.results() == undisturbed().results()
    assert not states.exists()


@pytest.mark.parametrize(("what", "status"), [(KILL, -signal.SIGKILL), (FULL, 2)])
def test_killed_or_out_of_disk_while_the_weights_are_written(
    local_run: Callable[..., Any], undisturbed: Any, what: str, status: int
) -> None:
    mine = local_run()
    mine.train(before=DYING_WRITE.format(what=what, number=5), status=status)
    assert (mine.folder / "reports/curves/srresnet-rff-0.csv").exists()
    assert not list((mine.folder / "models").glob("*.safetensors"))
    mine.train()
    assert mine.results() == undisturbed().results()


def test_the_state_of_a_killed_run_is_that_of_one_that_was_not(local_run: Callable[..., Any]) -> None:
    """Not only what a run ends with: weights, averages, Adam's moments and steps, rate, sums and curve."""
    whole, killed = local_run(), local_run()
    killed.train(before=DYING_STEP.format(after=8, signal="SIGKILL"), status=-signal.SIGKILL)  # resumes from 6
    states = []
    for mine, after in ((whole, 10), (killed, 4)):
        mine.train(before=DYING_STEP.format(after=after, signal="SIGTERM"), status=143)
        (path,) = (mine.folder / ".train_state").glob("*/000000011-*.pt")
        states.append(list(_leaves(checkpoint.parse(path.read_bytes()))))
    assert states[0] == states[1]
    names = {name.split(".")[0] for name, _ in states[0]}
    assert names == {"network", "optimizer", "ema", "iteration", "sums", "weight", "curve"}
    assert any(name.endswith("exp_avg_sq") for name, _ in states[0])


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Names and exact values of all that a state holds."""
    if isinstance(value, dict | list):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _leaves(part, f"{name}.{key}".lstrip("."))
    else:
        yield name, value.numpy().tobytes() if isinstance(value, torch.Tensor) else value


def test_a_full_disk_while_a_checkpoint_is_written(local_run: Callable[..., Any], undisturbed: Any) -> None:
    mine = local_run()
    said = mine.train(before=DYING_WRITE.format(what=FULL, number=2), status=2)
    assert said.splitlines()[-1].startswith("error: ")
    assert "the disk is full: free space and run the same command again" in said
    mine.train()
    assert mine.results() == undisturbed().results()


@pytest.mark.parametrize(("name", "says", "status"), [("SIGTERM", "SIGTERM", 143), ("SIGINT", "Ctrl-C", 130)])
def test_a_signal_ends_the_step_and_writes_the_state(
    local_run: Callable[..., Any], undisturbed: Any, name: str, says: str, status: int
) -> None:
    mine = local_run()
    said = mine.train(before=DYING_STEP.format(after=4, signal=name), status=status)
    assert said == f"error: stopped by {says} after iteration 5: the same command resumes from there\n"
    assert len(list((mine.folder / ".train_state").glob("*/000000005-*.pt"))) == 1
    mine.train()
    assert mine.results() == undisturbed().results()


def test_a_signal_to_the_whole_group_leaves_the_helper_processes_alone(local_run: Callable[..., Any]) -> None:
    """As Ctrl-C in a terminal, or a cluster's SIGTERM, does it."""
    before = DYING_STEP.format(after=4, signal="SIGTERM").replace("os.kill(os.getpid()", "os.killpg(os.getpid()")
    said = local_run("runtime.workers=2").train(before=before, status=143)
    assert said == "error: stopped by SIGTERM after iteration 5: the same command resumes from there\n"


@pytest.mark.needs("mlflow")
def test_stopped_runs_leave_no_point_twice_in_mlflow(local_run: Callable[..., Any], undisturbed: Any) -> None:
    mine = local_run()
    mine.train(before=DYING_STEP.format(after=7, signal="SIGKILL"), status=-signal.SIGKILL, tracked=True)
    mine.train(before=DYING_STEP.format(after=2, signal="SIGTERM"), status=143, tracked=True)  # flushes 2 to 8
    mine.train(tracked=True)
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{mine.folder / 'mlflow.db'}")
    (run,) = client.search_runs([client.get_experiment_by_name("blindsr").experiment_id])
    assert run.info.status == "FINISHED"
    for name in ("l1", "penalty", "learning_rate"):
        assert [point.step for point in client.get_metric_history(run.info.run_id, name)] == [2, 4, 6, 8, 10, 12]
    assert [point.step for point in client.get_metric_history(run.info.run_id, "psnr_db_b-n-j")] == [4, 8, 12]
    hours = [point.value for point in client.get_metric_history(run.info.run_id, "train_hours")]
    assert len(hours) == 6
    assert 0 < hours[0] < hours[-1]
    assert hours == sorted(hours)
    assert mine.results() == undisturbed().results()


def test_changed_settings_never_go_on_from_an_old_state(local_run: Callable[..., Any], undisturbed: Any) -> None:
    mine, faster = local_run(), local_run("train.learning_rate=0.002")
    mine.train(before=DYING_STEP.format(after=7, signal="SIGKILL"), status=-signal.SIGKILL)
    (faster.folder / ".train_state").symlink_to(mine.folder / ".train_state")
    faster.train()
    assert faster.results() == undisturbed("rff", "train.learning_rate=0.002").results()


def test_the_first_signal_is_kept_and_handlers_come_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with Interruption() as stop:
        assert stop.signal == 0
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_second_ctrl_c_does_not_wait_for_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    clock = iter([10.0, 10.5, 12.0])
    monkeypatch.setattr("blindsr.training.interruption.time.monotonic", lambda: next(clock))
    try:
        with pytest.raises(KeyboardInterrupt), Interruption() as stop:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)  # half a second later: a launcher's copy of the same one
            assert stop.signal == signal.SIGINT
            os.kill(os.getpid(), signal.SIGINT)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
