"""Readers, lines and servers that do anything at any time: no answer that nobody gave, none that is lost unsaid.

``panel_walk.js`` says what is done, and what must hold after each step.
"""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import BrowserContext

from core.protocol import Arm, Protocol
from core.study import Presentation, Study, StudyState
from pages.widgets.reading_panel import PanelCase, pack_frame
from tests.pages.panel_bench import STARTED, Bench, image_of

pytestmark = pytest.mark.browser

N_CASES = 8


def walking(context: BrowserContext, protocol: Protocol) -> Bench:
    """A panel whose page has ``walk(seed, steps)``."""
    bench = Bench(context, protocol, is_pulsing=True)
    study = Study("panel", protocol, 1, StudyState.OPEN, True, STARTED)
    frames = []
    for position in range(1, N_CASES + 1):
        place = Presentation(f"presentation-{position}", Arm.UNAIDED, position, N_CASES)
        picture = image_of(np.full((4, 4), 20 * position, np.uint8))
        frame = pack_frame(PanelCase(place, 0), study, None, {place.presentation_id: picture})
        frames.append(base64.b64encode(frame).decode())
    bench.page.add_script_tag(content=Path(__file__).with_name("panel_walk.js").read_text(encoding="utf-8"))
    bench.page.evaluate(
        """texts => {
          const all = texts.map((text) => unpack(Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0))));
          window.walk = walks(all.map(({ header }) => header), all.map(({ images }) => images));
        }""",
        frames,
    )
    return bench


@pytest.mark.parametrize("may_type_ahead", [False, True], ids=["dropped", "typed ahead"])
def test_whatever_reader_line_and_server_do_no_answer_is_made_up_and_none_is_lost_unsaid(
    may_type_ahead: bool, context: BrowserContext
) -> None:
    bench = walking(context, Protocol("P", may_type_ahead=may_type_ahead))
    visited: set[str] = set()
    n_stored = 0
    for seed in range(1, 16):
        found = bench.page.evaluate("seed => walk(seed, 120)", seed)
        assert found["faults"] == [], f"seed {seed}"
        visited |= set(found["visited"])
        n_stored += found["nStored"]
    assert n_stored > 30
    assert {"sending", "late", "queued", "saved", "paused", "offline"} <= visited
