"""Times from the panel's events: what they add up to, and that no clock, broken or forged, passes unflagged."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.client_events import MOST_EVENTS, kept_claim, read_events, reading_times

#: The example of the agreement with the panel.
PLAIN = [
    ["dropped", -310.2],
    ["shown", 0],
    ["first", 812.4],
    ["hidden", 3000],
    ["visible", 5000],
    ["submitted", 7012.9],
]


def times(events: object, claimed: float | None = None, server: float | None = 60.0):
    return reading_times(read_events(events), claimed_seconds=claimed, server_seconds=server)


def test_gross_active_and_first_seconds_of_one_case() -> None:
    found = times(PLAIN, claimed=5.0129)
    assert found.gross_seconds == pytest.approx(7.0129)
    assert found.active_seconds == pytest.approx(5.0129)
    assert found.first_seconds == pytest.approx(0.8124)
    assert not found.is_time_doubtful
    assert not found.is_typed_ahead


def test_pauses_that_overlap_count_once_and_a_reload_begins_another_clock() -> None:
    first = "shown 0, covered 1000, hidden 2000, visible 3000, uncovered 4000, hidden 9000"
    second = "shown 0, idle 60000, active 70000, submitted 71000"
    found = times([[name, float(ms)] for name, ms in map(str.split, f"{first}, {second}".split(", "))], server=100)
    assert found.gross_seconds == pytest.approx(9 + 71)
    assert found.active_seconds == pytest.approx(6 + 61)
    assert not found.is_time_doubtful


def test_without_events_the_claim_alone_is_held_against_the_server() -> None:
    assert times(None, claimed=12.0, server=13.0).active_seconds == 12.0
    assert not times(None, claimed=12.0, server=13.0).is_time_doubtful
    assert times(None, claimed=16.0, server=13.0).is_time_doubtful
    assert not times(None, claimed=None, server=None).is_time_doubtful  # nothing was claimed
    assert not times(None, claimed=9.5, server=None).is_time_doubtful  # nothing to hold it against
    assert kept_claim(None, ()) == (None, ())
    assert kept_claim(7, ()) == (7.0, ())


@pytest.mark.parametrize(
    ("events", "claimed", "server"),
    [
        (PLAIN, 5.0, 4.9),  # longer than the server knows
        (PLAIN, 9.1, 60),  # active above gross
        (PLAIN, 0.0, 60),
        (PLAIN, -1.0, 60),
        (PLAIN, 1e308, 60),
        (PLAIN, 5.0, -3600),  # the server's clock was set back: nothing can be held against it
        ([["shown", 0], ["submitted", 0]], None, 60),
        ([["shown", 0], ["submitted", 1e308]], None, 60),
        ([["shown", 0], ["submitted", 1e299]] * 5, None, 60),
        ([["shown", 0], ["submitted", -5]], None, 60),
        ([["shown", 0], ["submitted", math.nan]], None, 60),
        ([["shown", 0], ["submitted", 10**400]], None, 60),
        ([["shown", 0], ["hidden", 5000], ["visible", 4000], ["submitted", 6000]], None, 60),  # it went back
        ([["shown", 400], ["submitted", 6000]], None, 60),
        ([["shown", 0], ["first", 300]], None, 60),  # never submitted
        ([["submitted", 300]], None, 60),  # never shown
        ([["shown", 0], ["FIRST", 3], ["submitted", 300]], None, 60),
        ([["shown", 0], ["first"], ["submitted", 300]], None, 60),
        ([["shown", 0], [3, 4], ["submitted", 300]], None, 60),
        ([["shown", 0], ["first", True], ["submitted", 300]], None, 60),
        ([["shown", 0], "first", ["submitted", 300]], None, 60),
        ("shown", None, 60),
        ({"shown": 0}, None, 60),
    ],
)
def test_an_impossible_claim_is_flagged_and_never_raises(events: object, claimed: float | None, server: float) -> None:
    assert times(events, claimed, server).is_time_doubtful


@pytest.mark.parametrize("seconds", [math.nan, math.inf, -math.inf, 10**400, -4.0, 86_401.0, 1e308, "x", True])
def test_a_claim_that_no_row_holds_is_kept_as_far_as_it_is_a_number_and_flags_the_reading(seconds: object) -> None:
    kept, events = kept_claim(seconds, read_events(PLAIN))
    assert kept is None
    assert events[-1] == ("claimed", seconds if isinstance(seconds, float) and abs(seconds) < 1e300 else None)
    assert reading_times(events, claimed_seconds=None, server_seconds=60).is_time_doubtful
    assert reading_times(events[-1:], claimed_seconds=None, server_seconds=60).is_time_doubtful


def test_what_was_typed_ahead_and_taken_is_told_apart_from_what_was_dropped() -> None:
    assert times([["typed-ahead", -40], ["shown", 0], ["submitted", 300]]).is_typed_ahead
    assert not times([["dropped", -40], ["shown", 0], ["submitted", 300]]).is_typed_ahead


def test_a_flood_of_events_keeps_its_end_and_names_of_later_panels_are_kept() -> None:
    wheel = [["wheel", n] for n in range(5000)]
    many = [["shown", 0], *wheel[:4000], ["over-time", 4000], *wheel[4000:], ["submitted", 5001]]
    kept = read_events(many)
    assert len(kept) == MOST_EVENTS
    assert kept[-3:] == (("over-time", 4000.0), ("left-out", None), ("submitted", 5001.0))
    assert read_events(kept) == kept
    found = reading_times(kept, claimed_seconds=None, server_seconds=60)
    assert found.gross_seconds == pytest.approx(5.001)
    assert found.is_time_doubtful, "a pause may be among what was left out"


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["shown", "submitted", "idle", "\ud800"]),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=30,
)


@given(sent=_json | st.lists(st.tuples(st.sampled_from([*"ab", "shown", "hidden", "submitted"]), st.floats())))
def test_whatever_a_browser_sends_fits_into_a_row_and_gives_times(sent: object) -> None:
    events = read_events(sent)
    text = json.dumps(events, allow_nan=False)
    text.encode()
    found = reading_times([tuple(pair) for pair in json.loads(text)], claimed_seconds=None, server_seconds=60)
    if not found.is_time_doubtful and found.gross_seconds is not None:
        assert 0 <= found.active_seconds <= found.gross_seconds <= 62
