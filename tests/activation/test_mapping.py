"""What destinations are told: columns, constants, expressions, rules, and the channel to reach somebody by."""

from __future__ import annotations

from typing import Any

import pytest

from seg_assets.activation.mapping import failing, reads, rendered
from seg_assets.activation.personalisation import personalised
from seg_assets.errors import MappingError
from seg_assets.project.destinations import PayloadField
from tests.activation.rules import ENGINE, table

PEOPLE = {"person_id": "int64", "first_name": "string", "orders": "int64"}
ROWS = [(1, "Ann", 3), (2, None, 0)]


def told(field: Any, members: tuple[tuple[int, str], ...] = ()) -> list[Any]:
    """What a field says about persons 1 and 2."""
    fields = {"x": PayloadField.model_validate(field)}
    found = rendered(table(PEOPLE, ROWS), fields, table({"person_id": "int64", "segment": "string"}, members))
    rows = ENGINE.connection.to_pyarrow(found.table.order_by("person_id")).to_pydict()
    return rows[found.columns["x"]]


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("first_name", ["Ann", None]),
        ({"column": "orders"}, [3, 0]),
        ({"value": "shop"}, ["shop", "shop"]),
        ({"sql": "coalesce(first_name, 'friend')"}, ["Ann", "friend"]),
        ({"sql": "upper(first_name) || '-' || orders"}, ["ANN-3", None]),
        ({"choose": [{"when": "orders = 0", "value": "first_order"}, {"value": "news"}]}, ["news", "first_order"]),
        ({"choose": [{"when": "orders > 5", "value": 1}]}, [None, None]),
        ({"choose": [{"when": "first_name = 'Ann'", "value": 0.5}, {"value": 1}]}, [0.5, 1.0]),
        ({"choose": [{"when": "orders > 0", "value": 1}, {"value": "none"}]}, ["1", "none"]),
        ({"choose": [{"when": "orders > 0", "value": None}, {"value": "come back"}]}, [None, "come back"]),
    ],
)
def test_a_field_says_what_is_written(field: Any, values: list[Any]) -> None:
    assert told(field) == values


def test_the_first_rule_that_fits_decides() -> None:
    rules = [{"segment": "vip", "value": "champagne"}, {"segment": "lapsed", "value": "20%"}, {"value": "news"}]
    assert told({"choose": rules}, ((1, "vip"), (1, "lapsed"), (2, "lapsed"))) == ["champagne", "20%"]
    assert told({"choose": rules[::-1][1:]}, ((1, "vip"), (1, "lapsed"))) == ["20%", None]


def test_an_expression_that_does_not_work_names_its_field() -> None:
    with pytest.raises(MappingError, match="field x: the SQL does not work"):
        told({"sql": "first_name + orders"})


def test_a_field_knows_which_columns_it_is_made_from() -> None:
    field = PayloadField.model_validate({"choose": [{"when": "orders > 0 and city = 'Bonn'", "value": 1}, {"segment": "vip", "value": 2}]})
    assert reads(field) == {"orders", "city"}


CHANNELS = {
    "person_id": "int64", "top_channel": "string", "email_opens_90d": "int64", "email_clicks_90d": "int64",
    "has_email": "bool", "has_phone": "bool", "persona_channel": "string",
}  # fmt: skip


@pytest.mark.parametrize(
    ("person", "allowed", "channel"),
    [
        (("web", 0, 0, True, True, "email"), ["marketing_email"], "web"),
        (("email", 0, 0, True, True, "web"), ["marketing_email"], "email"),
        (("email", 3, 1, True, True, "app"), [], "app"),
        (("ads", 1, 0, True, True, "sms"), ["marketing_email", "marketing_sms"], "email"),
        ((None, 0, 0, True, True, "sms"), ["marketing_email", "marketing_sms"], "sms"),
        ((None, 0, 0, True, False, "sms"), ["marketing_email", "marketing_sms"], "email"),
        ((None, None, None, False, False, None), ["marketing_email", "marketing_sms"], "web"),
        ((None, None, None, False, False, None), ["advertising"], "ads"),
        (("phone", 0, 0, True, True, "direct_mail"), ["marketing_email"], "email"),
    ],
)
def test_the_next_best_channel_is_allowed_and_answered_to(person: tuple[Any, ...], allowed: list[str], channel: str) -> None:
    consents = table({"person_id": "int64", "purpose": "string", "granted": "bool"}, [(1, purpose, True) for purpose in allowed])
    rows = personalised(table(CHANNELS, [(1, *person)]), consents)
    assert ENGINE.connection.to_pyarrow(rows)["next_best_channel"].to_pylist() == [channel]


def test_a_field_of_the_wrong_type_is_named_and_no_value_is_quoted() -> None:
    fields = {"n": PayloadField.model_validate({"sql": "cast(first_name as integer)"}), "ok": PayloadField.model_validate("orders")}
    assert failing(table(PEOPLE, ROWS), fields, table({"person_id": "int64", "segment": "string"}, [])) == ["n"]
