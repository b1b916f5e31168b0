"""The rules between the words of a study: what a protocol may say, and in which order readers meet the cases."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kruskal, kstest

from core.errors import InputError
from core.protocol import THYROID_CLASSES, Arm, Protocol, class_key
from core.study import Answer, Study, StudyState, check_answer, reading_order

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
