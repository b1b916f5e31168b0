"""A protocol as it stands in the store, and back; every version of it is stored whole."""

from __future__ import annotations

from typing import Any

from core.protocol import Protocol
from core.protocol_file import protocol_from_plain, protocol_to_plain

protocol_to_json = protocol_to_plain


def protocol_from_json(plain: dict[str, Any]) -> Protocol:
    """The protocol that was stored; a version from before a field existed gets that field's default."""
    return protocol_from_plain(_from_before_designs(plain) if "arms" in plain else plain, is_stored=True)


def _from_before_designs(plain: dict[str, Any]) -> dict[str, Any]:
    """What versions up to 0.1 stored: arms, one ordinal scale, one seed, corrections of the last answer or none."""
    values = dict(plain)
    arms = tuple(values.pop("arms"))
    values["design"] = "crossover" if len(arms) > 1 else arms[0]
    values["washout_days"] = 0
    values["scale"] = {"kind": "ordinal", "words": values.pop("confidence_labels")}
    values["going_back"] = "last" if values.pop("may_revise") else "never"
    values["order"] = {"seed": values.pop("order_seed")}
    return values
