"""Multi-order interaction between input patches, with and without Dropout (Sec. 3 and Lemma 3.1 of the paper).

After Zhang et al., "Interpreting and Boosting Dropout from a Game-Theoretic View" (ICLR 2021). Patches are the
players of a game; f(S) is the output when the patches of S are there and all others are replaced by a baseline.
Patches i and j interact in a context S by

    Δf(S) = f(S ∪ {i, j}) - f(S ∪ {i}) - f(S ∪ {j}) + f(S),

and their interaction of order s is the mean of Δf over the contexts of s other patches, I⁽ˢ⁾(i, j) = E[Δf(S)].
Dropout takes each patch of a context away with probability `rate`; what is left is a context of lower order. Hence
the lemma: where interactions of higher order are made of more parts of one sign, Dropout makes them weaker.

f may have many values, such as the pixels of an SR image: each is a game of its own, and the strength of an
interaction is the root of the mean square over them.
"""

import itertools
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Array = NDArray[np.float64]
Game = Callable[[Mask], Array]
"""Presence of the players, (m, players) -> the values of f, (m, d)."""
Pair = tuple[int, int]


class Contexts(NamedTuple):
    """Contexts of a pair: `present` (m, players) without the pair; `complete` if these are all there are."""

    present: Mask
    complete: bool


def effects(game: Game, pair: Pair, contexts: Mask) -> Array:
    """Δf of a pair in some contexts.

    Args:
        game: The function f; it is called once, for 4m sets of players.
        pair: The two patches (i, j).
        contexts: Presence of the players, bool (m, players); the columns of the pair itself are ignored.

    Returns:
        Δf of each context and value of f, (m, d).
    """
    i, j = pair
    without = contexts.copy()
    without[:, [i, j]] = False
    quads = np.repeat(without[:, None], 4, axis=1)
    quads[:, (0, 1), i] = True
    quads[:, (0, 2), j] = True
    values = game(quads.reshape(-1, contexts.shape[1])).reshape(len(contexts), 4, -1)
    return np.asarray(values[:, 0] - values[:, 1] - values[:, 2] + values[:, 3])


def interaction(game: Game, players: int, pair: Pair, order: int, rate: float = 0.0) -> Array:
    """I⁽ˢ⁾(i, j) under Dropout, exactly: every context is played.

    A context of s patches keeps r of them with the binomial probability of r, and each r-subset is as likely as
    another, so with Dropout I⁽ˢ⁾ becomes the binomial mean of the I⁽ʳ⁾. Meant for small games: there are
    (players - 2 over s) contexts.

    Args:
        game: The function f.
        players: Number of patches.
        pair: Two different patches (i, j).
        order: The order s, in 0…players-2.
        rate: Probability that Dropout takes a patch of a context away.

    Returns:
        The interaction of each value of f, (d,).

    Raises:
        ValueError: for another pair or order.
    """
    orders = {order: 1.0}
    if rate:
        orders = {r: math.comb(order, r) * (1 - rate) ** r * rate ** (order - r) for r in range(order + 1)}
    return sum(
        (share * effects(game, pair, every_context(players, pair, r).present).mean(0) for r, share in orders.items()),
        start=np.zeros(1),
    )


def every_context(players: int, pair: Pair, order: int) -> Contexts:
    """All contexts of a pair that have `order` patches.

    Args:
        players: Number of patches.
        pair: Two different patches (i, j).
        order: Number of patches in a context, in 0…players-2.

    Returns:
        The contexts, (players - 2 over order) rows.

    Raises:
        ValueError: for another pair or order.
    """
    _check(players, pair, order, 0)
    others = [player for player in range(players) if player not in pair]
    chosen = list(itertools.combinations(others, order))
    present = np.zeros((len(chosen), players), dtype=bool)
    for row, members in zip(present, chosen, strict=True):
        row[list(members)] = True
    return Contexts(present, complete=True)


def draw_contexts(
    players: int, pair: Pair, order: int, rate: float, count: int, generator: np.random.Generator
) -> Contexts:
    """Random contexts, of whose patches Dropout has taken each away with probability `rate`.

    Args:
        players: Number of patches.
        pair: Two different patches (i, j).
        order: Number of patches in a context before Dropout, in 0…players-2.
        rate: Dropout rate, in [0, 1).
        count: Number of contexts to draw.
        generator: Source of all random numbers.

    Returns:
        `count` contexts; without Dropout all of them, if there are no more than `count`.

    Raises:
        ValueError: for another pair, order or rate.
    """
    _check(players, pair, order, rate)
    if not rate and math.comb(players - 2, order) <= count:
        return every_context(players, pair, order)
    others = np.array([player for player in range(players) if player not in pair])
    ranks = generator.random((count, len(others))).argsort(1).argsort(1)
    kept = (ranks < order) & (generator.random((count, len(others))) >= rate)
    present = np.zeros((count, players), dtype=bool)
    present[:, others] = kept
    return Contexts(present, complete=False)


def squared_strength(values: Array, complete: bool) -> float:
    """Mean of I² over the values of f.

    From a sample the square of the mean would be too large by the variance of the mean, and the more so under
    Dropout, which varies more. So it is estimated from products of different contexts, without bias; by chance it
    can be below 0.

    Args:
        values: Δf in some contexts, (m, d).
        complete: Whether these are all contexts, not a sample of them.

    Returns:
        The mean, in squared units of f.

    Raises:
        ValueError: for a sample of one.
    """
    count = len(values)
    if complete:
        return float((values.mean(0) ** 2).mean())
    if count < 2:
        raise ValueError("a sample needs 2 contexts or more")
    pairs_of_contexts = values.sum(0) ** 2 - (values**2).sum(0)
    return float(pairs_of_contexts.mean() / (count * (count - 1)))


def neighbours(grid: int) -> list[Pair]:
    """Pairs of patches that share an edge: those further apart barely interact.

    Args:
        grid: The image is cut into grid×grid patches, numbered row by row.

    Returns:
        Pairs (i, j) with i < j, sorted.
    """
    index = np.arange(grid * grid).reshape(grid, grid)
    across = zip(index[:, :-1].ravel(), index[:, 1:].ravel(), strict=True)
    down = zip(index[:-1].ravel(), index[1:].ravel(), strict=True)
    return sorted((int(a), int(b)) for a, b in itertools.chain(across, down))


def _check(players: int, pair: Pair, order: int, rate: float) -> None:
    if len(set(pair)) != 2 or not all(0 <= player < players for player in pair):
        raise ValueError(f"pair {pair} must be two of {players} players")
    if not 0 <= order <= players - 2:
        raise ValueError(f"order {order} must be 0…{players - 2}: the other players of a pair")
    if not 0 <= rate < 1:
        raise ValueError(f"rate must be in [0, 1), not {rate!r}")
