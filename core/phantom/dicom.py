"""A phantom's counts as a DICOM file: Nuclear Medicine Image Storage, static, one frame, dummy patient.

Modules and attribute types follow DICOM PS3.3 A.5 (NM Image IOD). The patient does not exist, which the file says.
"""

from __future__ import annotations

import hashlib
import io

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from pydicom.uid import UID, ExplicitVRLittleEndian, NuclearMedicineImageStorage

from core.phantom.camera import SCANNERS
from core.phantom.case import PhantomCase


def dicom_bytes(phantom: PhantomCase, patient: str) -> bytes:
    """The native counts of one phantom as a DICOM NM file.

    Parameters
    ----------
    phantom : PhantomCase
    patient : str
        Opaque patient id.

    Returns
    -------
    bytes
        The same bytes for the same phantom and id, every time.
    """
    scanner = SCANNERS.get(phantom.scanner)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = NuclearMedicineImageStorage
    meta.MediaStorageSOPInstanceUID = _uid("instance", patient, phantom)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID = meta.MediaStorageSOPClassUID
    data.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    # Patient, study, series, equipment
    data.PatientName, data.PatientID = "SYNTHETIC^PHANTOM", patient
    data.PatientBirthDate, data.PatientSex = "", phantom.sex
    data.PatientAge = f"{phantom.age_years:03d}Y"
    data.PatientIdentityRemoved, data.DeidentificationMethod = "YES", "simulated image, there is no patient"
    data.StudyInstanceUID = _uid("study", patient, phantom)
    data.SeriesInstanceUID = _uid("series", patient, phantom)
    data.StudyDate = data.StudyTime = data.AccessionNumber = data.ReferringPhysicianName = data.StudyID = ""
    data.Modality, data.SeriesNumber, data.InstanceNumber = "NM", 1, 1
    data.Manufacturer = scanner.manufacturer if scanner else "simulated"
    data.ManufacturerModelName = f"{scanner.model if scanner else phantom.scanner} (simulated)"[:64]
    data.BodyPartExamined, data.PatientOrientation = "NECK", ["L", "F"]
    # Image, frames, detector, isotope
    data.ImageType = ["ORIGINAL", "PRIMARY", "STATIC", "EMISSION"]
    data.ContentDate = data.ContentTime = ""
    data.BurnedInAnnotation, data.LossyImageCompression = "NO", "00"
    data.ImageComments = "SYNTHETIC thyroid phantom"
    data.NumberOfFrames = 1
    data.FrameIncrementPointer = [Tag("EnergyWindowVector"), Tag("DetectorVector")]
    data.EnergyWindowVector, data.NumberOfEnergyWindows = 1, 1
    data.DetectorVector, data.NumberOfDetectors = 1, 1
    window, span = Dataset(), Dataset()
    span.EnergyWindowLowerLimit, span.EnergyWindowUpperLimit = 126.5, 154.6  # 140.5 keV, 20 %
    window.EnergyWindowName, window.EnergyWindowRangeSequence = "Tc-99m", Sequence([span])
    data.EnergyWindowInformationSequence = Sequence([window])
    data.RadiopharmaceuticalInformationSequence = Sequence([])
    detector = Dataset()
    detector.CollimatorGridName, detector.CollimatorType = "LEHR", "PARA"
    detector.ZoomFactor = [round(phantom.acquisition.zoom, 4)] * 2
    detector.ImageOrientationPatient = detector.ImagePositionPatient = ""
    data.DetectorInformationSequence = Sequence([detector])
    data.CountsAccumulated = int(phantom.counts.sum())
    data.PixelSpacing = [f"{phantom.pixel_spacing_mm:.6f}"] * 2
    # Pixels
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.Rows, data.Columns = phantom.counts.shape
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 0
    data.PixelData = np.ascontiguousarray(phantom.counts).astype("<u2").tobytes()
    buffer = io.BytesIO()
    data.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _uid(word: str, patient: str, phantom: PhantomCase) -> UID:
    """A UID of the 2.25 family that is the same every time."""
    text = "\x1f".join((word, patient, *map(str, phantom.seed_key)))
    return UID(f"2.25.{int.from_bytes(hashlib.sha256(text.encode()).digest()[:15], 'big')}")
