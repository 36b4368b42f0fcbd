import torch

from blindsr.plugins.regularizers import none
from steps import changed, penalty


def test_changes_nothing_even_while_training() -> None:
    features = torch.randn(2, 3, 4, 4)
    regularizer = none.build().train()
    assert regularizer.views == 1
    assert changed(regularizer, features) is features
    assert penalty(regularizer, features, -features) == 0
