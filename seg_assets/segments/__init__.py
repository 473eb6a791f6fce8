"""The segment language: parse definitions, evaluate them for all persons at one instant, explain every verdict. Free of Dagster."""

from seg_assets.segments.catalog import Catalog, catalog_of, default_catalog
from seg_assets.segments.definitions import SegmentsError, SegmentSet
from seg_assets.segments.evaluate import Evaluation, evaluate, verdicts
from seg_assets.segments.explain import Explanation, explain
from seg_assets.segments.fixtures import run_fixtures
from seg_assets.segments.judge import next_flips
from seg_assets.segments.parse import parse_segments, read_segments

__all__ = [
    "Catalog",
    "Evaluation",
    "Explanation",
    "SegmentSet",
    "SegmentsError",
    "catalog_of",
    "default_catalog",
    "evaluate",
    "explain",
    "next_flips",
    "parse_segments",
    "read_segments",
    "run_fixtures",
    "verdicts",
]
