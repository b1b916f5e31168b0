"""Bad inputs on DICOM files, items 39 to 47, on files made here and on real gamma-camera files where present."""

import io
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    MPEG2MPML,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    RLELossless,
    SecondaryCaptureImageStorage,
)

from core.errors import ImageError
from core.imaging import load_image
from core.phantom import generate_case
from core.phantom.dicom import dicom_bytes

REAL = Path(__file__).resolve().parents[4] / "shared" / "data" / "dicom"
CASE = generate_case(("dicom-tests", 1), "normal", centre="C1")


@pytest.fixture
def data():
    """A valid static NM data set of 128 x 128 counts."""
    return pydicom.dcmread(io.BytesIO(dicom_bytes(CASE, "dummy")))


def load(tmp_path, data):
    """Write a data set and load it."""
    path = tmp_path / "scan.dcm"
    data.save_as(path, enforce_file_format=True)
    return load_image(path)


def refusal(tmp_path, data):
    """Problem and field with which a data set is refused."""
    with pytest.raises(ImageError) as caught:
        load(tmp_path, data)
    assert caught.value.file == str(tmp_path / "scan.dcm")
    assert caught.value.fix
    return caught.value.problem, caught.value.field


def test_a_static_frame_gives_its_counts(tmp_path, data):
    """Counts exactly, spacing in mm, no metadata but names of what was dropped."""
    data.PatientName = "CANARY^NAME"
    image = load(tmp_path, data)
    assert np.array_equal(image.pixels, CASE.counts)
    assert image.pixel_spacing_mm == pytest.approx(CASE.pixel_spacing_mm, abs=1e-6)
    assert (image.bits, image.file_format, image.notes) == (16, "DICOM", ())
    assert {"PatientName", "PatientID", "StudyInstanceUID"} <= set(image.dropped)


def test_nothing_of_the_header_survives(tmp_path, data):
    """Item 46: canaries in every text element, private ones too, are nowhere in the result."""
    for name in ("PatientName", "PatientID", "InstitutionName", "StudyDescription", "ImageComments", "OperatorsName"):
        setattr(data, name, f"CANARY{name}")
    data.add_new(0x00091010, "LO", "CANARYprivate")
    image = load(tmp_path, data)
    assert "CANARY" not in repr(image)
    assert {"InstitutionName", "OperatorsName", "private tags"} <= set(image.dropped)


@pytest.mark.parametrize(
    ("image_type", "reason"),
    [
        ("WHOLE BODY", "whole-body"),
        ("DYNAMIC", "dynamic"),
        ("GATED", "gated"),
        ("TOMO", "SPECT acquisition"),
        ("RECON TOMO", "SPECT volume"),
        ("GATED TOMO", "gated SPECT"),
        ("RECON GATED TOMO", "gated SPECT volume"),
        ("SOMETHING", "does not say STATIC"),
    ],
)
def test_other_acquisitions_are_refused_by_name(tmp_path, data, image_type, reason):
    """Modality NM alone proves nothing."""
    data.ImageType = ["ORIGINAL", "PRIMARY", image_type, "EMISSION"]
    problem, field = refusal(tmp_path, data)
    assert reason in problem
    assert field == "ImageType"


def test_image_type_without_a_third_value_is_refused(tmp_path, data):
    """And so is none at all."""
    data.ImageType = ["ORIGINAL", "PRIMARY"]
    assert refusal(tmp_path, data)[1] == "ImageType"
    del data.ImageType
    assert refusal(tmp_path, data)[1] == "ImageType"


def two_frames(data):
    """Counts in front, their mirror image behind, as a camera with two heads stores a static view."""
    back = np.ascontiguousarray(CASE.counts[:, ::-1])
    data.NumberOfFrames = 2
    data.PixelData = CASE.counts.astype("<u2").tobytes() + back.astype("<u2").tobytes()
    return back


def code(meaning):
    """A coded view."""
    item = Dataset()
    item.CodeMeaning = meaning
    return item


def test_several_frames_are_refused_with_their_names_and_one_is_taken_by_number(tmp_path, data):
    """Item 43: which view would be read? The header says what the frames are."""
    back = two_frames(data)
    data.DetectorVector = [1, 2]
    first, second = Dataset(), Dataset()
    first.ViewCodeSequence, second.ViewCodeSequence = [code("anterior")], [code("posterior")]
    data.DetectorInformationSequence = [first, second]
    problem, field = refusal(tmp_path, data)
    assert problem == "the file has 2 frames: 1 (detector 1 anterior); 2 (detector 2 posterior)"
    assert field == "NumberOfFrames"
    for frame, expected in ((1, CASE.counts), (2, back)):
        image = load_image(tmp_path / "scan.dcm", frame)
        assert np.array_equal(image.pixels, expected)
    assert "one frame of several taken (2 (detector 2 posterior) of 2)" in image.notes
    for frame in (0, 3):
        with pytest.raises(ImageError, match=f"no frame {frame}: the file has 2.*write 1 to 2"):
            load_image(tmp_path / "scan.dcm", frame)


def test_frames_of_two_energy_windows_are_named(tmp_path, data):
    """The window's own name, or its number."""
    two_frames(data)
    data.EnergyWindowVector = [1, 2]
    peak, scatter = Dataset(), Dataset()
    peak.EnergyWindowName, scatter.EnergyWindowName = "Tc-99m", "scatter"
    data.EnergyWindowInformationSequence = [peak, scatter]
    assert "1 (energy window 1 Tc-99m); 2 (energy window 2 scatter)" in refusal(tmp_path, data)[0]
    del data.EnergyWindowInformationSequence
    assert "1 (energy window 1); 2 (energy window 2)" in refusal(tmp_path, data)[0]
    del data.EnergyWindowVector
    data.NumberOfEnergyWindows = 2
    assert "1 (energy window 1); 2 (energy window 2)" in refusal(tmp_path, data)[0]
    del data.NumberOfEnergyWindows
    assert refusal(tmp_path, data)[0] == "the file has 2 frames: 1; 2"


def test_where_the_patient_s_left_lies_is_taken_from_the_header_or_not_known(tmp_path, data):
    """The image's own statement first, the detector's direction cosines, then the name of the view; never a guess."""
    detector = Dataset()
    data.DetectorInformationSequence = [detector]
    cases = [
        ({"PatientOrientation": ["L", "F"]}, {}, "image-right"),
        ({"PatientOrientation": ["R", "F"]}, {}, "image-left"),
        ({"PatientOrientation": ["LA", "F"]}, {}, "image-right"),
        ({"PatientOrientation": ["A", "F"]}, {}, None),  # a lateral view
        ({"PatientOrientation": ""}, {"ImageOrientationPatient": [1, 0, 0, 0, 0, -1]}, "image-right"),
        ({"PatientOrientation": ""}, {"ImageOrientationPatient": [-1, 0, 0, 0, 0, -1]}, "image-left"),
        ({"PatientOrientation": ""}, {"ImageOrientationPatient": [0.1, 0.99, 0, 0, 0, -1]}, None),
        ({"PatientOrientation": ""}, {"ViewCodeSequence": [code("Left anterior oblique")]}, "image-right"),
        ({"PatientOrientation": ""}, {"ViewCodeSequence": [code("posterior projection")]}, "image-left"),
        ({"PatientOrientation": ""}, {"ViewCodeSequence": [code("antero-posterior")]}, None),
        ({"PatientOrientation": ""}, {"ViewCodeSequence": [code("left lateral projection")]}, None),
        ({"PatientOrientation": ["L", "F"]}, {"ImageOrientationPatient": [-1, 0, 0, 0, 0, -1]}, None),
    ]
    for image, of_detector, expected in cases:
        for name in ("ImageOrientationPatient", "ViewCodeSequence"):
            if name in detector:
                delattr(detector, name)
        for target, values in ((data, image), (detector, of_detector)):
            for name, value in values.items():
                setattr(target, name, value)
        found = load(tmp_path, data)
        assert found.left_side == expected, (image, of_detector)
    assert any(note.startswith("LEFT SIDE UNKNOWN") for note in found.notes)


def test_a_frame_of_a_file_with_one_is_that_one_or_refused(tmp_path, data):
    """Naming frame 1 of a single frame does no harm."""
    assert np.array_equal(load(tmp_path, data).pixels, load_image(tmp_path / "scan.dcm", 1).pixels)
    with pytest.raises(ImageError, match="leave the column 'frame' blank"):
        load_image(tmp_path / "scan.dcm", 2)


def test_two_frames_cut_short_are_refused(tmp_path, data):
    """Also when the frame asked for is complete."""
    two_frames(data)
    data.PixelData = data.PixelData[:-2000]
    data.save_as(tmp_path / "scan.dcm", enforce_file_format=True)
    with pytest.raises(ImageError, match="cut short"):
        load_image(tmp_path / "scan.dcm", 1)


def test_missing_pixels_are_refused(tmp_path, data):
    """Item 40."""
    del data.PixelData
    assert refusal(tmp_path, data)[0].startswith("there are no pixels")


def test_short_pixels_are_refused(tmp_path, data):
    """Item 41, in a file whose lengths are consistent."""
    data.PixelData = data.PixelData[:-2000]
    assert refusal(tmp_path, data) == ("the pixels are cut short", "PixelData")


def test_files_cut_anywhere_are_refused(tmp_path):
    """Item 41: no prefix of a file is read as a picture, and none crashes."""
    whole = dicom_bytes(CASE, "dummy")
    path = tmp_path / "cut.dcm"
    for length in (*range(1, 1900, 11), len(whole) // 2, len(whole) - 100, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(ImageError):
            load_image(path)


def test_files_with_random_damage_never_crash(tmp_path):
    """One to five bytes of the header changed: a picture or an ImageError, nothing else."""
    whole = dicom_bytes(CASE, "dummy")
    rng = np.random.default_rng(7)
    path = tmp_path / "damaged.dcm"
    refused = 0
    for _ in range(300):
        damaged = bytearray(whole)
        for place in rng.integers(0, 1900, rng.integers(1, 6)):
            damaged[place] = rng.integers(0, 256)
        path.write_bytes(damaged)
        try:
            load_image(path)
        except ImageError:
            refused += 1
    assert 30 < refused < 300


def bare(data, syntax):
    """The data set without any file header, in one of the three plain encodings."""
    is_little, is_implicit = syntax != ExplicitVRBigEndian, syntax == ImplicitVRLittleEndian
    if not is_little:
        data.PixelData = CASE.counts.astype(">u2").tobytes()
    buffer = pydicom.filebase.DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = is_little, is_implicit
    plain = Dataset()
    plain.update({element.tag: element for element in data})
    plain["PixelData"].VR = "OW"
    pydicom.filewriter.write_dataset(buffer, plain)
    return buffer.getvalue()


@pytest.mark.parametrize("name", ["scan.dcm", "scan"])
@pytest.mark.parametrize("lost", [128, 132])
def test_files_without_preamble_are_read_and_say_so(tmp_path, name, lost):
    """Item 39: the first 128 bytes, or these and the letters DICM, are not there."""
    path = tmp_path / name
    path.write_bytes(dicom_bytes(CASE, "dummy")[lost:])
    image = load_image(path)
    assert np.array_equal(image.pixels, CASE.counts)
    assert image.notes == ("DICOM without its first 128 bytes: read all the same",)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_bare_data_sets_are_read_and_say_so(tmp_path, data, syntax):
    """Item 39: no file header at all, as an old archive or a network dump leaves them."""
    path = tmp_path / "scan.dcm"
    path.write_bytes(bare(data, syntax))
    image = load_image(path)
    assert np.array_equal(image.pixels, CASE.counts)
    assert image.notes == (f"DICOM without file header: read all the same (as {syntax.name})",)


def test_what_only_begins_like_a_data_set_is_refused(tmp_path):
    """Two bytes prove nothing."""
    for start in (b"\x08\x00", b"\x08\x00\x05\x00CS\x04\x00", b"\x02\x00\x00\x00UL\x04\x00", b"DICM\x02\x00"):
        for name in ("scan.dcm", "scan"):
            (tmp_path / name).write_bytes(start + bytes(range(256)) * 40)
            with pytest.raises(ImageError) as caught:
                load_image(tmp_path / name)
            assert caught.value.fix


def test_monochrome1_keeps_its_counts(tmp_path, data):
    """Item 44: MONOCHROME1 says how to show values; the values of nuclear medicine are counts all the same."""
    data.PhotometricInterpretation = "MONOCHROME1"
    image = load(tmp_path, data)
    assert np.array_equal(image.pixels, CASE.counts)
    assert image.notes == ("MONOCHROME1: counts kept as stored, not inverted",)


def test_burned_in_text_is_refused(tmp_path, data):
    """Item 45."""
    data.BurnedInAnnotation = "YES"
    assert refusal(tmp_path, data)[1] == "BurnedInAnnotation"


@pytest.mark.parametrize(
    ("sop_class", "word"),
    [
        ("1.2.840.10008.5.1.4.1.1.88.11", "structured report"),
        ("1.2.840.10008.5.1.4.1.1.104.1", "PDF"),
        ("1.2.840.10008.5.1.4.1.1.11.1", "presentation state"),
        (SecondaryCaptureImageStorage, "Secondary Capture"),
        ("1.2.840.10008.5.1.4.1.1.7.4", "Secondary Capture"),
        ("1.2.840.10008.5.1.4.1.1.128", "Positron Emission"),
    ],
)
def test_other_objects_are_refused(tmp_path, data, sop_class, word):
    """Item 47, and screen captures, which may hold text."""
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = sop_class
    problem, field = refusal(tmp_path, data)
    assert word in problem
    assert field == "SOPClassUID"


def test_an_rgb_capture_named_nuclear_medicine_is_called_a_capture(tmp_path, data):
    """It has no third image type either; the reason is what it is, and the fix works: the capture as PNG."""
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    data.ImageType = ["DERIVED", "SECONDARY"]
    data.SamplesPerPixel, data.PhotometricInterpretation, data.PlanarConfiguration = 3, "RGB", 0
    assert "screen capture" in refusal(tmp_path, data)[0]


def test_the_retired_class_is_read_and_said(tmp_path, data):
    """Nuclear Medicine Image Storage before 1994."""
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.5"
    image = load(tmp_path, data)
    assert np.array_equal(image.pixels, CASE.counts)
    assert "retired" in image.notes[0]


def test_transmission_scans_and_fractions_are_refused(tmp_path, data):
    """STATIC alone proves nothing, and fractions are no counts."""
    data.ImageType = ["ORIGINAL", "PRIMARY", "STATIC", "TRANSMISSION"]
    assert "transmission" in refusal(tmp_path, data)[0]
    data.ImageType = ["ORIGINAL", "PRIMARY", "STATIC", "EMISSION"]
    del data.PixelData
    data.FloatPixelData = CASE.counts.astype("<f4").tobytes()
    data.BitsAllocated = 32
    assert refusal(tmp_path, data) == ("the pixels are fractions (floating point), not counts", "FloatPixelData")


def test_what_is_left_out_is_noted(tmp_path, data):
    """Overlays, the display window, an unreadable spacing, bits above those stored."""
    data.add_new(0x60000010, "US", 128)
    data.WindowCenter, data.WindowWidth = "50", "100"
    data.PixelSpacing = "2.4"
    data.BitsStored, data.HighBit = 12, 11
    dirty = CASE.counts.astype("<u2")
    dirty[0, 0] |= 0xF000
    data.PixelData = dirty.tobytes()
    image = load(tmp_path, data)
    assert np.array_equal(image.pixels, CASE.counts)
    assert set(image.notes) == {
        "overlay planes left out",
        "display window of the file left out, all values kept",
        "pixel spacing left out: not two positive numbers",
        "bits above the stored ones left out (12 of 16 bits kept)",
    }
    assert image.pixel_spacing_mm is None


@pytest.mark.parametrize("modality", ["CT", "PT", ""])
def test_other_modalities_are_refused(tmp_path, data, modality):
    """Naming what the file says."""
    data.Modality = modality
    assert refusal(tmp_path, data) == ("the image is not nuclear medicine", "Modality")


def test_rescaling_is_applied(tmp_path, data):
    """Whole results are counts; fractions keep the stored steps, which are proportional."""
    data.RescaleSlope, data.RescaleIntercept = "2", "5"
    image = load(tmp_path, data)
    assert np.array_equal(image.pixels, 2 * CASE.counts + 5)
    assert image.notes == ("rescale applied (slope 2, intercept 5)",)
    data.RescaleSlope, data.RescaleIntercept = "0.37", "0"
    image = load(tmp_path, data)
    assert np.array_equal(image.pixels, CASE.counts)
    assert "proportional" in image.notes[0]
    data.RescaleSlope, data.RescaleIntercept = "0.5", "-1.25"
    shifted = load(tmp_path, data).pixels.astype(int)
    assert np.array_equal(np.argsort(np.unique(shifted)), np.arange(np.unique(CASE.counts).size))


@pytest.mark.parametrize("slope", ["0", "-1"])
def test_impossible_slopes_are_refused(tmp_path, data, slope):
    """A slope of zero would empty the picture, a negative one invert it."""
    data.RescaleSlope, data.RescaleIntercept = slope, "0"
    assert refusal(tmp_path, data)[1] == "RescaleSlope"


def test_a_few_negative_values_become_zero_and_many_are_refused(tmp_path, data):
    """Signed files from processing hold some; a subtraction image is no scan."""
    signed = CASE.counts.astype(np.int16)
    signed[0, :10] = -30
    data.PixelRepresentation, data.PixelData = 1, signed.astype("<i2").tobytes()
    image = load(tmp_path, data)
    assert (image.pixels[0, :10] == 0).all()
    assert np.array_equal(image.pixels[1:], CASE.counts[1:])
    assert image.notes == ("negative pixels set to 0 (10 pixels)",)
    data.PixelData = (signed - 20).astype("<i2").tobytes()
    assert "negative" in refusal(tmp_path, data)[0]


def test_eight_bit_files_stay_eight_bits(tmp_path, data):
    """And 32-bit values above 65535 are refused, not wrapped round."""
    data.BitsAllocated = data.BitsStored = 8
    data.HighBit = 7
    data.PixelData = np.minimum(CASE.counts, 255).astype(np.uint8).tobytes()
    assert load(tmp_path, data).bits == 8
    data.BitsAllocated = data.BitsStored = 32
    data.HighBit = 31
    data.PixelData = (CASE.counts.astype("<u4") + 70_000).tobytes()
    assert "65535" in refusal(tmp_path, data)[0]


def test_colour_and_other_photometrics_are_refused(tmp_path, data):
    """Screenshots in colour, palettes."""
    data.PhotometricInterpretation = "PALETTE COLOR"
    assert refusal(tmp_path, data)[1] == "PhotometricInterpretation"
    data.SamplesPerPixel, data.PhotometricInterpretation, data.PlanarConfiguration = 3, "RGB", 0
    data.PixelData = data.PixelData * 3
    assert refusal(tmp_path, data)[1] == "SamplesPerPixel"


def test_pixel_cap_and_missing_size_are_refused_before_decoding(tmp_path, data):
    """Item 31 for DICOM."""
    data.Rows = data.Columns = 20_000
    assert "more than" in refusal(tmp_path, data)[0]
    del data.Rows
    assert refusal(tmp_path, data)[1] == "Rows"


@pytest.mark.parametrize(
    ("spacing", "expected"),
    [(["2", "2"], 2.0), (None, None), (["0", "0"], None), ("2.4", None), (["2.00", "2.01"], 2.005)],
)
def test_pixel_spacing(tmp_path, data, spacing, expected):
    """Positive and square, or unknown."""
    del data.PixelSpacing
    if spacing is not None:
        data.PixelSpacing = spacing
    assert load(tmp_path, data).pixel_spacing_mm == expected


def test_pixels_that_are_not_square_are_refused(tmp_path, data):
    """They would be shown distorted."""
    data.PixelSpacing = ["2", "3"]
    assert refusal(tmp_path, data)[1] == "PixelSpacing"


def test_jpeg_2000_and_rle_are_decoded(tmp_path, data):
    """With the decoders of pydicom and Pillow."""
    data.compress(RLELossless)
    assert np.array_equal(load(tmp_path, data).pixels, CASE.counts)
    data = pydicom.dcmread(io.BytesIO(dicom_bytes(CASE, "dummy")))
    buffer = io.BytesIO()
    Image.fromarray(CASE.counts).save(buffer, format="JPEG2000", irreversible=False, no_jp2=True)
    data.file_meta.TransferSyntaxUID = JPEG2000Lossless
    data.PixelData = encapsulate([buffer.getvalue()])
    data["PixelData"].is_undefined_length = True
    assert np.array_equal(load(tmp_path, data).pixels, CASE.counts)


def test_baseline_jpeg_is_decoded(tmp_path, data):
    """8-bit lossy, as some archives keep it."""
    buffer = io.BytesIO()
    Image.fromarray(CASE.picture[::2, ::2].copy()).save(buffer, format="JPEG", quality=95)
    data.BitsAllocated = data.BitsStored = 8
    data.HighBit = 7
    data.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    data.PixelData = encapsulate([buffer.getvalue()])
    data["PixelData"].is_undefined_length = True
    image = load(tmp_path, data)
    assert image.bits == 8
    assert np.corrcoef(image.pixels.ravel(), CASE.picture[::2, ::2].ravel())[0, 1] > 0.99


def test_transfer_syntax_without_decoder_is_refused_saying_which_is_missing(tmp_path, data):
    """Item 42: JPEG Lossless needs a package that is not among the requirements; MPEG-2 is never an image."""
    data.file_meta.TransferSyntaxUID = MPEG2MPML
    data.PixelData = encapsulate([b"\x00" * 64])
    data["PixelData"].is_undefined_length = True
    assert refusal(tmp_path, data)[1] == "TransferSyntaxUID"
    if pydicom.pixels.decoders.base.get_decoder(JPEGLosslessSV1).is_available:
        pytest.skip("a decoder for JPEG Lossless is installed here")
    data.file_meta.TransferSyntaxUID = JPEGLosslessSV1
    with pytest.raises(ImageError, match="pip install python-gdcm"):
        load(tmp_path, data)


def test_a_file_that_is_packed_as_a_whole_is_refused_before_it_swells(tmp_path, data):
    """Two megabytes of it took three gigabytes of the server's memory."""
    data.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    problem, field = refusal(tmp_path, data)
    assert (problem, field) == ("the file is packed as a whole, to whatever size", "TransferSyntaxUID")


def test_damaged_compressed_pixels_are_refused(tmp_path, data):
    """Bytes that are no JPEG 2000 stream."""
    data.file_meta.TransferSyntaxUID = JPEG2000Lossless
    data.PixelData = encapsulate([b"\xff\x4f" + b"\x01" * 500])
    data["PixelData"].is_undefined_length = True
    assert refusal(tmp_path, data)[1] == "PixelData"


REAL_FILES = {
    "nm1_wholebody_unc.dcm": "whole-body",
    "nm1_wholebody_j2k.dcm": "whole-body",
    "nm_mono2_13frame_heart_recon.dcm": "reconstructed SPECT volume",
}


@pytest.mark.parametrize("name", list(REAL_FILES))
def test_real_files_that_are_no_planar_scan_are_refused_with_the_right_reason(name):
    """Real gamma-camera files: two whole-body scans and a SPECT volume."""
    if not (REAL / name).exists():
        pytest.skip("the real DICOM files are not part of the project")
    with pytest.raises(ImageError, match=REAL_FILES[name]):
        load_image(REAL / name)


def test_a_real_static_acquisition_is_read():
    """A flood of a real camera, 256 x 256."""
    path = REAL / "nmqc_static_uniformity_256.dcm"
    if not path.exists():
        pytest.skip("the real DICOM files are not part of the project")
    image = load_image(path)
    stored = pydicom.dcmread(path).pixel_array
    assert np.array_equal(image.pixels, stored)
    assert (image.bits, image.pixels.shape) == (16, (256, 256))
    assert image.pixel_spacing_mm == pytest.approx(2.065, abs=1e-3)
