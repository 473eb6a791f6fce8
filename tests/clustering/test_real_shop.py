"""The clusters of a real shop: UCI Online Retail, 4,338 customers with an order, beside figures measured independently of this code."""

from __future__ import annotations

from pathlib import Path

import ibis
import pyarrow as pa
import pytest

from seg_assets.clustering.model import ClusteringConfig, fit
from seg_assets.clustering.personas import personas
from seg_assets.scoring.rfm import rfm

LINES = Path(__file__).parents[2] / "../shared/data/uci-online-retail/online_retail.parquet"
SILHOUETTES = {2: 0.433, 3: 0.338, 4: 0.337, 5: 0.316}
"""Plain K-Means on standardised logs of recency, frequency and spending."""


@pytest.fixture(scope="module")
def customers() -> pa.Table:
    if not LINES.exists():
        pytest.skip("the data set uci-online-retail is not here")
    lines = ibis.read_parquet(LINES)
    orders = lines.filter(lines.customer_id.notnull(), lines.unit_price > 0, lines.quantity > 0, ~lines.invoice_no.startswith("C"))
    return (
        orders.group_by(person_id=orders.customer_id.cast("int64"))
        .aggregate(
            days_since_order=(ibis.timestamp("2011-12-10").epoch_seconds() - orders.invoice_ts.max().cast("timestamp").epoch_seconds()) / 86_400,
            orders_365d=orders.invoice_no.nunique(),
            revenue_365d=(orders.quantity * orders.unit_price).sum().round(2),
        )
        .to_pyarrow()
    )


def test_silhouettes_are_those_measured_elsewhere(customers):
    features = ("days_since_order", "orders_365d", "revenue_365d")
    model = fit(customers, ClusteringConfig(features=features, k_min=2, k_max=5))
    assert {c.k: c.silhouette for c in model.candidates} == pytest.approx(SILHOUETTES, abs=0.01)
    assert model.k == 2


def test_personas_of_four_clusters_read_differently(customers):
    model = fit(customers, ClusteringConfig(features=("days_since_order", "orders_365d", "revenue_365d"), k_min=4, k_max=4))
    scores = rfm(ibis.memtable(customers)).to_pyarrow()
    found = personas(customers.join(model.assignments, "person_id").join(scores, "person_id"), currency="GBP")
    assert len(set(found["label"].to_pylist())) == 4
    assert {"Lapsed", "Loyal"} <= {label.split()[0] for label in found["label"].to_pylist()}
