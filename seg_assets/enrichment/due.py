"""Whom to ask about: persons with an e-mail address who granted the purpose, and who were not asked about lately."""

from __future__ import annotations

from datetime import datetime, timedelta

import ibis
import ibis.expr.types as ir

DENYING = ("denied", "withdrawn")


def due(contacts: ir.Table, consents: ir.Table, told: ir.Table | None, *, purpose: str, again: timedelta, as_of: datetime) -> ir.Table:
    """E-mail addresses to ask about, in order.

    Args:
        contacts: unified/contacts.
        consents: unified/consents. A statement is a person's by e-mail address, or by a customer id one of their contacts has; the newest about the purpose
            counts, a refusal before a grant of the same instant.
        told: what was answered before, None: nothing.
        purpose: that must be granted.
        again: age from which on an answer no longer holds.
        as_of: instant it is true for.

    Returns:
        One column, `email`, unique.
    """
    now = ibis.literal(as_of)
    known = contacts.filter(contacts.email.notnull()).select("email", "user_id").distinct()
    said = consents.filter(consents.purpose == purpose, consents.stated_at <= now)
    columns = ("state", "stated_at", "expires_at")
    by_email = said.filter(said.email.notnull()).select("email", *columns)
    by_id = said.filter(said.email.isnull(), said.user_id.notnull()).select("user_id", *columns)
    statements = by_email.union(known.filter(known.user_id.notnull()).join(by_id, "user_id").select("email", *columns))
    refusals_first = statements.state.isin(DENYING).ifelse(0, 1)
    place = ibis.row_number().over(group_by=statements.email, order_by=[statements.stated_at.desc(), refusals_first, statements.expires_at.asc()])
    newest = statements.mutate(place=place).filter(ibis._.place == 0)
    granted = newest.filter(newest.state == "granted", newest.expires_at.isnull() | (newest.expires_at > now)).select("email")
    found = known.select("email").distinct().semi_join(granted, "email")
    if told is not None:
        found = found.anti_join(told.filter(told.provided_at > now - ibis.interval(seconds=int(again.total_seconds()))), "email")
    return found.order_by("email")
