"""Who is who in print without colours: by mark and dash alone, in every kind of study."""

from itertools import combinations

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from core.rater_styles import mean_dashes, rater_styles
from core.report.figures import _line, _look
from core.study_analysis.results import Identity


def raters(n_readers, n_models, arms):
    """Identities of a study."""
    readers = [Identity("reader", f"r{number}", arm, f"r{number}") for number in range(n_readers) for arm in arms]
    return [*readers, *(Identity("model", f"m{number}", "", f"m{number}") for number in range(n_models))]


@pytest.mark.parametrize("arms", [("unaided",), ("unaided", "aided"), ("1", "2"), ("cine", "still", "both")])
def test_nobody_looks_like_somebody_else_without_colours(arms):
    styles = rater_styles(raters(20, 4, arms))
    assert len({(one.mark, one.is_open, one.dash) for one in styles.values()}) == len(styles)


@pytest.mark.parametrize(("n_readers", "n_models", "arms"), [(6, 2, ("unaided",)), (3, 1, ("unaided", "aided")),
                                                            (3, 2, ("1", "2"))])  # fmt: skip
def test_curves_of_a_usual_study_differ_in_dash_and_points_in_mark(n_readers, n_models, arms):
    styles = rater_styles(raters(n_readers, n_models, arms))
    assert len({one.dash for one in styles.values()}) == len(styles)
    assert len({one.symbol for one in styles.values()}) == len(styles)


def test_the_first_arm_is_filled_and_its_mean_has_no_gaps():
    for arms, first in ((("aided", "unaided"), "unaided"), (("test 10", "test 2"), "test 2")):
        styles = rater_styles(raters(2, 1, arms))
        assert {arm for (_, arm), style in styles.items() if not style.is_open and arm} == {first}
        dashes = mean_dashes(arms)
        assert dashes[first] == ()
        assert len(set(dashes.values())) == 2


def printed(style):
    """A stretch of line with a mark, as matplotlib prints it in black."""
    figure = Figure(figsize=(0.6, 0.2), dpi=300)
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, 1), ylim=(-1, 1))
    axes.axis("off")
    black = _look(style) | {"color": "black", "markeredgecolor": "black"}
    axes.plot([0, 1], [0, 0], linestyle=_line(style.dash), **black)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., 0] < 128


def test_printed_marks_and_dashes_differ_in_ink_not_in_name_only():
    pictures = [printed(style) for style in rater_styles(raters(6, 2, ("unaided", "aided"))).values()]
    for one, other in combinations(pictures, 2):
        assert (one != other).sum() > 0.05 * min(one.sum(), other.sum())
