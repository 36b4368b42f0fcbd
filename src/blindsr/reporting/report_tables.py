"""All tables of a report, and its verdicts, from the files of the other stages."""

from pathlib import Path
from typing import NamedTuple

from blindsr.config.run import BILINEAR, CONTROLS
from blindsr.reporting import (
    analyses,
    differences,
    generalization,
    headline,
    plot_data,
    power,
    scores,
    summary,
    tables,
    verdicts,
)
from blindsr.reporting.paper import comparison, lens, paper_tables
from blindsr.reporting.paper.paper_tables import PARTS, TRACKS
from blindsr.reporting.rescaled import RESCALED
from blindsr.reporting.scores import BASELINE, CONTROL
from blindsr.reporting.source import Source
from blindsr.reporting.tables import Table
from blindsr.reporting.verdicts import Verdict
from blindsr.runtime import files


class ReportTables(NamedTuple):
    """The tables in the order of the page, and the verdicts; `empty` are the keys of tables without a value."""

    tables: list[Table]
    empty: set[str]
    verdicts: list[Verdict]


def write(source: Source) -> ReportTables:
    """Write all tables, metrics.json, summary.json and the files for `dvc plots`."""
    folder, params = source.folder / "tables", source.params
    printed = _of_the_paper(source)
    made = [_headline(source, folder)]
    made += [comparison.write(table, folder / table.key, notes) for table, notes in printed]
    made += _lens(source, folder) + _differences(source, folder)
    values = {m: tables.table(source.scores, m, source.suite, source.rows, source.cases) for m in source.metrics}
    missing = source.notes(*source.suite)
    for name, metric in source.metrics.items():
        notes, title = [*missing, *source.no_trunk(name)], f"{name}, x{params.scale} ({source.size})"
        made.append(
            tables.write(
                values[name], folder / name, title=title, decimals=metric.decimals, signed=False, notes=notes
            )
        )
    made += _real(source, folder) + _analyses(source, folder)
    tables.write_metrics(values, source.folder / "metrics.json")
    summary.write(source, source.folder / "summary.json")
    plot_data.write(source, source.folder / "plots")
    evidence = verdicts.Evidence(
        separation=source.separation if source.has_crops else None,
        interaction=source.analysis("interaction") if source.has_crops else None,
        frequency=source.analysis("frequency"),
        entropy=source.analysis("channel_entropy"),
    )
    judged = verdicts.judge(source.grid, evidence)
    files.write_atomic(folder / "verdicts.md", _verdict_text(judged, source))
    return ReportTables(made, {table.key for table, _ in printed if table.is_empty}, judged)


def _of_the_paper(source: Source) -> list[tuple[comparison.PaperTable, list[str]]]:
    """Each table of the paper with its footnotes; benchmarks of ours that it lacks come after its own.

    None where the paper has no numbers for the scale.
    """
    if not source.beside_paper:
        return []
    grid, size, scale = source.grid, source.size, source.params.scale
    paper = [name for names in PARTS.values() for name in names]
    own = [name for name in source.suite if name not in paper]
    parts = dict(PARTS) | ({"table1_other": own} if own else {})
    titles = {"table1_small": "first half", "table1_large": "second half", "table1_other": "other benchmarks"}
    found = []
    main, others = source.not_trained(BASELINE, "rff"), source.not_trained(BASELINE, "dropout", "rff")
    for key, names in parts.items():
        title = f"Table 1, {titles[key]}: PSNR in dB, x{scale} ({size})"
        found.append((paper_tables.main_table(grid, key, names, title), [*source.notes(*names), *main]))
    here = source.notes(*paper, *own)
    title = f"Comparison with Dropout: PSNR in dB, x{scale} ({size})"
    found.append((paper_tables.dropout_table(grid, [*paper, *own], title), [*here, *others]))
    title = f"Ablation: PSNR in dB, mean of the cases, x{scale} ({size})"
    rows = source.not_trained(BASELINE, "brute_force", "linear", "rff")
    if not set(paper_tables.CASES) <= set(source.cases):
        rows.append("— The paper's values are left out: they are means of its eight cases, and not all are here.")
    found.append((paper_tables.ablation_table(grid, [*paper, *own], title), [*here, *rows]))
    title = f"Table 2, left: PSNR in dB on NTIRE 2018, x{scale} ({size})"
    found.append((paper_tables.ntire_table(grid, title), [*source.notes(*TRACKS.values()), *others]))
    title = f"Table 2, right: LPIPS (lower is better), x{scale} ({size})"
    notes = [
        f"Under `{paper_tables.LPIPS_CASE}`: the paper does not name the case of its LPIPS, and their level, below "
        "that of bicubic on clean inputs, fits no other.",
        *(source.no_trunk("lpips") if "lpips" in source.metrics else ["— evaluate.metrics does not name lpips."]),
    ]
    found.append((paper_tables.lpips_table(grid, [*paper, *own], title), [*notes, *here, *others]))
    title = f"Fig. 6: mean improvement over the baseline in dB ({size})"
    pooled = [name for name in source.suite if name not in source.holes]
    notes = [f"Over all cases and {', '.join(pooled) or 'no benchmark'}; the paper's over its six."]
    found.append((paper_tables.average_table(grid, pooled, title), [*notes, *source.notes()]))
    return found


def _headline(source: Source, folder: Path) -> Table:
    """Every row with its gains over the controls, and what they are made of."""
    gains = {f"- {name}": source.over(name) for name in (BASELINE, RESCALED, BILINEAR)}
    parts = source.split if source.is_split else None
    values = headline.frame(source.in_suite, source.rows, source.suite, source.cases, source.ends, gains, parts)
    title = f"What each row gains, over what, and of which kind ({source.size})"
    seeds, notes = len(source.params.seeds), source.notes()
    return headline.write(values, folder / "headline", title=title, seeds=seeds, notes=notes)


def _lens(source: Source, folder: Path) -> list[Table]:
    """What the paper's numbers can be made of, on those of its benchmarks whose interpolations were measured here."""
    known = {name: source.psnr.xs((name, name), level=("backbone", "reg")) for name in CONTROLS}
    rows = lens.frame(known, source.cases)
    if rows.empty or not source.beside_paper:
        return []
    title = "The paper's PSNR beside interpolations, and what its gains can be made of"
    return [lens.write(rows, folder / "paper_lens", title=title, notes=[])]


def _differences(source: Source, folder: Path) -> list[Table]:
    """Differences to the baseline: pooled and per case with intervals and tests, and as a plain table."""
    if BASELINE not in source.params.reg.names:
        return []
    what, notes = "psnr_db minus the same backbone without regularizer", source.notes()
    suite, params = source.in_suite, source.params
    made, seeds, everywhere = [], len(source.params.seeds), "over all benchmarks and cases"
    cells = differences.per_case(suite, source.suite, source.cases, "psnr_db")
    for name, rows, over in (
        ("differences_pooled", source.over(BASELINE), everywhere),
        ("differences", cells, "per benchmark and case"),
    ):
        title = f"{what}, {over} ({source.size})"
        made.append(differences.write(rows, folder / name, title=title, seeds=seeds, notes=notes))
    others = {
        CONTROL: "the same backbone with two views and no penalty",
        RESCALED: "the same backbone without regularizer, its detail at the amplitude that suits its training",
        BILINEAR: "bilinear upsampling",
    }
    for baseline, said in others.items():
        rows = source.over(baseline)
        if len(rows):
            title = f"psnr_db minus {said}, {everywhere} ({source.size})"
            stem = folder / f"differences_{baseline}"
            made.append(differences.write(rows, stem, title=title, seeds=seeds, notes=notes, baseline=baseline))
    if source.is_split:
        title = f"What {what} is made of, {everywhere} ({source.size})"
        how = [
            "direction: what is added to a bicubic upsampling is more right. amplitude: there is more or less of it, "
            "as if it had been turned up or down. Both add up to the total.",
            *notes,
        ]
        stem = folder / "differences_split"
        made.append(differences.write(source.split, stem, title=title, seeds=seeds, notes=how, case="part"))
    rows = generalization.frame(suite, source.suite, params.suite.cases, source.curves, params.train.validation.cases)
    if len(rows):
        title = f"Do rows generalize better to simpler degradations? ({source.size})"
        made.append(generalization.write(rows, folder / "generalization", title=title, notes=source.notes()))
    if seeds > 1:
        rows = power.frame(suite, source.suite, source.cases)
        title = f"How many seeds a difference needs ({source.size})"
        made.append(power.write(rows, folder / "power", title=title, notes=notes))
    plain = tables.improvement(source.psnr)
    title, notes = f"{what} ({source.size})", source.notes(*source.suite)
    stem = folder / "improvement_psnr_db"
    return [*made, tables.write(plain, stem, title=title, decimals=2, signed=True, notes=notes)]


def _real(source: Source, folder: Path) -> list[Table]:
    tracks = [name for name in source.params.data.benchmarks if name not in source.suite]
    if not tracks:
        return []
    settings = source.params.evaluate
    decimals = {n: m.decimals for n, m in (source.metrics | scores.records(settings.unaligned_metrics)).items()}
    values = tables.real_table(source.scores, list(decimals), tracks, source.rows)
    title, notes = f"Real LR images, x{source.params.scale} ({source.size})", source.notes(*tracks)
    aligned = ", ".join(name for name in tracks if name in source.aligned and name not in source.holes)
    searched = [name for name in decimals if name not in source.metrics]
    if aligned and searched:
        empty = f"{', '.join(searched)} {'is' if len(searched) == 1 else 'are'} empty"
        notes.append(f"— {empty} for {aligned}: LR and HR are aligned, so no shift is searched for.")
    return [tables.write(values, folder / "real_lr", title=title, decimals=decimals, signed=False, notes=notes)]


def _analyses(source: Source, folder: Path) -> list[Table]:
    """Tables of what the analyse stage and the learning curves hold."""
    weights, size = {name: source.params.reg.settings[name].weight for name in source.params.reg.names}, source.size
    title = f"Cost of training and score ({size})"
    made = [analyses.cost(source.analysis("cost"), source.psnr, folder / "training_cost", title=title)]
    title, losses = f"The regularizers at work ({size})", list(source.params.train.losses)
    made.append(analyses.regularizers(source.curves, losses, weights, folder / "regularizers", title=title))
    if source.has_crops:
        title = f"Do features tell degradations apart? ({size})"
        made.append(analyses.representation(source.separation, folder / "representation", title=title))
        title = f"Interaction of neighbouring patches ({size})"
        made.append(analyses.interaction(source.strengths, folder / "interaction", title=title))
    return made


def _verdict_text(judged: list[Verdict], source: Source) -> str:
    lines = [
        f"# The paper's claims ({source.size})",
        "",
        "| claim | where | verdict | numbers |",
        "|:--|:--|:--|:--|",
    ]
    lines += [f"| {one.claim} | {one.where} | **{one.verdict}** | {one.numbers} |" for one in judged]
    return "\n".join([*lines, "", verdicts.RULE]) + "\n"
