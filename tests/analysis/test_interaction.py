"""Games whose interactions have a closed form; Dropout on them as the lemma says; a network."""

import math

import numpy as np
import pytest
import torch

from blindsr.analysis.interaction import (
    draw_contexts,
    effects,
    every_context,
    interaction,
    neighbours,
    squared_strength,
)

PLAYERS = 7
# f(S) is the sum of the weights of all groups inside S: the weights are the game's Harsanyi dividends
DIVIDENDS = {(0,): 5.0, (2, 3): -1.0, (0, 1): 2.0, (0, 1, 4): 3.0, (0, 1, 2, 5): 0.5, (0, 1, 2, 3, 4, 5, 6): 7.0}


def game(dividends):
    def value(present):
        columns = [present[:, list(group)].all(1) * weight for group, weight in dividends.items()]
        total = np.sum(columns, axis=0)
        return np.stack([total, -2 * total], axis=1)

    return value


def closed_form(dividends, order, rate=0.0, pair=(0, 1)):
    """A group {0, 1} + k others acts in a context of s of n - 2 with probability C(n-2-k, s-k) / C(n-2, s), and
    under Dropout its k others must all be kept as well."""
    total = 0.0
    for group, weight in dividends.items():
        k = len(group) - 2
        if set(pair) <= set(group) and k <= order:
            inside = math.comb(PLAYERS - 2 - k, order - k) / math.comb(PLAYERS - 2, order)
            total += weight * inside * (1 - rate) ** k
    return total


@pytest.mark.parametrize("order", range(PLAYERS - 1))
@pytest.mark.parametrize("rate", [0.0, 0.3, 0.7])
def test_exact_on_a_game_with_known_interactions(order, rate):
    expected = closed_form(DIVIDENDS, order, rate)
    found = interaction(game(DIVIDENDS), PLAYERS, (0, 1), order, rate)
    np.testing.assert_allclose(found, [expected, -2 * expected], atol=1e-12)


def test_by_hand():
    """f = x0·x1·x2 of three players: no interaction of 0 and 1 without 2, 1 with it, 1 - rate under Dropout."""
    product = game({(0, 1, 2): 1.0})
    assert interaction(product, 3, (0, 1), 0)[0] == 0
    assert interaction(product, 3, (0, 1), 1)[0] == 1
    assert interaction(product, 3, (0, 1), 1, rate=0.25)[0] == pytest.approx(0.75)


def test_a_sum_of_players_has_no_interaction():
    additive = game({(player,): player + 1.0 for player in range(PLAYERS)})
    assert np.abs(interaction(additive, PLAYERS, (2, 5), 3)).max() < 1e-12


def test_dropout_weakens_interactions_whose_parts_have_one_sign_as_the_lemma_says():
    positive = {group: abs(weight) for group, weight in DIVIDENDS.items()}
    for order in range(1, PLAYERS - 1):
        strengths = [interaction(game(positive), PLAYERS, (0, 1), order, rate)[0] for rate in (0, 0.2, 0.5, 0.9)]
        assert (np.diff(strengths) < 0).all()


def test_parts_of_opposite_sign_are_the_exception():
    """The lemma is no law: here Dropout takes away the part that cancels the other."""
    opposed = game({(0, 1): 1.0, (0, 1, 2): -1.0})
    assert interaction(opposed, 3, (0, 1), 1)[0] == 0
    assert interaction(opposed, 3, (0, 1), 1, rate=0.5)[0] == pytest.approx(0.5)


@pytest.mark.parametrize("rate", [0.0, 0.5])
def test_samples_agree_with_the_exact_values_and_squares_are_not_too_large(rate):
    generator = np.random.default_rng(0)
    exact = interaction(game(DIVIDENDS), PLAYERS, (0, 1), 3, rate)
    means, squares = [], []
    for _ in range(4000):
        contexts = draw_contexts(PLAYERS, (0, 1), 3, rate, 3, generator)
        values = effects(game(DIVIDENDS), (0, 1), contexts.present)
        means.append(values.mean(0))
        squares.append(squared_strength(values, contexts.complete))
    np.testing.assert_allclose(np.mean(means, 0), exact, rtol=0.03)
    truth = (exact**2).mean()
    bias = np.mean([(mean**2).mean() for mean in means]) - truth  # of squaring the mean of three contexts
    assert bias > 0.03 * truth
    assert abs(np.mean(squares) - truth) < bias / 3


def test_drawn_contexts_have_their_order_and_lack_the_pair():
    contexts = draw_contexts(16, (3, 7), 5, 0.0, 50, np.random.default_rng(0))
    assert not contexts.complete
    assert (contexts.present.sum(1) == 5).all()
    assert not contexts.present[:, [3, 7]].any()
    dropped = draw_contexts(16, (3, 7), 14, 0.5, 2000, np.random.default_rng(0)).present
    assert dropped.sum(1).mean() == pytest.approx(7, abs=0.15)


def test_few_contexts_are_all_taken():
    contexts = draw_contexts(5, (0, 1), 3, 0.0, 6, np.random.default_rng(0))
    assert contexts.complete
    assert contexts.present.tolist() == [[False, False, True, True, True]]
    assert len(every_context(6, (0, 1), 2).present) == 6
    assert squared_strength(np.array([[1.0, 3.0]]), complete=True) == 5


def test_a_convolution_is_additive_and_an_activation_makes_neighbours_interact():
    """Players are pixels of a row; ReLU of a sum of neighbours, minus a threshold that two of them pass."""
    weight = torch.ones(1, 1, 3)

    def network(activation):
        def value(present):
            row = torch.tensor(present[:, None].astype(np.float64))
            return activation(torch.nn.functional.conv1d(row, weight.double(), padding=1) - 1).flatten(1).numpy()

        return value

    assert np.abs(interaction(network(lambda x: x), 5, (1, 2), 2)).max() < 1e-12
    found = interaction(network(torch.relu), 5, (1, 2), 0)
    np.testing.assert_allclose(found, [0, 1, 1, 0, 0])  # those that see both: relu(1) - 0 - 0 + 0
    found = interaction(network(torch.relu), 5, (1, 2), 3)
    np.testing.assert_allclose(found, [0, 0, 0, 0, 0])  # those that see both see three: 2 - 1 - 1 + 0; no threshold


def test_neighbours_share_an_edge():
    assert neighbours(2) == [(0, 1), (0, 2), (1, 3), (2, 3)]
    assert len(neighbours(4)) == 24


def test_bad_games():
    with pytest.raises(ValueError, match="two of 4"):
        every_context(4, (1, 1), 1)
    with pytest.raises(ValueError, match="0…2"):
        every_context(4, (0, 1), 3)
    with pytest.raises(ValueError, match="rate"):
        draw_contexts(4, (0, 1), 1, 1.0, 2, np.random.default_rng(0))
    with pytest.raises(ValueError, match="2 contexts"):
        squared_strength(np.zeros((1, 3)), complete=False)
