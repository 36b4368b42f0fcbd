"""What the parts of the check share."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.gpu_check.journal import Journal


@dataclass
class Context:
    """Where results go, where things lie, and what is known of the machine."""

    journal: Journal
    folder: Path
    """For what is not kept."""
    data: Path | None
    small: bool
    cuda: bool = False
    gpu: str = "none"
    """Its name and what else is said of it."""
    cores: int = 1
    prepared: dict[str, Any] = field(default_factory=dict)
    """"store": folder of the training images; "images": benchmark -> folder of its HR images."""
    side_rate: float | None = None
    """Iterations/s of the slowest of four trainings side by side, once it was measured."""

    @property
    def data_text(self) -> str | None:
        """`data` as JSON has it."""
        return None if self.data is None else str(self.data)

    def require(self, what: str) -> Any:
        """What was prepared. Raises ValueError where that failed."""
        if what not in self.prepared:
            raise ValueError(f"the {what} could not be prepared, see above")
        return self.prepared[what]
