"""The place of a process, from torchrun's environment."""

import pytest

from blindsr.runtime import world
from blindsr.runtime.errors import UserError
from blindsr.runtime.world import Rank

NAMES = ("RANK", "WORLD_SIZE", "LOCAL_RANK")


def test_alone_without_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    assert world.rank() == Rank(number=0, processes=1, local=0)


def test_as_torchrun_says(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in zip(NAMES, ("5", "8", "1"), strict=True):
        monkeypatch.setenv(name, value)
    assert world.rank() == Rank(number=5, processes=8, local=1)


def test_half_an_environment_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """WORLD_SIZE alone may be left over from another program."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert world.rank().processes == 1


@pytest.mark.parametrize(
    "values", [("x", "2", "0"), ("2", "2", "0"), ("0", "0", "0"), ("-1", "2", "0"), ("0", "2", "1")]
)
def test_what_cannot_be_is_one_line(monkeypatch: pytest.MonkeyPatch, values: tuple[str, str, str]) -> None:
    for name, value in zip(NAMES, values, strict=True):
        monkeypatch.setenv(name, value)
    with pytest.raises(
        UserError, match=rf"RANK={values[0]}, WORLD_SIZE={values[1]}, .* put `env -u RANK -u WORLD_SIZE"
    ):
        world.rank()
