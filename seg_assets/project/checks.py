"""What a project's names must agree with: taxonomy, canonical tables, each other. Each problem says where it is and what to do."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from connectors.words import did_you_mean
from seg_assets.documents import Steps
from seg_assets.project import names
from seg_assets.project.destinations import Destination
from seg_assets.project.enrichers import Enricher
from seg_assets.project.explain import Problem
from seg_assets.project.models import ProjectConfig, Stream
from seg_assets.project.sql import check_scalar
from seg_assets.project.values import SLUG
from seg_assets.schema.tables import UNIFIED
from seg_assets.schema.taxonomy import Taxonomy


def config_problems(config: ProjectConfig, taxonomy: Taxonomy) -> Iterator[Problem]:
    """What contradicts itself in project.yaml, and every name that means nothing."""
    if config.lake_is_remote and config.state is None:
        yield Problem(("lake",), "a lake in an object store needs `state`: Postgres, or sqlite:///ops.sqlite while one machine runs the project")
    if config.fx.get(config.currency, 1) != 1:
        yield Problem(("fx", config.currency), "the rate of the project's own currency is always 1")
    for name, connection in config.connections.items():
        for stream, mapping in connection.streams.items():
            yield from _stream(("connections", name, "streams", stream), mapping, taxonomy)
    for name, enricher in config.enrichers.items():
        yield from _enricher(("enrichers", name), enricher, config, taxonomy)
    for name, destination in config.destinations.items():
        yield from _destination(("destinations", name), destination, taxonomy)
    for event in config.scoring.engagement.weights:
        yield from _unknown(("scoring", "engagement", "weights", event), event, taxonomy.events, "type of event")
    for at, feature in enumerate(config.clustering.features):
        yield from _unknown(("clustering", "features", at), feature, names.clustering_columns(), "number or word in profiles/features")
    for at, source in enumerate(config.identity.sources):
        yield from _unknown(("identity", "sources", at), source.partition("/")[0], config.connections, "connection")


def taxonomy_problems(addition: Mapping[str, Any]) -> Iterator[Problem]:
    """What is wrong with the shape and the names of a project's taxonomy.yaml, before it joins the default one."""
    for part, entries in addition.items():
        if part not in Taxonomy.model_fields:
            yield Problem((part,), f"unknown key{did_you_mean(part, Taxonomy.model_fields, lead='; ')}")
        elif not isinstance(entries, Mapping | None):
            yield Problem((part,), "must be a mapping of keys")
        for name in entries if isinstance(entries, Mapping) and part != "enums" else ():
            if not re.fullmatch(SLUG, name):
                yield Problem((part, name), f"{name!r} is not a name: it starts with a-z and goes on with a-z, 0-9 and _")
    for part, table in (("properties", "events"), ("attributes", "contacts")):
        entries = addition.get(part)
        for name, entry in entries.items() if isinstance(entries, Mapping) else ():
            canonical, custom = name in UNIFIED[table].schema, not (isinstance(entry, Mapping) and entry.get("custom") is False)
            if canonical and custom:
                yield Problem((part, name), f"{name!r} is a column of {table} already; choose another name")
            elif not canonical and not custom:
                yield Problem((part, name), f"{name!r} is no column of {table}; take out custom")


def _stream(at: Steps, stream: Stream, taxonomy: Taxonomy) -> Iterator[Problem]:
    if not stream.to or not stream.columns:
        return
    known = names.mappable_columns(stream.to, taxonomy)
    for column in stream.columns:
        if column in names.DERIVED:
            yield Problem((*at, "columns", column), f"{column!r} is filled in by the graph; take it out")
        else:
            yield from _unknown((*at, "columns", column), column, known, f"column of {stream.to}")
    missing = [column for column in names.required_columns(stream.to) if column not in stream.columns]
    if missing:
        yield Problem((*at, "columns"), f"{stream.to} need {', '.join(missing)}; name a column for each, a value, or an expression in sql")
    if not set(names.identifier_names()) & set(stream.columns):
        yield Problem((*at, "columns"), f"nothing says whose rows these are; map at least one of {', '.join(names.identifier_names())}")


def _enricher(at: Steps, enricher: Enricher, config: ProjectConfig, taxonomy: Taxonomy) -> Iterator[Problem]:
    if at[-1] in config.connections:
        yield Problem(at, f"{at[-1]!r} is a connection already; choose another name")
    yield from _unknown((*at, "purpose"), enricher.purpose, taxonomy.purposes, "purpose")
    for field, attribute in enricher.fields.items():
        yield from _unknown((*at, "fields", field), attribute, taxonomy.attributes, "attribute")


def _destination(at: Steps, destination: Destination, taxonomy: Taxonomy) -> Iterator[Problem]:
    known = names.person_columns(taxonomy)
    for name, field in destination.fields.items():
        here = (*at, "fields", name)
        if field.column is not None:
            yield from _unknown(here, field.column, known, "column of a person")
        for steps, sql in ((here, field.sql), *(((*here, "choose", n, "when"), rule.when) for n, rule in enumerate(field.choose))):
            for column in sorted(check_scalar(sql)) if sql is not None else ():
                yield from _unknown(steps, column, known, "column of a person")
    for n, purpose in enumerate(destination.needs):
        yield from _unknown((*at, "needs", n), purpose, taxonomy.purposes, "purpose of the taxonomy")
    if destination.quiet_hours and destination.quiet_hours.timezone is not None:
        yield from _unknown((*at, "quiet_hours", "timezone"), destination.quiet_hours.timezone, known, "column of a person")


def _unknown(steps: Steps, name: str, known: Iterable[str], what: str) -> Iterator[Problem]:
    if name not in known:
        yield Problem(steps, f"{name!r} is not a {what}{did_you_mean(name, known, lead='; ')}")
