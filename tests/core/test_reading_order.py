"""The order of a reader: blocks, repeats, training, pairs and periods, as properties over many studies and readers."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, chisquare, spearmanr

from core.protocol import Arm, Design, Protocol, ReadingOrder
from core.reading_order import CaseToRead, Place, draw_order, most_repeats, reading_order

#: Made once with algorithm "pcg64-sha256-v3".
KNOWN = "2:1 0:1 7:1 5:1 2r:1 1:2 6:2 4:2 3:2 7r:2"
KNOWN_PLAIN = "5 2 3 7 1 4 0 6"


def protocol_of(design: Design, **order: object) -> Protocol:
    return Protocol(title="Study", design=design, order=ReadingOrder(**order))


def cases_of(count: int, n_strata: int = 1) -> list[CaseToRead]:
    return [CaseToRead(f"case-{number:03d}", f"stratum-{number % n_strata}") for number in range(count)]


@st.composite
def studies(draw) -> tuple[list[CaseToRead], Protocol, int, list[str]]:
    count = draw(st.integers(0, 60))
    block_size = draw(st.none() | st.integers(1, 25))
    protocol = protocol_of(
        draw(st.sampled_from(Design)),
        seed=draw(st.integers(0, 2**63 - 1)),
        block_size=block_size,
        is_stratified=block_size is not None and draw(st.booleans()),
        n_repeats=draw(st.integers(0, 12)),
        repeat_distance=draw(st.integers(1, 30)),
    )
    training = [f"training-{number}" for number in range(draw(st.integers(0, 4)))]
    return cases_of(count, draw(st.integers(1, 6))), protocol, draw(st.sampled_from([1, 2])), training


def periods(order: list[Place]) -> dict[int, list[Place]]:
    """The places of each period that are analysed, of a sequential study the unaided halves."""
    found: dict[int, list[Place]] = {}
    for place in order:
        if not place.is_training:
            found.setdefault(place.period, []).append(place)
    return found


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(studies())
def test_every_case_is_read_once_in_every_arm_and_repeats_keep_their_distance(study) -> None:
    cases, protocol, group, training = study
    order = draw_order(cases, protocol, study="study", reader="ann", group=group, training=training)
    is_sequential = protocol.design is Design.SEQUENTIAL
    for arm in protocol.arms:
        first = [place.case for place in order if place.arm is arm and place.repeat == 1 and not place.is_training]
        assert sorted(first) == [case.case for case in cases]
        assert sorted(p.case for p in order if p.arm is arm and p.is_training) == sorted(training)
    expected = min(protocol.order.n_repeats, most_repeats(len(cases), protocol.order.repeat_distance))
    for places in periods(order).values():
        line = [place for place in places if not is_sequential or place.arm is Arm.UNAIDED]
        again = [place for place in line if place.repeat == 2]
        assert len(again) == len({place.case for place in again}) == expected
        for place in again:
            once = next(index for index, other in enumerate(line) if other.case == place.case)
            assert line.index(place) - once - 1 >= protocol.order.repeat_distance
    for place, after in zip(order[::2], order[1::2], strict=False):
        if is_sequential:  # a pair stands next to each other, unaided first
            assert (place.case, place.repeat, place.arm, after.arm) == (
                after.case, after.repeat, Arm.UNAIDED, Arm.AIDED
            )  # fmt: skip
    if protocol.design is Design.CROSSOVER and cases:
        begins = Arm.UNAIDED if group == 1 else Arm.AIDED
        assert {place.arm for place in order if place.period == 1} == {begins}
        assert {place.arm for place in order if place.period == 2} == {arm for arm in Arm if arm is not begins}
    assert [place.period for place in order] == sorted(place.period for place in order)
    assert [place.block for place in order] == sorted(place.block for place in order)
    for period in {place.period for place in order}:  # training opens every period
        kinds = [place.is_training for place in order if place.period == period]
        assert kinds == sorted(kinds, reverse=True)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(studies(), st.randoms(use_true_random=False))
def test_a_seed_gives_the_same_order_again_whatever_the_order_of_the_manifest(study, random) -> None:
    cases, protocol, group, training = study
    order = draw_order(cases, protocol, study="study", reader="ann", group=group, training=training)
    random.shuffle(cases)
    random.shuffle(training)
    assert draw_order(cases, protocol, study="study", reader="ann", group=group, training=training) == order


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 80), st.integers(1, 6), st.integers(1, 30), st.integers(0, 2**63 - 1))
def test_a_stratified_block_has_its_share_of_every_stratum(count: int, n_strata: int, size: int, seed: int) -> None:
    cases = cases_of(count, n_strata)
    protocol = protocol_of(Design.UNAIDED, seed=seed, block_size=size, is_stratified=True)
    order = draw_order(cases, protocol, study="study", reader="ann")
    n_blocks = -(-count // size)
    assert {place.block for place in order} == set(range(1, n_blocks + 1))
    sizes = Counter(place.block for place in order)
    assert max(sizes.values()) <= size
    assert max(sizes.values()) - min(sizes.values()) <= 1
    stratum = {case.case: case.stratum for case in cases}
    for name in set(stratum.values()):
        shares = Counter(place.block for place in order if stratum[place.case] == name)
        counts = [shares[block] for block in range(1, n_blocks + 1)]
        assert max(counts) - min(counts) <= 1


def test_the_place_in_a_stratified_block_says_nothing_of_the_class() -> None:
    """Every stratum stands first in a block as often as it has cases there (two strata, neither a multiple)."""
    cases = [CaseToRead(f"a{number}", "a") for number in range(25)] + [
        CaseToRead(f"b{number}", "b") for number in range(15)
    ]
    firsts, expected = Counter(), Counter()
    for seed in range(400):
        protocol = protocol_of(Design.UNAIDED, seed=seed, block_size=10, is_stratified=True)
        order = draw_order(cases, protocol, study="study", reader="ann")
        for block in range(1, 5):
            names = [place.case[0] for place in order if place.block == block]
            share = names.count("a")
            firsts[share] += names[0] == "a"
            expected[share] += 1
    assert set(expected) == {6, 7}
    for share, count in expected.items():
        assert binomtest(firsts[share], count, share / 10).pvalue > 0.001


def test_blocks_that_are_not_stratified_are_a_cut_of_the_plain_shuffle() -> None:
    cases = cases_of(25)
    plain = reading_order([case.case for case in cases], study="study", seed=1, reader="ann", arm=Arm.UNAIDED)
    order = draw_order(cases, protocol_of(Design.UNAIDED, seed=1, block_size=10), study="study", reader="ann")
    assert [place.case for place in order] == plain
    assert Counter(place.block for place in order) == {1: 9, 2: 8, 3: 8}


def test_readers_have_orders_and_repeats_of_their_own() -> None:
    """Over 150 pairs of readers the places of a case are not related, and every case is repeated about as often."""
    cases = cases_of(40, 4)
    protocol = protocol_of(Design.UNAIDED, block_size=10, is_stratified=True, n_repeats=5, repeat_distance=10)
    orders = [draw_order(cases, protocol, study="study", reader=f"reader-{number}") for number in range(300)]
    places = [{p.case: index for index, p in enumerate(order) if p.repeat == 1} for order in orders]
    names = [case.case for case in cases]
    related = [
        spearmanr([first[n] for n in names], [second[n] for n in names]).statistic
        for first, second in zip(places[::2], places[1::2], strict=True)
    ]
    assert abs(sum(related) / len(related)) < 0.06  # SD of the mean about 0.013
    again = Counter(place.case for order in orders for place in order if place.repeat == 2)
    assert chisquare([again[name] for name in names]).pvalue > 0.001
    first_block = Counter(place.case for order in orders for place in order if place.block == 1 and place.repeat == 1)
    assert chisquare([first_block[name] for name in names]).pvalue > 0.001


@pytest.mark.parametrize("design", [Design.UNAIDED, Design.CROSSOVER])
def test_the_two_periods_and_readers_are_drawn_apart(design: Design) -> None:
    cases = cases_of(60)
    protocol = protocol_of(design)
    ann, ben = (draw_order(cases, protocol, study="study", reader=reader) for reader in ("ann", "ben"))
    assert sum(a.case == b.case for a, b in zip(ann, ben, strict=True)) < 15
    if design is Design.CROSSOVER:
        assert sum(a.case == b.case for a, b in zip(ann[:60], ann[60:], strict=True)) < 15
        swapped = draw_order(cases, protocol, study="study", reader="ann", group=2)
        assert [(p.case, p.arm) for p in swapped[:60]] == [(p.case, p.arm) for p in ann[60:]]


def test_the_order_of_a_known_seed_never_changes() -> None:
    """Stored orders carry the name of the algorithm; another order under the same name could not be made again."""
    cases = [CaseToRead(str(number), "ab"[number % 2]) for number in range(8)]
    protocol = protocol_of(
        Design.UNAIDED, seed=20230601, block_size=4, is_stratified=True, n_repeats=2, repeat_distance=3
    )
    order = draw_order(cases, protocol, study="study", reader="ann")
    said = [f"{place.case}{'r' if place.repeat == 2 else ''}:{place.block}" for place in order]
    assert " ".join(said) == KNOWN
    plain = draw_order(cases, replace(protocol, order=ReadingOrder(seed=20230601)), study="study", reader="ann")
    assert " ".join(place.case for place in plain) == KNOWN_PLAIN
