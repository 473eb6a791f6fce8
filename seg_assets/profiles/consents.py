"""What each person allows, as of an instant."""

from __future__ import annotations

from datetime import datetime

import ibis
import ibis.expr.types as ir

from seg_assets.schema.tables import PERSON_CONSENTS


def person_consents(statements: ir.Table, as_of: datetime) -> ir.Table:
    """`profiles/consents`: the latest statement per person and purpose decides; of two at one instant the one that forbids.

    Args:
        statements: unified/consents with person_id; later than `as_of` are ignored.
        as_of: instant the table is true for. A grant that has expired by then is not granted.
    """
    past = statements.filter(statements.stated_at <= as_of)
    granted = past.state == "granted"
    order = [past.stated_at.desc(), granted, past.expires_at.asc(nulls_first=False), past.consent_id]
    latest = past.mutate(_rank=ibis.row_number().over(group_by=[past.person_id, past.purpose], order_by=order), _granted=granted)
    latest = latest.filter(latest._rank == 0)
    in_force = latest._granted & (latest.expires_at.isnull() | (latest.expires_at > as_of))
    return latest.select(
        person_id=latest.person_id, purpose=latest.purpose, granted=in_force, since=latest.stated_at, expires_at=latest.expires_at
    ).cast(dict(PERSON_CONSENTS.schema))
