import io

import pytest
import torch
from torch import nn

from blindsr.training.ema import Ema


class Small(nn.Module):
    """Parameters, a float buffer and an integer one."""

    def __init__(self, value: float = 0.0, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 2, dtype=dtype)
        self.frozen = nn.Parameter(torch.zeros(2, dtype=dtype), requires_grad=False)
        self.register_buffer("mean", torch.zeros(2, dtype=dtype))
        self.register_buffer("count", torch.tensor(0))
        self.fill(value)

    def fill(self, value: float) -> None:
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.fill_(value)


def test_starts_as_a_copy() -> None:
    module = Small(2.0)
    ema = Ema(module)
    module.fill(5.0)
    assert ema.decay == 0.999
    assert (ema.state_dict()["linear.weight"] == 2).all()


def test_known_values() -> None:
    """1, then 0.75·1 + 0.25·5 = 2, then 0.75·2 + 0.25·(-2) = 1."""
    module = Small(1.0)
    ema = Ema(module, decay=0.75)
    for value, wanted in ((5.0, 2.0), (-2.0, 1.0)):
        module.fill(value)
        ema.update(module)
        assert (ema.state_dict()["linear.weight"] == wanted).all()
        assert (ema.state_dict()["frozen"] == wanted).all()


def test_equals_the_recursion_over_many_updates() -> None:
    torch.manual_seed(0)
    module = Small()
    ema = Ema(module, decay=0.99)
    wanted = module.linear.weight.detach().double()
    for _ in range(200):
        with torch.no_grad():
            module.linear.weight.normal_()
        ema.update(module)
        wanted = 0.99 * wanted + 0.01 * module.linear.weight.detach().double()
    torch.testing.assert_close(ema.state_dict()["linear.weight"].double(), wanted, rtol=1e-5, atol=1e-7)


def test_no_warm_up() -> None:
    """The first update already weighs the new parameters by 1 - decay."""
    module = Small(0.0)
    ema = Ema(module, decay=0.999)
    module.fill(1.0)
    ema.update(module)
    assert ema.state_dict()["linear.bias"][0].item() == pytest.approx(1e-3, rel=1e-6)


def test_decay_zero_follows_the_module() -> None:
    module = Small(0.0)
    ema = Ema(module, decay=0)
    module.fill(3.0)
    ema.update(module)
    assert (ema.state_dict()["linear.weight"] == 3).all()


def test_buffers_are_taken_as_they_are() -> None:
    module = Small()
    ema = Ema(module, decay=0.9)
    module.mean.fill_(4.0)
    module.count.fill_(7)
    ema.update(module)
    state = ema.state_dict()
    assert (state["mean"] == 4).all()
    assert state["count"] == 7
    assert state["count"].dtype == torch.int64


def test_shadow_is_float32_though_the_module_is_not() -> None:
    """In bfloat16 an update by a thousandth would be rounded away."""
    module = Small(1.0, torch.bfloat16)
    ema = Ema(module)
    module.fill(2.0)
    ema.update(module)
    shadow = ema.state_dict()["linear.weight"]
    assert shadow.dtype == torch.float32
    torch.testing.assert_close(shadow, torch.full((2, 3), 1.001))
    ema.copy_to(module)
    assert module.linear.weight.dtype == torch.bfloat16


def test_updates_in_place() -> None:
    module = Small()
    ema = Ema(module)
    before = {name: tensor.data_ptr() for name, tensor in ema.state_dict().items()}
    module.fill(1.0)
    ema.update(module)
    assert {name: tensor.data_ptr() for name, tensor in ema.state_dict().items()} == before


def test_copy_to_writes_everything_and_leaves_the_module_trainable() -> None:
    module, target = Small(1.0), Small(9.0)
    module.count.fill_(3)
    ema = Ema(module)
    ema.copy_to(target)
    for name, tensor in target.state_dict().items():
        assert torch.equal(tensor, module.state_dict()[name]), name
    assert target.linear.weight.requires_grad
    assert not target.frozen.requires_grad
    assert target.linear.weight.data_ptr() != ema.state_dict()["linear.weight"].data_ptr()


def test_resumed_average_goes_on_with_the_same_bits() -> None:
    def values(count: int, seed: int) -> list[torch.Tensor]:
        return list(torch.randn(count, 2, 3, generator=torch.Generator().manual_seed(seed)))

    def run(ema: Ema, module: Small, weights: list[torch.Tensor]) -> None:
        for weight in weights:
            with torch.no_grad():
                module.linear.weight.copy_(weight)
            ema.update(module)

    module = Small()
    through = Ema(module)
    run(through, module, values(10, 1))
    halfway = Ema(Small())
    run(halfway, Small(), values(10, 1)[:4])
    buffer = io.BytesIO()
    torch.save(halfway.state_dict(), buffer)
    buffer.seek(0)
    resumed = Ema(Small(8.0))
    resumed.load_state_dict(torch.load(buffer, weights_only=True))
    run(resumed, Small(), values(10, 1)[4:])
    for name, tensor in through.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name


def test_loading_does_not_alias() -> None:
    ema, state = Ema(Small(1.0)), Ema(Small(2.0)).state_dict()
    ema.load_state_dict(state)
    state["linear.weight"].fill_(5.0)
    assert (ema.state_dict()["linear.weight"] == 2).all()


def test_state_has_the_names_of_the_module() -> None:
    module = Small()
    assert Ema(module).state_dict().keys() == module.state_dict().keys()


def test_module_without_parameters() -> None:
    module = nn.Identity()
    ema = Ema(module)
    ema.update(module)
    assert ema.state_dict() == {}


@pytest.mark.parametrize("decay", [-0.1, 1.0, 2.0, float("nan")])
def test_refuses_a_bad_decay(decay: float) -> None:
    with pytest.raises(ValueError, match="decay"):
        Ema(Small(), decay)


def test_refuses_a_state_of_other_names() -> None:
    state = Ema(Small()).state_dict()
    del state["frozen"]
    with pytest.raises(ValueError, match="frozen"):
        Ema(Small()).load_state_dict(state)


def test_refuses_a_state_of_other_shapes() -> None:
    state = Ema(Small()).state_dict() | {"count": torch.zeros(1)}
    ema = Ema(Small(1.0))
    with pytest.raises(ValueError, match="count"):
        ema.load_state_dict(state)
    assert (ema.state_dict()["linear.weight"] == 1).all(), "a refused state changes nothing"


def test_refuses_another_module() -> None:
    with pytest.raises(KeyError, match="linear.weight|frozen"):
        Ema(Small()).update(nn.Linear(3, 2))
