"""ROC of every class and their average: curves, readers as points or curves, and the model at each reader's point."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.number_text import estimate_text, number_text
from pages.widgets import charts
from pages.widgets.address_choice import choose_from_address
from pages.widgets.drawn_tables import WORDS, draw_files, draw_notes, draw_stamp, draw_table, side_by_side
from pages.widgets.plain_text import plain
from pages.widgets.shown import MACRO, MOST_COLUMNS, Shown


def draw(shown: Shown) -> None:
    """Draw the view."""
    keys = [key for key in shown.labels if key in set(shown.tables["auc"]["class"])]
    if not keys:
        st.info("There is no curve in this cohort yet.")
        return
    names = {**shown.labels, MACRO: "Mean over classes"}
    options = [*keys, MACRO] if len(keys) > 2 else keys
    key = choose_from_address("class", "Class against the rest", options, shown.first_class(keys), names=names)
    draw_stamp(shown, "auc")
    left, right = st.columns([11, 10], gap="medium")
    points = shown.of("roc_points", **{"class": key})
    average = shown.of("reader_average_roc", **{"class": key})
    with left:
        if points.empty:
            st.info(f"No curve: there is no case of {plain(names[key])}, or of the rest, that was answered here.")
        figure = charts.roc_chart(points, _operating(shown, key, points), average, shown.styles)
        name = f"roc_{key}_{shown.cohort}"
        alt = f"ROC: {names[key]} against the rest"
        st.plotly_chart(figure, config=charts.chart_config(name), theme=None, alt=alt, key="roc")
    with right:
        _areas(shown, key, names[key])
        draw_files(
            {
                f"curves of {key}": points,
                "areas": shown.tables["auc"],
                "areas compared (DeLong)": shown.tables["delong"],
                "mean curve of the readers": average,
                "model at the readers' points": shown.tables["matched_points"],
                "operating points": shown.tables["operating_points"],
                "rating cut-offs": shown.tables["rating_cutoffs"],
            },
            shown,
        )
        st.caption(_legend(shown))
    _matched(shown, key)
    _every_area(shown, keys)
    _delong(shown, key)
    _cutoffs(shown, key)


def _legend(shown: Shown) -> str:
    """What the parts of the chart are."""
    whose = "the model's" if len(shown.models) < 2 else f"{plain(shown.models[0])}'s"
    told = [
        f"Shaded: at each threshold, the box that holds {whose} sensitivity and specificity at once with "
        f"{100 * shown.analysis.confidence_level:g} % confidence."
    ] * bool(shown.models)
    told.append("White-rimmed marks: the chosen class.")
    if len(shown.raters) > len(shown.models):
        told.append(
            "A reader's rating of a class is +confidence when it was chosen and −confidence otherwise, or the "
            "probability that was given; a label alone is one point, never a curve."
        )
    return " ".join(told)


def _operating(shown: Shown, key: str, points: pd.DataFrame) -> pd.DataFrame:
    """Where the chosen class puts each rater, with what the pointer says there.

    Returns
    -------
    DataFrame
        label, false_positive_rate, sensitivity, told.
    """
    if key == MACRO:
        rows = points[points["is_hard_label"].astype(bool)]
        told = [
            f"sensitivity {row.sensitivity:.3f}, 1 − specificity {row.false_positive_rate:.3f}"
            for row in rows.itertuples()
        ]
        return rows[["label", "false_positive_rate", "sensitivity"]].assign(told=told)
    chosen = shown.of("per_class", **{"class": key})
    wide = chosen.pivot_table(index="label", columns="quantity", values="value", sort=False)
    if not {"sensitivity", "specificity"} <= set(wide.columns):
        return pd.DataFrame(columns=["label", "false_positive_rate", "sensitivity", "told"])
    wide = wide.dropna(subset=["sensitivity", "specificity"]).reset_index()
    at = _model_at(shown, key)
    told = [
        f"sensitivity {row.sensitivity:.3f}, specificity {row.specificity:.3f}"
        + "".join(f"<br>{line}" for line in at.get(row.label, ()))
        for row in wide.itertuples()
    ]
    return pd.DataFrame(
        {
            "label": wide["label"],
            "false_positive_rate": 1 - wide["specificity"],
            "sensitivity": wide["sensitivity"],
            "told": told,
        }
    )


def _matched_rows(shown: Shown, key: str) -> pd.DataFrame:
    """Models at the points of readers and panels, with the label of the reader."""
    rows = shown.of("matched_points", **{"class": key})
    about = shown.tables["missing"][["participant", "arm", "label"]]
    label = {(row.participant, row.arm): row.label for row in about.itertuples(index=False)}
    pairs = zip(rows["second_participant"], rows["second_arm"], rows["second_name"], strict=True)
    return rows.assign(reader=[label.get((reader, arm), name) for reader, arm, name in pairs])


def _model_at(shown: Shown, key: str) -> dict[str, list[str]]:
    """Label of a reader -> what each model does at that reader's specificity."""
    found: dict[str, list[str]] = {}
    rows = _matched_rows(shown, key)
    for row in rows[(rows["match"] == "specificity") & rows["first_value"].notna()].itertuples():
        line = f"at this specificity {row.first_name} has sensitivity {row.first_value:.3f}"
        found.setdefault(row.reader, []).append(line)
    return found


def _areas(shown: Shown, key: str, name: str) -> None:
    """The areas of the class that is drawn."""
    rows = shown.in_order(shown.of("auc", **{"class": key}))
    marked = rows.assign(estimate=[
        estimate_text(row.value, row.lower, row.upper) + ("°" if row.is_hard_label and pd.notna(row.value) else "")
        for row in rows.itertuples()
    ])  # fmt: skip
    st.markdown(f"**AUC: {plain(name)}**")
    draw_table(marked, ["label", "n", "estimate"], shown, {"label": "Rater", "estimate": "AUC (95 %)"})
    draw_notes(rows[rows["value"].isna()])
    if (rows["is_hard_label"] & rows["value"].notna()).any():
        st.caption("° (sensitivity + specificity) / 2 at one point: no area under a curve.")


def _matched(shown: Shown, key: str) -> None:
    """At this reader's specificity the model's sensitivity is ..., as a table."""
    if key == MACRO:
        return
    rows = _matched_rows(shown, key)
    rows = rows[rows["match"] == "specificity"]
    if rows.empty:
        return
    st.markdown("**At each reader's specificity**: sensitivity of the model beside the reader's own")
    draw_notes(rows)
    at_model = rows[["first_value", "first_lower", "first_upper"]]
    table = rows.assign(
        matched_at=[number_text(value) for value in rows["matched_at"]],
        model=[estimate_text(*each) for each in at_model.itertuples(index=False, name=None)],
        own=[number_text(value) for value in rows["second_value"]],
    )  # fmt: skip
    titles = {
        "reader": "Reader", "first_name": "Model", "matched_at": "Reader's specificity", "own": "Reader's sensitivity",
        "model": "Model's sensitivity there (95 %)", "estimate": "Model − reader (95 %)",
    }  # fmt: skip
    columns = ["reader", *(["first_name"] if rows["first_name"].nunique() > 1 else []), "matched_at", "own", "model"]
    draw_table(table, [*columns, "estimate", "n", "row_note"], shown, titles)


def _every_area(shown: Shown, keys: list[str]) -> None:
    """The AUC of every rater, one column a class or average; one row for each of them where classes are many."""
    rows = shown.in_order(shown.tables["auc"])
    with st.expander("AUC of every class, and the averages over the classes by name"):
        if len(keys) > MOST_COLUMNS:
            draw_table(rows, ["label", "class", "n", "estimate"], shown, {"label": "Rater"})
            return
        wide = side_by_side(rows, ["label"], "class")
        averages = [name for name in (MACRO, "weighted", "micro", "hand_till") if name in wide.columns]
        titles = {"label": "Rater", **shown.short_labels, **{name: WORDS[name] for name in averages}}
        draw_table(wide, ["label", *keys, *averages], shown, titles)


def _delong(shown: Shown, key: str) -> None:
    """Areas of two raters on the same cases."""
    rows = shown.of("delong", **{"class": key})
    if rows.empty:
        return
    with st.expander("Two areas on the same cases: DeLong's paired test, limits that stay within the possible"):
        draw_notes(rows)
        columns = ["pair", "row_note", "n", "first_auc", "second_auc", "estimate", "p_value", "p_holm"]
        draw_table(rows, columns, shown, {"estimate": "Difference (95 %)"})


def _cutoffs(shown: Shown, key: str) -> None:
    """Sensitivity, specificity and predictive values from a rating on, one row a cut-off."""
    rows = shown.of("rating_cutoffs", **{"class": key})
    if rows.empty:
        return
    with st.expander("Sensitivity, specificity and predictive values by rating cut-off"):
        keys = ["label", "positive_from"]
        wide = side_by_side(shown.in_order(rows), keys, "quantity")
        titles = {"label": "Rater", **{name: f"{charts.QUANTITY_LABELS[name]} (95 %)" for name in CUTOFF_NUMBERS}}
        draw_table(wide, [*keys, *CUTOFF_NUMBERS], shown, titles)


CUTOFF_NUMBERS = ("sensitivity", "specificity", "ppv", "npv")
