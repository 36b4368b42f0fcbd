import torch

from blindsr.plugins.regularizers import brute_force
from steps import penalty


def test_mean_squared_difference_by_hand() -> None:
    a = torch.tensor([1.0, 2.0, 3.0, 4.0]).reshape(1, 2, 1, 2)
    b = torch.tensor([1.0, 0.0, 0.0, 4.0]).reshape(1, 2, 1, 2)
    assert penalty(brute_force.build(), a, b) == (0 + 4 + 9 + 0) / 4


def test_sees_the_pairing_of_pixels() -> None:
    a = torch.tensor([1.0, 2.0]).reshape(1, 1, 1, 2)
    assert penalty(brute_force.build(), a, a.flip(3)) == 1


def test_two_views() -> None:
    assert brute_force.build().views == 2
