"""One trained network, backbone × regularizer × seed, and the row of the tables that it counts for."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, Self

from blindsr.config import registry
from blindsr.runtime.errors import UserError

BICUBIC = "bicubic"
"""What added detail is measured from."""
BILINEAR = "bilinear"
"""What SRResNet adds its output to."""
CONTROLS = (BICUBIC, BILINEAR)
"""Backbones without weights: rows of every table, never trained, that a network must beat."""
UNTRAINED = (*CONTROLS, "lanczos")
"""All backbones without weights: what the apps take by name, and no training does."""


class Row(NamedTuple):
    """A line of the tables: all seeds of a network with a regularizer, or a control."""

    backbone: str
    reg: str

    @property
    def name(self) -> str:
        """BACKBONE-REG, or that of a control."""
        return self.backbone if self.is_control else f"{self.backbone}-{self.reg}"

    @property
    def is_control(self) -> bool:
        """Whether it is of a backbone without weights."""
        return self.backbone in CONTROLS


@dataclass(frozen=True)
class Run:
    """One trained network: a backbone with a regularizer, from one seed; or a control, which has no weights."""

    backbone: str
    reg: str
    seed: int

    @classmethod
    def control(cls, name: str) -> Self:
        """The run of one of `CONTROLS`, which is never trained."""
        return cls(name, name, 0)

    @classmethod
    def parse(cls, name: str, known: Iterable[str] = ()) -> Self:
        """The run of a name.

        Args:
            name: BACKBONE-REG-SEED, such as srresnet-rff-0, or one of `CONTROLS`.
            known: names of the runs that there are; none: any run of the plug-ins.

        Raises:
            UserError: for a name of another form, of no plug-in, or not among `known`; it lists the nearest ones.
        """
        known = list(known)
        if name in CONTROLS and (not known or name in known):
            return cls.control(name)
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
        """Name of the run's files, its MLflow run and its DVC stage: BACKBONE-REG-SEED, or that of a control."""
        return self.backbone if self.is_control else f"{self.backbone}-{self.reg}-{self.seed}"

    @property
    def row(self) -> str:
        """Name of its row of the tables: BACKBONE-REG, or that of a control."""
        return Row(self.backbone, self.reg).name

    @property
    def is_control(self) -> bool:
        """Whether this run has no weights."""
        return self.backbone in CONTROLS

    def __str__(self) -> str:
        return self.name


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: up to three near ones as a question, or nothing."""
    near = difflib.get_close_matches(name, list(known), n=3)
    return f": did you mean {' or '.join(near)}?" if near else ""
