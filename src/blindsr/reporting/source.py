"""What a report is made of: the settings, and the files of the other stages."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import pandas as pd

from blindsr.config import registry
from blindsr.config.params import Params
from blindsr.config.run import Row
from blindsr.plugins.metrics.base import Metric
from blindsr.reporting import analyses, differences, gain_split, rescaled, scores, split_table, tables
from blindsr.reporting.paper import paper_tables
from blindsr.reporting.paper.paper_tables import METHODS, Grid
from blindsr.reporting.rescaled import RESCALED
from blindsr.reporting.scores import BASELINE, HARDEST, without_infinite

PAPER, PAPER_ITERATIONS, PAPER_SCALE = "paper", 500_000, 4
"""The profile whose numbers are meant to be the paper's, at its length and its only scale."""


class Source:
    """What a report is made of: settings, and the files below `folder`.

    `scores` as from `scores.read`, of all `Params.scored`; `suite` are the benchmarks of the test cases; `holes` maps
    a data set that is not here to the reason; `aligned` are the sets of real LR images that show what their HR does.
    """

    def __init__(
        self,
        params: Params,
        folder: Path,
        scores: pd.DataFrame,
        suite: list[str],
        holes: Mapping[str, str],
        aligned: Sequence[str] = (),
    ) -> None:
        """Nothing is read yet."""
        self.params, self.folder = params, folder
        self._scores, self.restored = without_infinite(scores)
        self.suite, self.holes, self.aligned = suite, holes, aligned
        self.cases = list(params.suite.cases)
        self._over: dict[str, pd.DataFrame] = {}

    @property
    def faithful(self) -> bool:
        """Whether this is the paper's experiment."""
        same = self.params.profile == PAPER and self.params.train.iterations == PAPER_ITERATIONS
        return same and self.beside_paper

    @property
    def beside_paper(self) -> bool:
        """Whether the paper has numbers for this scale, which stand beside ours."""
        return self.params.scale == PAPER_SCALE

    @property
    def size(self) -> str:
        """What kind of run this is, for every title."""
        seeds = ", ".join(map(str, self.params.seeds))
        scale = "" if self.beside_paper else f"×{self.params.scale}, "
        known = f"profile {self.params.profile}, {scale}{self.params.train.iterations} iterations, seeds {seeds}"
        return known if self.faithful else f"{known}: not the paper's experiment"

    @property
    def kind(self) -> str:
        """What kind of run this is, for the notes under tables."""
        own = "." if self.faithful else ": a small run, not the paper's experiment."
        return f"Profile `{self.params.profile}`{own}"

    @cached_property
    def scores(self) -> pd.DataFrame:
        """Those given, and those of the rescaled baseline where they can be computed."""
        made = rescaled.rows(self._scores, rescaled.scales(self.curves))
        return pd.concat([self._scores, made], ignore_index=True) if len(made) else self._scores

    @cached_property
    def in_suite(self) -> pd.DataFrame:
        """The scores of the test cases."""
        return self.scores[self.scores["benchmark"].isin(self.suite)]

    @property
    def ends(self) -> list[str]:
        """The first case and the hardest, which stand for all where there is room for two."""
        return [case for case in dict.fromkeys((self.cases[0], HARDEST)) if case in self.cases]

    @property
    def is_split(self) -> bool:
        """Whether the metrics are there that a gain is split by."""
        return set(gain_split.NEEDED) <= set(self.metrics)

    @cached_property
    def split(self) -> pd.DataFrame:
        """What the gains over the baseline are made of, as from `split_table.pooled`."""
        return split_table.pooled(self.in_suite, self.suite, self.cases)

    def over(self, baseline: str) -> pd.DataFrame:
        """Every row minus a baseline, as from `differences.pooled`; empty where there is none of it."""
        if baseline not in self._over:
            rows = differences.pooled(self.in_suite, self.suite, self.cases, "psnr_db", baseline=baseline)
            self._over[baseline] = rows
        return self._over[baseline]

    @cached_property
    def rows(self) -> list[Row]:
        """Every row of the tables: that of the rescaled baseline after the baseline's."""
        known = set(self.scores.loc[self.scores["reg"] == RESCALED, "backbone"])
        found = []
        for row in self.params.rows:
            found.append(row)
            if row.reg == BASELINE and row.backbone in known:
                found.append(Row(row.backbone, RESCALED))
        return found

    @cached_property
    def metrics(self) -> dict[str, Metric]:
        """The records of the metrics, in the order of the tables."""
        return scores.records(self.params.evaluate.metrics)

    @cached_property
    def grid(self) -> Grid:
        """The scores as arrays."""
        names = list(dict.fromkeys(row.reg for row in self.rows if not row.is_control))
        return paper_tables.measure(self.scores, self.params.backbone.names, names, self.suite, self.cases)

    @cached_property
    def psnr(self) -> pd.DataFrame:
        """Mean PSNR in dB as from `tables.table`."""
        return tables.table(self.scores, "psnr_db", self.suite, self.rows, self.cases)

    def analysis(self, name: str) -> pd.DataFrame:
        """analysis/<run>/<name>.csv of the runs that were analysed."""
        return analyses.read(self.params.analysed, self.folder / "analysis", name)

    @cached_property
    def separation(self) -> pd.DataFrame:
        """How far features are apart, as the analyse stage writes it."""
        return self.analysis("separation")

    @cached_property
    def strengths(self) -> pd.DataFrame:
        """Strengths of interaction as from `analyses.interaction_strengths`."""
        return analyses.interaction_strengths(self.analysis("interaction"))

    @cached_property
    def gains(self) -> pd.DataFrame:
        """Gains over the baseline as from `differences.pooled`, by case."""
        return differences.pooled(self.in_suite, self.suite, self.cases, "psnr_db", by_case=True)

    @cached_property
    def curves(self) -> pd.DataFrame:
        """The learning curves of all runs."""
        return analyses.read_curves(self.params.runs, self.folder / "curves", list(self.params.train.losses))

    @property
    def has_crops(self) -> bool:
        """Whether there was any image of which analyses could take crops."""
        return any(name not in self.holes for name in self.suite)

    def notes(self, *sets: str) -> list[str]:
        """Where the numbers come from, and why the sets named are missing."""
        lines = [f"Mean over images, then over seeds. {self.kind}"]
        if self.restored:
            lines.append(f"Left out, since a row restores them exactly (infinite PSNR): {', '.join(self.restored)}.")
        if sets and not self.beside_paper:
            lines.append(f"The tables of the paper are left out: its numbers are for ×{PAPER_SCALE} alone.")
        return lines + [f"— {name} is missing: {self.why_missing(name)}." for name in sets if self.why_missing(name)]

    def not_trained(self, *regularizers: str) -> list[str]:
        """Why the rows of these regularizers are empty; nothing for those of this run."""
        absent = [name for name in regularizers if name not in self.params.reg.names]
        return [f"— Rows `{METHODS[name]}` are empty: reg.names does not name {name}." for name in absent]

    def no_trunk(self, metric: str) -> list[str]:
        """Why there are no scores of a metric that needs AlexNet's weights; empty if there are, or it needs none."""
        reason = self.holes.get(str(self.params.data.lpips_trunk), self.holes.get("lpips"))
        lacking = reason and registry.takes("metric", metric, "trunk")
        return [f"— {metric} has no trunk weights: {reason}."] if lacking else []

    def why_missing(self, name: str) -> str:
        """Why a data set has no scores here; empty if it has some."""
        if name in self.holes:
            return self.holes[name]
        named = name in self.params.data.benchmarks
        return "" if named else "data.benchmarks does not name it"
