"""Readers and cases of a next study."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from commands.terminal import say, show_table
from core.errors import InputError


def plan(
    difference: Annotated[float, typer.Option(help="true difference: first arm minus second, or model minus panel")],
    compare: Annotated[str, typer.Option(help="arms: two arms of a panel; panel: a model with a panel")] = "arms",
    readers: Annotated[list[int] | None, typer.Option(help="number of readers; repeat (4, 6, 8, 12)")] = None,
    cases: Annotated[list[int] | None, typer.Option(help="number of cases; repeat (50, 100, 200, 400)")] = None,
    margin: Annotated[float | None, typer.Option(help="plan for non-inferiority with this margin")] = None,
    power: Annotated[float, typer.Option(help="wanted power")] = 0.8,
    scope: Annotated[str, typer.Option(help="RRRC, FRRC or RRFC")] = "RRRC",
    significance: Annotated[float, typer.Option(help="two-sided; non-inferiority takes half of it, one-sided")] = 0.05,
    pilot: Annotated[Path | None, typer.Option(help="file of readings as for analyse")] = None,
    classes: Annotated[str, typer.Option(help="of the pilot, as for analyse")] = "",
    positive: Annotated[str, typer.Option(help="of the pilot, as for analyse")] = "",
    figure: Annotated[str, typer.Option(help="of the pilot: auc, accuracy, sensitivity, specificity")] = "auc",
    class_: Annotated[str, typer.Option("--class", help="class of the pilot; the average if left out")] = "",
    cohort: Annotated[str, typer.Option(help="cohort of the pilot, if it has several")] = "",
    first: Annotated[str, typer.Option(help="model or first arm of the pilot, if it has several")] = "",
    second: Annotated[str, typer.Option(help="arm of the panel, or second arm of the pilot")] = "",
    component: Annotated[list[str] | None, typer.Option(help="NAME=VALUE; all of them, in place of a pilot")] = None,
    component_cases: Annotated[int, typer.Option(help="cases that the components belong to")] = 100,
    auc: Annotated[float | None, typer.Option(help="expected AUC, in place of a pilot")] = None,
    positive_share: Annotated[float, typer.Option(help="share of positive cases, with --auc")] = 0.5,
    reader_sd: Annotated[float, typer.Option(help="standard deviation between readers' AUCs, with --auc")] = 0.03,
    r1: Annotated[float | None, typer.Option(help="correlation of errors: same reader, other arm")] = None,
    r2: Annotated[float | None, typer.Option(help="other reader, same arm")] = None,
    r3: Annotated[float | None, typer.Option(help="other reader, other arm")] = None,
    r_model: Annotated[float | None, typer.Option(help="correlation of errors of model and reader")] = None,
    r_readers: Annotated[float | None, typer.Option(help="correlation of errors of two readers")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object with all digits")] = False,
) -> None:
    """Size a study: power by readers and cases, also for a model against a panel and for non-inferiority."""
    from actions.plan_study import Compared, pilot_components, plan_study, published_components, typed_components
    from core.report.file_options import FileOptions, named_classes

    if compare not in [each.value for each in Compared]:
        raise InputError("is not a comparison", field="--compare", value=compare, fix="use arms or panel")
    if (pilot is not None) + bool(component) + (auc is not None) != 1:
        raise InputError(
            "Variances are needed from one source", fix="give --pilot FILE, or every --component NAME=VALUE, or --auc"
        )
    compared = Compared(compare)
    notes: tuple[str, ...] = ()
    if pilot is not None:
        options = FileOptions(named_classes(classes), positive or None)
        components, notes = pilot_components(
            compared, pilot, options, figure=figure, class_key=class_, cohort=cohort, first=first, second=second
        )
    elif component:
        components = typed_components(compared, component, component_cases)
    elif auc is not None:
        correlations = {"r1": r1, "r2": r2, "r3": r3, "r_model": r_model, "r_readers": r_readers}
        components = published_components(
            compared, auc=auc, positive_share=positive_share, reader_sd=reader_sd, correlations=correlations
        )
    tried_readers, tried_cases = readers or [4, 6, 8, 12], cases or [50, 100, 200, 400]
    found = plan_study(
        compared, components, readers=tried_readers, cases=tried_cases, difference=difference, margin=margin,
        power=power, scope=scope, significance_level=significance, notes=notes,
    )  # fmt: skip
    if as_json:
        typer.echo(json.dumps(found.to_dict(), indent=2))
        return
    for note in found.notes:
        say(f"Note: {note}", markup=False)
    aim = f"difference {difference:g}" if margin is None else f"non-inferiority, margin {margin:g}, true {difference:g}"
    grid = [f"{each.power:.3f}" for each in found.powers]
    width = len(tried_cases)
    rows: list[list[object]] = [
        [n, *grid[row * width : (row + 1) * width], size.design.n_cases if size.design else "not reached"]
        for row, (n, size) in enumerate(found.fewest)
    ]
    say(f"Power in scope {scope} at significance {significance:g}: {aim}", markup=False)
    show_table("", ["readers", *(f"{n} cases" for n in tried_cases), f"cases for {power:g}"], rows)
    for _, size in found.fewest:
        if size.reason:
            say(f"  {size.reason}", markup=False)
