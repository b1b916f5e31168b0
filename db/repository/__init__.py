"""The one home of queries, a room a file. What it offers is written in docs/repository-contract.md.

access: who may · sign_in · people, invitations · studies, study_roles · members, leaving, orders · cases,
case_import, image_files · reading, reveals · model · results, study_data, elsewhere · watching · simulation · audit
"""

from __future__ import annotations

from db.repository.access import OPERATOR, SESSION_HOURS
from db.repository.audit import AuditRepository
from db.repository.case_import import ImportRepository
from db.repository.cases import CaseRepository
from db.repository.elsewhere import ElsewhereRepository
from db.repository.image_files import ImageFileRepository
from db.repository.invitations import InvitationRepository
from db.repository.leaving import LeavingRepository
from db.repository.model import ModelRepository
from db.repository.reveals import RevealRepository
from db.repository.simulation import SimulationRepository
from db.repository.studies import StudyRepository
from db.repository.study_data import StudyDataRepository
from db.repository.watching import WatchRepository

__all__ = ["OPERATOR", "SESSION_HOURS", "Repository"]


class Repository(
    ElsewhereRepository,
    StudyRepository,
    InvitationRepository,
    LeavingRepository,
    CaseRepository,
    ImportRepository,
    ImageFileRepository,
    RevealRepository,
    ModelRepository,
    StudyDataRepository,
    WatchRepository,
    SimulationRepository,
    AuditRepository,
):
    """Everything that a person may ask of the store; each method checks who asks.

    Cheap to make: one for each request, with the request's actor. The parameters are those of
    :class:`db.repository.access.RepositoryBase`.
    """
