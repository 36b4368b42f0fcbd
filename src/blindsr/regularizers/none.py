"""No regularization: the baseline row of every table."""

from blindsr.regularizers._blocks import Regularizer


def build() -> Regularizer:
    """One view, features unchanged, no penalty."""
    return Regularizer()
