"""The colour, mark and dash of every rater, the same on every screen and in every printed figure.

Colours are told apart by colour-blind people (after Okabe and Ito 2008; Wong 2011, Nat. Methods 8:441) and stand out
from white by 3.8 to 1 or more (WCAG 2.1 asks 3 to 1 of graphics). Models are diamonds; of a reader in two arms both
have one colour, and the aided one is an open mark with a dashed line. Where colours run out, mark and dash change.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from core.natural_order import rater_place
from core.study_analysis.results import Identity

PALETTE = ("#0072B2", "#D55E00", "#00805F", "#AA4499", "#8A6A00", "#332288", "#555555")
READER_MARKS = ("circle", "square", "triangle-up", "triangle-down", "pentagon", "star", "hexagon")
DASHES = ("solid", "dashdot", "longdash", "dot")


@dataclass(frozen=True)
class RaterStyle:
    """How one rater is drawn."""

    colour: str  # "#rrggbb"
    mark: str  # a name of plotly's, without "-open"
    dash: str  # a name of plotly's
    is_open: bool  # drawn as an outline: the aided arm

    @property
    def symbol(self) -> str:
        """The mark as plotly names it."""
        return f"{self.mark}-open" if self.is_open else self.mark


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
    found = {}
    for one in unique:
        number = place[one.kind, one.key]
        turn = number // len(PALETTE)
        mark = (
            "diamond" if one.kind == "model" else READER_MARKS[(number - n_models) // len(PALETTE) % len(READER_MARKS)]
        )
        is_open = one.arm == "aided"
        dash = "dash" if is_open else DASHES[turn % len(DASHES)]
        found[one.key, one.arm] = RaterStyle(PALETTE[number % len(PALETTE)], mark, dash, is_open)
    return found
