"""Image files whose size or format names the class: found where they do, silent where they do not."""

import itertools

import numpy as np
import pytest
from scipy import stats

from core.imaging import ImageFacts, find_giveaways

CLASSES = ("graves", "normal", "sat", "tumor")


def fact(truth, *, cohort="internal", side=96, **values):
    """One case."""
    plain = {"bits": 8, "file_format": "PNG", "pixel_spacing_mm": None}
    return ImageFacts(cohort=cohort, truth=truth, width=side, height=side, **{**plain, **values})


def cohort(n, **values):
    """``n`` cases of each class, alike in every property."""
    return [fact(truth, **values) for truth in CLASSES for _ in range(n)]


def test_a_size_that_only_tumors_have_is_found():
    """The one that was imported without a word: tumor 128 square, the others 96."""
    facts = [fact(truth, side=128 if truth == "tumor" else 96) for truth in CLASSES for _ in range(12)]
    (found,) = find_giveaways(facts)
    assert (found.property, found.scope, found.share_guessed, found.share_blind) == (
        "image size",
        "cohort 'internal'",
        0.5,
        0.25,
    )
    assert found.cramers_v == pytest.approx(1.0)
    text = str(found)
    assert "THE IMAGE SIZE GIVES THE CLASS AWAY in cohort 'internal' (p < 0.001" in text
    assert "96 x 96: graves 12, normal 12, sat 12; 128 x 128: tumor 12" in text


@pytest.mark.parametrize("n", [2, 3])
def test_it_is_found_among_very_few_cases(n):
    """Where no test can be significant: one value for all of a class and for nobody else."""
    facts = [fact(truth, side=128 if truth == "tumor" else 96) for truth in CLASSES for _ in range(n)]
    assert [found.property for found in find_giveaways(facts)] == ["image size"]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("file format", {"file_format": "JPEG"}),
        ("bit depth", {"bits": 16}),
        ("pixel spacing", {"pixel_spacing_mm": 2.4}),
        ("centre", {"centre": "B"}),
        ("scanner", {"scanner": "camera"}),
        ("note 'bright background'", {"notes": ("bright background: high counts are dark, kept (median 250)",)}),
    ],
)
def test_every_property_of_the_files_is_looked_at(name, values):
    """Not only the size."""
    facts = [fact(truth, **(values if truth == "sat" else {})) for truth in CLASSES for _ in range(10)]
    assert [found.property for found in find_giveaways(facts)] == [name]


def test_an_imperfect_association_is_found_too():
    """Most tumors in one size, a fifth of the others: a hint is enough to learn from."""
    rng = np.random.default_rng(3)
    facts = [
        fact(truth, side=128 if rng.random() < (0.8 if truth == "tumor" else 0.2) else 96)
        for truth in CLASSES
        for _ in range(40)
    ]
    (found,) = find_giveaways(facts)
    assert 0.3 < found.cramers_v < 0.8


def test_cohorts_may_differ_as_long_as_each_is_mixed_and_classes_are_alike():
    """Another camera elsewhere is the point of an external cohort."""
    assert find_giveaways(cohort(20) + cohort(20, cohort="external", side=128, file_format="JPEG")) == []


def test_a_giveaway_across_cohorts_that_are_read_together_is_found():
    """Each cohort has one size; but the external one is mostly tumors, and readers meet both in one order."""
    external = [fact("tumor", cohort="external", side=128) for _ in range(40)]
    external += [fact("normal", cohort="external", side=128) for _ in range(10)]
    (found,) = find_giveaways(cohort(20) + external)
    assert found.scope == "all cohorts that are read"


def test_the_training_cohort_is_looked_at_alone():
    """Readers do not meet it; a model learns from it."""
    training = cohort(9, cohort="Training")[:27] + [fact("tumor", cohort="Training", side=128) for _ in range(9)]
    (found,) = find_giveaways(cohort(20) + training)
    assert found.scope == "cohort 'Training'"


def test_what_is_alike_or_all_different_or_without_classes_is_no_giveaway():
    """One value, a value a case, one class, nothing."""
    assert find_giveaways(cohort(5)) == []
    assert find_giveaways([fact(truth, side=50 + i) for i, truth in enumerate(CLASSES * 6)]) == []
    assert find_giveaways([fact("sat", side=side) for side in (96, 128) * 9]) == []
    assert find_giveaways([]) == []


def test_chance_rarely_looks_like_a_giveaway():
    """Sizes drawn without regard to the class, 200 cohorts of several kinds: about one in a hundred is named."""
    rng = np.random.default_rng(11)
    named = 0
    for number in range(200):
        n = (6, 15, 40, 200)[number % 4]
        sizes = rng.choice([64, 96, 128], size=4 * n, p=[0.1, 0.3, 0.6])
        named += bool(find_giveaways([fact(truth, side=side) for truth, side in zip(CLASSES * n, sizes, strict=True)]))
    assert named <= stats.binom(200, 0.01).ppf(0.999)


def test_the_p_value_is_fishers_where_cells_are_small():
    """Against the sum over all tables with the same margins, by enumeration."""
    facts = [fact(truth, side=side) for truth, side in zip("aaaaaabbbbbbcc", [9] * 7 + [8] * 7, strict=True)]
    values, truth = [f.width for f in facts], [f.truth for f in facts]
    tables = {}
    for chosen in itertools.combinations(range(14), values.count(9)):
        key = tuple(sum(truth[i] == name for i in chosen) for name in "abc")
        tables[key] = tables.get(key, 0) + 1
    total, own = sum(tables.values()), tables[(6, 1, 0)]
    exact = sum(n for n in tables.values() if n <= own) / total
    (found,) = find_giveaways(facts)
    assert found.p_value == pytest.approx(exact, abs=4 * np.sqrt(exact / 9999))


@pytest.mark.parametrize("table", [[[0, 2], [2, 0], [0, 1]], [[0, 3, 0, 0], [2, 0, 1, 0], [1, 0, 1, 2]]])
def test_small_tables_of_any_shape_have_one_p_value(table):
    """SciPy gives an array for some of them, which NumPy no longer takes for a number."""
    facts = [
        fact("abcd"[column], side=50 + row)
        for row, counts in enumerate(table)
        for column, n in enumerate(counts)
        for _ in range(n)
    ]
    (found,) = find_giveaways(facts)
    assert 0 < found.p_value <= 1


def test_every_view_is_judged_by_itself_and_named():
    """The size of the second view alone tells the class; the centre, which is the case's, is said once."""
    facts = [
        fact(truth, side=128 if view == "Oblique" and truth == "tumor" else 96, view=view, centre=truth)
        for truth in CLASSES
        for _ in range(12)
        for view in ("anterior", "Oblique")
    ]
    found = find_giveaways(facts)
    assert [each.property for each in found] == ["centre", "image size of the view 'Oblique'"]
    assert "THE IMAGE SIZE of the view 'Oblique' GIVES THE CLASS AWAY" in str(found[1])
