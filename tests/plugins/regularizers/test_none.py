import torch

from blindsr.plugins.regularizers import none


def test_changes_nothing_even_while_training() -> None:
    features = torch.randn(2, 3, 4, 4)
    regularizer = none.build().train()
    assert regularizer.views == 1
    assert regularizer.perturb(features) is features
    assert regularizer.penalty(features, -features) == 0
