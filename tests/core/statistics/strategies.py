"""Random studies for the property tests."""

from __future__ import annotations

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

#: Properties of arithmetic need few examples and no clock.
quick = settings(max_examples=60, deadline=None, derandomize=True)


@st.composite
def rated_cases(draw, n_curves: int = 1, min_per_class: int = 2, max_per_class: int = 12):
    """Reference standard (n,) and ratings (n_curves, n) with many ties; both classes present."""
    n_positive = draw(st.integers(min_per_class, max_per_class))
    n_negative = draw(st.integers(min_per_class, max_per_class))
    n = n_positive + n_negative
    rating = st.integers(-4, 4).map(float)
    ratings = np.array(draw(st.lists(st.lists(rating, min_size=n, max_size=n), min_size=n_curves, max_size=n_curves)))
    order = np.array(draw(st.permutations(range(n))))
    truth = (np.arange(n) < n_positive)[order]
    return truth, ratings


@st.composite
def readings(draw, classes="abcd", min_readers: int = 2, max_readers: int = 5, has_gaps: bool = False):
    """Labels (n_cases, n_readers) as lists of lists; None is a gap."""
    n_readers = draw(st.integers(min_readers, max_readers))
    n_cases = draw(st.integers(2, 15))
    label = st.sampled_from([*classes, None] if has_gaps else list(classes))
    row = st.lists(label, min_size=n_readers, max_size=n_readers)
    return draw(st.lists(row, min_size=n_cases, max_size=n_cases))


@st.composite
def labelled_cases(draw, classes="abc", n_readers: int = 1):
    """Truth and labels of ``n_readers`` over the same cases, as lists."""
    n = draw(st.integers(3, 25))
    column = st.lists(st.sampled_from(list(classes)), min_size=n, max_size=n)
    return draw(column), [draw(column) for _ in range(n_readers)]
