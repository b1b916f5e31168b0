"""``docs/model-results.md`` from run folders: every figure comes out of a ``result.json``, none is typed.

Results are kept as small JSON files beside the document (``model-results/``), so that the tables can be made again
from the repository alone; run folders with their weights are not kept.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from core.errors import TrainingError
from core.report.paper_data import printed_cells
from training.ceiling import ALL, CEILING, COMPARISON_FILE, FRESH, REFERENCE
from training.classes import THYROID_KEYS
from training.cross_validation import mean_and_sd
from training.recipe import AMBIGUITIES, AUGMENTATIONS, MODERN, PAPER, RECIPES, Recipe, describe, variants_of
from training.run_folder import read_json, write_atomically
from training.scoring import SCORES_FILE

#: Scores of a finished run.
RESULT_FILE = "result.json"
#: How the paper's tables name the architectures.
PAPER_RATERS = {
    "alexnet": "AlexNet",
    "shufflenet_v2_x1_0": "ShuffleNetV2",
    "mobilenet_v3_large": "MobileNetV3",
    "resnet34_improved": "ResNet34",
}

#: Of a column that says how well class maps point, see :func:`training.evaluation.pointing`.
POINTING_HEAD = "maps that peak in the lesion, internal"

HEADER = """# Results of the models

Made by `python -m training report {sources}`; do not edit, every figure comes from a stored result
(`docs/model-results/*.json`, one per run). Accuracy and recall carry Wilson's 95 % limits. Rows of a confusion matrix
are the reference standard, columns the prediction. Networks start from the weights that each table names; **random**
means that no ImageNet weights could be had where it was trained, where the paper's networks were pretrained.
"""

SYNTHETIC = """**All images are phantoms** (`core/phantom`). Their difficulty was set to lie near the paper's figures,
so an accuracy here validates the software and is no evidence about patients or about the paper's claim.
"""


def write_report(sources: Sequence[Path], out: Path) -> int:
    """Write the document.

    Parameters
    ----------
    sources : sequence of Path
        Run folders, folders that hold run folders at any depth, or folders of stored results.
    out : Path
        Markdown file; the results are copied into the folder of the same name beside it.

    Returns
    -------
    int
        Number of runs reported.

    Raises
    ------
    TrainingError
        If there is no finished run under ``sources``.
    """
    results = collect_results(sources)
    if not results:
        raise TrainingError(
            f"There is no finished run under {', '.join(map(str, sources))}. Run python -m training fit first."
        )
    store = out.with_suffix("")
    for name, result in results.items():
        write_atomically(store / f"{name}.json", (json.dumps(result, indent=1) + "\n").encode())
    evaluations = {name: result for name, result in results.items() if "checkpoint" in result}
    comparisons = {name: result for name, result in results.items() if "members" in result}
    runs = {
        name: result
        for name, result in results.items()
        if "recipe" in result and "scores" in result and not any(name.startswith(f"{one}-") for one in comparisons)
    }
    shown = " ".join(source.as_posix() for source in sources)
    parts = [HEADER.format(sources=shown)]
    if all(result["is_synthetic"] for result in results.values()):
        parts.append(SYNTHETIC)
    sections = (
        _fits(runs),
        _evaluations(evaluations),
        _comparisons(runs),
        _folds(runs),
        _ablations(runs),
        *(_ceiling(name, result) for name, result in comparisons.items()),
    )
    parts += [text for text in sections if text]
    parts.append(_recipes())
    write_atomically(out, "\n".join(parts).encode())
    return len(results)


def collect_results(sources: Sequence[Path]) -> dict[str, dict[str, Any]]:
    """Results by name: the path of the run folder below its source, with dashes, or the name of a stored result."""
    results: dict[str, dict[str, Any]] = {}
    for source in sources:
        found = [path for name in (RESULT_FILE, SCORES_FILE, COMPARISON_FILE) for path in sorted(source.rglob(name))]
        for path in found:
            results["-".join(path.parent.relative_to(source.parent).parts)] = read_json(path)
        if not found and source.is_dir():
            results.update({path.stem: read_json(path) for path in sorted(source.glob("*.json"))})
    return results


def _evaluations(evaluations: Mapping[str, Mapping[str, Any]]) -> str:
    """Stored checkpoints on other data."""
    if not evaluations:
        return ""
    lines = ["## Stored models on other data", ""]
    for name, result in evaluations.items():
        lines += [
            f"### {name}: {result['title']}",
            "",
            f"Checkpoint `{result['checkpoint']}` (weights `{result['weights_sha256'][:12]}`) on the data "
            f"`{result['data']}` (`{result['data_sha256'][:12]}`).",
            "",
        ]
        for cohort, scores in result["scores"].items():
            lines += [*_confusion(result["classes"], cohort, scores), ""]
        lines += _subtypes(result["scores"])
    return "\n".join(lines)


def _fits(results: Mapping[str, Mapping[str, Any]]) -> str:
    """Single runs: scores and confusion matrices."""
    single = {name: result for name, result in results.items() if _set_of(name, result, results) is None}
    if not single:
        return ""
    lines = ["## Single runs", ""]
    for name, result in single.items():
        lines += [f"### {name}: {result['title']}", "", _setting_line(result), ""]
        for cohort, scores in result["scores"].items():
            lines += [*_confusion(result["classes"], cohort, scores), ""]
        lines += _subtypes(result["scores"])
    return "\n".join(lines)


def _comparisons(results: Mapping[str, Mapping[str, Any]]) -> str:
    """Runs of several architectures on one split."""
    lines: list[str] = []
    for group, members in _groups(results, "compare").items():
        first = next(iter(members.values()))
        table = " (the paper's Table 2)" if _is_thyroid(first) else ""
        lines += [f"## {group}: several networks on one split{table}", "", _setting_line(first), ""]
        cohorts = _cohorts(members)
        lines += _table_head(["network", "last training epoch", *cohorts, "paper", POINTING_HEAD, "minutes"])
        for result in members.values():
            rater = PAPER_RATERS.get(result["architecture"], "") if _is_thyroid(result) else ""
            paper = _printed("2", rater, "point")
            accuracies = _accuracies(result, cohorts)
            lines.append(
                _row([result["title"], _training(result), *accuracies, paper, _pointing(result), _minutes(result)])
            )
        lines.append("")
    return "\n".join(lines)


def _folds(results: Mapping[str, Mapping[str, Any]]) -> str:
    """Cross-validation: each fold, mean and SD."""
    lines: list[str] = []
    for group, members in _groups(results, "fold").items():
        first = next(iter(members.values()))
        printed = f" (the paper's Table 3: {_printed('3', 'ResNet34', 'mean')} % ± {_printed('3', 'ResNet34', 'sd')})"
        table = printed if _is_thyroid(first) else ""
        lines += [f"## {group}: {len(members)} folds{table}", "", _setting_line(first), ""]
        cohorts = _cohorts(members)
        lines += _table_head(["fold", "cases", *cohorts, "minutes"])
        for result in members.values():
            n = str(result["scores"]["fold"]["n"])
            lines.append(_row([str(result["fold"] + 1), n, *_accuracies(result, cohorts), _minutes(result)]))
        summary = [
            _mean_sd([result["scores"][cohort]["accuracy"]["value"] for result in members.values()])
            for cohort in cohorts
        ]
        lines += [_row(["mean ± SD (ddof 1)", "", *summary, ""]), ""]
    return "\n".join(lines)


def _ablations(results: Mapping[str, Mapping[str, Any]]) -> str:
    """One change at a time."""
    lines: list[str] = []
    for group, members in _groups(results, "ablation").items():
        first = members["as-is"]
        why = {variant.key: variant.why for name in ("paper", "modern") for variant in variants_of(name)}
        lines += [f"## {group}: one setting changed at a time", "", _setting_line(first), ""]
        cohorts = _cohorts(members)
        lines += _table_head(["variant", "what it is", "last training epoch", *cohorts, POINTING_HEAD, "minutes"])
        for name, result in members.items():
            lines.append(
                _row(
                    [
                        name,
                        why.get(name, "the recipe itself"),
                        _training(result),
                        *_accuracies(result, cohorts),
                        _pointing(result),
                        _minutes(result),
                    ]
                )
            )
        lines += ["", "One seed each: differences inside the limits are not findings.", ""]
    return "\n".join(lines)


def _ceiling(name: str, result: Mapping[str, Any]) -> str:
    """The same recipe on many times the cases, and what was tried at the paper's size; differences are of pairs."""
    recipe, members = Recipe.from_dict(result["recipe"]), result["members"]
    n_fresh = members[REFERENCE]["accuracy"][ALL]["n"]
    lines = [
        f"## {name}: how good could the network be?",
        "",
        f"{result['title']}, recipe `{recipe.name}`{_changes(recipe)}; every run has the same {recipe.length} steps of "
        f"{recipe.batch_size} images of {recipe.image_size} pixels, seed {recipe.seed}, and is scored on the same "
        f"{n_fresh} fresh cases, which decided nothing; {result['device']}, {result['threads']} thread(s); data "
        f"`{result['data_sha256'][:12]}`. One seed each. Differences are from `{REFERENCE}`, of pairs, with Tango's "
        f"limits and the exact McNemar p; the last column is the distance from the middle between `{REFERENCE}` and "
        f"`{CEILING}`: above 0, more than half of the gap is closed.",
        "",
        *_table_head(
            ["run", "what it is", "cases", "epochs", "last training epoch", *FRESH, "both", "difference", "p", "half"]
        ),
    ]
    for key, found in members.items():
        against, half = found["against"][ALL], found["beyond_half"]
        accuracies = [_with_limits(found["accuracy"][cohort]) for cohort in (*FRESH, ALL)]
        difference = f"{against['difference']:+.4f} ({against['lower']:+.4f} to {against['upper']:+.4f})"
        lines.append(
            _row(
                [
                    key,
                    found["what"],
                    str(found["n_training"]),
                    str(found["epochs"]),
                    f"{found['training_accuracy']:.3f}",
                    *accuracies,
                    "–" if key == REFERENCE else difference,
                    "–" if key == REFERENCE else f"{against['p']:.2g}",
                    f"{half['value']:+.4f} ({half['lower']:+.4f} to {half['upper']:+.4f})",
                ]
            )
        )
    lines += ["", "Right answers by simulated subtype, both fresh sets together:", ""]
    lines += _table_head(["class, subtype", "cases", *members])
    for kind, share in members[REFERENCE]["subtypes"].items():
        values = [_with_limits(found["subtypes"].get(kind)) for found in members.values()]
        lines.append(_row([kind, str(share["n"]), *values]))
    return "\n".join([*lines, ""])


def _recipes() -> str:
    """The two recipes with units and sources, and the ambiguities."""
    lines = ["## Recipes", ""]
    for recipe in (PAPER, MODERN):
        lines += [f"### {recipe.name}", "", *_table_head(["setting", "value", "unit", "source"])]
        lines += [_row([row["setting"], row["value"], row["unit"], row["source"]]) for row in describe(recipe)]
        lines.append("")
    lines += ["## What the paper leaves open", "", *_table_head(["text", "our reading", "why", "switch"])]
    for ambiguity in AMBIGUITIES:
        switches = ", ".join(f"`--only {variant.key}`" for variant in ambiguity.variants)
        lines.append(_row([ambiguity.text, ambiguity.default, ambiguity.why, switches]))
    lines.append("")
    return "\n".join(lines)


def _set_of(
    name: str, result: Mapping[str, Any], results: Mapping[str, Mapping[str, Any]]
) -> tuple[str, str, str] | None:
    """Group, kind and member name of a run that belongs to a set of runs, or None for a single run."""
    if result["is_cross_validation"]:
        return name.rsplit("-fold-", 1)[0], "fold", f"fold-{result['fold']}"
    if name.endswith("-" + result["architecture"]):
        return name.removesuffix("-" + result["architecture"]), "compare", result["architecture"]
    keys = {variant.key for recipe in ("paper", "modern") for variant in variants_of(recipe)} | {"as-is"}
    for key in sorted(keys, key=len, reverse=True):
        group = name.removesuffix("-" + key)
        if group != name and f"{group}-as-is" in results:
            return group, "ablation", key
    return None


def _groups(results: Mapping[str, Mapping[str, Any]], kind: str) -> dict[str, dict[str, Mapping[str, Any]]]:
    """Sets of runs of one kind: group name -> member name -> result."""
    groups: dict[str, dict[str, Mapping[str, Any]]] = defaultdict(dict)
    for name, result in results.items():
        place = _set_of(name, result, results)
        if place is not None and place[1] == kind:
            groups[place[0]][place[2]] = result
    return dict(groups)


def _setting_line(result: Mapping[str, Any]) -> str:
    """What a table rests on, in one paragraph."""
    recipe = Recipe.from_dict(result["recipe"])
    size = f"{recipe.image_size} pixels"
    if recipe.starting_size_fraction < 1:
        size += f" (growing from {recipe.starting_size_fraction:.0%})"
    return (
        f"Recipe `{recipe.name}`{_changes(recipe)}, {result['epochs']} epochs, "
        f"batch {recipe.batch_size}, {size}, seed {recipe.seed}, "
        f"**{result['initialisation'].split(':')[0]}** initial weights; {result['n_training']} training cases "
        f"({', '.join(result['training_cohorts'])}{_by_class(result)}), {result['n_held_out']} held out for "
        f"the temperature ({result['temperature']:.2f}) and thresholds; {result['device']}, "
        f"{result['processes']} process(es) of {result['threads']} thread(s), "
        f"{result['images_per_second']:.0f} images/s in training, "
        f"{_minutes(result)} minutes; data `{result['data_sha256'][:12]}`, split `{result['split_sha256'][:12]}`, "
        f"weights `{result['weights_sha256'][:12]}` ({result['weights_bytes'] / 1e6:.2f} MB)."
        + (" **Control: classes permuted.**" if result["are_classes_permuted"] else "")
    )


def _changes(recipe: Recipe) -> str:
    """What was run otherwise than the recipe of that name says, with what it says."""
    if recipe.name not in RECIPES:
        return ""
    named = RECIPES[recipe.name]
    changes = [
        f"{item.name} {getattr(recipe, item.name)} instead of {getattr(named, item.name)}"
        for item in fields(recipe)
        if item.name not in ("architecture", "seed", "augmentation")
        and getattr(recipe, item.name) != getattr(named, item.name)
    ]
    names = [key for key, augmentation in AUGMENTATIONS.items() if augmentation == recipe.augmentation]
    if names and recipe.augmentation != named.augmentation:
        changes.append(f"{names[0]} augmentation")
    return f" with {', '.join(changes)}" if changes else ""


def _by_class(result: Mapping[str, Any]) -> str:
    """Training cases by class, where the result holds them, and how the loss was weighted."""
    counts = result.get("class_counts", {})
    text = "".join(f", {key} {count}" for key, count in counts.items())
    power = result["recipe"].get("class_weight_power", 0)
    return f"{text}; classes weighted with the power {power:g}" if power else text


def _confusion(classes: Sequence[str], cohort: str, scores: Mapping[str, Any]) -> list[str]:
    """Confusion matrix of one cohort with recalls."""
    lines = [
        f"**{cohort}** (n = {scores['n']}): accuracy {_with_limits(scores['accuracy'])}, "
        + (f"mean recall {scores['balanced_accuracy']:.3f}, " if "balanced_accuracy" in scores else "")
        + f"log loss {scores['log_loss']:.3f}, Brier {scores['brier']:.3f}, ECE {scores['ece']:.3f}"
    ]
    if "flagged" in scores:
        lines[0] += f", flagged as unlike the training images {scores['flagged']:.1%}"
    for centre, accuracy in scores.get("centres", {}).items():
        lines[0] += f"; {centre} {_with_limits(accuracy)}"
    pointing = scores.get("pointing")
    last = ["map peaks in the lesion; chance"] if pointing else []
    lines += ["", *_table_head(["truth", *classes, "recall", *last])]
    for key, row in zip(classes, scores["confusion"], strict=True):
        cells = [key, *map(str, row), _with_limits(scores["recall"][key])]
        if pointing:
            game = pointing.get(key)
            cells.append(f"{_with_limits(game['hit_rate'])}; {game['chance']:.3f}" if game else "no lesion")
        lines.append(_row(cells))
    return lines


def _subtypes(scores: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Which simulated subtypes are hard: share of right answers, cohorts side by side."""
    cohorts = [cohort for cohort in scores if "subtypes" in scores[cohort]]
    if not cohorts:
        return []
    kinds = sorted({kind for cohort in cohorts for kind in scores[cohort]["subtypes"]})
    lines = ["Right answers by simulated subtype, with the number of cases:", ""]
    lines += _table_head(["class, subtype", *cohorts])
    for kind in kinds:
        found = [scores[cohort]["subtypes"].get(kind) for cohort in cohorts]
        lines.append(_row([kind, *(f"{one['value']:.2f} of {one['n']}" if one else "–" for one in found)]))
    return [*lines, ""]


def _is_thyroid(result: Mapping[str, Any]) -> bool:
    """Whether a run has the paper's classes, so that its printed figures may stand beside it."""
    return tuple(result["classes"]) == THYROID_KEYS


def _printed(table: str, rater: str, part: str) -> str:
    """An overall accuracy as the paper prints it; empty where it prints none."""
    for cell in printed_cells():
        if (cell.table, cell.rater, cell.subject, cell.quantity, cell.part) == (table, rater, "", "accuracy", part):
            return cell.printed
    return ""


def _cohorts(members: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Cohorts that any member was scored on, in their order."""
    return list(dict.fromkeys(name for result in members.values() for name in result["scores"]))


def _accuracies(result: Mapping[str, Any], cohorts: Sequence[str]) -> list[str]:
    """Accuracy with limits per cohort."""
    return [_with_limits(result["scores"].get(cohort, {}).get("accuracy")) for cohort in cohorts]


def _with_limits(value: Mapping[str, Any] | None) -> str:
    """``0.912 (0.884 to 0.933)``; a dash where there is nothing."""
    return f"{value['value']:.3f} ({value['lower']:.3f} to {value['upper']:.3f})" if value else "–"


def _mean_sd(values: Sequence[float]) -> str:
    """``0.948 ± 0.009``."""
    summary = mean_and_sd(values)
    return f"{summary.mean:.3f}" + (f" ± {summary.sd:.3f}" if summary.sd is not None else "")


def _training(result: Mapping[str, Any]) -> str:
    """Accuracy on the (augmented) training images in the last epoch, for comparison with the held-out cohorts."""
    return f"{result['training_accuracy']:.3f}"


def _pointing(result: Mapping[str, Any]) -> str:
    """Share of internal cases whose class map peaks in their lesion, all classes that have one."""
    games = [game["hit_rate"] for game in result["scores"].get("internal", {}).get("pointing", {}).values()]
    n = sum(game["n"] for game in games)
    return f"{sum(game['successes'] for game in games) / n:.3f}" if n else "–"


def _minutes(result: Mapping[str, Any]) -> str:
    """Training time in minutes."""
    return f"{result['training_seconds'] / 60:.1f}"


def _table_head(names: Sequence[str]) -> list[str]:
    """First two lines of a Markdown table."""
    return [_row(names), _row(["---"] * len(names))]


def _row(cells: Sequence[str]) -> str:
    """One line of a Markdown table."""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
