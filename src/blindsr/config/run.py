"""One trained network, backbone × regularizer × seed, and the row of the tables that it counts for."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, Self

from blindsr.config import registry
from blindsr.runtime.errors import UserError

BICUBIC = "bicubic"
"""Backbone without weights: a row of every table, never trained."""


class Row(NamedTuple):
    """A line of the tables: all seeds of a network with a regularizer, or bicubic."""

    backbone: str
    reg: str

    @property
    def name(self) -> str:
        """BACKBONE-REG, or "bicubic"."""
        return self.backbone if self.backbone == self.reg else f"{self.backbone}-{self.reg}"


@dataclass(frozen=True)
class Run:
    """One trained network: a backbone with a regularizer, from one seed; or bicubic, the run without weights."""

    backbone: str
    reg: str
    seed: int

    @classmethod
    def bicubic(cls) -> Self:
        """The run that is never trained."""
        return cls(BICUBIC, BICUBIC, 0)

    @classmethod
    def parse(cls, name: str, known: Iterable[str] = ()) -> Self:
        """The run of a name.

        Args:
            name: BACKBONE-REG-SEED, such as srresnet-rff-0, or bicubic.
            known: names of the runs that there are; none: any run of the plug-ins.

        Raises:
            UserError: for a name of another form, of no plug-in, or not among `known`; it lists the nearest ones.
        """
        known = list(known)
        if name == BICUBIC and (not known or name in known):
            return cls.bicubic()
        backbone, _, rest = name.partition("-")
        reg, _, seed = rest.partition("-")
        if not seed.isdecimal() or seed != str(int(seed)):
            nearest = did_you_mean(name, known)
            raise UserError(f"{name!r} is no run: give BACKBONE-REG-SEED, such as srresnet-rff-0{nearest}")
        if known and name not in known:
            nearest = did_you_mean(name, known) or f": choose one of {', '.join(known)}"
            raise UserError(f"there is no run {name}{nearest}")
        for kind, part in (("backbone", backbone), ("regularizer", reg)):
            names = registry.names(kind)
            if not known and part not in names:
                nearest = did_you_mean(part, names) or f": choose one of {', '.join(names)}"
                raise UserError(f"there is no run {name}, since no {kind} is named {part!r}{nearest}")
        return cls(backbone, reg, int(seed))

    @property
    def name(self) -> str:
        """Name of the run's files, its MLflow run and its DVC stage: BACKBONE-REG-SEED, or "bicubic"."""
        return BICUBIC if self.is_bicubic else f"{self.backbone}-{self.reg}-{self.seed}"

    @property
    def row(self) -> str:
        """Name of its row of the tables: BACKBONE-REG, or "bicubic"."""
        return Row(self.backbone, self.reg).name

    @property
    def is_bicubic(self) -> bool:
        """Whether this is the run without weights."""
        return self.backbone == BICUBIC

    def __str__(self) -> str:
        return self.name


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: up to three near ones as a question, or nothing."""
    near = difflib.get_close_matches(name, list(known), n=3)
    return f": did you mean {' or '.join(near)}?" if near else ""
