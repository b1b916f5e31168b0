"""One simulated patient: reproducible, physically plausible, with a mask for every lesion."""

import hashlib

import numpy as np
import pytest

from core.errors import InputError
from core.phantom import CENTRES, SUBTYPES, Knobs, generate_case
from core.phantom.camera import apply_colour_table, read_centres
from core.phantom.fields import generator, log_normal, make_grid, random_field
from core.phantom.uptake import draw_disease, draw_subtype, subtype_shares

ALL_SUBTYPES = [(disease, subtype) for disease, subtypes in SUBTYPES.items() for subtype in subtypes]


@pytest.mark.parametrize(("disease", "subtype"), ALL_SUBTYPES)
def test_every_subtype_gives_counts_picture_and_masks(disease, subtype):
    """Types, shapes and the rule that only a normal gland has no lesion."""
    case = generate_case(("shapes", 1), disease, centre="C2", subtype=subtype)
    assert case.counts.dtype == np.uint16
    assert case.counts.shape == (256, 256)
    assert case.picture.dtype == np.uint8
    assert case.picture.shape == case.gland_mask.shape == case.lesion_mask.shape == (256, 256)
    assert case.gland_mask.any()
    assert case.lesion_mask.any() == (disease != "normal")
    assert case.subtype == subtype


@pytest.mark.parametrize("centre", list(CENTRES))
def test_counts_follow_the_centre_protocol(centre):
    """Matrix, pixel size and total counts are those of the scanner and the centre."""
    protocol = CENTRES[centre]
    case = generate_case(("protocol", 3), "graves", centre=centre)
    assert case.counts.shape == (protocol.scanner.matrix, protocol.scanner.matrix)
    assert case.scanner == protocol.scanner.name
    expected = case.acquisition.total_counts
    assert case.counts.sum() == pytest.approx(expected, abs=6 * np.sqrt(expected))
    assert 0.7 < case.pixel_spacing_mm < 2.2
    assert case.picture_spacing_mm * 256 == pytest.approx(case.pixel_spacing_mm * protocol.scanner.matrix)


def test_the_same_key_gives_the_same_bytes():
    """Nothing but the key, class and centre decides a case."""
    first = generate_case(("again", 7), "tumor", centre="C3")
    second = generate_case(("again", 7), "tumor", centre="C3")
    assert first.counts.tobytes() == second.counts.tobytes()
    assert first.picture.tobytes() == second.picture.tobytes()
    assert first.lesion_mask.tobytes() == second.lesion_mask.tobytes()


def test_counts_of_one_case_are_those_of_the_release():
    """A change of the simulator changes every stored cohort: it must be meant, and this digest be renewed with it."""
    case = generate_case(("golden", "training", 0), "sat", centre="C1", subtype="patchy")
    assert hashlib.sha256(case.counts.astype("<u2").tobytes()).hexdigest()[:16] == "b6017530036cc8a1"


def test_keys_classes_and_centres_give_different_cases():
    """No two of them share a picture."""
    cases = [
        generate_case(("differ", 1), "normal", centre="C2"),
        generate_case(("differ", 2), "normal", centre="C2"),
        generate_case(("differ", 1), "tumor", centre="C2"),
        generate_case(("differ", 1), "normal", centre="C3"),
    ]
    assert len({case.counts.tobytes() for case in cases}) == 4


def test_seed_words_cannot_run_together():
    """("a", 1) and ("a1",) are different seeds, and so are 1 and "1"."""
    draws = {generator(*words).random() for words in (("a", 1), ("a1",), ("a", "1"), (1, "a"))}
    assert len(draws) == 4


def test_patient_at_another_centre_keeps_build_and_uptake():
    """The key fixes the person, the centre only the camera."""
    here = generate_case(("person", 5), "graves", centre="C1", subtype="typical")
    there = generate_case(("person", 5), "graves", centre="C2", subtype="typical")
    assert (here.sex, here.age_years, here.uptake_percent) == (there.sex, there.age_years, there.uptake_percent)


def test_random_field_has_unit_variance_everywhere():
    """Also at the border, where a plain filter would lose variance."""
    grid = make_grid(64, 2.0)
    rng = generator("variance")
    fields = np.array([random_field(rng, grid, 9.0) for _ in range(400)])
    assert fields.var(axis=0).mean() == pytest.approx(1.0, abs=0.05)
    assert fields[:, 0, 0].var() == pytest.approx(1.0, abs=0.25)


def test_log_normal_stays_in_its_range():
    """Draws outside are drawn again, not clipped to the ends."""
    rng = generator("range")
    draws = [log_normal(rng, 1.0, 0.5, 0.35, 3.2) for _ in range(500)]
    assert min(draws) > 0.35
    assert max(draws) < 3.2


UPTAKE_RANGES = {  # per cent; from the specification of every subtype
    ("graves", "typical"): (3, 40, 6, 13),
    ("graves", "mild"): (1.5, 4.5, 2.2, 3.1),
    ("normal", "typical"): (0.35, 3.2, 0.8, 1.25),
    ("sat", "faint"): (0.04, 0.40, 0.10, 0.19),
    ("sat", "absent"): (0.01, 0.08, 0.03, 0.06),
    ("sat", "unilateral"): (0.15, 1.0, 0.33, 0.54),
    ("sat", "patchy"): (0.13, 0.75, 0.23, 0.39),
    ("sat", "high"): (0.55, 1.5, 0.8, 1.05),
    ("tumor", "cold"): (0.35, 3.6, 0.85, 1.4),
    ("tumor", "hot"): (0.6, 8, 1.5, 2.6),
}


@pytest.mark.parametrize(("disease", "subtype"), list(UPTAKE_RANGES))
def test_uptake_of_every_subtype_has_its_range_and_median(disease, subtype):
    """Range of all draws and range of their median."""
    low, high, median_low, median_high = UPTAKE_RANGES[disease, subtype]
    rng = generator("uptake", disease, subtype)
    draws = [draw_disease(rng, disease, subtype, Knobs()).uptake_percent for _ in range(400)]
    assert low <= min(draws)
    assert max(draws) <= high
    assert median_low < np.median(draws) < median_high


def test_graves_glands_take_up_more_than_normal_and_thyroiditis_less():
    """Medians of uptake keep the order of the literature."""
    medians = {
        disease: np.median([generate_case(("uptake", i), disease, centre="C1").uptake_percent for i in range(15)])
        for disease in ("graves", "normal", "sat")
    }
    assert medians["graves"] > 4 * medians["normal"] > 8 * medians["sat"]


def test_cold_nodule_takes_up_less_than_the_gland_and_hot_more():
    """Read from the counts inside the lesion's mask."""
    for subtype, is_lower in (("cold", True), ("hot", False)):
        ratios = []
        for index in range(8):
            case = generate_case(("contrast", index), "tumor", centre="C2", subtype=subtype, knobs=Knobs(nodule_mm=24))
            rest = case.gland_mask & ~case.lesion_mask
            ratios.append(case.counts[case.lesion_mask & case.gland_mask].mean() / case.counts[rest].mean())
        assert bool(np.median(ratios) < 1) is is_lower


@pytest.mark.parametrize("disease", list(SUBTYPES))
def test_subtype_shares_sum_to_one_and_are_drawn(disease):
    """Drawn frequencies agree with the shares within four standard errors."""
    shares = dict(subtype_shares(disease, Knobs()))
    assert sum(shares.values()) == pytest.approx(1.0)
    rng = generator("shares", disease)
    drawn = [draw_subtype(rng, disease, Knobs()) for _ in range(2000)]
    for subtype, share in shares.items():
        assert drawn.count(subtype) / 2000 == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / 2000))


def test_knobs_change_the_shares():
    """Mild Graves' disease follows the centre unless a knob overrules it."""
    assert dict(subtype_shares("graves", Knobs(), centre_mild_share=0.16))["mild"] == pytest.approx(0.16)
    assert dict(subtype_shares("graves", Knobs(mild_graves_share=0.5)))["mild"] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"disease": "cancer"}, "class"),
        ({"centre": "C9"}, "centre"),
        ({"subtype": "typical", "disease": "sat"}, "subtype"),
        ({"sex": "x"}, "sex"),
    ],
)
def test_unknown_words_are_refused(arguments, word):
    """The error names the field."""
    full = {"disease": "normal", "centre": "C1", **arguments}
    with pytest.raises(InputError) as caught:
        generate_case(("bad", 1), full.pop("disease"), **full)
    assert caught.value.field == word


@pytest.mark.parametrize("knobs", [{"warm_share": 0.7, "hot_share": 0.7}, {"nodule_mm": 60}, {"high_sat_share": -0.1}])
def test_impossible_knobs_are_refused(knobs):
    """Shares outside 0 to 1 and nodules outside their range."""
    with pytest.raises(InputError):
        Knobs(**knobs)


def test_colour_tables_keep_the_order_of_brightness():
    """Hot iron gets lighter and inverse grey darker with every step."""
    ramp = np.arange(256, dtype=np.uint8).reshape(1, 256)
    assert (np.diff(apply_colour_table(ramp, "inverse-grey").astype(int)) == -1).all()
    iron = apply_colour_table(ramp, "hot-iron").astype(int).sum(axis=-1)
    assert (np.diff(iron) >= 0).all()
    with pytest.raises(InputError):
        apply_colour_table(ramp, "rainbow")


def test_scanners_can_be_put_into_other_centres(tmp_path):
    """The mapping is a file, because the paper does not publish it."""
    path = tmp_path / "centres.toml"
    path.write_text('[scanner_of]\nC1 = "Siemens Symbia T6"\n')
    centres = read_centres(path)
    case = generate_case(("moved", 1), "normal", centre=centres["C1"])
    assert case.scanner == "Siemens Symbia T6"
    assert case.counts.shape == (256, 256)


@pytest.mark.parametrize(
    "text", ["", "[scanner_of]\nC7 = 'Siemens Symbia T6'", "[scanner_of]\nC1 = 'Kodak'", "scanner_of = [", "\xff"]
)
def test_broken_centre_files_are_refused(tmp_path, text):
    """Naming the file."""
    path = tmp_path / "centres.toml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=r"centres\.toml"):
        read_centres(path)
