"""Several regularizers at once: what each does alone, in their order, and the weighted sum of their penalties."""

import pytest
import torch
from torch import Tensor

from blindsr.config import registry
from blindsr.model import architecture
from blindsr.model.network import Network, build_regularizer
from blindsr.plugins.regularizers import combination
from blindsr.plugins.regularizers.base import Regularizer, Step
from blindsr.runtime.errors import UserError
from steps import changed, penalty


def combined(*parts: dict[str, object]) -> Regularizer:
    return build_regularizer("combination", {"parts": list(parts)})


@pytest.fixture
def views() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(7)
    a, b = (torch.randn(3, 4, 6, 5, generator=generator) for _ in range(2))
    return a, b


def test_penalties_add_up_by_their_weights(views: tuple[Tensor, Tensor]) -> None:
    both = combined({"reg": "brute_force", "weight": 10}, {"reg": "linear", "weight": 0.5})
    alone = [penalty(registry.build("regularizer", name), *views) for name in ("brute_force", "linear")]
    torch.testing.assert_close(penalty(both, *views), 10 * alone[0] + 0.5 * alone[1])
    assert both.views == 2


def test_one_part_is_that_regularizer(views: tuple[Tensor, Tensor]) -> None:
    torch.manual_seed(3)
    alone = penalty(build_regularizer("rff", {"dim": 8}), *views)
    torch.manual_seed(3)
    assert torch.equal(penalty(combined({"reg": "rff", "dim": 8, "weight": 1}), *views), alone)
    torch.manual_seed(3)
    dropped = changed(build_regularizer("dropout", {"rate": 0.7}).train(), views[0])
    torch.manual_seed(3)
    assert torch.equal(changed(combined({"reg": "dropout", "rate": 0.7}).train(), views[0]), dropped)


def network(*parts: dict[str, object]) -> Network:
    torch.manual_seed(0)
    backbone = architecture.build_backbone("srresnet", {"num_blocks": 2, "num_features": 8}, 4)
    return Network(backbone, combined(*parts)).train()


def test_an_alignment_sees_the_features_without_their_dropout() -> None:
    plain = network({"reg": "linear", "weight": 1})
    dropped = network({"reg": "dropout", "rate": 0.9}, {"reg": "linear", "weight": 1})
    steps = [Step(torch.rand(4, 3, 8, 8, generator=torch.manual_seed(1)), torch.rand(2, 3, 32, 32), 2) for _ in "ab"]
    assert torch.equal(plain(steps[0]), dropped(steps[1]))
    assert not torch.equal(steps[0].sr, steps[1].sr)


def test_each_part_changes_its_own_layers_alone() -> None:
    made = network({"reg": "adaptive_dropout", "rate": 0.9, "keep": 0.0}, {"reg": "dropout", "rate": 0.0})
    layers = made.regularizer.layers(made.backbone)
    assert len(layers) == 3
    assert layers[-1] == "last"
    x = torch.ones(2, 8, 4, 4)
    step = Step(torch.rand(2, 3, 8, 8), torch.rand(2, 3, 32, 32))
    assert not torch.equal(made.regularizer.change_features(layers[0], x, step), x)
    late = Step(step.lr, step.hr, progress=0.5)  # adaptive Dropout is off, and Dropout acts in no block
    assert torch.equal(made.regularizer.change_features(layers[0], x, late), x)


def test_inputs_are_changed_one_after_the_other() -> None:
    torch.manual_seed(0)
    lr = torch.rand(2, 3, 16, 16)
    step = Step(lr, torch.rand(2, 3, 64, 64))
    half = {"reg": "input_mask", "least": 0.5, "most": 0.5}
    kept = [
        (combined(*parts).train().change_input(lr, step) == lr).all(1).float().mean()
        for parts in ([half], [half, half])
    ]
    assert kept[0] == pytest.approx(0.5, abs=0.05)
    assert kept[1] == pytest.approx(0.25, abs=0.05)


def test_it_is_replayed_where_all_parts_are() -> None:
    assert combined({"reg": "rff", "weight": 1}, {"reg": "dropout"}).replayable
    assert not combined({"reg": "rff", "weight": 1}, {"reg": "adaptive_dropout"}).replayable


class _Own(Regularizer):
    """With parameters that are trained, and any number of views."""

    def __init__(self, views: int) -> None:
        super().__init__()
        self.views = views
        self.scale = torch.nn.Parameter(torch.ones(()))


def test_parameters_of_parts_are_trained_and_views_must_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(combination.registry, "build", lambda kind, name, settings: _Own(settings["views"]))
    made = combination.build(parts=[{"reg": "own", "views": 1}, {"reg": "own", "views": 3}])
    assert made.views == 3
    assert len(list(made.parameters())) == len(made.state_dict()) == 2
    with pytest.raises(ValueError, match="parts need 2 and 3 views of each patch: leave some out"):
        combination.build(parts=[{"reg": "own", "views": 2}, {"reg": "own", "views": 3}])


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([], "parts must be a list such as"),
        ("rff", "parts must be a list such as"),
        ({"reg": "rff"}, "parts must be a list such as"),
        (["rff"], "each of parts must name its reg"),
        ([{"weight": 1}], "each of parts must name its reg"),
        ([{"reg": "rff"}], "part 'rff' needs the weight of its penalty, from 0 to 1e9, and has None"),
        ([{"reg": "rff", "weight": -1}], "and has -1"),
        ([{"reg": "rff", "weight": True}], "and has True"),
        ([{"reg": "rff", "weight": float("nan")}], "and has nan"),
        ([{"reg": "dropout", "weight": 2}], "part 'dropout' has no penalty: leave out its weight"),
        ([{"reg": "dropuot"}], "unknown regularizer 'dropuot'"),
        ([{"reg": "dropout", "rate": 3}], "regularizer 'dropout': rate must be"),
        ([{"reg": "dropout", "rat": 0.3}], "regularizer 'dropout' has no setting 'rat'"),
    ],
)
def test_what_is_refused(parts: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        build_regularizer("combination", {"parts": parts})
