"""profiles/*: what is known about each person, without direct identifiers."""

import dagster as dg
import ibis.expr.types as ir

from seg_assets.as_of import run_as_of
from seg_assets.graph import Graph
from seg_assets.identity import with_person
from seg_assets.metadata import Assets, asset_arguments
from seg_assets.profiles.activity import activity_daily
from seg_assets.profiles.consents import person_consents
from seg_assets.profiles.features import favourites, features
from seg_assets.profiles.profiles import profiles
from seg_assets.schema.tables import (
    ACTIVITY_DAILY,
    CONSENTS,
    CONTACTS,
    ENRICHMENTS,
    EVENTS,
    FEATURES,
    LINKS,
    MENTIONS,
    PERSON_CONSENTS,
    PERSONS,
    PROFILES,
    VAULT,
)
from seg_assets.schema.types import Table


def build_profile_assets(graph: Graph) -> Assets:
    """Consents, daily activity, features and profiles."""
    key = graph.project.pseudonym_key

    def inputs(**tables: Table) -> dict[str, dg.AssetIn]:
        return {name: dg.AssetIn(graph.asset_key(table.key)) for name, table in tables.items()}

    @dg.asset(**asset_arguments(graph, PERSON_CONSENTS.key, PERSON_CONSENTS, code=[person_consents]), ins=inputs(consents=CONSENTS, links=LINKS))
    def consents_per_person(context: dg.AssetExecutionContext, consents: ir.Table, links: ir.Table) -> dg.MaterializeResult[ir.Table]:
        return dg.MaterializeResult(value=person_consents(with_person(consents, links, key), run_as_of(context, graph)))

    activity_shape = graph.table(ACTIVITY_DAILY.key)

    @dg.asset(**asset_arguments(graph, ACTIVITY_DAILY.key, activity_shape, code=[activity_daily]), ins=inputs(events=EVENTS, links=LINKS))
    def activity(context: dg.AssetExecutionContext, events: ir.Table, links: ir.Table) -> dg.MaterializeResult[ir.Table]:
        return dg.MaterializeResult(
            value=activity_daily(with_person(events, links, key), list(graph.project.taxonomy.events), run_as_of(context, graph))
        )

    @dg.asset(**asset_arguments(graph, FEATURES.key, FEATURES, code=[features]), ins=inputs(activity=ACTIVITY_DAILY, events=EVENTS, links=LINKS))
    def person_features(context: dg.AssetExecutionContext, activity: ir.Table, events: ir.Table, links: ir.Table) -> dg.MaterializeResult[ir.Table]:
        from seg_assets.report.canvas import as_markdown
        from seg_assets.report.flows import shopping_funnel, shopping_stages

        as_of = run_as_of(context, graph)
        value = features(activity, favourites(with_person(events, links, key), as_of), as_of)
        stages = shopping_stages(activity).to_pyarrow().to_pylist()[0]
        picture = shopping_funnel({name: int(persons or 0) for name, persons in stages.items()})
        return dg.MaterializeResult(value=value, metadata={"funnel": dg.MetadataValue.md(as_markdown(picture, "Persons per step"))})

    profile_shape = graph.table(PROFILES.key)

    @dg.asset(
        **asset_arguments(graph, PROFILES.key, profile_shape, code=[profiles]),
        ins=inputs(persons=PERSONS, contacts=CONTACTS, enrichments=ENRICHMENTS, mentions=MENTIONS, links=LINKS, vault=VAULT),
    )
    def person_profiles(
        context: dg.AssetExecutionContext,
        persons: ir.Table,
        contacts: ir.Table,
        enrichments: ir.Table,
        mentions: ir.Table,
        links: ir.Table,
        vault: ir.Table,
    ) -> dg.MaterializeResult[ir.Table]:
        value = profiles(
            persons,
            with_person(contacts, links, key),
            with_person(enrichments, links, key),
            with_person(mentions, links, key),
            vault,
            graph.project.taxonomy,
            graph.trust,
            run_as_of(context, graph),
        )
        return dg.MaterializeResult(value=value)

    return [consents_per_person, activity, person_features, person_profiles]
