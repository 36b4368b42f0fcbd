"""Training in processes of its own that are killed, stopped, or run out of disk: the same command ends with the same
bytes."""

import hashlib
import os
import random
import re
import shutil
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
# of the files that are written, the second is the second checkpoint (of iteration 6), the fourth the last state, the
# fifth the curve, the sixth the weights
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
NO_STEP = """
from blindsr.training.step import Stepper
Stepper.__call__ = None
"""
DYING_WORKER = """
import os, signal
from blindsr.training.samples import Batches
make = Batches.__getitem__
def dying(batches, iteration):
    if iteration == 8:
        signal.pause()
    if iteration == 7:
        {what}
    return make(batches, iteration)
Batches.__getitem__ = dying
"""
KILL = "os.kill(os.getpid(), signal.SIGKILL)"
FULL = "raise OSError(28, 'No space left on device')"


@pytest.mark.slow
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
    assert sorted(path.name[:9] for path in states.iterdir()) == ["000000012", "made.json"]


@pytest.mark.parametrize(("what", "status"), [(KILL, -signal.SIGKILL), (FULL, 2)])
def test_killed_or_out_of_disk_while_the_weights_are_written(
    local_run: Callable[..., Any], undisturbed: Any, what: str, status: int
) -> None:
    """All iterations are behind it: none of them runs again."""
    mine = local_run()
    said = mine.train(before=DYING_WRITE.format(what=what, number=6), status=status)
    assert (mine.folder / "reports/curves/srresnet-rff-0.csv").exists()
    assert not list((mine.folder / "models").glob("*.safetensors"))
    if what == FULL:
        assert said.endswith("run the same command again; the same command resumes from iteration 12\n")
    mine.train(before=NO_STEP)
    assert mine.results() == undisturbed().results()


@pytest.mark.slow
def test_a_result_that_dvc_has_not_got_is_taken_over(local_run: Callable[..., Any], undisturbed: Any) -> None:
    """As after a kill of DVC alone, or a full cache: DVC removes the weights, and runs the stage again."""
    mine = local_run()
    mine.train()
    made = [mine.folder / "models/srresnet-rff-0.safetensors", mine.folder / "reports/curves/srresnet-rff-0.csv"]
    for path in made:
        path.unlink()
    said = mine.train(before=NO_STEP)
    assert said.startswith("srresnet-rff-0: taking over the result of a training that had ended; to train anew")
    assert mine.results() == undisturbed().results()
    for path in made:  # as DVC commits them
        name = hashlib.md5(path.read_bytes()).hexdigest()
        place = mine.folder / ".dvc/cache/files/md5" / name[:2]
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place / name[2:])
    said = mine.train()  # as `dvc repro --force` runs it
    assert "12/12" in said
    assert "taking over" not in said


def test_a_full_disk_for_the_last_state_alone_costs_no_result(
    local_run: Callable[..., Any], undisturbed: Any
) -> None:
    mine = local_run("runtime.checkpoint_every=500")
    said = mine.train(before=DYING_WRITE.format(what=FULL, number=1))
    assert "the disk is full: free space and run the same command again; the same command begins anew" in said
    assert mine.results() == undisturbed().results()


@pytest.mark.skipif(sys.platform != "linux", reason="workers are forked on Linux alone")
@pytest.mark.parametrize(
    ("workers", "what", "says"),
    [
        (2, KILL, "one of the 2 processes that make batches was killed by SIGKILL; for want of memory? Lower"),
        (2, "raise OverflowError('Range exceeds\\nvalid bounds')", "no batch could be made for iteration 8 (Over"),
        (0, "raise OverflowError('Range exceeds\\nvalid bounds')", "no batch could be made for iteration 8 (Over"),
        (2, "raise MemoryError", "out of memory on cpu in iteration 8: lower"),
    ],
    ids=["killed", "error", "error without workers", "memory"],
)
def test_a_batch_that_cannot_be_made_is_one_line_and_nothing_is_lost(
    local_run: Callable[..., Any], undisturbed: Any, workers: int, what: str, says: str
) -> None:
    """While another worker hangs, and all of them ignore SIGTERM."""
    mine = local_run(f"runtime.workers={workers}")
    said = mine.train(before=DYING_WORKER.format(what=what), status=2)
    assert said.startswith(f"error: {says}")
    assert said.count("\n") == 1
    if "Memory" not in what:
        assert said.endswith("; the same command resumes from iteration 7\n")
    if "Overflow" in what:
        (trace,) = (mine.folder / ".train_state").glob("*.failure.txt")
        assert f"(the traceback is in {trace})" in said
        assert "in dying" in trace.read_text()
    if not workers or "Memory" in what:
        return
    mine.train()
    assert mine.results() == undisturbed().results()
    assert not list((mine.folder / ".train_state").glob("*.failure.txt"))


@pytest.mark.slow
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
    resumes = "the same command resumes from iteration 3"
    assert said.endswith(f"the disk is full: free space and run the same command again; {resumes}\n")
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


@pytest.mark.slow
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


@pytest.mark.slow
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
