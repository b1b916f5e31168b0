"""A gamma-camera simulator that makes thyroid scintigrams with known truth.

Every picture is synthetic. It exercises the software; it is no evidence about any reader, model or patient.
"""

from core.phantom.camera import CENTRES, SCANNERS, Centre, Scanner, read_centres
from core.phantom.case import PhantomCase, generate_case
from core.phantom.cohorts import CohortPlan, Member, paper_cohorts, plan_members, small_cohorts
from core.phantom.uptake import SUBTYPES, Knobs
from core.phantom.write import write_cohorts

__all__ = [
    "CENTRES",
    "SCANNERS",
    "SUBTYPES",
    "Centre",
    "CohortPlan",
    "Knobs",
    "Member",
    "PhantomCase",
    "Scanner",
    "generate_case",
    "paper_cohorts",
    "plan_members",
    "read_centres",
    "small_cohorts",
    "write_cohorts",
]
