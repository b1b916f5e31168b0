"""DICOM nuclear medicine: one static planar frame as counts, or the reason why not.

Nothing of the header survives but the pixel spacing and where the patient's left lies. Modality alone proves nothing:
the image type must say STATIC (DICOM PS3.3 C.8.4.9). A file with several static frames (detectors, energy windows)
needs the number of the one frame.
"""

from __future__ import annotations

import io
import math
import struct

import numpy as np
import pydicom
from pydicom import config
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.utils import pixel_array
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    NuclearMedicineImageStorage,
)

from core.errors import ImageError
from core.imaging.decoded import Decoded, check_size
from core.study import LeftSide

config.settings.reading_validation_mode = config.IGNORE  # header values are dropped, not judged

MAX_NEGATIVE_SHARE = 0.05  # processed scans have a few negative pixels; more of them are no counts
MAX_FRAMES = 9999  # of a file; the manifest's column "frame" takes four digits
_RESCALE = "export the file again without rescaling"
_PARSE_ERRORS = (
    InvalidDicomError,
    BytesLengthException,
    EOFError,
    OSError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    NotImplementedError,
    OverflowError,
    RuntimeError,
    struct.error,
    UserWarning,  # where warnings are made errors
)
_RETIRED_NM = "1.2.840.10008.5.1.4.1.1.5"  # the class before 1993's supplement 7; the same pixels and image types
_SCREEN_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"  # and, with a further number, its multi-frame forms
_OTHER_OBJECTS = (
    ("1.2.840.10008.5.1.4.1.1.88.", "a structured report, not an image"),
    ("1.2.840.10008.5.1.4.1.1.104.", "an encapsulated document (PDF or model), not an image"),
    ("1.2.840.10008.5.1.4.1.1.11.", "a presentation state, not an image"),
    ("1.2.840.10008.1.3.10", "a DICOM directory, not an image"),
)
#: Third value of ImageType for nuclear medicine (PS3.3 C.8.4.9.1.1) and why it is refused.
_IMAGE_TYPES = {
    "WHOLE BODY": "a whole-body scan",
    "DYNAMIC": "a dynamic series",
    "GATED": "a gated series",
    "TOMO": "the projections of a SPECT acquisition",
    "RECON TOMO": "a reconstructed SPECT volume",
    "GATED TOMO": "the projections of a gated SPECT acquisition",
    "RECON GATED TOMO": "a reconstructed gated SPECT volume",
}
_STATIC = "export the static planar view (ImageType STATIC, one frame)"
#: Header entries that may identify somebody; their names, never their values, are reported as dropped.
IDENTIFYING = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientAddress",
    "PatientTelephoneNumbers",
    "OtherPatientIDs",
    "OtherPatientNames",
    "PatientComments",
    "PatientAge",
    "PatientSex",
    "PatientWeight",
    "PatientSize",
    "AccessionNumber",
    "StudyDate",
    "SeriesDate",
    "AcquisitionDate",
    "ContentDate",
    "StudyID",
    "StudyDescription",
    "SeriesDescription",
    "ImageComments",
    "InstitutionName",
    "InstitutionAddress",
    "InstitutionalDepartmentName",
    "ReferringPhysicianName",
    "PerformingPhysicianName",
    "NameOfPhysiciansReadingStudy",
    "OperatorsName",
    "RequestingPhysician",
    "StationName",
    "DeviceSerialNumber",
    "ProtocolName",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "SOPInstanceUID",
)


def looks_like_data_set(data: bytes) -> bool:
    """Whether the bytes begin as a DICOM file whose first 128 bytes, or whose whole file header, were lost.

    Either the letters DICM, or an element of group 0002 or 0008 with a two-letter value representation or a short
    length.
    """
    if data.startswith(b"DICM\x02\x00"):
        return True
    if data[:2] not in (b"\x02\x00", b"\x08\x00", b"\x00\x08") or len(data) < 8:
        return False
    kind = data[4:6]
    return (kind.isalpha() and kind.isupper()) or (data[0] == 8 and int.from_bytes(data[4:8], "little") < 256)


def decode(data: bytes, frame: int | None = None) -> Decoded:
    """Decode the bytes of a DICOM file.

    Parameters
    ----------
    data : bytes
    frame : int, optional
        Number of the frame, from 1, where the file has several.

    Raises
    ------
    ImageError
        Without the file's name, which the caller adds.
    """
    notes: list[str] = []
    try:
        return _decode(_parse(data, notes), frame, notes)
    except _PARSE_ERRORS as error:
        if isinstance(error, ImageError):
            raise
        raise ImageError(f"the DICOM file is cut short or damaged ({_clause(error)})", fix="export it again") from error


def _parse(data: bytes, notes: list[str]) -> Dataset:
    """The data set, with a transfer syntax also where the file header is lost."""
    if DeflatedExplicitVRLittleEndian.encode() in data:  # pydicom would unpack all of it: two megabytes can be two GB
        raise ImageError(
            "the file is packed as a whole, to whatever size", field="TransferSyntaxUID",
            value=DeflatedExplicitVRLittleEndian.name, fix="export the file uncompressed (Explicit VR Little Endian)",
        )  # fmt: skip
    if data[128:132] == b"DICM":
        return pydicom.dcmread(io.BytesIO(data))
    lost = {b"DI": bytes(128), b"\x02\x00": bytes(128) + b"DICM"}.get(data[:2])
    if lost is not None:
        notes.append("DICOM without its first 128 bytes: read all the same")
        return pydicom.dcmread(io.BytesIO(lost + data))
    header = pydicom.dcmread(io.BytesIO(data), force=True)
    is_implicit, is_little = header.original_encoding
    syntax = ExplicitVRBigEndian if not is_little else ImplicitVRLittleEndian if is_implicit else ExplicitVRLittleEndian
    header.file_meta.TransferSyntaxUID = syntax
    notes.append(f"DICOM without file header: read all the same (as {syntax.name})")
    return header


def _decode(header: Dataset, frame: int | None, notes: list[str]) -> Decoded:
    """Pixels of a parsed file; pydicom reads each value only when it is asked for, and may fail at any of them."""
    _check_object(header, notes)
    number = _frame_number(header, frame, notes)
    values = _rescaled(_stored_values(header, number, notes), header, notes)
    if str(header.PhotometricInterpretation) == "MONOCHROME1":
        notes.append("MONOCHROME1: counts kept as stored, not inverted")
    high = int(values.max())
    if high > np.iinfo(np.uint16).max:
        raise ImageError("the pixel values exceed 65535", field="PixelData", value=high, fix="export with 16 bits")
    is_byte = int(header.get("BitsAllocated", 16)) <= 8 and high <= 255
    if any(tag.group & 0xFF00 == 0x6000 for tag in header.keys()):  # noqa: SIM118
        notes.append("overlay planes left out")
    if str(header.get("WindowCenter") or "").strip():
        notes.append("display window of the file left out, all values kept")
    dropped = [name for name in IDENTIFYING if str(header.get(name) or "").strip()]
    if any(tag.is_private for tag in header.keys()):  # noqa: SIM118  # iterating a data set decodes every element
        dropped.append("private tags")
    return Decoded(
        pixels=values.astype(np.uint8 if is_byte else np.uint16),
        pixel_spacing_mm=_spacing(header, notes),
        left_side=_left_side(header, number, notes),
        notes=tuple(notes),
        dropped=tuple(dropped),
    )


def _check_object(header: Dataset, notes: list[str]) -> None:
    """Refuse everything that does not hold static planar NM frames."""
    sop_class = str(header.get("SOPClassUID") or "")
    for prefix, what in _OTHER_OBJECTS:
        if sop_class.startswith(prefix):
            raise ImageError(f"this DICOM file is {what}", field="SOPClassUID", fix=_STATIC)
    modality = str(header.get("Modality") or "").strip()
    if modality != "NM":
        raise ImageError(
            "the image is not nuclear medicine",
            field="Modality",
            value=modality or "missing",
            fix="import planar scintigrams (Modality NM)",
        )
    stated = header.get("ImageType") or []
    image_type = [str(part).strip().upper() for part in ([stated] if isinstance(stated, str) else stated)]
    kind = image_type[2] if len(image_type) > 2 else ""
    shown = "/".join(image_type) or "missing"
    if kind in _IMAGE_TYPES:
        raise ImageError(f"this is {_IMAGE_TYPES[kind]}", field="ImageType", value=shown, fix=_STATIC)
    if sop_class == _SCREEN_CAPTURE or sop_class.startswith(_SCREEN_CAPTURE + "."):
        raise ImageError(
            "this is a screen capture (Secondary Capture), not the camera's own image",
            field="SOPClassUID",
            value=UID(sop_class).name,
            fix="export the acquired NM image, or save the capture as PNG without names",
        )
    if sop_class not in (NuclearMedicineImageStorage, _RETIRED_NM):
        raise ImageError(
            f"this is {UID(sop_class).name if sop_class else 'of no stated class'}, not a Nuclear Medicine Image",
            field="SOPClassUID",
            fix="export the camera's own image",
        )
    if kind != "STATIC":
        raise ImageError("the image type does not say STATIC", field="ImageType", value=shown, fix=_STATIC)
    if "TRANSMISSION" in image_type[3:]:
        raise ImageError(
            "this is a transmission scan, not the patient's emission", field="ImageType", value=shown, fix=_STATIC
        )
    if sop_class == _RETIRED_NM:
        notes.append("retired Nuclear Medicine class, read as a static image")
    if str(header.get("BurnedInAnnotation") or "").strip().upper() == "YES":
        raise ImageError(
            "the picture has burned-in text, which may name the patient or the diagnosis",
            field="BurnedInAnnotation",
            value="YES",
            fix="export the image without annotation",
        )
    _check_pixel_description(header)


def _check_pixel_description(header: Dataset) -> None:
    """Refuse pixels that are absent, in colour, no whole numbers or not described."""
    for name in ("FloatPixelData", "DoubleFloatPixelData"):
        if name in header:
            raise ImageError(
                "the pixels are fractions (floating point), not counts",
                field=name,
                fix="export the acquired image with 16-bit whole numbers (PixelData)",
            )
    if "PixelData" not in header:
        raise ImageError("there are no pixels in the file", field="PixelData", fix="export the image, not its header")
    if int(header.get("SamplesPerPixel") or 1) != 1:
        raise ImageError("the picture is in colour", field="SamplesPerPixel", fix="export the counts")
    photometric = str(header.get("PhotometricInterpretation") or "")
    if photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise ImageError(
            "the picture is not in shades of grey",
            field="PhotometricInterpretation",
            value=photometric or "missing",
            fix="export the counts (MONOCHROME2)",
        )
    for name in ("Rows", "Columns", "BitsAllocated"):
        if header.get(name) is None:
            raise ImageError("a value that describes the pixels is missing", field=name, fix="export the file again")
    check_size(int(header.Columns), int(header.Rows))


def _frame_number(header: Dataset, frame: int | None, notes: list[str]) -> int:
    """The frame to take, from 1."""
    count = int(header.get("NumberOfFrames") or 1)
    if not 1 <= count <= MAX_FRAMES:  # before anything is done once a frame
        problem = "no static image has this number of frames"
        raise ImageError(problem, field="NumberOfFrames", value=count, fix="export the file again")
    if frame is None:
        if count == 1:
            return 1
        raise ImageError(
            f"the file has {count} frames: " + "; ".join(_frame_names(header, count)),
            field="NumberOfFrames",
            value=count,
            fix=f"name one, 1 to {count}, in the column 'frame' of a manifest",
        )
    if not 1 <= frame <= count:
        raise ImageError(
            f"there is no frame {frame}: the file has {count}",
            field="NumberOfFrames",
            value=count,
            fix=f"write 1 to {count} in the column 'frame'" if count > 1 else "leave the column 'frame' blank",
        )
    if count > 1:
        notes.append(f"one frame of several taken ({_frame_names(header, count)[frame - 1]} of {count})")
    return frame


def _frame_names(header: Dataset, count: int) -> list[str]:
    """What the header says about each frame: view, detector, energy window."""
    names = []
    for index in range(count):
        parts = []
        for vector, total, word, sequence in (
            ("DetectorVector", "NumberOfDetectors", "detector", "DetectorInformationSequence"),
            ("EnergyWindowVector", "NumberOfEnergyWindows", "energy window", "EnergyWindowInformationSequence"),
        ):
            numbers = header.get(vector) or (range(1, count + 1) if header.get(total) == count else [])
            numbers = [numbers] if isinstance(numbers, int) else list(numbers)
            if len(numbers) != count or len(set(numbers)) < 2:
                continue
            items = list(header.get(sequence) or [])
            place = int(numbers[index])
            item = items[place - 1] if 1 <= place <= len(items) else Dataset()
            views = list(item.get("ViewCodeSequence") or [])
            name = str(views[0].get("CodeMeaning") or "") if views else str(item.get("EnergyWindowName") or "")
            parts.append(f"{word} {place}" + (f" {name.strip()}" if name.strip() else ""))
        names.append(f"{index + 1}" + (f" ({', '.join(parts)})" if parts else ""))
    return names


def _stored_values(header: Dataset, frame: int, notes: list[str]) -> np.ndarray:
    """Stored pixel values of one frame, shape (rows, columns), integer."""
    syntax = getattr(header.file_meta, "TransferSyntaxUID", None)
    if syntax is None:
        raise ImageError("the transfer syntax is missing", field="TransferSyntaxUID", fix="export the file again")
    frames = int(header.get("NumberOfFrames") or 1)
    expected = int(header.Rows) * int(header.Columns) * int(header.BitsAllocated) // 8 * frames
    if not syntax.is_compressed and len(header.PixelData) < expected:
        raise ImageError(
            "the pixels are cut short",
            field="PixelData",
            value=f"{len(header.PixelData)} of {expected} bytes",
            fix="copy or export the file again",
        )
    if syntax.is_encapsulated:
        _check_decoder(syntax)
    try:
        values = pixel_array(header, index=frame - 1)
    except _PARSE_ERRORS as error:
        raise ImageError(
            f"the pixels cannot be decoded from {syntax.name} ({_clause(error)})",
            field="PixelData",
            fix="export the file again, uncompressed (Explicit VR Little Endian)",
        ) from error
    stored, allocated = int(header.get("BitsStored") or header.BitsAllocated), int(header.BitsAllocated)
    if not syntax.is_compressed and allocated == 16 and not header.get("PixelRepresentation"):
        raw = np.frombuffer(header.PixelData[:expected], "<u2" if syntax.is_little_endian else ">u2")
        if int(raw.max()) >> stored:
            notes.append(f"bits above the stored ones left out ({stored} of {allocated} bits kept)")
    if values.ndim != 2 or values.dtype.kind not in "iu":
        raise ImageError(
            "the pixels are no grey whole numbers",
            field="PixelData",
            value=f"{values.dtype} {values.shape}",
            fix="export the acquired image with 16-bit whole numbers",
        )
    return np.asarray(values).astype(np.int64)


def _check_decoder(syntax: UID) -> None:
    """Say which decoder is missing before pydicom fails."""
    fix = "export the file uncompressed (Explicit VR Little Endian)"
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError as error:
        raise ImageError(
            "this transfer syntax cannot be decoded", field="TransferSyntaxUID", value=syntax.name, fix=fix
        ) from error
    if not decoder.is_available:
        has_gdcm = any(needed.startswith("gdcm") for needed in decoder.missing_dependencies)
        raise ImageError(
            f"no decoder for {syntax.name} is installed",
            field="TransferSyntaxUID",
            fix=f"{fix}, or run 'python -m pip install python-gdcm' and import again" if has_gdcm else fix,
        )


def _rescaled(stored: np.ndarray, header: Dataset, notes: list[str]) -> np.ndarray:
    """Stored values times slope plus intercept, as whole numbers not below zero."""
    slope, intercept = _number(header, "RescaleSlope", 1.0), _number(header, "RescaleIntercept", 0.0)
    if slope <= 0:
        raise ImageError("the rescale slope must be a positive number", field="RescaleSlope", value=slope, fix=_RESCALE)
    if slope == 1 and intercept.is_integer():
        values = stored + int(intercept)
        if intercept:
            notes.append(f"rescale applied (slope 1, intercept {intercept:g})")
    else:
        scaled = stored * slope + intercept
        if np.array_equal(scaled, np.rint(scaled)):
            values = np.rint(scaled).astype(np.int64)
            notes.append(f"rescale applied (slope {slope:g}, intercept {intercept:g})")
        elif intercept == 0:
            values = stored  # proportional to counts; a fraction would lose their steps
            notes.append(f"rescale slope left out: values are proportional to counts (slope {slope:g})")
        else:
            values = np.rint((scaled - min(0.0, float(scaled.min()))) / slope).astype(np.int64)
            notes.append(f"rescale slope left out, intercept rounded to a whole step (slope {slope:g}, {intercept:g})")
    negative = values < 0
    if negative.any():
        if negative.mean() > MAX_NEGATIVE_SHARE:
            raise ImageError(
                "many pixels are negative, so these are no counts",
                field="PixelData",
                value=f"{negative.mean():.0%} negative, lowest {int(values.min())}",
                fix="export the acquired image, not a subtraction",
            )
        notes.append(f"negative pixels set to 0 ({int(negative.sum())} pixels)")
        values = np.maximum(values, 0)
    return np.asarray(values)


def _number(header: Dataset, name: str, default: float) -> float:
    """A header number; an absent or empty entry gives the default, a zero stays zero."""
    value = header.get(name)
    if value is None or str(value).strip() == "":
        return default
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise ImageError("the rescale value is no number", field=name, value=value, fix=_RESCALE)
    return number


def _spacing(header: Dataset, notes: list[str]) -> float | None:
    """Pixel spacing in mm when it is stated, positive and square to one per cent."""
    raw = header.get("PixelSpacing") or header.get("ImagerPixelSpacing")
    if raw is None or str(raw).strip() == "":
        return None
    try:
        down, across = (float(part) for part in raw)
    except (TypeError, ValueError):
        down = across = math.nan
    if not (math.isfinite(down) and math.isfinite(across) and down > 0 and across > 0):
        notes.append("pixel spacing left out: not two positive numbers")
        return None
    if abs(down - across) > 0.01 * across:
        raise ImageError(
            "the pixels are not square",
            field="PixelSpacing",
            value=f"{down:g} x {across:g} mm",
            fix="export the image with square pixels",
        )
    return round((down + across) / 2, 6)


def _left_side(header: Dataset, frame: int, notes: list[str]) -> LeftSide | None:
    """Where the patient's left lies in a frame, as far as the header says it, and says it in one way."""
    detector = _detector(header, frame)
    is_single = int(header.get("NumberOfFrames") or 1) == 1  # what is said of the image cannot hold for opposite views
    said = {
        side
        for side in (
            _side_of_direction(str((header.get("PatientOrientation") or [""])[0])) if is_single else None,
            _side_of_cosine(detector.get("ImageOrientationPatient") or header.get("ImageOrientationPatient")),
        )
        if side is not None
    }
    if len(said) > 1:
        notes.append("LEFT SIDE UNKNOWN: the header's two statements of the orientation contradict each other")
        return None
    if said:
        return said.pop()
    views = list(detector.get("ViewCodeSequence") or header.get("ViewCodeSequence") or [])
    words = str(views[0].get("CodeMeaning") or "").lower() if views else ""
    is_anterior, is_posterior = "anter" in words, "poster" in words
    if is_anterior == is_posterior:  # neither, or antero-posterior
        return None
    notes.append("left side taken from the name of the view, as cameras write it")
    return LeftSide.IMAGE_RIGHT if is_anterior else LeftSide.IMAGE_LEFT


def _detector(header: Dataset, frame: int) -> Dataset:
    """What the header says of the detector that acquired a frame."""
    items = list(header.get("DetectorInformationSequence") or [])
    vector = header.get("DetectorVector")
    numbers = [vector] if isinstance(vector, int) else list(vector or [])
    place = int(numbers[frame - 1]) if len(numbers) >= frame else (frame if len(items) > 1 else 1)
    return items[place - 1] if 1 <= place <= len(items) else Dataset()


def _side_of_direction(direction: str) -> LeftSide | None:
    """Left side where a row of pixels runs towards L, R or something else of the patient (PS3.3 C.7.6.1)."""
    return {"L": LeftSide.IMAGE_RIGHT, "R": LeftSide.IMAGE_LEFT}.get(direction.strip().upper()[:1])


def _side_of_cosine(orientation: object) -> LeftSide | None:
    """Left side by the direction cosines of a row of pixels, of which x grows towards the left (PS3.3 C.7.6.2)."""
    try:
        across = float(orientation[0])  # type: ignore[index]
    except (TypeError, ValueError, IndexError):
        return None
    if not 0.5 < abs(across) <= 1.001:  # a lateral view has neither side
        return None
    return LeftSide.IMAGE_RIGHT if across > 0 else LeftSide.IMAGE_LEFT


def _clause(error: BaseException) -> str:
    """An error's text on one line."""
    return (str(error).splitlines() or [""])[0].rstrip(".")[:160] or type(error).__name__
