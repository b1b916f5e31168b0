"""Watching a study while it is read: how far, how long, when seen, when it ends; and a reminder to send."""

from __future__ import annotations

from datetime import UTC, datetime

import pandas as pd
import streamlit as st

from core.natural_order import natural_key
from core.protocol import Design
from core.study import Study, StudyState
from db import Repository
from db.records import ReaderWatch
from pages.door.addresses import address
from pages.widgets.guard import refusals_shown, while_signed_in

_DATES = {"washout": "the washout", "opens_on": "the first day of reading", "closes_on": "the last day of reading"}


def show_progress(repository: Repository, study: Study) -> None:
    """Live: asks the store every few seconds, redraws only this part."""
    st.subheader("Reading progress")

    @st.fragment(run_every="5s" if study.state is StudyState.OPEN else None)
    @while_signed_in
    def live() -> None:
        rows = sorted(repository.watch(study.key), key=lambda row: natural_key(row.person.display_name))
        if not rows:
            st.info("No reader takes part yet. Add one on the right.")
            return
        _table(rows)
        ends = [row.expected_end for row in rows if row.expected_end is not None]
        if ends and study.state is StudyState.OPEN:
            st.caption(f"At this pace the last of those who have begun ends on {max(ends):%Y-%m-%d %H:%M} UTC.")
        st.caption(f"Counts and times only, never correctness. As of {datetime.now(UTC):%H:%M:%S} UTC.")

    live()
    if study.state is StudyState.OPEN:
        _reminder(repository, study)
    if study.state in (StudyState.OPEN, StudyState.CLOSED):
        _deviations(repository, study)


def _table(rows: list[ReaderWatch]) -> None:
    """One line a reader; a column in which nothing would stand leaves its room to the names."""
    rooms = {"Dev.": 45, "Ends": 90}  # pixels; all together 555, which a window of 1024 has for them
    is_used = {"Dev.": any(row.n_deviations for row in rows), "Ends": any(row.expected_end for row in rows)}
    unused = [name for name in rooms if not is_used[name]]
    columns = {
        "Reader": st.column_config.TextColumn(width=80 + sum(rooms[name] for name in unused)),
        "Read": st.column_config.TextColumn(width=70),
        "Progress": st.column_config.ProgressColumn(format="percent", min_value=0, max_value=1, width=70),
        "Active": st.column_config.TextColumn(help="images in sight, hours and minutes", width=55),
        "Gross": st.column_config.TextColumn(help="with pauses of up to half an hour", width=55),
        "Dev.": st.column_config.NumberColumn(help="deviations: dates of the protocol set aside", width=rooms["Dev."]),
        "Seen, UTC": st.column_config.DatetimeColumn(format="MM-DD HH:mm", width=90, help="signed in or saved"),
        "Ends": st.column_config.DatetimeColumn(
            format="MM-DD HH:mm", width=rooms["Ends"], help="expected, at the pace since the reader's first answer"
        ),
    }
    st.dataframe(
        pd.DataFrame(
            {
                "Reader": [row.person.display_name for row in rows],
                "Read": [f"{row.n_done} of {row.n_total}" for row in rows],
                "Progress": [row.n_done / row.n_total if row.n_total else 0.0 for row in rows],
                "Active": [_span(row.active_seconds) for row in rows],
                "Gross": [_span(row.gross_seconds) for row in rows],
                "Dev.": [row.n_deviations for row in rows],
                "Seen, UTC": [row.last_seen_at for row in rows],
                "Ends": [row.expected_end for row in rows],
            }
        ),
        hide_index=True,
        width="stretch",
        placeholder="",  # not seen yet, or nothing left to read
        column_order=[name for name in columns if name not in unused],
        column_config=columns,
    )


def _span(seconds: float) -> str:
    """Hours and minutes."""
    return f"{int(seconds // 3600)}:{int(seconds % 3600 // 60):02d}"


def _reminder(repository: Repository, study: Study) -> None:
    """A text for a reader who is behind, to be copied into a letter: this server sends none."""
    behind = [row for row in repository.watch(study.key) if row.n_done < row.n_total]
    if not behind:
        return
    with st.expander("Remind a reader", icon=":material/mail:"):
        row = st.selectbox("Reader", behind, format_func=lambda r: r.person.display_name, key=f"remind {study.key}")
        sender = repository.actor.display_name if repository.actor else ""
        st.code(
            reminder(study, row, f"{_origin()}{address('/read')}?study={study.key}", sender),
            language=None,
            wrap_lines=True,
        )
        st.caption("Copy it into your mail program; this server sends no mail.")


def reminder(study: Study, row: ReaderWatch, link: str, sender: str) -> str:
    """The text of a reminder."""
    halves = study.protocol.answers_at_once
    done, total = row.n_done // halves, row.n_total // halves
    left = total - done
    lines = [
        f"Dear {row.person.display_name},",
        "",
        f"in the reader study “{study.protocol.title}” you have read {done} of {total} cases; "
        f"{left} {'is' if left == 1 else 'are'} left.",
    ]
    if done:
        minutes = max(1, round(row.active_seconds / row.n_done * (row.n_total - row.n_done) / 60))
        lines.append(f"At your pace that is about {minutes} {'minute' if minutes == 1 else 'minutes'}.")
    if study.protocol.closes_on is not None:
        lines.append(f"Reading ends on {study.protocol.closes_on:%Y-%m-%d}.")
    lines += ["You go on where you stopped:", link, "", "Thank you,", sender]
    return "\n".join(lines)


def _deviations(repository: Repository, study: Study) -> None:
    """Who was let in outside of the protocol's dates, and the form that lets somebody in."""
    found = repository.deviations(study.key)
    members = {member.person.login: member.person.display_name for member in repository.members(study.key)}
    dates = {
        "washout": study.protocol.design is Design.CROSSOVER and study.protocol.washout_days > 0,
        "opens_on": study.protocol.opens_on is not None,
        "closes_on": study.protocol.closes_on is not None,
    }
    kinds = [kind for kind, is_set in dates.items() if is_set]
    if not found and not (kinds and members):
        return
    with st.expander(f"Deviations ({len(found)})", icon=":material/event_busy:"):
        for each in found:
            st.markdown(
                f"- **{members.get(each.login, each.login)}**: {_DATES[each.kind]}, {each.recorded_at:%Y-%m-%d}, "
                f"by {each.recorded_by}: {each.reason}"
            )
        if not (kinds and members):
            return
        with st.form(f"deviation {study.key}", border=False):
            login = st.selectbox("Let this reader read", list(members), format_func=members.__getitem__)
            kind = st.selectbox("in spite of", kinds, format_func=_DATES.__getitem__)
            reason = st.text_input("Reason", help="stands in the audit trail, in every export and in the report")
            is_sent = st.form_submit_button("Record the deviation")
        if is_sent:
            with refusals_shown():
                repository.record_deviation(study.key, login, kind, reason)
                st.rerun()


def _origin() -> str:
    """Scheme and name under which this browser asked for the app."""
    url = st.context.url or ""
    return "/".join(url.split("/")[:3])
