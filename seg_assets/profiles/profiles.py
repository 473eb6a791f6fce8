"""The profile: one row per person with the surviving value of every attribute, and the wide view segments and clusters read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import ibis
import ibis.expr.types as ir

from seg_assets.identity.survivorship import surviving
from seg_assets.schema.tables import PROFILES
from seg_assets.schema.taxonomy import IBIS_TYPES, Taxonomy
from seg_assets.schema.types import Column, Table

SENTIMENT_DAYS = 90
CANONICAL = ("gender", "country", "city", "area", "language")


def profiles_table(taxonomy: Taxonomy) -> Table:
    """`profiles/profiles` with the project's own attributes."""
    return PROFILES.extended(*(field.column(name) for name, field in taxonomy.custom_attributes.items()))


def profiles(
    persons: ir.Table,
    contacts: ir.Table,
    enrichments: ir.Table,
    mentions: ir.Table,
    vault: ir.Table,
    taxonomy: Taxonomy,
    trust: Sequence[str],
    as_of: datetime,
) -> ir.Table:
    """`profiles/profiles`: contacts' values first, enrichments where contacts say nothing.

    Args:
        persons: `identity/persons`.
        contacts, enrichments, mentions: unified tables with person_id.
        vault: `identity/vault`; only whether a person can be reached is kept.
        taxonomy: the project's attributes.
        trust: sources, most trusted first.
        as_of: instant the table is true for.
    """
    custom = taxonomy.custom_attributes
    known = contacts.mutate(**{n: _from_json(contacts.attributes, n, f.type) for n, f in custom.items()})
    own = surviving(known, [*CANONICAL, "birth_date", "age", *custom], trust)
    bought = _enriched(enrichments, taxonomy, as_of)
    social = _social(mentions, as_of)
    reach = vault.select("person_id", has_email=vault.email.notnull(), has_phone=vault.phone.notnull())
    joined = persons
    for other, suffix in ((own, ""), (bought, "_bought"), (social, ""), (reach, "")):
        joined = joined.left_join(other, "person_id", rname="{name}" + (suffix or "_other")).drop(f"person_id{suffix or '_other'}")
    stated = joined.age
    values = {n: ibis.coalesce(joined[n], joined[f"{n}_bought"]) for n in (*CANONICAL, *custom)}
    return (
        joined.select(
            "person_id",
            "contacts",
            age=ibis.coalesce(_age(joined.birth_date, as_of), stated, joined.age_bought),
            has_email=joined.has_email.fill_null(False),
            has_phone=joined.has_phone.fill_null(False),
            mentions_90d=joined.mentions_90d.fill_null(0),
            sentiment_90d=joined.sentiment_90d,
            **values,
        )
        .select(*profiles_table(taxonomy).schema.names)
        .cast(dict(profiles_table(taxonomy).schema))
    )


def people(profiles: ir.Table, *others: ir.Table) -> ir.Table:
    """Profiles with the columns of further per-person tables (features, scores, personas) beside them; null where a person has no row there."""
    joined = profiles
    for other in others:
        new = [c for c in other.columns if c not in joined.columns]
        joined = joined.left_join(other.select("person_id", *new), "person_id").drop("person_id_right")
    return joined


def everything_known(
    profiles: ir.Table, features: ir.Table, engagement: ir.Table, rfm: ir.Table, assignments: ir.Table, personas: ir.Table
) -> ir.Table:
    """One row per person with all attributes, features, scores and the persona's label: what segments and payloads are written about."""
    persona = assignments.join(personas, "cluster_id").select("person_id", persona="label")
    return people(profiles, features, engagement, rfm, persona)


def _from_json(document: ir.StringValue, name: str, kind: str) -> ir.Value:
    """A field of a JSON object, typed; null where the document is none, or the value not of that type. Sources write numbers with and without quotes."""
    value = document.try_cast("json")[name]
    bare = value.cast("string").nullif("null")
    return ibis.coalesce(value.unwrap_as("string"), bare).try_cast(IBIS_TYPES.get(kind, kind))


def _enriched(enrichments: ir.Table, taxonomy: Taxonomy, as_of: datetime) -> ir.Table:
    """Newest, then surest statement per person and attribute, one column per attribute of the taxonomy."""
    past = enrichments.filter(enrichments.provided_at <= as_of)
    order = [past.provided_at.desc(), past.confidence.desc(nulls_first=False), past.enrichment_id]
    ranked = past.mutate(_rank=ibis.row_number().over(group_by=[past.person_id, past.attribute], order_by=order))
    best = ranked.filter(ranked._rank == 0)

    def value(name: str) -> ir.Value:
        field = taxonomy.attributes[name]
        text = best.value.max(where=best.attribute == name)
        if field.enum:
            spellings = taxonomy.enum_spellings(field.enum)
            text = text.lower().replace(" ", "_").replace("-", "_").cases(*spellings.items(), else_=ibis.null("string"))
        typed = text.try_cast(IBIS_TYPES.get(field.type, field.type))
        return _bounded(typed, PROFILES.column(name)) if name in PROFILES.schema else typed

    return best.group_by("person_id").aggregate(**{f"{n}_bought": value(n) for n in taxonomy.attributes})


def _social(mentions: ir.Table, as_of: datetime) -> ir.Table:
    seconds = ibis.literal(as_of).epoch_seconds() - mentions.mention_time.epoch_seconds()
    recent = mentions.filter((seconds >= 0) & (seconds < SENTIMENT_DAYS * 86_400))
    # Summed as thousandths: whole numbers add up to the same total in any order.
    tone = (recent.sentiment * 1000).round().cast("int64")
    mean = tone.sum().cast("float64") / 1000 / tone.count().nullif(0)
    return recent.group_by("person_id").aggregate(mentions_90d=recent.count(), sentiment_90d=mean.round(4))


def _age(birth_date: ir.DateValue, as_of: datetime) -> ir.IntegerValue:
    day = as_of.date()
    before_birthday = birth_date.month() * 100 + birth_date.day() > day.month * 100 + day.day
    years = day.year - birth_date.year() - before_birthday.cast("int64")
    return _bounded(years, PROFILES.column("age"))


def _bounded(value: ir.Value, column: Column) -> ir.Value:
    """Null where the value can't be true: a provider's mistake must not stop the graph."""
    if column.minimum is None and column.maximum is None:
        return value
    return value.between(column.minimum, column.maximum).ifelse(value, ibis.null(column.dtype))
