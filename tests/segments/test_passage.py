"""What time alone can do to a segment, read off its definition."""

from __future__ import annotations

import pytest

from seg_assets.segments import default_catalog, parse_segments
from seg_assets.segments.passage import passages


@pytest.mark.parametrize(
    ("where", "ways"),
    [
        ("{age: 20..30}", set()),
        ("{did: page_viewed, in: ever}", set()),
        ("{did: page_viewed, in: 7d}", {"out"}),
        ("{never: page_viewed, in: 7d}", {"in"}),
        ("{did: page_viewed, times: 1..3, in: 7d}", {"in", "out"}),
        ("{none: [{did: page_viewed, in: 7d}]}", {"in"}),
        ("{did: page_viewed, in: 30d..7d}", {"in", "out"}),
        ("{then: [product_added, {no: order_completed, for: 48h}], in: ever}", {"in"}),
        ("{in_segment: other}", {"out"}),
        ("{none: [{in_segment: other}]}", {"in"}),
    ],
)
def test_time_brings_persons_in_or_puts_them_out(where: str, ways: set[str]) -> None:
    text = f"segment: other\nwhere: {{did: page_viewed, in: 1d}}\n---\nsegment: mine\nwhere: {where}\n"
    assert {way.value for way in passages(parse_segments(text, default_catalog()))["mine"]} == ways


def test_a_consent_that_expires_puts_its_person_out() -> None:
    found = passages(parse_segments("segment: mine\nwhere: {age: 20}\nneeds: [marketing_email]\n", default_catalog()))
    assert {way.value for way in found["mine"]} == {"out"}
