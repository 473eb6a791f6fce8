"""What project.yaml may say, as pydantic models. Keys, types and ranges are checked here; names that live in other places (taxonomy, tables) in `checks.py`."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from seg_assets.project.alerts import Alert
from seg_assets.project.base import ColumnMapping, Model, Settings, Sql, references_are_well_formed
from seg_assets.project.destinations import Destination, Limit
from seg_assets.project.enrichers import Enricher
from seg_assets.project.values import (
    Country,
    Cron,
    Currency,
    Duration,
    Instant,
    IntRange,
    Points,
    Rate,
    ShareOrPoints,
    Slug,
    TimeZone,
    WholeRange,
    parse_duration,
)

CanonicalTable = Literal["events", "contacts", "consents", "enrichments", "mentions"]


def _lake(address: str) -> str:
    if "://" in address and not re.match(r"(?:s3|gs|az)://[^/]+", address):
        raise ValueError("the lake is a folder, or an address that starts with s3://, gs:// or az:// and a bucket")
    return address


def _state(url: str) -> str:
    if not re.match(r"sqlite(?:\+\w+)?:///.|postgresql(?:\+\w+)?://.", url):
        raise ValueError("write an SQLAlchemy address: sqlite:///FILE or postgresql+psycopg://USER:${PASSWORD}@HOST/DATABASE")
    return url


class Stream(Model):
    """How a stream becomes rows of a canonical table."""

    to: CanonicalTable | None = Field(default=None, description="Canonical table its rows become part of.")
    columns: dict[str, ColumnMapping] = Field(
        default={},
        description="Canonical column (or custom property or attribute of the taxonomy) to where its values come from. Without it, columns keep their names.",
    )
    timezone: TimeZone = Field(default="UTC", description="IANA time zone of timestamps that carry none.")
    where: Sql | None = Field(
        default=None, description="Boolean SQL expression over the row's columns; other rows are left out on purpose, not quarantined."
    )
    ignore: bool = Field(default=False, description="Leave this stream out of the graph.")

    @model_validator(mode="after")
    def _says_where_to(self) -> Stream:
        if self.ignore and self.model_fields_set - {"ignore"}:
            raise ValueError("an ignored stream can't be mapped as well; take out ignore or the rest")
        if self.columns and not self.to:
            raise ValueError("columns are mapped, but not to which table; add `to: events` (or contacts, consents, enrichments, mentions)")
        return self


class Connection(Model):
    """A configured connector that delivers streams."""

    connector: Slug = Field(description="Id of the connector (`seg connectors list`).")
    config: Settings = Field(
        default={}, repr=False, description="The connector's own settings (`seg connectors info ID`). `${NAME}` stands for an environment variable."
    )
    streams: dict[str, Stream] = Field(
        default={}, description="Mapping per stream. A stream whose connector already uses canonical names needs none."
    )
    drift: Literal["evolve", "freeze", "quarantine"] = Field(
        default="evolve", description="When a stream delivers other columns than before: take them, stop reading, or set such rows aside."
    )
    freshness: Duration = Field(default=parse_duration("24h"), description="How old its newest data may be before it counts as stale.")
    poll: Duration = Field(default=parse_duration("1m"), description="How often its sensor looks for something new.")


class Identity(Model):
    """How source records become persons."""

    sources: list[str] = Field(
        default=[],
        description="Connections (or connection/stream), most trusted first: their values survive in the profile. Others follow, newest value first.",
    )
    default_region: Country | None = Field(default=None, description="ISO 3166 country of phone numbers written without a country code.")
    max_persons_per_identifier: int = Field(
        default=5, ge=1, le=1000, description="An e-mail, phone or device shared by more customer ids than this links nobody."
    )
    max_identifiers: int = Field(
        default=100, ge=2, le=100_000, description="A person linked to more identifiers than this is an accident: weak links are cut."
    )


class EngagementLabels(Model):
    """Who counts as highly and as moderately engaged; all others are lurkers."""

    by: Literal["share", "points"] = Field(
        default="share", description="Whether the two values are shares of all persons, from the top, or points to reach."
    )
    highly_engaged: ShareOrPoints = Field(default=0.2, description="The top share, or the points from which on a person is Highly Engaged.")
    moderately_engaged: ShareOrPoints = Field(
        default=0.4, description="The share below it, or the points from which on a person is Moderately Engaged."
    )

    @model_validator(mode="after")
    def _values_fit(self) -> EngagementLabels:
        if self.by == "share" and self.highly_engaged + self.moderately_engaged > 1:
            raise ValueError("the shares of highly_engaged and moderately_engaged must not exceed 100% together")
        if self.by == "points" and self.highly_engaged < self.moderately_engaged:
            raise ValueError("highly_engaged needs at least as many points as moderately_engaged")
        return self


DEFAULT_WEIGHTS = {
    "page_viewed": 1,
    "product_searched": 2,
    "product_list_viewed": 1,
    "product_viewed": 2,
    "product_added": 5,
    "cart_viewed": 2,
    "checkout_started": 8,
    "order_completed": 20,
    "coupon_redeemed": 5,
    "email_opened": 1,
    "email_clicked": 4,
    "push_opened": 2,
    "ad_clicked": 2,
    "video_progressed": 2,
    "signed_up": 5,
}
"""Points an event is worth on its day, before they fade. Only their ratios matter."""


class Engagement(Model):
    """The engagement score: points per event, fading with a half-life."""

    half_life_days: float = Field(default=30.0, gt=0, le=3650, description="Days after which a point counts half.")
    weights: dict[str, Points] = Field(
        default={k: float(v) for k, v in DEFAULT_WEIGHTS.items()},
        description="Points per event type, below 0 for what speaks against; types not named count nothing.",
    )
    labels: EngagementLabels = Field(default=EngagementLabels(), description="Shares of persons per label.")

    @model_validator(mode="after")
    def _something_counts(self) -> Engagement:
        if all(points <= 0 for points in self.weights.values()):
            raise ValueError("no event has points; give at least one type of event a weight above 0")
        return self


class Rfm(Model):
    """Recency, frequency and monetary value."""

    window: Literal["30d", "90d", "365d", "total"] = Field(
        default="365d", description="Which orders count: those of the last 30, 90 or 365 days, or all."
    )


class Scoring(Model):
    """Scores per person."""

    engagement: Engagement = Field(default=Engagement(), description="Engagement score.")
    rfm: Rfm = Field(default=Rfm(), description="RFM scores.")


class Clustering(Model):
    """Groups of similar persons."""

    features: list[str] = Field(
        default=["days_since_event", "active_days_90d", "orders_365d", "avg_order_value", "top_category", "top_channel"],
        min_length=2,
        description="Columns of profiles/features (numbers and words) that persons are compared by.",
    )
    k: WholeRange = Field(default=IntRange(3, 12), description="How many clusters to try; the silhouette decides.")
    sample: int = Field(default=5_000, ge=100, le=1_000_000, description="Persons the silhouette is computed on.")
    seed: int = Field(default=0, ge=0, le=2**32 - 1, description="Seed of the sample and of the starting centres.")

    @model_validator(mode="after")
    def _k_is_possible(self) -> Clustering:
        if not 2 <= self.k.low <= self.k.high <= 50:
            raise ValueError("k must lie between 2 and 50")
        if len(set(self.features)) < len(self.features):
            raise ValueError("features names a column twice")
        return self


class Privacy(Model):
    """How personal data is kept apart."""

    pseudonym_key: Annotated[str, Field(min_length=1), AfterValidator(references_are_well_formed)] | None = Field(
        default=None,
        repr=False,
        description="Key of the hashes that stand for e-mail addresses and phone numbers; write it as `${NAME}`. Without it the hashes can be guessed: set it for real people.",
    )


class Automation(Model):
    """When the graph refreshes by itself."""

    schedule: Cron = Field(default="0 5 * * *", description="Cron line of the safety-net refresh, in the project's calendar.")
    recheck: Duration = Field(
        default=parse_duration("15m"), description="How long a person who enters a segment because time passes, and nothing else, may go unseen."
    )
    enabled: bool = Field(default=False, description="Sensors and schedule start switched on.")


class ProjectConfig(Model):
    """All of project.yaml."""

    project: Slug = Field(description="Id of the project; stable, it names the code location.")
    title: str | None = Field(default=None, min_length=1, max_length=200, description="Name for people; default the id.")
    lake: Annotated[str, AfterValidator(_lake)] = Field(
        default="lake", min_length=1, description="Folder of all tables, relative to the project, or an s3://, gs:// or az:// address."
    )
    state: Annotated[str, AfterValidator(references_are_well_formed), AfterValidator(_state)] | None = Field(
        default=None,
        repr=False,
        description="SQLAlchemy address of the operational store (SQLite or Postgres); `${NAME}` is allowed. Default: ops.sqlite in a local lake.",
    )
    as_of: Instant | None = Field(default=None, description="Fixed instant the graph is true for; default the start of each run.")
    currency: Currency = Field(default="USD", description="ISO 4217 code all amounts are converted to.")
    fx: dict[Currency, Rate] = Field(
        default={}, description="What one unit of another currency is worth in the project's; amounts in currencies without a rate are quarantined."
    )
    calendar: TimeZone = Field(default="UTC", description="IANA time zone of schedules and calendar windows.")
    connections: dict[Slug, Connection] = Field(default={}, description="Where data comes from, by name.")
    enrichers: dict[Slug, Enricher] = Field(default={}, description="Who tells more about persons, by name.")
    destinations: dict[Slug, Destination] = Field(default={}, description="Where audiences go, by name.")
    pressure: Limit | None = Field(
        default=None, description="How often a person may enter an audience at all destinations together: further additions are put off."
    )
    alerts: dict[Slug, Alert] = Field(default={}, repr=False, description="Who is told when a delivery needs looking at, by name.")
    identity: Identity = Field(default=Identity(), description="How records become persons.")
    scoring: Scoring = Field(default=Scoring(), description="Scores per person.")
    clustering: Clustering = Field(default=Clustering(), description="Clusters and personas.")
    privacy: Privacy = Field(default=Privacy(), repr=False, description="Personal data.")
    automation: Automation = Field(default=Automation(), description="Refreshing by itself.")

    @property
    def lake_is_remote(self) -> bool:
        """Whether the lake is in an object store."""
        return "://" in self.lake
