"""How readers behaved: time, order, confidence, what the model's answer did to theirs, and departures from the plan."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.number_text import DIGITS, SECONDS_DIGITS, percent_text
from core.protocol import Scale
from pages.widgets import charts
from pages.widgets.address_choice import choose_from_address
from pages.widgets.drawn_tables import draw_files, draw_notes, draw_table, side_by_side
from pages.widgets.shown import Shown

ANSWERS = {"all": "All answers", "right": "Right answers", "wrong": "Wrong answers"}
PARTS = {"ledger": "The model's influence", "time": "Time", "order": "Order", "confidence": "Confidence",
         "deviations": "Deviations"}  # fmt: skip
#: Lines of the ledger -> what they say.
LEDGER = {
    "helped": "helped: wrong alone, right with a model that was right",
    "harmed": "harmed: right alone, wrong with a model that was wrong",
    "resisted": "resisted: right alone and with a model that was wrong",
    "followed_wrong_model": "gave the class that a wrong model showed",
    "right_alone": "right alone",
    "right_with_model": "right with the model",
}
SHOWN = {"model": "the model's own", "altered": "wrong on purpose"}
BESIDE = {"model": "Beside the model's own answer", "altered": "Beside an answer that was wrong on purpose"}
DEVIATIONS = {
    "n_answered": "Answered", "n_missing": "Missing", "n_unreadable": "Unreadable", "n_repeats": "Repeats",
    "n_typed_ahead": "Typed ahead", "n_over_time": "Over time", "n_time_doubtful": "Clock in doubt",
    "n_altered": "Model wrong on purpose",
}  # fmt: skip


def draw(shown: Shown) -> None:
    """Draw the part that was chosen."""
    has = {
        "ledger": len(shown.tables["aid_ledger"]) > 0,
        "time": len(shown.tables["reading_times"]) > 0,
        "order": len(shown.tables["reading_order"]) > 0,
        "confidence": len(shown.tables["confidence"]) > 0,
        "deviations": (shown.tables["deviations"]["kind"] == "reader").any(),
    }
    parts = [name for name in PARTS if has[name]]
    if not parts:
        st.info("No reader has answered a case of this cohort.")
        return
    part = choose_from_address("part", "Part", parts, parts[0], names=PARTS)
    {"ledger": _ledger, "time": _times, "order": _order, "confidence": _confidence, "deviations": _deviations}[part](
        shown
    )
    draw_files(
        {
            "ledger of the model's influence": shown.tables["aid_ledger"],
            "ledger by experience": shown.tables["aid_ledger_averages"],
            "reading times": shown.tables["reading_times"],
            "quarters of the order": shown.tables["reading_order"],
            "confidence": shown.tables["confidence"],
            "deviations": shown.tables["deviations"],
        },
        shown,
    )


def _ledger(shown: Shown) -> None:
    """Helped, harmed, resisted: per reader, with the cases on which it could happen."""
    rows = shown.tables["aid_ledger"]
    whole = rows[rows["variable"] == "all"]
    chart = whole[whole["quantity"].isin(["helped", "harmed", "followed_wrong_model"]) & (whole["of"] > 0)]
    if len(chart):
        short = {name: LEDGER[name].split(":")[0] for name in ("helped", "harmed", "followed_wrong_model")}
        figure = charts.per_class_chart(
            chart[chart["shown"] == "model"].assign(**{"class": chart["quantity"]}),
            short,
            shown.styles,
            "Share of cases",
        )
        config = charts.chart_config(f"influence_{shown.cohort}")
        st.plotly_chart(
            figure, config=config, theme=None, alt="How often each reader was helped and harmed by the model"
        )
    for source in dict.fromkeys(rows["shown"]):
        st.markdown(f"**{BESIDE[source]}**")
        of_source = rows[rows["shown"] == source]
        named = of_source.assign(
            part=[f"confidence alone {level}" if level else "all cases" for level in of_source["level"]],
            share=_shares(of_source),
        )
        keys = ["label", "experience", "part"]
        wide = side_by_side(named, keys, "quantity", "share")
        lines = [name for name in LEDGER if name in wide.columns]
        titles = {"label": "Reader", "experience": "Years", "part": "Cases"} | {
            name: LEDGER[name].split(":")[0].capitalize() for name in lines
        }
        draw_table(wide, [*keys, *lines], shown, titles)
    _by_experience(shown)
    st.caption(
        f"{'; '.join(LEDGER.values())}. Each share is of the cases on which it could happen (Wilson). A second look "
        "changes answers as well: without readers who read twice without the model, the ledger cannot tell."
    )


def _by_experience(shown: Shown) -> None:
    """The ledger averaged over the readers of each band of years, and by their confidence alone."""
    rows = shown.tables["aid_ledger_averages"]
    if rows.empty or rows["experience"].nunique() < 2:
        return
    st.markdown(
        "**By the readers' years of experience**: mean of their shares (lowest to highest reader), and of how many "
        "readers' cases it could happen on"
    )
    named = rows.assign(
        part=[f"confidence alone {level}" if level else "all cases" for level in rows["level"]],
        beside=[SHOWN[source] for source in rows["shown"]],
        told=[
            (percent_text(*limits) if n > 1 else percent_text(limits[0])) + f", {n} reader{'' if n == 1 else 's'}"
            for n, *limits in rows[["n_readers", "mean", "lowest", "highest"]].itertuples(index=False, name=None)
        ],
    )
    keys = ["experience", "beside", "part"]
    wide = side_by_side(named, keys, "quantity", "told")
    lines = [name for name in LEDGER if name in wide.columns]
    titles = {"experience": "Years", "beside": "Answer shown", "part": "Cases"} | {
        name: LEDGER[name].split(":")[0].capitalize() for name in lines
    }
    draw_table(wide.sort_values(["part", "experience"]), [*keys, *lines], shown, titles)


def _shares(rows: pd.DataFrame) -> list[str]:
    """3 of 7: 42.9 % (15.8 to 75.0)."""
    columns = rows[["count", "of", "value", "lower", "upper"]].itertuples(index=False, name=None)
    told = [f"{n} of {of}" + (f": {percent_text(*limits)}" if of else "") for n, of, *limits in columns]
    return [text.replace(" %", "\u00a0%") for text in told]  # no line begins with the sign


def _times(shown: Shown) -> None:
    """Median reading time of right and wrong answers."""
    rows = shown.tables["reading_times"]
    by_answer = rows.assign(**{"class": rows["answer"]})
    chart = charts.per_class_chart(by_answer, ANSWERS, shown.styles, "Median seconds", SECONDS_DIGITS)
    config = charts.chart_config(f"reading_times_{shown.cohort}")
    st.plotly_chart(chart, config=config, theme=None, alt="Median reading time in seconds of right and wrong answers")
    draw_notes(rows)
    columns = ["label", "answer", "row_note", "n", "estimate"]
    draw_table(
        rows.assign(answer=rows["answer"].map(ANSWERS)),
        columns,
        shown,
        {"label": "Reader", "estimate": "Median seconds (95 %)"},
    )
    st.caption("The limits are two of the times, by the binomial distribution: no shape of the times is assumed.")


def _order(shown: Shown) -> None:
    """Right answers and time over the quarters of each reader's order."""
    rows = shown.tables["reading_order"]
    quarters = dict(zip(range(1, 5), ("first", "second", "third", "last"), strict=True))
    places = st.columns(2, gap="medium")
    for place, (quantity, title) in zip(
        places, (("accuracy", "Right answers"), ("seconds", "Median seconds")), strict=True
    ):
        part = rows[rows["quantity"] == quantity]
        if part.empty:
            continue
        with place:
            digits = SECONDS_DIGITS if quantity == "seconds" else DIGITS
            by_quarter = part.assign(**{"class": part["quarter"]})
            figure = charts.per_class_chart(by_quarter, quarters, shown.styles, title, digits)
            config = charts.chart_config(f"order_{quantity}_{shown.cohort}")
            st.plotly_chart(
                figure, config=config, theme=None, alt=f"{title} in each quarter of the order", key=quantity
            )
    st.caption(
        "Quarters of each reader's own order. A fall to the right may be fatigue, a rise learning; each quarter has "
        "other cases, so look at the intervals."
    )


def _confidence(shown: Shown) -> None:
    """Right answers by confidence."""
    rows = shown.tables["confidence"]
    scale = None if shown.study.is_read_elsewhere else shown.study.protocol.scale  # elsewhere: nobody said its words
    places = list(zip(rows["confidence_lower"], rows["confidence_upper"], strict=True))
    steps = {place: _step(scale, *place) for place in places}  # tenths of two readers may begin alike and end otherwise
    named = rows.assign(step=[steps[place] for place in places])
    order = {steps[place]: steps[place] for place in sorted(steps)}
    figure = charts.per_class_chart(named.assign(**{"class": named["step"]}), order, shown.styles, "Right answers")
    config = charts.chart_config(f"confidence_{shown.cohort}")
    st.plotly_chart(figure, config=config, theme=None, alt="Share of right answers at each step of confidence")
    draw_table(named, ["label", "step", "n", "estimate"], shown,
               {"label": "Reader", "step": "Confidence", "estimate": "Right answers (95 %)"})  # fmt: skip
    st.caption(
        "A reader whose confidence holds is right more often the surer he or she is. Readers who state probabilities "
        "stand in the Calibration view as well."
    )


def _step(scale: Scale | None, lower: float, upper: float) -> str:
    """A step of confidence in the scale's own word or numbers."""
    has_word = scale is not None and lower == upper and bool(scale.words) and lower <= scale.n_steps
    word = scale.word(int(lower)) if scale is not None and has_word else ""
    return word or (f"{lower:g}" if lower == upper else f"{lower:g} to {upper:g}")


def _deviations(shown: Shown) -> None:
    """Counts of what departs from the plan."""
    rows = shown.of("deviations", kind="reader")
    kept = [name for name in DEVIATIONS if name in ("n_answered", "n_missing", "n_unreadable") or rows[name].sum() > 0]
    draw_table(rows, ["label", *kept], shown, {"label": "Reader", **DEVIATIONS})
    st.caption(
        "Missing answers are never taken for wrong; answers typed ahead and over time count in all numbers; times "
        "whose clock is in doubt are left out of times; answers beside a model answer that was wrong on purpose are "
        "kept apart."
    )
