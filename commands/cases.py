"""Cases: imported, or drawn as phantoms."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from commands.store import StudyOption, one_study, store
from commands.terminal import progress_bar, say
from core.runtime import available_cores


class ImageFormat(StrEnum):
    """What phantoms are written as."""

    PNG = "png"
    JPEG = "jpeg"
    DICOM = "dicom"
    COUNTS = "counts"


def import_(
    source: Annotated[Path, typer.Argument(help="a manifest .csv, or a folder with one sub-folder a class")],
    study: StudyOption = "",
    check: Annotated[bool, typer.Option("--check", help="check everything, write nothing")] = False,
    shared_images: Annotated[
        str, typer.Option(help="why images of a study that is not unsealed come into this one too; audited in both")
    ] = "",
) -> None:
    """Import cases, all or nothing; every problem is listed with its row and column."""
    from actions.import_cases import import_cases

    repository = store()
    key = one_study(repository, study)
    with progress_bar() as report:
        done = import_cases(
            repository, key, source, is_check_only=check, shared_images=shared_images or None, progress=report
        )
    summary = done.summary
    cohorts = ", ".join(f"{name} {n}" for name, n in summary.cases_per_cohort.items())
    say(
        f"{'Checked, nothing written' if check else 'Imported'}: {summary.n_cases} cases of {summary.n_patients} "
        f"patients ({cohorts}), {summary.n_excluded} of them excluded with a reason."
    )
    if summary.views:
        say(f"Each case has the views {', '.join(summary.views)}.", markup=False)
    for warning in done.warnings:
        say(f"Warning: {warning}", markup=False, style="bold yellow")
    for note in summary.image_notes:
        say(f"Note: {note}", markup=False)


def phantoms(
    folder: Annotated[Path, typer.Argument(help="new folder for images, masks and manifest.csv")],
    paper: Annotated[
        bool, typer.Option("--paper", help="the exact cohorts of the paper's Table 1 (3,194 cases)")
    ] = False,
    per_class: Annotated[int, typer.Option(help="cases per class and cohort without --paper")] = 10,
    image_format: Annotated[ImageFormat, typer.Option("--format", help="file format")] = ImageFormat.PNG,
    name: Annotated[str, typer.Option(help="name of the set: part of every seed")] = "phantoms",
    workers: Annotated[int, typer.Option(help="processes; 0 means all cores")] = 0,
) -> None:
    """Draw synthetic thyroid scintigrams with known truth and a manifest that 'import' takes."""
    from core.phantom import paper_cohorts, small_cohorts, write_cohorts

    sizes = {"training": per_class, "internal": per_class, "external": per_class}
    plans = paper_cohorts(study=name) if paper else small_cohorts(sizes, study=name)
    with progress_bar() as report:
        manifest = write_cohorts(
            plans, folder, image_format=image_format.value, workers=workers or available_cores(), progress=report
        )
    say(f"Wrote {manifest}. Next: python manage.py import {manifest}")
