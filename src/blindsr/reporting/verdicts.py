"""Verdicts on the paper's claims."""

from typing import NamedTuple


class Verdict(NamedTuple):
    """One claim of the paper, and what the scores at hand say about it."""

    claim: str
    """ "RFF beats Dropout on every backbone and data set" """
    where: str
    """Where the paper makes it: "Table 1, supplement"."""
    verdict: str
    """ "supported", "contradicted", "undecided" or "not testable"."""
    numbers: str
    """The numbers, or why it is not testable."""
