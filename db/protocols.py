"""A protocol as JSON and back; every version of it is stored whole."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from core.study import Arm, DiseaseClass, Protocol


def protocol_to_json(protocol: Protocol) -> dict[str, Any]:
    """Plain values that :func:`protocol_from_json` takes back."""
    plain = asdict(protocol)
    plain["arms"] = [str(arm) for arm in protocol.arms]
    return plain


def protocol_from_json(plain: dict[str, Any]) -> Protocol:
    """The protocol that was stored; a version from before a field existed gets that field's default."""
    values = dict(plain)
    values["classes"] = tuple(
        DiseaseClass(**{**disease, "aliases": tuple(disease["aliases"])}) for disease in values["classes"]
    )
    values["arms"] = tuple(Arm(arm) for arm in values["arms"])
    values["confidence_labels"] = tuple(values["confidence_labels"])
    return Protocol(**values)
