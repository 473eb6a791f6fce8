"""What plug-ins may say about deliveries and values without being connectors: gates, secrets, observers, normalisers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

Normaliser = Callable[[str], str | None]
"""Brings a value into the form a destination matches by; None when the value can't be one. Pure."""


@dataclass(frozen=True)
class PlanSummary:
    """A delivery that is about to start. No personal data.

    Args:
        destination: name of the destination in the project.
        object: what is delivered to.
        as_of: instant of the run.
        operations: how many of each kind ("add", "update", "remove").
        audiences: whose members they are.
    """

    destination: str
    object: str
    as_of: datetime
    operations: Mapping[str, int]
    audiences: tuple[str, ...] = ()


@dataclass(frozen=True)
class DeliveryEvent:
    """Something that happened in a delivery. No personal data.

    Args:
        destination: name of the destination in the project.
        object: what is delivered to.
        as_of: instant of the run.
        state: "started", "batch" or "finished".
        verdicts: operations per verdict so far.
        stopped: why it stopped early, if it did.
    """

    destination: str
    object: str
    as_of: datetime
    state: str
    verdicts: Mapping[str, int] = field(default_factory=dict)
    stopped: str | None = None
