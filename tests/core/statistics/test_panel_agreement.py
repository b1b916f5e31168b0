"""Agreement: published values, special cases that must coincide, missing readings, the kappa paradox."""

import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.inter_rater import aggregate_raters, cohens_kappa
from statsmodels.stats.inter_rater import fleiss_kappa as statsmodels_fleiss

from core.errors import StatisticsInputError
from core.statistics import (
    State,
    brennan_prediger,
    cohen_kappa,
    conger_kappa,
    fleiss_kappa,
    fleiss_kappa_test,
    gwet_ac,
    has_kappa_paradox,
    intra_reader_agreement,
    krippendorff_alpha,
    panel_agreement,
    percent_agreement,
)
from tests.core.statistics.strategies import quick, readings

CLASSES = "abcd"
COEFFICIENTS = (percent_agreement, fleiss_kappa, gwet_ac, brennan_prediger, conger_kappa, krippendorff_alpha)

#: Four observers, twelve units, with gaps: Krippendorff (2011), Computing Krippendorff's Alpha-Reliability.
OBSERVERS = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
    [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
]
UNITS = [list(unit) for unit in zip(*OBSERVERS, strict=True)]
FIVE = (1, 2, 3, 4, 5)


@pytest.mark.parametrize(
    ("metric", "alpha"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849), ("ratio", 0.797)]
)
def test_krippendorff_gives_published_alpha(metric, alpha):
    """Krippendorff (2011), sections C and E."""
    found = krippendorff_alpha(UNITS, FIVE, metric=metric).estimate
    assert round(found.value, 3) == alpha
    assert found.n == 11  # the last unit was read once


@pytest.mark.parametrize(
    ("coefficient", "value", "error"),
    [
        (percent_agreement, 0.81818, 0.12561),
        (fleiss_kappa, 0.76117, 0.15302),
        (gwet_ac, 0.77544, 0.14295),
        (brennan_prediger, 0.77273, 0.14472),
        (conger_kappa, 0.76282, 0.14917),
        (krippendorff_alpha, 0.74342, None),
    ],
)
def test_missing_readings_give_published_values(coefficient, value, error):
    """The example of R's irrCAC (cac.raw4raters), where the single reading of the last unit is the third observer's."""
    units = [*UNITS[:-1], [None, None, 3, None]]
    estimate = coefficient(units, FIVE).estimate
    assert round(estimate.value, 5) == value
    assert error is None or round(estimate.standard_error, 5) == error


@quick
@given(readings(min_readers=2, max_readers=2))
def test_cohen_equals_scikit_learn_and_conger(labels):
    one, two = [row[0] for row in labels], [row[1] for row in labels]
    ours = cohen_kappa(one, two, CLASSES)
    if ours.state is State.UNDEFINED:
        assert len({*one, *two}) == 1
        return
    assert ours.value == pytest.approx(cohen_kappa_score(one, two), abs=1e-12)
    assert ours.value == pytest.approx(conger_kappa(labels, CLASSES).estimate.value, abs=1e-12)


@pytest.mark.parametrize("weights", ["linear", "quadratic"])
def test_weighted_cohen_equals_scikit_learn_and_statsmodels(weights):
    rng = np.random.default_rng(1)
    one = rng.integers(4, size=80)
    two = np.clip(one + rng.integers(-1, 2, size=80), 0, 3)
    ours = cohen_kappa(one.tolist(), two.tolist(), range(4), weights=weights)
    assert ours.value == pytest.approx(cohen_kappa_score(one, two, weights=weights))
    table = np.bincount(one * 4 + two, minlength=16).reshape(4, 4)
    peer = cohens_kappa(table, wt=weights)
    assert ours.standard_error == pytest.approx(peer.std_kappa)
    assert (ours.lower, ours.upper) == pytest.approx((peer.kappa_low, peer.kappa_upp))


def test_cohen_gives_published_standard_error():
    """Fleiss, Cohen and Everitt (1969), table 1: kappa 0.429, standard error 0.054."""
    table = np.array([[106, 10, 4], [22, 28, 10], [2, 12, 6]])
    one = np.repeat(np.arange(3), table.sum(axis=1))
    two = np.concatenate([np.repeat(np.arange(3), row) for row in table])
    ours = cohen_kappa(one.tolist(), two.tolist(), range(3))
    assert ours.value == pytest.approx(0.429, abs=5e-4)
    assert ours.standard_error == pytest.approx(0.054, abs=5e-4)


@quick
@given(readings())
def test_fleiss_equals_statsmodels(labels):
    ours = fleiss_kappa(labels, CLASSES).estimate
    if ours.state is State.UNDEFINED:
        return
    counts, _ = aggregate_raters(np.array([[CLASSES.index(x) for x in row] for row in labels]), n_cat=4)
    assert ours.value == pytest.approx(statsmodels_fleiss(counts), abs=1e-12)


@quick
@given(readings(has_gaps=True))
def test_case_reader_and_class_order_change_nothing(labels):
    turned = [row[::-1] for row in labels[::-1]]
    columns = list(zip(*labels, strict=True))
    for coefficient in COEFFICIENTS:
        if coefficient is conger_kappa and any(all(x is None for x in column) for column in columns):
            continue
        plain = coefficient(labels, CLASSES).estimate
        other = coefficient(turned, CLASSES[::-1]).estimate
        assert plain.state is other.state, coefficient
        if plain.value is not None:
            assert plain.value == pytest.approx(other.value, abs=1e-12)
        if plain.standard_error is not None:
            assert plain.standard_error == pytest.approx(other.standard_error, rel=1e-9)


@quick
@given(readings(has_gaps=True))
def test_coefficients_stay_in_their_range_and_name_their_state(labels):
    for coefficient in (percent_agreement, fleiss_kappa, gwet_ac, brennan_prediger, krippendorff_alpha):
        estimate = coefficient(labels, CLASSES).estimate
        assert estimate.value is None or -1.0 - 1e-9 <= estimate.value <= 1.0 + 1e-12
        assert (estimate.value is None) == (estimate.state is State.UNDEFINED)
        if estimate.state is State.ESTIMATED:
            assert estimate.lower <= estimate.value <= estimate.upper


@quick
@given(readings(min_readers=2, max_readers=2))
def test_two_identical_readers_agree_perfectly(labels):
    twice = [[row[0], row[0]] for row in labels]
    is_one_class = len({row[0] for row in labels}) == 1
    for coefficient in COEFFICIENTS:
        estimate = coefficient(twice, CLASSES).estimate
        if is_one_class and coefficient in (fleiss_kappa, conger_kappa, krippendorff_alpha):
            assert estimate.state is State.UNDEFINED
        else:
            assert estimate.value == pytest.approx(1.0)
            assert estimate.state is State.DEGENERATE


def test_alpha_and_fleiss_come_together_for_many_cases():
    rng = np.random.default_rng(0)
    labels = np.array(list(CLASSES))[rng.integers(4, size=(4000, 3)) * (rng.random((4000, 1)) < 0.7)]
    alpha, kappa = krippendorff_alpha(labels, CLASSES).estimate, fleiss_kappa(labels, CLASSES).estimate
    # alpha = kappa + (1 - kappa) / (readings in all)
    assert alpha.value == pytest.approx(kappa.value + (1.0 - kappa.value) / 12_000, abs=1e-12)


def test_alpha_bootstrap_needs_its_generator_and_is_reproducible():
    one = krippendorff_alpha(UNITS, FIVE, rng=np.random.default_rng(2), n_replicates=300).estimate
    two = krippendorff_alpha(UNITS, FIVE, rng=np.random.default_rng(2), n_replicates=300).estimate
    assert one == two
    assert one.lower < one.value < one.upper
    assert "bootstrap" in one.method


def test_weights_of_ac2_are_partial_credit():
    """Neighbours by one step of four get two thirds with linear weights."""
    labels = [["a", "b"], ["b", "b"], ["c", "d"], ["d", "d"]]
    assert percent_agreement(labels, CLASSES, weights="linear").observed == pytest.approx((2 + 2 * 2 / 3) / 4)
    ac2 = gwet_ac(labels, CLASSES, weights="linear")
    assert "AC2" in ac2.estimate.method
    assert ac2.estimate.value > gwet_ac(labels, CLASSES).estimate.value


def test_standard_error_of_fleiss_matches_the_spread_over_samples():
    rng = np.random.default_rng(7)
    values, errors = [], []
    for _ in range(300):
        shared = rng.integers(3, size=(80, 1))
        labels = np.where(rng.random((80, 4)) < 0.6, shared, rng.integers(3, size=(80, 4)))
        estimate = fleiss_kappa(labels.tolist(), range(3)).estimate
        values.append(estimate.value)
        errors.append(estimate.standard_error)
    assert np.mean(errors) == pytest.approx(np.std(values), rel=0.12)


def test_null_test_of_fleiss_is_normal_without_agreement():
    rng = np.random.default_rng(3)
    z = [fleiss_kappa_test(rng.integers(3, size=(60, 4)).tolist(), range(3)).statistic for _ in range(300)]
    assert np.std(z) == pytest.approx(1.0, abs=0.12)
    assert abs(np.mean(z)) < 0.2
    assert fleiss_kappa_test(UNITS, FIVE).state is State.UNDEFINED


def test_the_kappa_paradox_is_flagged_with_what_to_read_instead():
    """Feinstein and Cicchetti (1990): 90% agreement, kappa 0.39, because nearly all are one class."""
    one = ["n"] * 45 + ["d"] * 5
    two = ["n"] * 43 + ["d"] * 2 + ["n"] * 3 + ["d"] * 2
    estimate = cohen_kappa(one, two, ("n", "d"))
    assert "kappa paradox" in estimate.notes[0]
    assert "AC1 is 0.880" in estimate.notes[0]
    assert "PABAK) 0.800" in estimate.notes[0]
    assert "kappa paradox" in panel_agreement(list(zip(one, two, strict=True)), ("n", "d")).notes[0]
    even = ["n", "d"] * 25
    assert cohen_kappa(even, [*even[:-4], *even[-4:][::-1]], ("n", "d")).notes == ()
    assert not has_kappa_paradox(0.7, 0.1)


def test_the_note_carries_the_same_ac1_as_the_coefficient():
    one = ["n"] * 45 + ["d"] * 5
    two = ["n"] * 43 + ["d"] * 2 + ["n"] * 3 + ["d"] * 2
    ac1 = gwet_ac(list(zip(one, two, strict=True)), ("n", "d")).estimate.value
    assert f"AC1 is {ac1:.3f}" in cohen_kappa(one, two, ("n", "d")).notes[0]


def test_panel_holds_every_coefficient_and_counts_gaps():
    panel = panel_agreement(UNITS, FIVE)
    assert panel.n_cases == 12
    assert panel.n_missing == 7
    assert len(panel.pairs) == 6
    assert panel.gwet.estimate == gwet_ac(UNITS, FIVE).estimate
    assert panel.light.value == pytest.approx(np.mean([pair.kappa.value for pair in panel.pairs]))
    assert "left out" in panel.pairs[0].kappa.notes[0]


def test_intra_reader_agreement_uses_cases_read_twice():
    agreement = intra_reader_agreement(["a", "b", None, "c"], ["a", "c", "b", "c"], "abc", case_ids=[1, 2, 3, 4])
    assert agreement.n_cases == 3
    assert agreement.percent.value == pytest.approx(2 / 3)
    assert agreement.kappa.value == pytest.approx(cohen_kappa(list("abc"), list("acc"), "abc").value)
    with pytest.raises(StatisticsInputError, match="twice, at positions 0 and 2"):
        intra_reader_agreement(["a", "b", "a"], ["a", "b", "b"], "ab", case_ids=[1, 2, 1])


@pytest.mark.parametrize("coefficient", COEFFICIENTS)
@pytest.mark.parametrize("labels", [[], [["a", None], [None, "b"]]])
def test_nothing_read_twice_is_undefined(coefficient, labels):
    found = coefficient(labels, CLASSES)
    assert found.estimate.state is State.UNDEFINED
    assert "No case was read by two readers" in found.estimate.reason


def test_no_common_case_is_undefined_for_cohen():
    estimate = cohen_kappa(["a", None], [None, "b"], "ab")
    assert estimate.state is State.UNDEFINED
    assert cohen_kappa(["a", "a"], ["a", "a"], "ab").state is State.UNDEFINED
    assert cohen_kappa(["a", "b"], ["a", "b"], "ab").state is State.DEGENERATE


def test_one_case_has_a_value_but_no_error():
    assert fleiss_kappa([["a", "b"]], CLASSES).estimate.state is State.DEGENERATE


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fleiss_kappa([["a", "b"], ["a"]], CLASSES), "differ in their number of readers"),
        (lambda: fleiss_kappa([["a"], ["b"]], CLASSES), "at least two readers"),
        (lambda: fleiss_kappa([["a", "x"]], CLASSES), "outside the list at position 1"),
        (lambda: conger_kappa([["a", None], ["b", None]], CLASSES), "reader in column 1 has no reading"),
        (lambda: gwet_ac([["a", "b"]], CLASSES, weights="cubic"), "unknown weights"),
        (lambda: gwet_ac([["a", "b"]], CLASSES, weights=[[1.0]]), "4 by 4"),
        (lambda: krippendorff_alpha([["a", "b"]], CLASSES, metric="cubic"), "unknown metric"),
        (lambda: cohen_kappa(["a"], ["a", "b"], CLASSES), "1 and 2 cases"),
        (lambda: intra_reader_agreement(["a"], ["a", "b"], CLASSES), "1 and 2 cases"),
    ],
)
def test_bad_input_names_argument_and_position(call, message):
    with pytest.raises(StatisticsInputError, match=message):
        call()


@pytest.mark.parametrize("n", [12, 100, 394, 613])
@pytest.mark.parametrize("only", [0, 1, 2, 3])
def test_a_reader_who_names_one_class_has_kappa_zero_without_variance(n: int, only: int) -> None:
    """Rounding must not leave a standard error of 1e-10 that looks like an estimate."""
    truth = np.arange(n) % 4
    found = cohen_kappa(truth, np.full(n, only), [0, 1, 2, 3])
    assert (found.value, found.standard_error, found.state) == (0.0, None, State.DEGENERATE)


def sparse_panel(rng, n_cases, n_readers, n_classes, double_share):
    """Each case read by one reader; some by two or three, who may all disagree."""
    labels = np.full((n_cases, n_readers), None, dtype=object)
    for case in range(n_cases):
        n = 1 if rng.random() > double_share else int(rng.integers(2, min(n_readers, 3) + 1))
        for reader in rng.choice(n_readers, size=n, replace=False):
            labels[case, reader] = int(rng.integers(n_classes)) if rng.random() < 0.7 else 0
    return labels


def test_a_few_hard_cases_read_twice_stay_within_the_range():
    """60 cases, half to each of two readers; six hard ones were read by both, and on four of them they disagree."""
    rng = np.random.default_rng(1)
    labels = np.full((60, 2), None, dtype=object)
    labels[:30, 0], labels[30:, 1] = rng.choice(list("abbbb"), 30), rng.choice(list("abbbb"), 30)
    labels[27:30] = [["a", "b"], ["b", "a"], ["a", "b"]]
    labels[30:33] = [["b", "a"], ["a", "a"], ["b", "b"]]
    for coefficient in COEFFICIENTS:
        found = coefficient(labels, ("a", "b")).estimate
        assert found.n == 6
        assert -1.0 <= found.lower <= found.value <= found.upper <= 1.0
        assert found.notes[-1] == "only 6 cases were read by two or more: the interval is likely too narrow"
        if coefficient is not krippendorff_alpha:
            assert found.notes[0] == "class shares of the 6 cases that two or more read; 54 cases were read once"
    assert percent_agreement(labels, ("a", "b")).estimate.value == pytest.approx(2 / 6)
    assert percent_agreement(labels, ("a", "b")).estimate.lower >= 0.0
    twice = labels[27:33]
    assert fleiss_kappa(labels, ("a", "b")).estimate.value == fleiss_kappa(twice, ("a", "b")).estimate.value


def test_percent_agreement_at_its_end_has_an_exact_bound():
    """At the bound, twenty cases that all agree are a 5% event."""
    agreeing = percent_agreement([["a", "a"]] * 10 + [["b", "b"]] * 10, ("a", "b")).estimate
    assert (agreeing.state, agreeing.upper) == (State.DEGENERATE, 1.0)
    assert agreeing.lower == pytest.approx(0.05 ** (1 / 20))
    never = percent_agreement([["a", "b"]] * 20, ("a", "b")).estimate
    assert (never.lower, never.upper) == (0.0, pytest.approx(1.0 - 0.05 ** (1 / 20)))


def test_three_thousand_sparse_panels_stay_within_the_range():
    """Values and limits within the range, the limits hold the value, n counts what two or more read."""
    rng = np.random.default_rng(8)
    outcomes = dict.fromkeys(State, 0)
    for _ in range(3_000):
        k = int(rng.integers(2, 5))
        labels = sparse_panel(rng, int(rng.integers(2, 25)), int(rng.integers(2, 6)), k, rng.random())
        labels = labels[:, (labels != None).any(axis=0)]  # noqa: E711  # elementwise
        if labels.shape[1] < 2:
            continue
        n_paired = int(((labels != None).sum(axis=1) >= 2).sum())  # noqa: E711
        for coefficient in COEFFICIENTS:
            found = coefficient(labels, tuple(range(k))).estimate
            outcomes[found.state] += 1
            assert found.n == n_paired
            if found.value is None:
                assert found.reason
                continue
            assert (0.0 if coefficient is percent_agreement else -1.0) - 1e-12 <= found.value <= 1.0 + 1e-12
            if found.lower is not None:
                assert (0.0 if coefficient is percent_agreement else -1.0) <= found.lower <= found.value + 1e-12
                assert found.value - 1e-12 <= found.upper <= 1.0
    assert min(outcomes.values()) > 100


def test_200_readers_and_2000_cases_take_less_than_five_seconds():
    rng = np.random.default_rng(0)
    truth = rng.integers(4, size=2_000)
    labels = np.where(rng.random((2_000, 200)) < 0.7, truth[:, None], rng.integers(4, size=(2_000, 200)))
    start = time.process_time()
    found = panel_agreement(labels, range(4))
    assert time.process_time() - start < 5.0
    assert len(found.pairs) == 19_900
    for pair in found.pairs[::4_000]:
        assert pair.kappa == cohen_kappa(labels[:, pair.first], labels[:, pair.second], range(4))


@quick
@given(readings())
def test_weighted_kappa_and_its_error_equal_statsmodels(labels):
    one, two = np.array([row[:2] for row in labels], dtype=object).T
    both = np.array([a is not None and b is not None for a, b in zip(one, two, strict=True)])
    table = np.array([[np.sum((one == a) & (two == b) & both) for b in CLASSES] for a in CLASSES])
    distance = np.abs(np.subtract.outer(np.arange(4), np.arange(4))) / 3.0
    for weights, peer_weights in (("identity", None), ("linear", distance), ("quadratic", distance**2)):
        found = cohen_kappa(one, two, CLASSES, weights=weights)
        if found.state is State.ESTIMATED:
            with np.errstate(all="ignore"):
                peer = cohens_kappa(table, weights=peer_weights)
            assert found.value == pytest.approx(peer.kappa, abs=1e-12)
            assert found.standard_error == pytest.approx(np.sqrt(peer.var_kappa), rel=1e-9)


def test_a_data_frame_is_its_cells_and_not_the_names_of_its_columns():
    rows = [["a", "b"], ["b", "b"], ["a", None], ["c", "c"]]
    frame = pd.DataFrame(rows, columns=["a", "b"])
    for coefficient in COEFFICIENTS:
        assert coefficient(frame, CLASSES) == coefficient(rows, CLASSES)
        assert coefficient(frame.convert_dtypes(), CLASSES) == coefficient(rows, CLASSES)
    assert panel_agreement(frame, CLASSES).n_cases == 4
    assert cohen_kappa(frame["a"], frame["b"], CLASSES) == cohen_kappa(*zip(*rows, strict=True), CLASSES)
    with pytest.raises(StatisticsInputError, match="one-dimensional"):
        cohen_kappa(frame, frame, CLASSES)


@pytest.mark.parametrize("labels", [["ab", "bb"], np.array(["a", "b"]), np.zeros((2, 2, 2))])
def test_what_is_no_table_of_cases_and_readers_is_refused(labels):
    with pytest.raises(StatisticsInputError, match=r"n_cases, n_readers"):
        fleiss_kappa(labels, CLASSES)


def test_asymmetric_weights_are_refused():
    credit = np.eye(4)
    credit[0, 1] = 0.5
    with pytest.raises(StatisticsInputError, match="symmetric"):
        cohen_kappa(list("ab"), list("ba"), CLASSES, weights=credit)
    with pytest.raises(StatisticsInputError, match="symmetric"):
        gwet_ac([["a", "b"]], CLASSES, weights=credit)
    credit[1, 0] = 0.5
    assert cohen_kappa(list("abab"), list("bbab"), CLASSES, weights=credit).value is not None


def test_classes_that_are_numbers_have_their_own_distances():
    """Kilobecquerel 1, 2 and 10 are not equally spaced; names are."""
    rows = [[1, 1], [2, 10], [10, 10], [2, 2], [1, 2]]
    named = [["abc"[(1, 2, 10).index(x)] for x in row] for row in rows]
    for metric in ("interval", "ratio"):
        values = [krippendorff_alpha(rows, (1, 2, 10), metric=metric), krippendorff_alpha(named, "abc", metric=metric)]
        assert values[0].estimate.value != pytest.approx(values[1].estimate.value)
    assert krippendorff_alpha(named, "abc", metric="interval") == krippendorff_alpha(
        [["abc".index(x) + 1 for x in row] for row in named], (1, 2, 3), metric="interval"
    )
    with pytest.raises(StatisticsInputError, match="negative"):
        krippendorff_alpha([[-1, 1]], (-1, 1), metric="ratio")
