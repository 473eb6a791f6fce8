"""What is asked again at the moment of sending: would a plan made now send this as well, and may this person be disturbed at this hour?

Consent, suppression, holdouts and caps are part of every plan (`eligibility.py`, `plan.py`); here a plan made a moment ago judges one made earlier.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, time
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import ibis
import ibis.expr.types as ir
import pyarrow as pa

OUTDATED = "no longer wanted: something has changed since it was planned"


@dataclass(frozen=True)
class Quiet:
    """Hours in which nobody is added.

    Args:
        start, end: local times; `end` before `start` means the next morning.
        default: IANA zone of everybody else.
        zones: person to IANA zone, where one is known; a name that is none counts as unknown.
    """

    start: time
    end: time
    default: str
    zones: Mapping[int, str] = field(default_factory=dict)

    def reason(self, person: int, at: datetime) -> str | None:
        """Why a person is not to be disturbed at an instant."""
        zone = _zone(self.zones.get(person)) or ZoneInfo(self.default)
        local = at.astimezone(zone).time()
        inside = self.start <= local < self.end if self.start < self.end else local >= self.start or local < self.end
        return f"quiet hours until {self.end:%H:%M} in {zone.key}" if inside else None


def gate(planned: ir.Table, now: ir.Table, quiet: Quiet | None = None) -> Callable[[pa.Table, datetime], dict[str, str]]:
    """What holds back operations of a plan: given rows with op_id, op and person_id, and the instant (UTC), it returns op_id to reason.

    Args:
        planned: the plan that is being delivered.
        now: one made from the newest tables.
        quiet: when nobody is added.
    """
    due = planned.filter(planned.blocked.isnull())
    gone = due.anti_join(now.filter(now.blocked.isnull()), "op_id")
    reasons = gone.left_join(now.select("audience", "person_id", why="blocked"), ["audience", "person_id"])
    rows = reasons.select("op_id", reason=ibis.coalesce(reasons.why, OUTDATED)).to_pyarrow().to_pylist()
    outdated = {row["op_id"]: row["reason"] for row in rows}

    def held(batch: pa.Table, at: datetime) -> dict[str, str]:
        found = {}
        for op_id, op, person in zip(*(batch[name].to_pylist() for name in ("op_id", "op", "person_id")), strict=True):
            reason = outdated.get(op_id) or (quiet.reason(person, at) if quiet and op == "add" else None)
            if reason:
                found[op_id] = reason
        return found

    return held


def _zone(name: str | None) -> ZoneInfo | None:
    try:
        return ZoneInfo(name) if name else None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None
