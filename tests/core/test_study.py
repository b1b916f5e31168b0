"""The rules between the words of a study: what a protocol may say, and in which order readers meet the cases."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kruskal, kstest

from core.errors import InputError, OutsideDatesError
from core.protocol import THYROID_CLASSES, Arm, Design, Protocol, Scale, ScaleKind, class_key
from core.reading_order import reading_order
from core.study import Answer, Mark, Study, StudyState, check_answer, check_dates

PROTOCOL = Protocol(title="Study")
#: Made once with algorithm "pcg64-sha256-v2".
KNOWN_ORDER = [f"case-{number}" for number in (5, 2, 3, 7, 1, 4, 0, 6)]
SHA256 = "0123456789abcdef" * 4
CASE_IDS = st.lists(st.text("abcdefgh0123456789-", min_size=1, max_size=8), unique=True, max_size=40)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("title", " "),
        ("classes", THYROID_CLASSES[:1]),
        ("classes", (*THYROID_CLASSES, THYROID_CLASSES[0])),
        ("washout_days", -1),
        ("blank_seconds", float("nan")),
        ("margin", 5.0),
        ("model_sha256", SHA256[:12]),
        ("model_sha256", SHA256.upper()),
        ("model_sha256", ""),
    ],
)
def test_a_protocol_that_cannot_be_is_refused_and_the_field_is_named(field: str, value: object) -> None:
    with pytest.raises(InputError) as caught:
        replace(PROTOCOL, **{field: value})
    assert caught.value.field in (field, field.removesuffix("_sha256"))


def test_only_the_model_of_the_protocol_counts_as_declared() -> None:
    declared = replace(PROTOCOL, model_sha256=SHA256)
    study = Study(
        "study", declared, 3, StudyState.OPEN, is_synthetic=False, created_at=datetime(2026, 1, 1, tzinfo=UTC)
    )
    assert study.is_declared(SHA256)
    assert study.declaration(SHA256) == "declared in protocol version 3"
    without = replace(study, protocol=PROTOCOL)
    for other in (replace(study), without):
        assert not other.is_declared("f" * 64)
        assert other.declaration("f" * 64) == "not declared before reading: exploratory"
    assert not without.is_declared(SHA256)


@pytest.mark.parametrize("disease", THYROID_CLASSES, ids=lambda disease: disease.key)
def test_every_name_of_a_class_leads_to_its_key(disease) -> None:
    for name in (disease.key, disease.label, disease.short_label, *disease.aliases):
        assert class_key(f"  {name.upper()} ") == disease.key
    with pytest.raises(InputError, match="unknown class"):
        class_key(disease.key + "x")


@pytest.mark.parametrize(
    ("answer", "field"),
    [
        (Answer("gravess", 3), "class"),
        (Answer("sat", 0), "confidence"),
        (Answer("sat", 6), "confidence"),
        (Answer("sat", True), "confidence"),
        (Answer("sat", 2.5), "confidence"),  # type: ignore[arg-type]  # what a screen could send
        (Answer("sat", 3, reading_seconds=-1.0), "reading_seconds"),
        (Answer("sat", 3, reading_seconds=float("nan")), "reading_seconds"),
        (Answer("sat", 3, reading_seconds=float("inf")), "reading_seconds"),
        (Answer("sat", 3, reading_seconds=1e308), "reading_seconds"),
        (Answer("sat", 3, reading_seconds=10**400), "reading_seconds"),
        (Answer("sat", 3, reading_seconds="4"), "reading_seconds"),  # type: ignore[arg-type]
        (Answer("sat", 10**400), "confidence"),
    ],
)
def test_an_answer_outside_the_protocol_is_refused(answer: Answer, field: str) -> None:
    with pytest.raises(InputError) as caught:
        check_answer(answer, PROTOCOL)
    assert caught.value.field == field


LABEL, PERCENT, SHARES = (
    replace(PROTOCOL, scale=Scale(kind), has_location_mark=True)
    for kind in (ScaleKind.LABEL, ScaleKind.PERCENT, ScaleKind.PROBABILITIES)
)


@pytest.mark.parametrize(
    ("answer", "protocol", "field"),
    [
        (Answer("sat", 1), LABEL, "confidence"),
        (Answer("sat", probabilities=(0, 0, 1, 0)), LABEL, "probabilities"),
        (Answer("sat"), PERCENT, "confidence"),
        (Answer("sat", 101), PERCENT, "confidence"),
        (Answer("sat", -1), PERCENT, "confidence"),
        (Answer("sat", 50, probabilities=(0, 0, 1, 0)), PERCENT, "probabilities"),
        (Answer("sat"), SHARES, "probabilities"),
        (Answer("sat", probabilities=(0.5, 0.5)), SHARES, "probabilities"),
        (Answer("sat", probabilities=(0.1, 0.1, 0.1, 0.1)), SHARES, "probabilities"),
        (Answer("sat", probabilities=(0, 0, float("nan"), 1)), SHARES, "probabilities"),
        (Answer("sat", probabilities=(-0.5, 0, 1, 0.5)), SHARES, "probabilities"),
        (Answer("sat", probabilities=(0, 0, "1", 0)), SHARES, "probabilities"),  # type: ignore[arg-type]
        (Answer("graves", probabilities=(0.4, 0, 0.6, 0)), SHARES, "class"),
        (Answer("graves", probabilities=(0.5, 0, 0.5, 0)), SHARES, "probabilities"),
        (Answer("sat", 3, probabilities=(0, 0, 1, 0)), SHARES, "confidence"),
        (Answer(None, 3), PROTOCOL, "class"),
        (Answer("sat", 3, unreadable_reason="motion"), PROTOCOL, "unreadable_reason"),
        (Answer(is_unreadable=True), PROTOCOL, "unreadable_reason"),
        (Answer(is_unreadable=True, unreadable_reason="  "), PROTOCOL, "unreadable_reason"),
        (Answer("sat", is_unreadable=True, unreadable_reason="motion"), PROTOCOL, "class"),
        (Answer(None, 3, is_unreadable=True, unreadable_reason="motion"), PROTOCOL, "confidence"),
        (
            Answer(is_unreadable=True, unreadable_reason="motion"),
            replace(PROTOCOL, may_mark_unreadable=False),
            "is_unreadable",
        ),
        (Answer("sat", 3, "why"), replace(PROTOCOL, may_comment=False), "comment"),
        (Answer("sat", 3, is_typed_ahead=True), PROTOCOL, "is_typed_ahead"),
        (Answer("sat", 3, marks=(Mark(1, 2),)), PROTOCOL, "marks"),
        (Answer("sat", 3, marks=(Mark(1, 2),)), LABEL, "confidence"),
        (Answer("sat", marks=(Mark(-1, 2),)), LABEL, "marks"),
        (Answer("sat", marks=(Mark(1, float("nan")),)), LABEL, "marks"),
        (Answer("sat", marks=(Mark(1, 2, view=0),)), LABEL, "marks.view"),
        (Answer("sat", marks=(Mark(1, 2, 3),)), LABEL, "marks.rating"),
        (Answer("sat", 3, marks=(Mark(1, 2, 101),)), PERCENT, "marks.rating"),
        (Answer("sat", 3, marks=(Mark(1, 2),) * 51), PERCENT, "marks"),
    ],
)
def test_every_scale_and_switch_of_the_protocol_refuses_what_it_does_not_ask_for(
    answer: Answer, protocol: Protocol, field: str
) -> None:
    with pytest.raises(InputError) as caught:
        check_answer(answer, protocol)
    assert caught.value.field == field


def test_every_scale_takes_its_own_answers() -> None:
    for protocol, answer in (
        (LABEL, Answer("sat", marks=(Mark(0, 63.5),))),
        (PERCENT, Answer("sat", 0)),
        (PERCENT, Answer("sat", 100, marks=(Mark(3, 4, 70, view=2), Mark(5, 6)))),
        (SHARES, Answer("sat", probabilities=(0.2, 0.1, 0.6, 0.1))),
        (PROTOCOL, Answer(is_unreadable=True, unreadable_reason="motion")),
        (replace(PROTOCOL, may_type_ahead=True), Answer("sat", 3, is_typed_ahead=True)),
    ):
        check_answer(answer, protocol)


def test_dates_are_kept_to_the_minute_by_the_servers_clock() -> None:
    protocol = replace(
        PROTOCOL, opens_on=date(2026, 3, 2), closes_on=date(2026, 3, 31), design=Design.CROSSOVER, washout_days=14
    )
    noon = datetime(2026, 3, 10, 12, 30, tzinfo=UTC)
    check_dates(protocol, noon)
    for now, opens_at in (
        (datetime(2026, 3, 1, 23, 59, 59, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC)),
        (datetime(2026, 4, 1, tzinfo=UTC), None),
    ):
        with pytest.raises(OutsideDatesError) as caught:
            check_dates(protocol, now)
        assert caught.value.opens_at == opens_at
    check_dates(protocol, datetime(2026, 3, 31, 23, 59, 59, tzinfo=UTC))
    day = timedelta(days=1)
    with pytest.raises(OutsideDatesError, match="2026-03-24 at 12:30 UTC") as caught:
        check_dates(protocol, noon + 14 * day - timedelta(seconds=1), period=2, first_period_ended_at=noon)
    assert caught.value.opens_at == noon + 14 * day
    check_dates(protocol, noon + 14 * day, period=2, first_period_ended_at=noon)
    check_dates(protocol, noon, period=2, first_period_ended_at=noon, deviations=["washout"])
    check_dates(protocol, noon + 90 * day, deviations=["closes_on"])
    check_dates(protocol, noon - 90 * day, deviations=["opens_on"])


def test_what_came_after_the_opening_is_marked_for_good() -> None:
    opened = datetime(2026, 1, 5, tzinfo=UTC)
    study = Study(
        "study", replace(PROTOCOL, model_sha256=SHA256), 2, StudyState.UNSEALED, False, opened, opened_at=opened
    )
    before, after = opened - timedelta(seconds=1), opened + timedelta(seconds=1)
    said = "declared in protocol version 2"
    assert study.declaration(SHA256, registered_at=before, predicted_at=before) == said
    assert study.declaration(SHA256, registered_at=before, predicted_at=after) == (
        f"{said}; predicted after the study was opened"
    )
    assert study.declaration("f" * 64, registered_at=after, predicted_at=after) == (
        "not declared before reading: exploratory; registered after the study was opened"
    )
    assert replace(study, opened_at=None).declaration(SHA256, predicted_at=after) == said


def test_every_answer_of_the_protocol_is_taken() -> None:
    for key in PROTOCOL.class_keys:
        for confidence in range(1, 6):
            check_answer(Answer(key, confidence, reading_seconds=0.0), PROTOCOL)


@given(CASE_IDS, st.integers(0, 2**63), st.text(max_size=8), st.sampled_from(Arm), st.randoms(use_true_random=False))
def test_an_order_is_a_permutation_that_the_manifest_does_not_change(cases, seed, reader, arm, random) -> None:
    order = reading_order(cases, study="study", seed=seed, reader=reader, arm=arm)
    assert sorted(order) == sorted(cases)
    shuffled = list(cases)
    random.shuffle(shuffled)
    assert reading_order(shuffled, study="study", seed=seed, reader=reader, arm=arm) == order


@given(st.integers(0, 2**63))
def test_readers_arms_studies_and_seeds_have_orders_of_their_own(seed: int) -> None:
    cases = [f"case-{number}" for number in range(60)]
    orders = [
        reading_order(cases, study="study", seed=seed, reader="ann", arm=Arm.UNAIDED),
        reading_order(cases, study="study", seed=seed, reader="ben", arm=Arm.UNAIDED),
        reading_order(cases, study="study", seed=seed, reader="ann", arm=Arm.AIDED),
        reading_order(cases, study="study", seed=seed + 1, reader="ann", arm=Arm.UNAIDED),
        reading_order(cases, study="another", seed=seed, reader="ann", arm=Arm.UNAIDED),
    ]
    assert len({tuple(order) for order in orders}) == len(orders)
    for first, second in pairwise(orders):
        assert sum(a == b for a, b in zip(first, second, strict=True)) < 15  # one in expectation


def test_the_order_of_a_known_seed_never_changes() -> None:
    """Stored orders carry the name of the algorithm; another order under the same name could not be made again."""
    order = reading_order(
        [f"case-{number}" for number in range(8)], study="study", seed=20230601, reader="ann", arm=Arm.UNAIDED
    )
    assert order == KNOWN_ORDER


def test_position_says_nothing_of_the_class_even_where_case_ids_are_sorted_by_class() -> None:
    """Over 200 readers: p-values of class against position are uniform, and every class leads about as often."""
    cases = {f"{index:02d}-{number:02d}": index for index in range(4) for number in range(15)}
    p_values, first = [], Counter()
    for number in range(200):
        order = reading_order(list(cases), study="study", seed=7, reader=f"reader-{number}", arm=Arm.UNAIDED)
        places: list[list[int]] = [[], [], [], []]
        for position, case in enumerate(order):
            places[cases[case]].append(position)
        p_values.append(kruskal(*places).pvalue)
        first[cases[order[0]]] += 1
    assert kstest(p_values, "uniform").pvalue > 0.001
    assert np.mean(np.array(p_values) < 0.05) < 0.12
    assert all(25 <= first[index] <= 80 for index in range(4))  # 50 expected, SD 6
