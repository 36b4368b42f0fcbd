"""Names of runs and rows, and what is said of a name that is none."""

import dataclasses

import pytest

from blindsr.config.run import CONTROLS, Row, Run, did_you_mean
from blindsr.runtime.errors import UserError

KNOWN = ["srresnet-none-0", "srresnet-rff-0", "srresnet-rff_released-0", "rrdb-rff-0"]


def test_a_run_and_its_row_have_one_name_each() -> None:
    run = Run("srresnet", "rff_released", 12)
    assert (run.name, run.row, str(run), run.is_control) == (
        "srresnet-rff_released-12", "srresnet-rff_released", "srresnet-rff_released-12", False,
    )  # fmt: skip
    assert Row("srresnet", "rff_released").name == run.row


@pytest.mark.parametrize("name", CONTROLS)
def test_a_control_is_one_word_as_a_run_and_as_a_row(name: str) -> None:
    run = Run.control(name)
    assert (run.name, run.row, run.is_control) == (name, name, True)
    assert Row(name, name).name == name
    assert Row(name, name).is_control


def test_a_run_is_frozen_and_equal_by_its_parts() -> None:
    run = Run("a", "b", 1)
    assert run == Run("a", "b", 1)
    assert len({run, Run("a", "b", 1), Run("a", "b", 2)}) == 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        run.seed = 2  # type: ignore[misc]


@pytest.mark.parametrize("name", ["srresnet-rff-0", "swinir-rff_released-17", *CONTROLS])
def test_a_name_comes_back(name: str) -> None:
    assert Run.parse(name).name == name
    assert Run.parse(name, [*KNOWN, name]).name == name


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("srresnet", r"'srresnet' is no run: give BACKBONE-REG-SEED, such as srresnet-rff-0$"),
        ("srresnet-rff", "is no run"),
        ("srresnet-rff-x", "is no run"),
        ("srresnet-rff-00", "is no run"),
        ("srresnet-rff--1", "is no run"),
        ("srresnet-rff-0-1", "is no run"),
        ("srresnett-rff-0", r"no backbone is named 'srresnett': did you mean srresnet\?"),
        ("srresnet-qqq-0", "no regularizer is named 'qqq': choose one of adaptive_dropout, affine_alignment"),
    ],
)
def test_what_is_no_run_of_the_plug_ins_is_one_line(name: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        Run.parse(name)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("srresnet-rf-0", r"no run srresnet-rf-0: did you mean srresnet-rff-0"),
        ("srresnet-rff", r"'srresnet-rff' is no run.*: did you mean srresnet-rff-0"),
        ("x-y-3", "no run x-y-3: choose one of srresnet-none-0, srresnet-rff-0"),
        ("bicubic", "'bicubic' is no run"),
    ],
)
def test_what_is_not_among_the_known_runs_lists_near_ones(name: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        Run.parse(name, KNOWN)


def test_near_names_are_a_question_and_far_ones_nothing() -> None:
    assert did_you_mean("rrdb-rff-1", KNOWN).startswith(": did you mean rrdb-rff-0")
    assert did_you_mean("qqqq", KNOWN) == ""
