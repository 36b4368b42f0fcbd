"""The table of a run: on the terminal, and as the committed benchmarks/RESULTS.md."""

import os
import platform
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import scipy
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.measure import Result
from benchmarks.step import cores
from blindsr.runtime import files

RESULTS = Path(__file__).with_name("RESULTS.md")

_LIMITS = """## Where a target is out of reach

`rff` at no more than 3 % of a step on a CPU, with 32 random features: its products of matrices are 6.17 GFLOP beside
the 249 of the step (`linear`: 3.22), and to its 8.4 million angles come 16.8 million cosines and sines, 1 ns each.
A convolution of 3x3 takes fewer multiplications than are counted (Winograd), a product does not, so that 2.5 % of the
operations are 4.5 % of the time where the step runs at twice the rate of products; the rows of `regularizers` give
the time of the products alone, which is 2.4 % of the step for `linear` and above 4 % for `rff`. On pooled features,
as the released code has them (`rff_released`), both targets are met. `stride: 2` takes the statistics of every second
pixel in each direction: that brings `linear` to 2.5 to 3.8 %, and `rff` to 3.6 to 4.7 %. It is another estimate of
the same statistics, and not the default. With `dim: 16` the part that `rff` adds to `linear` halves. For the same
reason the ratios of `alignment` on whole feature maps stay below 8: three of six products of `linear` remain, and
all cosines.

The alignments that do not depend on the scale of the features (`affine_alignment`, `content_alignment`, `affine_rff`)
and `log_euclidean` invert or decompose a matrix for each sample: 5 to 22 % of a step.

Ratios depend on the machine: an AMD EPYC with AVX512 had 35.4 x for synthesis with sharpening and 7.69 x for Poisson
noise on five colour images, with an earlier version of this project. On one Intel machine that version and this one
had 26.8 x and 26.4 x, 4.62 x and 4.54 x; of a step `linear` took 4.93 % and 4.90 %, `rff` 8.92 % and 8.94 %,
`brute_force` 3.55 % and 3.33 %, Dropout 1.71 % and 1.69 %, `rff_released` 1.98 % and 1.99 %. So the targets that are
missed there were missed before, too.
"""

_GPU = """## On a GPU

[RESULTS-GPU.md](RESULTS-GPU.md) has what was measured on one, and what was not.
"""

_READING = """The value is the median over interleaved repetitions, with the lower and upper quartile beside it. A
ratio (x) is the time of the plain implementation in `benchmarks/plain/` over ours, of a size the plain one's over
ours; a share (%) is part of our own time. A check says how well the two agree, and the bound that it must keep.
"""


def show(results: Sequence[Result], console: Console) -> None:
    """Print a table of the results, and under each row's name its checks."""
    table = Table(title="Speed of this project against plain implementations")
    for column in ("benchmark", "what", "value", "quartiles", "target", "", "times", "checks"):
        table.add_column(column, overflow="fold")
    for cells in map(_cells, results):
        table.add_row(*cells)
    console.print(table)


def lines(results: Sequence[Result]) -> list[str]:
    """The same as plain lines, for logs."""
    return [" | ".join(cell for cell in _cells(result) if cell) for result in results]


def write(results: Sequence[Result], path: Path = RESULTS) -> None:
    """Write the results with the machine and the versions as Markdown, atomically."""
    rows = ["| benchmark | what | value | quartiles | target | verdict | times | checks |", "|" + "---|" * 8]
    rows += ["| " + " | ".join(_cells(result)) + " |" for result in results]
    text = "\n".join(
        [
            "# Speed",
            "",
            "Made by `make bench ARGS=--write` (`python -m benchmarks --write`).",
            "",
            *[f"- {name}: {value}" for name, value in machine().items()],
            "",
            _READING,
            "## On a CPU",
            "",
            *rows,
            "",
            _LIMITS,
            _GPU,
        ]
    )
    files.write_atomic(path, text)


def machine() -> dict[str, str]:
    """What the numbers depend on: processor, load by others, versions."""
    load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    return {
        "processor": f"{_processor()}, {cores()} cores",
        "load average at the end (1 minute)": load,
        "versions": f"Python {platform.python_version()}, PyTorch {torch.__version__}, "
        f"NumPy {np.__version__}, SciPy {scipy.__version__}",
        "vector units that PyTorch uses": torch.backends.cpu.get_cpu_capability(),
    }


def _processor() -> str:
    try:
        described = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in described if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _cells(result: Result) -> list[str]:
    target = f"{result.target.relation} {result.target.limit:g} {result.unit}" if result.target else "-"
    low, high = result.spread
    return [
        result.topic,
        result.what,
        f"{result.value:.3g} {result.unit}",
        f"{low:.3g} to {high:.3g}",
        target,
        result.verdict,
        result.detail,
        "; ".join(map(str, result.checks)),
    ]
