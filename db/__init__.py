"""The store: tables, migrations, and one repository that holds every query. The only room that speaks SQL."""

from db.address import shown_address, store_url
from db.notary import Notary
from db.records import (
    AuditCheck,
    AuditEvent,
    AuditHead,
    CaseImage,
    CaseInfo,
    CasePrediction,
    CohortCount,
    ImportSummary,
    ModelVersion,
    MyProgress,
    OrderedCase,
    PredictionCount,
    ReaderProgress,
    ReadingImage,
    ReadingRecord,
    ReadingView,
    SavedReading,
    StudyMember,
    ViewInfo,
)
from db.repository import OPERATOR, SESSION_HOURS, Repository
from db.store import create_store, open_store, store_exists

__all__ = [
    "OPERATOR",
    "SESSION_HOURS",
    "AuditCheck",
    "AuditEvent",
    "AuditHead",
    "CaseImage",
    "CaseInfo",
    "CasePrediction",
    "CohortCount",
    "ImportSummary",
    "ModelVersion",
    "MyProgress",
    "Notary",
    "OrderedCase",
    "PredictionCount",
    "ReaderProgress",
    "ReadingImage",
    "ReadingRecord",
    "ReadingView",
    "Repository",
    "SavedReading",
    "StudyMember",
    "ViewInfo",
    "create_store",
    "open_store",
    "shown_address",
    "store_exists",
    "store_url",
]
