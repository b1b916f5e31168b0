"""What is said about pictures: empty frames and bright backgrounds are named, scans are not."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.imaging import count_notes, is_loud, render_uint8
from core.imaging.notes import metadata_note, remarks
from core.phantom import generate_case

SCANS = {
    (truth, centre): generate_case(("notes", 1), truth, centre=centre)
    for truth in ("graves", "normal", "sat", "tumor")
    for centre in ("C1", "C2")
}
ODD = {
    "black": (np.zeros((64, 64), np.uint8), "BLACK FRAME"),
    "black after JPEG": (np.random.default_rng(1).integers(0, 4, (64, 64), np.uint8), "BLACK FRAME"),
    "black with a few dead pixels": (np.where(np.arange(4096).reshape(64, 64) % 900 == 7, 255, 0), "BLACK FRAME"),
    "no counts": (np.zeros((128, 128), np.uint16), "BLACK FRAME"),
    "white": (np.full((64, 64), 255, np.uint8), "CONSTANT FRAME"),
    "flat counts": (np.full((64, 64), 300, np.uint16), "CONSTANT FRAME"),
}


@pytest.mark.parametrize("name", list(ODD))
def test_frames_that_show_nothing_are_named(name):
    """Loudly: each would be a case that nobody can read."""
    pixels, kind = ODD[name]
    (note,) = remarks(pixels.astype(np.uint8 if pixels.dtype == np.int64 else pixels.dtype))
    assert note.startswith(kind)
    assert is_loud(note)


@pytest.mark.parametrize("scan", list(SCANS))
def test_scans_are_left_alone_and_their_inverse_is_noted(scan):
    """Exports and counts of every class, also a subacute thyroiditis that takes up almost nothing."""
    phantom = SCANS[scan]
    for pixels in (phantom.picture, phantom.counts, render_uint8(phantom.counts)):
        assert remarks(pixels) == []
        (note,) = remarks((255 if pixels.dtype == np.uint8 else pixels.max()) - pixels)
        assert note.startswith("bright background")
        assert not is_loud(note)


def test_a_scan_of_very_few_counts_is_a_scan():
    """Some 400 counts in 64 x 64 pixels."""
    counts = np.random.default_rng(1).poisson(0.1, (64, 64)).astype(np.uint16)
    assert remarks(counts) == []


def test_metadata_that_say_nothing_are_not_worth_a_note():
    """A JPEG's own version is; a profile or a name is."""
    assert metadata_note(("jfif", "jfif_density", "dpi")) == []
    assert metadata_note(("PatientName", "jfif", "exif")) == ["metadata left out (PatientName, exif)"]


KINDS = ["EXIF orientation applied", "negative pixels set to 0", "BLACK FRAME: nothing", "overlay planes left out"]


@given(st.lists(st.lists(st.tuples(st.sampled_from(KINDS), st.integers(1, 3)), max_size=5), max_size=12))
def test_notes_are_counted_by_kind_once_an_image(drawn):
    """The counts are those of a plain loop; what stands in brackets does not split a kind; loud ones name cases."""
    notes_of = [(f"c{place}", [f"{kind} ({n} pixels)" for kind, n in notes]) for place, notes in enumerate(drawn)]
    loud, quiet = count_notes(notes_of)
    for kind in KINDS:
        cases = [case for case, notes in notes_of if any(note.startswith(kind) for note in notes)]
        (line,) = [line for line in loud + quiet if kind in line] or [None]
        assert (line is None) == (not cases)
        if line is not None:
            assert line.startswith(f"{len(cases)} image{'s' if len(cases) > 1 else ''}: {kind}")
            assert (line in loud) == kind.startswith("BLACK")
            assert all(case in line for case in cases[:5]) or line in quiet
