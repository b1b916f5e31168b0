"""Results: of a study, of files of readings, of the paper; and the ways out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from commands.store import CohortOption, StudyOption, one_study, store
from commands.terminal import console, progress_bar, say, show_frame
from core.errors import InputError, NotFoundError
from core.report.layout import Layout

CutoffOption = Annotated[
    list[float] | None, typer.Option(help="lowest confidence, as stated, that counts as positive; repeat for several")
]
MissingCasesOption = Annotated[
    str, typer.Option(help="several readers on the cases that all answered (common), or each on their own (per-curve)")
]


def results(
    study: StudyOption = "",
    cohort: CohortOption = None,
    table: Annotated[list[str] | None, typer.Option("--table", "-t", help="table; repeat for several")] = None,
    margin: Annotated[float | None, typer.Option(help="pre-set margin for non-inferiority, for example 0.05")] = None,
    missing_cases: MissingCasesOption = "common",
    cutoff: CutoffOption = None,
    positive: Annotated[str, typer.Option(help="which of two classes is diseased; the second if left out")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object with all digits")] = False,
) -> None:
    """Print the analysis of an unsealed study: the numbers of the screens and of the CSV export."""
    from actions.analyse_study import analyse_study
    from core.report.study_record import NOT_BLINDED_HERE

    repository = store()
    key = one_study(repository, study)
    analysis = analyse_study(
        repository, key, cohort, margin=margin, missing=missing_cases, cutoffs=cutoff, positive=positive or None
    )
    if as_json:
        typer.echo(json.dumps(analysis.to_dict(), indent=2))
        return
    for each in analysis.cohorts:
        say(f"{each.cohort}: {' '.join(each.answer)}", markup=False)
    if repository.study(key).is_read_elsewhere:
        say(f"READ ELSEWHERE, NOT BLINDED HERE. {NOT_BLINDED_HERE}", markup=False)
    tables = analysis.to_tables()
    for name in table or ["cases", "missing", "summary", "auc", "mcnemar"]:
        if name not in tables:
            raise NotFoundError(f"There is no table '{name}'. Fix: use one of {', '.join(tables)}.")
        show_frame(name, tables[name])
    said = repository.model_declarations(key)
    for sha256, model in {each.model_sha256: each.model_name for each in repository.prediction_counts(key)}.items():
        say(f"{model} ({sha256[:12]}): {said[sha256]}", markup=False)


def export(
    target: Annotated[Path, typer.Argument(help="new file that ends in .zip: everything; or new folder: CSV files")],
    study: StudyOption = "",
    layout: Annotated[
        list[Layout] | None, typer.Option(help="into a folder: files for other programs as well; repeat")
    ] = None,
) -> None:
    """Write a study as one zip file (data, tables, figures, report, proof), or its CSV files into a folder."""
    from actions.bundle import export_bundle
    from actions.export_study import export_study

    repository = store()
    key = one_study(repository, study)
    if target.suffix.casefold() == ".zip":
        with progress_bar() as report:
            export_bundle(
                repository, key, target, progress=lambda done, total, what: report(done, total, "export"), say=_plainly
            )
        say(f"{target}: docs/export.md lists its files. Check it: python manage.py verify-bundle {target}")
        return
    for path in export_study(repository, key, target, layout or ()):
        say(path)
    say(f"The same numbers again, without the database: python manage.py analyse {target / 'analysis.csv'}")


def report(
    study: Annotated[str, typer.Argument(help="key of the study; may be left out if there is one")] = "",
    pdf: Annotated[Path | None, typer.Option(help="new PDF file")] = None,
    html: Annotated[Path | None, typer.Option(help="new HTML file")] = None,
) -> None:
    """Write the report of an unsealed study: protocol, flow, results, deviations, models, versions, checklists."""
    from actions.write_report import report_study

    repository = store()
    paths = [path for path in (pdf, html) if path is not None]
    if not paths:
        raise InputError("no file is named", field="--pdf", fix="add --pdf report.pdf, --html report.html or both")
    report_study(repository, one_study(repository, study), paths, _plainly)
    for path in paths:
        say(path)


def _plainly(text: str) -> None:
    """A line without markup."""
    say(text, markup=False)


def verify_bundle(file: Annotated[Path, typer.Argument(help="zip file that 'export' made")]) -> None:
    """Check a bundle's hashes and make every table again from its readings; exit status 1 where one differs."""
    from core.report.bundle import check_bundle, read_bundle

    check = check_bundle(read_bundle(file))
    for problem in check.problems:
        say(f"DIFFERS: {problem}", markup=False)
    if check.is_good:
        say(f"{check.n_files} files are as they were made; {check.n_tables} tables follow from the readings.")
    raise typer.Exit(0 if check.is_good else 1)


def analyse(
    file: Annotated[
        list[Path],
        typer.Argument(help="readings with the reference standard; or a file per reader, or their folder"),
    ],
    layout: Annotated[Layout | None, typer.Option(help="which columns the file has; told by them if left out")] = None,
    classes: Annotated[str, typer.Option(help="names in order, separated by commas, or: thyroid")] = "",
    positive: Annotated[str, typer.Option(help="which of two classes is diseased; the second if left out")] = "",
    missing: Annotated[list[str] | None, typer.Option(help="more missing codes: CODE or COLUMN=CODE")] = None,
    column: Annotated[list[str] | None, typer.Option(help="what the files call a column: OURS=THEIRS; repeat")] = None,
    confidence_level: Annotated[float, typer.Option(help="of every interval")] = 0.95,
    margin: Annotated[float | None, typer.Option(help="pre-set margin for non-inferiority, for example 0.05")] = None,
    missing_cases: MissingCasesOption = "common",
    cutoff: CutoffOption = None,
    table: Annotated[list[str] | None, typer.Option("--table", "-t", help="print this table whole; repeat")] = None,
    report: Annotated[
        list[Path] | None, typer.Option(help="write a report into this new .pdf or .html file; repeat for both")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object with all digits")] = False,
) -> None:
    """Analyse files of readings without a database: ours, MRMCaov's, iMRMC's, RJafroc's (docs/files.md)."""
    from core.report.file_analysis import analyse_file
    from core.report.file_options import FileOptions, named_classes

    options = FileOptions(named_classes(classes), positive or None, tuple(missing or ()), tuple(column or ()))
    result = analyse_file(
        file, layout, options, confidence_level=confidence_level, margin=margin, missing=missing_cases, cutoffs=cutoff
    )
    if report:
        from actions.write_report import file_record, write_reports
        from core.report.study_report import undrawn_warning

        record = file_record(result)
        write_reports(record, report)
        if (warning := undrawn_warning(record)) and not as_json:
            _plainly(warning)
    if as_json:
        typer.echo(json.dumps(result.to_dict(), indent=2))
    else:
        result.render(console, table or ())


def reproduce_paper_(
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object with all digits")] = False,
) -> None:
    """Recompute Tables 1 to 5 of Zhao et al. 2023 and mark each printed cell as reproduced or not."""
    from core.report.paper import reproduce_paper
    from core.report.paper_text import render

    reproduction = reproduce_paper()
    if as_json:
        typer.echo(json.dumps(reproduction.to_dict(), indent=2))
    else:
        render(reproduction, console)
