"""The one home of queries: every part of it, in one class. What it offers is written in docs/repository-contract.md."""

from __future__ import annotations

from db.repository_analysis import AnalysisRepository
from db.repository_import import ImportRepository
from db.repository_model import ModelRepository
from db.repository_people import PeopleRepository
from db.repository_reader import ReaderRepository
from db.repository_simulation import SimulationRepository
from db.repository_studies import StudyRepository


class Repository(
    PeopleRepository,
    StudyRepository,
    ImportRepository,
    ModelRepository,
    SimulationRepository,
    AnalysisRepository,
    ReaderRepository,
):
    """Everything that a person may ask of the store; each method checks who asks.

    Cheap to make: one for each request, with the request's actor. The parameters are those of
    :class:`db.repository_base.RepositoryBase`.
    """
