"""The colour, mark and dash of every rater, the same on every screen and in every printed figure.

Colours are told apart by colour-blind people (after Okabe and Ito 2008; Wong 2011, Nat. Methods 8:441) and stand out
from white by 3.8 to 1 or more (WCAG 2.1 asks 3 to 1 of graphics). In print without colours they are one grey, so each
rater has a mark and a dash of its own too; models have other marks than readers. Of a reader in several arms all have
one colour and one mark, filled in the first arm and open in the others, and every arm has another dash. Colours, marks
and dashes are coprime in number: where each begins again, no two raters have all three alike.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from core.natural_order import natural_key, rater_place
from core.study_analysis.results import Identity

PALETTE = ("#0072B2", "#D55E00", "#00805F", "#AA4499", "#8A6A00", "#332288", "#555555")
#: Names of plotly's; those that are told apart best come first.
MODEL_MARKS = ("diamond", "x", "star-diamond", "cross")
READER_MARKS = ("circle", "square", "triangle-up", "triangle-down", "star", "triangle-right", "triangle-left",
                "pentagon", "hexagon")  # fmt: skip
#: These leave much of their square empty and are drawn larger.
_SLIM_MARKS = ("x", "star-diamond", "cross", "star", "triangle-up", "triangle-down", "triangle-right", "triangle-left")
#: Lengths of stroke, gap, stroke, ... in widths of the line; () is a line without gaps.
Dash = tuple[float, ...]
#: Long strokes at even places and short ones at odd places: of two arms, the first has the long ones.
DASHES: tuple[Dash, ...] = (
    (), (3.5, 1.8), (7, 1.8, 1.3, 1.8), (1.3, 1.5), (8, 2.6), (3, 1.6, 1.2, 1.6), (7, 1.6, 1.2, 1.6, 1.2, 1.6),
    (3, 1.5, 1.1, 1.5, 1.1, 1.5),
)  # fmt: skip


@dataclass(frozen=True)
class RaterStyle:
    """How one rater is drawn."""

    colour: str  # "#rrggbb"
    mark: str  # a name of plotly's, without "-open"
    dash: Dash
    is_open: bool  # drawn as an outline: an arm that is not the first

    @property
    def symbol(self) -> str:
        """The mark as plotly names it."""
        return f"{self.mark}-open" if self.is_open else self.mark

    @property
    def relative_size(self) -> float:
        """How much larger than a circle the mark is drawn, so that both catch the eye alike."""
        return 1.3 if self.mark in _SLIM_MARKS else 1.0


def rater_styles(raters: Iterable[Identity], declared: str | None = None) -> dict[tuple[str, str], RaterStyle]:
    """(key, arm) -> style, in the order of :func:`core.natural_order.rater_place`.

    Parameters
    ----------
    raters : iterable of Identity
        Of all cohorts of the study, so that a rater keeps the colour from cohort to cohort; repeats do not matter.
    declared : str, optional
        Key of the model that the protocol named.
    """
    unique = sorted(set(raters), key=lambda one: rater_place(one, declared))
    place = {key: number for number, key in enumerate(dict.fromkeys((one.kind, one.key) for one in unique))}
    n_models = sum(kind == "model" for kind, _ in place)
    arms = _arms_in_order(one.arm for one in unique if one.arm)
    n_arms = max(1, len(arms))
    found = {}
    for one in unique:
        number = place[one.kind, one.key]
        arm = arms.index(one.arm) if one.arm else 0
        if one.kind == "model":
            mark, line = MODEL_MARKS[number % len(MODEL_MARKS)], number
        else:
            reader = number - n_models
            mark = READER_MARKS[reader % len(READER_MARKS)]
            line = n_arms * (-(-n_models // n_arms) + reader) + arm  # arms of a reader side by side in DASHES
        found[one.key, one.arm] = RaterStyle(
            PALETTE[number % len(PALETTE)], mark, DASHES[line % len(DASHES)], is_open=arm > 0
        )
    return found


def mean_dashes(arms: Iterable[str]) -> dict[str, Dash]:
    """Arm -> dash of the readers' mean in it, whose line is black and heavy: no gaps in the first arm."""
    return dict(zip(_arms_in_order(arms), DASHES, strict=False))


def _arms_in_order(arms: Iterable[str]) -> list[str]:
    """Unaided reading first, which others are compared with."""
    return sorted(set(arms), key=lambda arm: (arm != "unaided", natural_key(arm)))
