"""Every mistake in a definition is one clear error with its place and a suggestion; nothing in a definition is code."""

from __future__ import annotations

import pytest

from seg_assets.errors import SegError
from seg_assets.segments import SegmentsError, default_catalog, parse_segments, read_segments


def errors(text: str) -> list[str]:
    with pytest.raises(SegmentsError) as caught:
        parse_segments(text, default_catalog())
    return [str(error) for error in caught.value.errors]


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("{did: ordr_completed}", "unknown event 'ordr_completed' (did you mean 'order_completed'"),
        ("{did: add_to_cart}", "(did you mean 'product_added'?)"),
        ("{agee: 30}", "unknown attribute or condition 'agee' (did you mean 'age'"),
        ("{product_viewed: 2}", "that is an event: write {did: ...}"),
        ("{did: page_viewed, where: {product_id: a}}", "page_viewed has no property 'product_id'"),
        ("{age: urban}", "age is a number, 'urban' is not"),
        ("{age: true}", "age is a number, True is not"),
        ("{area: urbn}", "'urbn' is not a value of area (did you mean 'urban'"),
        ('{city: ">=3"}', "city is string: it has no order"),
        ("{city: top 5%}", "city is string: it has no order"),
        ("{has_email: 'yes'}", "has_email is boolean"),
        ("{first_event_time: 2024-01-01T00:00:00}", "has no UTC offset (add Z"),
        ("{age: 34..25}", "the range 34..25 is empty"),
        ("{age: []}", "an empty list matches nobody"),
        ("{age: }", "null is not a test (write missing)"),
        ("{age: {not: missing}}", "write present"),
        ("{age: top 0%}", "not more than 0%"),
        ("{age: 1e300}", "out of range"),
        ("{did: page_viewed, in: 1 month}", "a month has no fixed length"),
        ("{did: page_viewed, in: last fortnight}", "'fortnight' is not a calendar unit"),
        ("{did: page_viewed, in: 0m}", "a window of zero length holds no events"),
        ("{did: page_viewed, in: 7d..30d}", "is empty (the older end stands first"),
        ("{did: page_viewed, in: last month}", "needs `calendar:`"),
        ("{did: page_viewed, in: 2024-02-30..2024-03-01}", "is not a date"),
        ("{did: page_viewed, in: 900000d}", "longer than 100 years"),
        ("{did: page_viewed, times: '<0'}", "no number of events is <0"),
        ("{did: page_viewed, time: 3}", "unknown attribute or condition 'time' (did you mean 'times'"),
        ("{never: page_viewed}", "`never` needs a window"),
        ("{then: [page_viewed]}", "at least two steps"),
        ("{then: [{no: page_viewed, for: 1h}, page_viewed]}", "`no` needs a step before it"),
        ("{then: [page_viewed, {no: page_viewed}]}", "either `for` or `within`"),
        ("{then: [{page_viewed: {within: 1h}}, page_viewed]}", "no step before it to be `within`"),
        ("{then: [page_viewed, product_added], on: cart_id}", "page_viewed has no property 'cart_id'"),
        ("{then: [product_added, product_added], on: revenue}", "tied by text or whole numbers only"),
        ("{then: [product_added, page_viewed], ties: maybe}", "strict or allow"),
        ("{never: product_viewed, in: 7d, same: product_id}", "no event binds product_id"),
        (
            "{all: [{did: product_viewed, same: product_id}, {any: [{never: product_viewed, in: 1d, same: product_id}, {age: 3}]}]}",
            "stands beside other clauses",
        ),
        ("{in_segment: other}", "reads the unknown segment 'other'"),
        ("{in_segment: s}", "in a cycle: s -> s"),
        ("{all: []}", "at least one entry"),
        ("[]", "a condition belongs here"),
    ],
)
def test_mistake_is_named_with_place_and_advice(where, message):
    found = errors(f"{{segment: s, where: {where}}}")
    assert len(found) == 1
    assert found[0].startswith("1:")
    assert message in found[0]


def test_all_mistakes_of_a_text_are_reported():
    found = errors("segment: a\nwhere: {all: [{age: x}, {did: y}]}\nneeds: [marketing]\n---\nsegment: b\ntitel: B\nwhere: {area: [urban, rurl]}\n")
    assert [line.split(": ")[0] for line in found] == ["2:16", "2:26", "3:9", "6:1", "7:9"]


def test_cycle_names_its_way():
    parts = [f"segment: {a}\nwhere: {{in_segment: {b}}}\n" for a, b in (("a", "b"), ("b", "c"), ("c", "a"))]
    assert "a -> b -> c -> a" in errors("---\n".join(parts))[0]


def test_duplicate_id_names_both_places(tmp_path):
    for name in ("one", "two"):
        (tmp_path / f"{name}.yaml").write_text("segment: a\nwhere: {age: 3}\n")
    [error] = read_segments(tmp_path, default_catalog()).errors
    assert "two.yaml:1:1" in str(error)
    assert "one.yaml:1:1" in str(error)


def test_broken_definition_leaves_the_others_usable(tmp_path):
    """mautic#10686: one broken segment stopped all later ones. A reader of a broken segment is broken too, and says so."""
    (tmp_path / "a.yaml").write_text(
        "segment: bad\nwhere: {age: x}\n---\nsegment: reader\nwhere: {in_segment: bad}\n---\nsegment: good\nwhere: {age: 3}\n"
    )
    (tmp_path / "b.yaml").write_text("segment: [\n")
    found = read_segments(tmp_path, default_catalog())
    assert list(found.segments) == ["good"]
    assert set(found.broken) == {"bad", "reader"}
    assert len(found.errors) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &x [1]\nb: [*x, *x]\n", "aliases"),
        ("segment: !!python/object/apply:os.system [ls]\nwhere: {age: 3}\n", "tags are not allowed"),
        ("segment: a\nsegment: b\nwhere: {age: 3}\n", "twice"),
        ("segment: a\nwhere: " + "{all: [" * 60 + "{age: 3}" + "]}" * 60, "nested deeper"),
        ("segment: a\nwhere: {age: 3\n", "not valid YAML"),
        ("just text", "a mapping with"),
    ],
)
def test_hostile_or_broken_yaml_is_refused(text, message):
    assert message in errors(text)[0]


def test_ten_thousand_lines_are_read_and_too_many_clauses_refused():
    clauses = "\n".join(f"    - {{did: page_viewed, in: {n}m}}" for n in range(1, 10_001))
    assert "10,000 clauses" in errors(f"segment: a\nwhere:\n  any:\n{clauses}\n")[0]


@pytest.mark.parametrize("text", ["'; drop table persons; --", "x' or '1'='1", '"', "\\", "{{ }}", "\u0000x", "%s", "a\nb"])
def test_text_in_a_definition_is_only_ever_compared(world, text):
    here = world().person(1, city=text.replace("\u0000", "")).person(2, city="Bonn")
    quoted = text.replace("\u0000", "").replace("'", "''").replace("\n", "\n\n    ")
    assert here.who(f"{{city: ['{quoted}']}}") == {1}


def test_words_that_yaml_1_1_took_for_booleans_are_words():
    text = "segment: a\nwhere: {then: [product_added, {no: order_completed, for: 1h}], on: cart_id}\n"
    assert list(parse_segments(text, default_catalog()).segments) == ["a"]


def test_unknown_segment_has_a_suggestion():
    with pytest.raises(SegError, match="did you mean 'vip'"):
        parse_segments("segment: vip\nwhere: {age: 3}\n", default_catalog())["vipp"]
