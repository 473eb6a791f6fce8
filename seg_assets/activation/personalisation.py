"""What is worked out about a person for payloads only: the channel to reach them by next."""

from __future__ import annotations

from functools import reduce

import ibis
import ibis.expr.types as ir

PURPOSES = {"email": "marketing_email", "sms": "marketing_sms", "ads": "advertising"}
"""Channels that need a consent, and which. Others of the taxonomy are either our own places or closed to marketing."""
OWN = ("web", "app", "store")
"""Places people come to by themselves: no consent is needed to meet them there."""
ADDRESSES = {"email": "has_email", "sms": "has_phone"}


def personalised(people: ir.Table, consents: ir.Table) -> ir.Table:
    """People with `next_best_channel`: of the channels they allow and can be reached by, the first of
    the one most of their events came from, e-mail if they opened or clicked one in 90 days, their persona's, e-mail, sms, ads, web.

    Args:
        people: one row per person: person_id, top_channel, email_opens_90d, email_clicks_90d, has_email, has_phone, persona_channel.
        consents: `profiles/consents`.
    """
    rows = people
    for purpose in PURPOSES.values():
        granted = consents.filter(consents.purpose == purpose, consents.granted).select("person_id", **{f"_{purpose}": ibis.literal(True)})
        rows = rows.left_join(granted, "person_id").drop("person_id_right")
    answers = (rows.email_opens_90d.fill_null(0) + rows.email_clicks_90d.fill_null(0)) > 0
    candidates = [rows.top_channel, answers.ifelse("email", ibis.null("string")), rows.persona_channel, *map(ibis.literal, (*PURPOSES, "web"))]
    allowed = [_allowed(rows, candidate).ifelse(candidate, ibis.null("string")) for candidate in candidates]
    return rows.mutate(next_best_channel=ibis.coalesce(*allowed)).select(*people.columns, "next_best_channel")


def _allowed(rows: ir.Table, channel: ir.StringValue) -> ir.BooleanValue:
    open_ = [channel.isin(OWN)]
    for name, purpose in PURPOSES.items():
        reachable = rows[ADDRESSES[name]].fill_null(False) if name in ADDRESSES else ibis.literal(True)
        open_.append((channel == name) & rows[f"_{purpose}"].fill_null(False) & reachable)
    return reduce(lambda a, b: a | b, open_).fill_null(False)
