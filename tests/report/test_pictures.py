from __future__ import annotations

import base64
import io
import json
import random
from datetime import UTC, datetime
from functools import cache

import ibis
import matplotlib
import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from seg_assets.clustering.kmeans import Candidate
from seg_assets.clustering.model import ClusteringConfig, fit
from seg_assets.clustering.projection import cluster_map as project
from seg_assets.report.canvas import as_markdown
from seg_assets.report.clusters import cluster_map, persona_profiles, silhouette_by_k
from seg_assets.report.deliveries import delivery_errors, delivery_throughput
from seg_assets.report.flows import delivery_funnel, record_counts, records_per_person, shopping_funnel, shopping_stages
from seg_assets.report.scores import engagement_distribution, engagement_histogram, rfm_counts, rfm_heat_map
from seg_assets.report.segments import segment_history, segment_overlap_matrix, segment_overlaps, segment_sizes


def rows(table: ibis.Table, *by: str) -> list[dict]:
    return sorted(table.to_pyarrow().to_pylist(), key=lambda row: [(row[b] is not None, row[b]) for b in by])


def table(rows: list[dict]) -> ibis.Table:
    return ibis.memtable(pa.Table.from_pylist(rows))


ERRORS = [
    (("rejected", "a field is no property of contacts in this account"), 340),
    (("retry_wait", "http 503"), 120),
    *((("gated", f"quiet hours in zone {n}"), 10) for n in range(9)),
]
HISTOGRAM = [
    {"step": None, "engagement_label": "Lurker", "persons": 40},
    {"step": -12, "engagement_label": "Lurker", "persons": 9},
    {"step": 2, "engagement_label": "Lurker", "persons": 5},
    {"step": 2, "engagement_label": "Moderately Engaged", "persons": 15},
    {"step": 9, "engagement_label": "Highly Engaged", "persons": 3},
]
RFM = [{"recency": r, "frequency": f, "persons": r * f} for r in range(1, 6) for f in range(1, 6) if f != 3]
CANDIDATES = [Candidate(k, 0.3 - 0.02 * abs(k - 4), 0.01, 100.0, 1.0, 0.1) for k in range(3, 9)]
HEALTH = [
    {"segment": "a", "title": "Buyers of beauty with a rather long and windy title", "size": 900, "share": 0.45, "below_minimum": False},
    {"segment": "b", "title": "Abandoned carts", "size": 12, "share": 0.006, "below_minimum": False},
    {"segment": "c", "title": "Nobody", "size": 0, "share": 0.0, "below_minimum": True},
]
OVERLAPS = [{"segment": a, "other": b, "persons": n} for a, b, n in (("a", "a", 900), ("b", "b", 12), ("c", "c", 5), ("a", "b", 10), ("b", "a", 10))]
STEPS = [
    {"segment": segment, "as_of": datetime(2026, 7, day, tzinfo=UTC), "size": size}
    for segment, sizes in (("a", (10, 12, 7)), ("b", (3, 3, 4)), ("gone", (1, 1, 1)))
    for day, size in zip((1, 2, 9), sizes, strict=True)
]
RECORDS = [{"records": n, "persons": 90 // (n + 1), "linked": n * (90 // (n + 1))} for n in range(9)]
DELIVERY = {"planned": 100, "blocked": 10, "acked": 70, "rejected": 5, "pending": 15}


def persona(cluster: int, effect: float) -> dict:
    trait = {"known": 1.0, "median": 3.0 + cluster, "overall": 2.0, "positive": 0.5, "overall_positive": 0.4, "effect": effect}
    traits = {"features": {"orders_365d": trait, "orders_total": trait, "tenure_days": trait}, "words": {}}
    return {"cluster_id": cluster, "label": f"Persona number {cluster}", "share": 0.5, "traits": json.dumps(traits)}


def people(n: int = 400) -> pa.Table:
    random = np.random.default_rng(0)
    group = np.arange(n) % 3
    return pa.table(
        {"person_id": np.arange(n), "orders_365d": group * 4 + random.uniform(size=n), "events_30d": (group == 1) * 9 + random.uniform(size=n)}
    )


MODEL = fit(people(), ClusteringConfig(features=("orders_365d", "events_30d"), k_min=2, k_max=4))
MAP = project(MODEL, people())

PICTURES = {
    "engagement": lambda shuffled: engagement_distribution(pa.Table.from_pylist(shuffled(HISTOGRAM)), {"highly": 20.0, "moderately": 2.5}),
    "rfm": lambda shuffled: rfm_heat_map(pa.Table.from_pylist(shuffled(RFM))),
    "silhouette": lambda _: silhouette_by_k(CANDIDATES, 4),
    "silhouette of another k": lambda _: silhouette_by_k(CANDIDATES, 5),
    "map": lambda _: cluster_map(MAP, {c: f"Persona {c}" for c in MODEL.cluster_ids}),
    "personas": lambda _: persona_profiles(pa.Table.from_pylist([persona(0, 0.8), persona(1, -0.8)])),
    "history": lambda _: segment_history(STEPS, {"a": "Buyers", "b": "Abandoned carts"}),
    "sizes": lambda shuffled: segment_sizes(pa.Table.from_pylist(shuffled(HEALTH))),
    "overlap": lambda shuffled: segment_overlap_matrix(pa.Table.from_pylist(shuffled(OVERLAPS)), {row["segment"]: row["title"] for row in HEALTH}),
    "funnel": lambda _: shopping_funnel({"viewed": 900, "added": 300, "checkout": 200, "ordered": 120}),
    "delivery": lambda _: delivery_funnel(DELIVERY),
    "throughput": lambda _: delivery_throughput([(0.4, 900), (1.0, 1900), (2.9, 4100)]),
    "errors": lambda shuffled: delivery_errors(dict(shuffled(ERRORS))),
    "records": lambda shuffled: records_per_person(pa.Table.from_pylist(shuffled(RECORDS))),
}


def straight(items: list) -> list:
    return items


def mixed(items: list) -> list:
    return random.Random(1).sample(items, len(items))


@cache
def drawn(name: str) -> bytes:
    return PICTURES[name](straight)


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_a_png_with_ink_on_it_small_enough_for_metadata(name):
    png = drawn(name)
    with Image.open(io.BytesIO(png)) as image:
        assert image.format == "PNG"
        assert image.width == 910
        pixels = np.asarray(image.convert("L"))
    assert 0.005 < (pixels < 200).mean() < 0.8
    assert len(png) < 100_000


@pytest.mark.parametrize("name", PICTURES)
def test_the_same_input_gives_the_same_bytes_whatever_the_row_order_and_the_users_style(name):
    first = drawn(name)
    with matplotlib.rc_context({"font.size": 22, "axes.facecolor": "red", "savefig.dpi": 30}):
        assert PICTURES[name](mixed) == first
        assert matplotlib.rcParams["font.size"] == 22


@pytest.mark.parametrize(
    "draw",
    [
        lambda: engagement_distribution(pa.table({"step": [], "engagement_label": [], "persons": []}), {"highly": None, "moderately": None}),
        lambda: engagement_distribution(pa.Table.from_pylist(HISTOGRAM[:1]), {"highly": None, "moderately": None}),
        lambda: rfm_heat_map(pa.table({"recency": [], "frequency": [], "persons": []})),
        lambda: silhouette_by_k([], 1, "one cluster: 3 persons are too few"),
        lambda: silhouette_by_k(CANDIDATES[:1], 3),
        lambda: persona_profiles(pa.Table.from_pylist([persona(0, 0.0)])),
        lambda: segment_sizes(pa.table({"segment": [], "title": [], "size": [], "share": [], "below_minimum": []})),
        lambda: segment_history([], {"a": "A"}),
        lambda: segment_history(STEPS[:1], {"a": "A"}),
        lambda: segment_overlap_matrix(pa.Table.from_pylist(OVERLAPS[:1]), {"a": "A"}),
        lambda: segment_overlap_matrix(pa.Table.from_pylist(OVERLAPS[:2]), {"a": "A", "b": "B"}),
        lambda: shopping_funnel(dict.fromkeys(("viewed", "added", "checkout", "ordered"), 0)),
        lambda: shopping_funnel({"viewed": 5, "added": 0, "checkout": 0, "ordered": 0}),
        lambda: delivery_funnel(dict.fromkeys(DELIVERY, 0)),
        lambda: delivery_throughput([]),
        lambda: delivery_errors({}),
        lambda: delivery_funnel(DELIVERY | {"blocked": 100, "acked": 0, "rejected": 0, "pending": 0}),
        lambda: records_per_person(pa.Table.from_pylist(RECORDS[:1])),
    ],
)
def test_little_or_nothing_to_show_is_a_picture_too(draw):
    with Image.open(io.BytesIO(draw())) as image:
        assert image.width == 910


def test_a_map_of_nobody_and_of_one_cluster_can_be_drawn():
    for size in (0, 4):
        model = fit(people().slice(0, size), ClusteringConfig(features=("orders_365d",)))
        png = cluster_map(project(model, people().slice(0, size)), {0: "Everyone"})
        assert Image.open(io.BytesIO(png)).width == 910


def test_the_map_shows_the_sampled_people_and_keeps_what_sets_clusters_apart():
    found = project(MODEL, people(), rows=50)
    assert len(found.points) == 50
    assert found.kept == 1
    assert set(found.axes[0].replace("less ", "").split(", ")) <= {"orders 365d", "events 30d"}
    centres = {row["cluster_id"]: (row["x"], row["y"]) for row in found.centres.to_pylist()}
    for row in found.points.to_pylist():
        nearest = min(centres, key=lambda c: (centres[c][0] - row["x"]) ** 2 + (centres[c][1] - row["y"]) ** 2)
        assert nearest == row["cluster_id"]


def test_markdown_holds_the_picture_itself():
    png = drawn("records")
    head, data = as_markdown(png, "Records").split(",")
    assert head == "![Records](data:image/png;base64"
    assert base64.b64decode(data.rstrip(")")) == png


def test_the_histogram_counts_zero_apart_and_two_steps_per_doubling():
    points = [0.0, 0.0, 1e-6, 1.0, 1.4, 1.5, 2.0, 3.9]
    scores = table([{"person_id": i, "engagement": p, "engagement_label": "Lurker"} for i, p in enumerate(points)])
    assert {row["step"]: row["persons"] for row in engagement_histogram(scores).to_pyarrow().to_pylist()} == {None: 2, -12: 1, 0: 2, 1: 1, 2: 1, 3: 1}


def test_rfm_counts_are_buyers_per_cell():
    buyers = table([{"person_id": i, "recency": 5, "frequency": 1 + i // 2, "monetary": 3} for i in range(4)])
    assert rows(rfm_counts(buyers), "frequency") == [
        {"recency": 5, "frequency": 1, "persons": 2},
        {"recency": 5, "frequency": 2, "persons": 2},
    ]


def test_overlaps_count_shared_members_both_ways():
    members = table([{"segment": s, "person_id": p} for s, p in (("a", 1), ("a", 2), ("b", 2), ("c", 3))])
    assert rows(segment_overlaps(members), "segment", "other") == [
        {"segment": "a", "other": "a", "persons": 2},
        {"segment": "a", "other": "b", "persons": 1},
        {"segment": "b", "other": "a", "persons": 1},
        {"segment": "b", "other": "b", "persons": 1},
        {"segment": "c", "other": "c", "persons": 1},
    ]


def test_who_orders_without_a_recorded_view_has_come_all_the_way():
    def day(person: int, viewed: int = 0, added: int = 0, checkout: int = 0, ordered: int = 0) -> dict:
        return {
            "person_id": person,
            "n_product_viewed": viewed,
            "n_product_added": added,
            "n_checkout_started": checkout,
            "n_order_completed": ordered,
        }

    days = table([day(1, viewed=3), day(1, added=1), day(2, ordered=1), day(3, viewed=1), day(4)])
    assert rows(shopping_stages(days)) == [{"viewed": 3, "added": 2, "checkout": 1, "ordered": 1}]


def test_many_records_are_counted_together():
    persons = table([{"person_id": i, "contacts": n} for i, n in enumerate((0, 1, 1, 8, 30))])
    assert rows(record_counts(persons), "records") == [
        {"records": 0, "persons": 1, "linked": 0},
        {"records": 1, "persons": 2, "linked": 2},
        {"records": 8, "persons": 2, "linked": 38},
    ]


def test_pictures_carry_no_date():
    png = drawn("funnel")
    assert b"tEXt" not in png
    assert b"tIME" not in png
