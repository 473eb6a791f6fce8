"""The language reference says what is true: its examples are read, and their fixtures run."""

from __future__ import annotations

import re
from pathlib import Path

from seg_assets.segments import default_catalog, parse_segments, run_fixtures

DOCS = Path(__file__).parents[2] / "docs" / "segments.md"


def test_every_example_of_the_reference_is_valid_and_does_what_it_says():
    examples = re.findall(r"```yaml\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    assert len(examples) >= 4
    for text in examples:
        outcomes = run_fixtures(parse_segments(text, default_catalog()))
        assert outcomes
        assert [(o.segment.id, o.number) for o in outcomes if not o.passed] == []


def test_the_reference_names_every_key_of_a_definition():
    from seg_assets.segments.parse import KEYS

    assert [key for key in KEYS if f"`{key}`" not in DOCS.read_text(encoding="utf-8")] == []
