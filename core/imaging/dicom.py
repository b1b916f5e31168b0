"""DICOM nuclear medicine: one static planar frame as counts, or the reason why not.

Nothing of the header survives but the pixel spacing. Modality alone proves nothing: the image type must say STATIC
and there must be one frame (DICOM PS3.3 C.8.4.9).
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
from pydicom.uid import UID, NuclearMedicineImageStorage

from core.errors import ImageError
from core.imaging.decoded import Decoded, check_size

config.settings.reading_validation_mode = config.IGNORE  # header values are dropped, not judged

MAX_NEGATIVE_SHARE = 0.05  # processed scans have a few negative pixels; more of them are no counts
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


def decode(data: bytes) -> Decoded:
    """Decode the bytes of a DICOM file.

    Raises
    ------
    ImageError
        Without the file's name, which the caller adds.
    """
    try:
        return _decode(pydicom.dcmread(io.BytesIO(data)))
    except _PARSE_ERRORS as error:
        if isinstance(error, ImageError):
            raise
        raise ImageError(f"the DICOM file is cut short or damaged ({_clause(error)})", fix="export it again") from error


def _decode(header: Dataset) -> Decoded:
    """Pixels of a parsed file; pydicom reads each value only when it is asked for, and may fail at any of them."""
    _check_object(header)
    notes: list[str] = []
    stored = _stored_values(header)
    values = _rescaled(stored, header, notes)
    if str(header.PhotometricInterpretation) == "MONOCHROME1":
        values = values.max() + values.min() - values
        notes.append("MONOCHROME1 inverted, so that bright is high")
    high = int(values.max())
    if high > np.iinfo(np.uint16).max:
        raise ImageError("the pixel values exceed 65535", field="PixelData", value=high, fix="export with 16 bits")
    is_byte = int(header.get("BitsAllocated", 16)) <= 8 and high <= 255
    if header.get("OverlayData") is not None or any(tag.group & 0xFF00 == 0x6000 for tag in header.keys()):  # noqa: SIM118
        notes.append("overlay planes left out")
    dropped = [name for name in IDENTIFYING if str(header.get(name) or "").strip()]
    if any(tag.is_private for tag in header.keys()):  # noqa: SIM118  # iterating a data set decodes every element
        dropped.append("private tags")
    return Decoded(
        pixels=values.astype(np.uint8 if is_byte else np.uint16),
        pixel_spacing_mm=_spacing(header, notes),
        notes=tuple(notes),
        dropped=tuple(dropped),
    )


def _check_object(header: Dataset) -> None:
    """Refuse everything that is not one static planar NM frame."""
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
    image_type = [str(part).strip().upper() for part in header.get("ImageType") or []]
    kind = image_type[2] if len(image_type) > 2 else ""
    if kind in _IMAGE_TYPES:
        raise ImageError(f"this is {_IMAGE_TYPES[kind]}", field="ImageType", value="/".join(image_type), fix=_STATIC)
    frames = int(header.get("NumberOfFrames") or 1)
    if frames != 1:
        raise ImageError(
            "the file has several frames (views, energy windows or time steps)",
            field="NumberOfFrames",
            value=frames,
            fix=_STATIC,
        )
    if kind != "STATIC":
        raise ImageError(
            "the image type does not say STATIC",
            field="ImageType",
            value="/".join(image_type) or "missing",
            fix=_STATIC,
        )
    if sop_class != NuclearMedicineImageStorage:
        raise ImageError(
            f"this is {UID(sop_class).name if sop_class else 'of no stated class'}, not a Nuclear Medicine Image",
            field="SOPClassUID",
            fix="export the camera's own image, not a screen capture",
        )
    if str(header.get("BurnedInAnnotation") or "").strip().upper() == "YES":
        raise ImageError(
            "the picture has burned-in text, which may name the patient or the diagnosis",
            field="BurnedInAnnotation",
            value="YES",
            fix="export the image without annotation",
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


def _stored_values(header: Dataset) -> np.ndarray:
    """Stored pixel values, shape (rows, columns), integer."""
    syntax = getattr(header.file_meta, "TransferSyntaxUID", None)
    if syntax is None:
        raise ImageError("the transfer syntax is missing", field="TransferSyntaxUID", fix="export the file again")
    expected = int(header.Rows) * int(header.Columns) * int(header.BitsAllocated) // 8
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
        values = header.pixel_array
    except _PARSE_ERRORS as error:
        raise ImageError(
            f"the pixels cannot be decoded from {syntax.name} ({_clause(error)})",
            field="PixelData",
            fix="export the file uncompressed (Explicit VR Little Endian)",
        ) from error
    if values.ndim != 2 or values.dtype.kind not in "iu":
        raise ImageError(
            "the pixels are no grey whole numbers", field="PixelData", value=f"{values.dtype} {values.shape}"
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
        needed = "; ".join(decoder.missing_dependencies)
        raise ImageError(
            f"no decoder for {syntax.name} is installed",
            field="TransferSyntaxUID",
            fix=f"{fix}, or install one of: {needed}",
        )


def _rescaled(stored: np.ndarray, header: Dataset, notes: list[str]) -> np.ndarray:
    """Stored values times slope plus intercept, as whole numbers not below zero."""
    try:
        slope, intercept = _number(header, "RescaleSlope", 1.0), _number(header, "RescaleIntercept", 0.0)
    except (TypeError, ValueError) as error:
        raise ImageError("the rescale values are no numbers", field="RescaleSlope", fix="export again") from error
    if not (math.isfinite(slope) and math.isfinite(intercept) and slope > 0):
        raise ImageError(
            "the rescale slope must be a positive number",
            field="RescaleSlope",
            value=slope,
            fix="export the file again without rescaling",
        )
    if slope == 1 and intercept.is_integer():
        values = stored + int(intercept)
    else:
        scaled = stored * slope + intercept
        if np.array_equal(scaled, np.rint(scaled)):
            values = np.rint(scaled).astype(np.int64)
        elif intercept == 0:
            values = stored  # proportional to counts; a fraction would lose their steps
            notes.append(f"rescale slope {slope:g} left out: values are proportional to counts")
        else:
            values = np.rint((scaled - min(0.0, float(scaled.min()))) / slope).astype(np.int64)
            notes.append(f"rescale slope {slope:g} left out and intercept rounded to a whole step")
    negative = values < 0
    if negative.any():
        if negative.mean() > MAX_NEGATIVE_SHARE:
            raise ImageError(
                "many pixels are negative, so these are no counts",
                field="PixelData",
                value=f"{negative.mean():.0%} negative, lowest {int(values.min())}",
                fix="export the acquired image, not a subtraction",
            )
        notes.append(f"{int(negative.sum())} negative pixels set to 0")
        values = np.maximum(values, 0)
    return np.asarray(values)


def _number(header: Dataset, name: str, default: float) -> float:
    """A header number; an absent or empty entry gives the default, a zero stays zero."""
    value = header.get(name)
    return default if value is None or str(value).strip() == "" else float(value)


def _spacing(header: Dataset, notes: list[str]) -> float | None:
    """Pixel spacing in mm when it is stated, positive and square to one per cent."""
    raw = header.get("PixelSpacing") or header.get("ImagerPixelSpacing")
    try:
        down, across = (float(part) for part in raw or ())
    except (TypeError, ValueError):
        return None
    if not (math.isfinite(down) and math.isfinite(across) and down > 0 and across > 0):
        notes.append("pixel spacing left out: not a positive number")
        return None
    if abs(down - across) > 0.01 * across:
        raise ImageError(
            "the pixels are not square",
            field="PixelSpacing",
            value=f"{down:g} x {across:g} mm",
            fix="export the image with square pixels",
        )
    return round((down + across) / 2, 6)


def _clause(error: BaseException) -> str:
    """An error's text on one line."""
    return (str(error).splitlines() or [""])[0].rstrip(".")[:160] or type(error).__name__
