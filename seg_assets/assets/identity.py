"""identity/*: who is who, what changed, and the vault."""

import dagster as dg
import ibis.expr.types as ir

from seg_assets.as_of import run_as_of
from seg_assets.graph import Graph
from seg_assets.identity import IdentityRules, resolve, vault
from seg_assets.identity.persons import changes, persons
from seg_assets.metadata import Assets, asset_arguments
from seg_assets.schema.tables import CONTACTS, IDENTITY_CHANGES, LINKS, PERSONS, UNIFIED, VAULT


def build_identity_assets(graph: Graph) -> Assets:
    """Links, persons, changes and vault."""
    ins = {name: dg.AssetIn(graph.asset_key(table.key)) for name, table in UNIFIED.items()}
    config = graph.project.config.identity

    @dg.asset(**asset_arguments(graph, LINKS.key, LINKS, code=[resolve], tags={"stateful": "keeps_person_ids"}), ins=ins)
    def links(events: ir.Table, contacts: ir.Table, consents: ir.Table, enrichments: ir.Table, mentions: ir.Table) -> dg.MaterializeResult[ir.Table]:
        previous = graph.lake.read(LINKS.key) if graph.lake.exists(LINKS.key) else None
        rules = IdentityRules(config.max_persons_per_identifier, config.max_identifiers)
        found = resolve([events, contacts, consents, enrichments, mentions], graph.project.pseudonym_key, rules, previous)
        return dg.MaterializeResult(
            value=found.links, metadata={"identifiers_shared_by_too_many": found.ignored, "persons_with_too_many_identifiers": found.oversized}
        )

    both = {"links": dg.AssetIn(graph.asset_key(LINKS.key)), "contacts": dg.AssetIn(graph.asset_key(CONTACTS.key))}

    @dg.asset(**asset_arguments(graph, PERSONS.key, PERSONS, code=[persons]), ins=both)
    def identity_persons(links: ir.Table, contacts: ir.Table) -> dg.MaterializeResult[ir.Table]:
        from seg_assets.report.canvas import as_markdown
        from seg_assets.report.flows import record_counts, records_per_person

        rows = persons(links, contacts, graph.project.pseudonym_key).cache()
        picture = records_per_person(record_counts(rows).to_pyarrow())
        return dg.MaterializeResult(value=rows, metadata={"records_per_person": dg.MetadataValue.md(as_markdown(picture, "Records per person"))})

    @dg.asset(**asset_arguments(graph, IDENTITY_CHANGES.key, IDENTITY_CHANGES, code=[changes]), ins={"links": both["links"]})
    def identity_changes(context: dg.AssetExecutionContext, links: ir.Table) -> dg.MaterializeResult[ir.Table]:
        version = graph.lake.delta(LINKS.key).version()
        previous = graph.lake.read(LINKS.key, version=version - 1) if version else None
        return dg.MaterializeResult(value=changes(links, previous, run_as_of(context, graph)))

    @dg.asset(**asset_arguments(graph, VAULT.key, VAULT, code=[vault], tags={"access": "restricted"}), ins=both)
    def identity_vault(links: ir.Table, contacts: ir.Table) -> dg.MaterializeResult[ir.Table]:
        return dg.MaterializeResult(value=vault(contacts, links, graph.project.pseudonym_key, graph.trust))

    return [links, identity_persons, identity_changes, identity_vault]
