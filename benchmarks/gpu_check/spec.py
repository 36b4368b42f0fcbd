"""What is timed, in words that the check and its workers share; without torch, which the check does not import."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Spec:
    """A network, its regularizer, and how its step runs."""

    backbone: str = "srresnet"
    reg: str = "none"
    precision: str = "bf16"
    """fp32, tf32 or bf16."""
    mode: str = "graph"
    """eager, graph (recorded and replayed), compile (torch.compile of the backbone) or compile+graph."""
    channels_last: bool = True
    free: bool = False
    """Without torch's deterministic algorithms, and with cuDNN trying which are fastest."""

    def __str__(self) -> str:
        more = ["" if self.channels_last else "channels_last off", "any algorithm" if self.free else ""]
        return " ".join(filter(None, [self.backbone, self.reg, self.precision, self.mode, *more]))
