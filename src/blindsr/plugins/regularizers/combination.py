"""Several regularizers at once, such as the paper's alignment together with Dropout."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from blindsr.config import registry
from blindsr.plugins.regularizers.base import LAST, Regularizer, Step

_DEFAULT = ({"reg": "rff", "weight": 100.0}, {"reg": "dropout", "rate": 0.5})


def build(*, parts: Sequence[Mapping[str, Any]] = _DEFAULT) -> Regularizer:
    """Apply all parts, one after the other, and add up their penalties.

    Each changes what the one before it left, of the input and of every layer that it names. Penalties are of what
    passed a layer before any of them changed it: an alignment sees the features without their Dropout.

    Args:
        parts: Of each the name as `reg`, its own `weight` if it has a penalty, >= 0, and the settings of its `build`.
            The weight of the combination multiplies the sum of all.

    Raises:
        ValueError: for no parts, a part without name or weight, and parts that need different numbers of views.
        UserError: for an unknown part, or what its `build` refuses.
    """
    if isinstance(parts, str | Mapping) or not isinstance(parts, Sequence) or not parts:
        raise ValueError(f"parts must be a list such as [{{reg: rff, weight: 100}}, {{reg: dropout}}], not {parts!r}")
    made = [_part(part) for part in parts]
    views = sorted({regularizer.views for regularizer, _ in made} - {1})
    if len(views) > 1:
        raise ValueError(f"parts need {' and '.join(map(str, views))} views of each patch: leave some out")
    return _Combination([part for part, _ in made], [weight for _, weight in made], views[0] if views else 1)


def _part(part: Any) -> tuple[Regularizer, float | None]:
    if not isinstance(part, Mapping) or not isinstance(part.get("reg"), str):
        raise ValueError(f"each of parts must name its reg, as in {{reg: rff, weight: 100}}, and {part!r} does not")
    settings = dict(part)
    name, weight = settings.pop("reg"), settings.pop("weight", None)
    regularizer: Regularizer = registry.build("regularizer", name, settings)
    if type(regularizer).penalty is Regularizer.penalty:
        if weight:
            raise ValueError(f"part {name!r} has no penalty: leave out its weight")
        return regularizer, None
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight <= 1e9:
        raise ValueError(f"part {name!r} needs the weight of its penalty, from 0 to 1e9, and has {weight!r}")
    return regularizer, float(weight)


class _Combination(Regularizer):
    def __init__(self, parts: Sequence[Regularizer], weights: Sequence[float | None], views: int) -> None:
        super().__init__()
        self.trained = nn.ModuleList(parts)  # what a part owns is trained and resumed
        self.parts = list(parts)
        self.weights = list(weights)
        self.views = views
        self.replayable = all(part.replayable for part in parts)
        self._layers: list[Sequence[str]] = [(LAST,)] * len(self.parts)

    def attach(self, backbone: nn.Module) -> None:
        for part in self.parts:
            part.attach(backbone)

    def layers(self, backbone: nn.Module) -> Sequence[str]:
        self._layers = [part.layers(backbone) for part in self.parts]
        return list(dict.fromkeys(name for names in self._layers for name in names))

    def change_input(self, lr: Tensor, step: Step) -> Tensor:
        for part in self.parts:
            lr = part.change_input(lr, step)
        return lr

    def change_features(self, name: str, x: Tensor, step: Step) -> Tensor:
        for part, names in zip(self.parts, self._layers, strict=True):
            if name in names:
                x = part.change_features(name, x, step)
        return x

    def penalty(self, step: Step) -> Tensor:
        total = super().penalty(step)
        for part, weight in zip(self.parts, self.weights, strict=True):
            if weight is not None:
                total = total + weight * part.penalty(step)
        return total
