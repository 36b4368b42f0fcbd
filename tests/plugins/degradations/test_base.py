"""What every degradation promises, in both engines, and what the base makes of a chain."""

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from blindsr.config import registry
from blindsr.plugins.degradations.base import Chain, Degradation
from blindsr.plugins.degradations.operators.blur import Kernel
from blindsr.plugins.degradations.operators.engine import Engine, Noise
from blindsr.runtime.errors import UserError

NAMES = registry.names("degradation")
N = 10


@pytest.fixture(params=NAMES)
def degradation(request: pytest.FixtureRequest) -> Degradation[Any]:
    made: Degradation[Any] = registry.build("degradation", request.param, {})
    return made


def stream(*key: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=list(key)))


def natural(n: int, height: int, width: int) -> Tensor:
    coarse = torch.rand(n, 3, 9, 9, generator=torch.Generator().manual_seed(height))
    return F.interpolate(coarse, size=(height, width), mode="bicubic").clamp(0, 1)


def drawn(
    degradation: Degradation[Any], n: int, height: int, width: int, scale: int = 4
) -> tuple[list[Any], list[np.random.Generator]]:
    streams = [stream(7, i) for i in range(n)]
    return [degradation.draw(one, height, width, scale) for one in streams], streams


def leaves(value: object) -> list[object]:
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in leaves(item)]
    if isinstance(value, list | tuple):
        return [leaf for item in value for leaf in leaves(item)]
    return [value]


def test_draws_are_plain_values_of_their_generator_alone(degradation: Degradation[Any]) -> None:
    first, second = (drawn(degradation, 100, 240, 240)[0] for _ in range(2))
    assert first == second
    assert first == drawn(degradation, 100, 160, 200)[0], "the window counts for nothing"
    assert len({json.dumps(dataclasses.asdict(one)) for one in first}) == 100
    for one in first:
        assert {type(leaf) for leaf in leaves(dataclasses.asdict(one))} <= {int, float, bool, str, type(None)}
    field = dataclasses.fields(first[0])[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(first[0], field, None)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("engine", ["exact", "canvas"])
def test_lr_images_are_whole_levels_of_the_right_size(degradation: Degradation[Any], scale: int, engine: Any) -> None:
    hr = natural(N, 96, 132)
    before = hr.clone().requires_grad_()
    draws, streams = drawn(degradation, N, 96, 132, scale)
    lr = degradation.apply(before, draws, streams, scale, engine=engine)
    assert lr.shape == (N, 3, 96 // scale, 132 // scale)
    assert lr.dtype == torch.float32
    assert not lr.requires_grad
    assert lr.min() >= 0
    assert lr.max() <= 1
    assert torch.equal((lr * 255).round() / 255, lr)
    assert torch.equal(before, hr)


@pytest.mark.parametrize("engine", ["exact", "canvas"])
def test_lr_images_show_their_window(degradation: Degradation[Any], engine: Any) -> None:
    hr = natural(N, 128, 128)
    draws, streams = drawn(degradation, N, 128, 128)
    lr = degradation.apply(hr, draws, streams, 4, engine=engine)
    small = F.interpolate(hr, scale_factor=0.25, mode="area")
    correlations = [
        np.corrcoef(a.flatten(), b.flatten())[0, 1] for a, b in zip(lr.numpy(), small.numpy(), strict=True)
    ]
    assert min(correlations) > 0.5
    assert (lr[0] - degradation.apply(hr[:1], draws[1:2], [stream(7, 1)], 4)[0]).abs().mean() > 0.005


def test_the_canvas_gives_what_exact_sizes_give(degradation: Degradation[Any]) -> None:
    """Most samples nearly so: before JPEG's rounding, a last bit makes a level here and there."""
    hr = natural(24, 96, 112)
    lr = [degradation.apply(hr, *drawn(degradation, 24, 96, 112), 4, engine=engine) for engine in ("exact", "canvas")]
    error = ((lr[0] - lr[1]) * 255).square().mean((1, 2, 3))
    assert error.median() < 0.5
    assert error.max() < 30
    assert ((lr[0] - lr[1]).mean((1, 2, 3)).abs() * 255).max() < 0.5


def test_exact_is_the_way_of_a_cpu_and_bit_identical_in_any_batch(degradation: Degradation[Any]) -> None:
    hr = natural(N, 92, 96)
    draws, streams = drawn(degradation, N, 92, 96)
    together = degradation.apply(hr, draws, streams, 4)
    for i in range(N):
        alone = stream(7, i)
        degradation.draw(alone, 92, 96, 4)
        assert torch.equal(
            degradation.apply(hr[i : i + 1], draws[i : i + 1], [alone], 4, engine="exact")[0], together[i]
        )


def test_what_was_prepared_changes_nothing(degradation: Degradation[Any]) -> None:
    hr = natural(N, 96, 96)
    results = []
    for ready in (True, False):
        draws, streams = drawn(degradation, N, 96, 96)
        prepared = degradation.prepare(draws) if ready else None
        results.append(degradation.apply(hr, draws, streams, 4, prepared=prepared))
    assert torch.equal(results[0], results[1])


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_least_window_is_enough_for_all_draws_and_one_pixel_less_is_refused(
    degradation: Degradation[Any], scale: int
) -> None:
    least = degradation.least_window(scale)
    side = -(-least // scale) * scale
    draws, streams = drawn(degradation, 40, side, side, scale)
    lr = degradation.apply(natural(1, side, side).expand(40, -1, -1, -1), draws, streams, scale)
    assert lr.shape[2:] == (side // scale, side // scale)
    with pytest.raises(UserError, match=f"a window of {least - 1} px is too small for .*: use at least {least} px"):
        degradation.draw(stream(0, 0), 500, least - 1, scale)


def test_wrong_arguments_are_refused(degradation: Degradation[Any]) -> None:
    hr = natural(1, 96, 96)
    draws, streams = drawn(degradation, 2, 96, 96)
    with pytest.raises(ValueError, match="1 images need as many degradations and generators, not 2 degradations"):
        degradation.apply(hr, draws, streams[:1], 4)
    with pytest.raises(ValueError, match="0 images"):
        degradation.apply(hr[:0], [], [], 4)
    with pytest.raises(ValueError, match="sides of a 96x94 image must be multiples of 4"):
        degradation.apply(hr[..., :94], draws[:1], streams[:1], 4)
    with pytest.raises(ValueError, match=r"must be float32 of shape \(N, 3, H, W\), not torch.uint8"):
        degradation.apply((hr * 255).byte(), draws[:1], streams[:1], 4)
    with pytest.raises(ValueError, match="must be float32"):
        degradation.apply(hr[:, :1], draws[:1], streams[:1], 4)


# --- a chain ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Strength:
    level: float


class NoiseOfOwn(Chain[Strength]):
    """The least that a chain can be: nothing is blurred."""

    by = 4

    def draw(self, generator: np.random.Generator, height: int, width: int, scale: int) -> Strength:
        return Strength(float(generator.random()))

    def degrade(self, samples: Engine, draws: Sequence[Strength], kernels: Tensor, scale: int) -> None:
        samples.resize([(h // self.by, w // self.by) for h, w in samples.sizes], ["area"] * len(draws))
        samples.noise([Noise("gaussian", 0.0 * one.level) for one in draws])


@pytest.mark.parametrize("engine", ["exact", "canvas"])
def test_a_chain_of_one_s_own_by_hand(engine: Any) -> None:
    chain, hr = NoiseOfOwn(), natural(3, 24, 32)
    draws, streams = drawn(chain, 3, 24, 32)
    lr = chain.apply(hr, draws, streams, 4, engine=engine)
    assert torch.equal(lr, (F.avg_pool2d(hr, 4) * 255).round() / 255)
    assert chain.least_window(4) == 4


def test_a_chain_that_ends_at_another_size_is_refused() -> None:
    chain = NoiseOfOwn()
    chain.by = 3
    draws, streams = drawn(chain, 1, 24, 24)
    with pytest.raises(ValueError, match="the chain must end at 6x6 px, not"):
        chain.apply(natural(1, 24, 24), draws, streams, 4)


class Blurring(NoiseOfOwn):
    def kernels(self, drawn: Strength) -> Sequence[Kernel | None]:
        return Kernel("iso", 7, 1.0 + drawn.level), None


def test_prepared_kernels_stand_by_kernel_and_sample() -> None:
    draws = [Strength(0.5), Strength(1.5)]
    prepared = Blurring().prepare(draws)
    assert prepared.shape == (2, 2, 21, 21)
    middle = prepared[:, :, 10, 10]
    assert middle[0, 0] > middle[0, 1], "the narrower kernel is the higher"
    assert middle[1].tolist() == [1.0, 1.0]
    assert NoiseOfOwn().prepare(draws).shape == (0, 2, 21, 21)
