"""What destinations do not take: told clearly, and nothing else is lost. Over real HTTP to the vendors' stand-ins."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from connectors.customerio import CustomerIoDestination
from connectors.customerio.destination import CustomerIoConfig
from connectors.customerio.emulation import APP_KEY, SITE_ID, TRACK_KEY, CustomerIo
from connectors.hubspot import HubSpotDestination
from connectors.hubspot.destination import HubSpotDestinationConfig
from connectors.hubspot.emulation import PRIVATE_APP_TOKEN, HubSpot
from connectors.sandbox.emulation import Emulation
from connectors.sandbox.server import Served, serving
from connectors.types import Context
from seg_assets.activation.ledger import Ledger
from seg_assets.unify.typing import EMAIL

Make = Callable[..., Any]


@pytest.fixture
def vendors(tmp_path: Path) -> Iterator[tuple[Served, dict[str, Emulation]]]:
    some = [HubSpot(tmp_path / "hubspot.sqlite"), CustomerIo(tmp_path / "customerio.sqlite")]
    with serving(*some) as served:
        yield served, {one.name: one for one in some}


@pytest.fixture
def hubspot(vendors: tuple[Served, Any]) -> HubSpotDestination:
    config = {"base_url": vendors[0].url("hubspot"), "access_token": PRIVATE_APP_TOKEN}
    return HubSpotDestination(HubSpotDestinationConfig.model_validate(config))


@pytest.fixture
def customerio(vendors: tuple[Served, Any]) -> CustomerIoDestination:
    url = vendors[0].url("customerio")
    keys = {"site_id": SITE_ID, "track_api_key": TRACK_KEY, "app_api_key": APP_KEY, "match_key": "email"}
    return CustomerIoDestination(CustomerIoConfig.model_validate({"track_url": url, "app_url": url, **keys}))


def add_property(served: Served, type_: str = "string") -> None:
    """What an administrator does in HubSpot's settings."""
    headers = {"Authorization": f"Bearer {PRIVATE_APP_TOKEN}"}
    made = {"name": "tier", "label": "Tier", "type": type_, "fieldType": "text"}
    assert httpx.post(f"{served.url('hubspot')}/crm/v3/properties/contacts", json=made, headers=headers, trust_env=False).status_code == 201


def outcomes(ledger: Ledger) -> dict[tuple[int, str], str]:
    """(person, state) to the reason."""
    return {(row["person_id"], row["state"]): row["reason"] or "" for row in ledger.operations().to_pylist()}


def test_a_property_the_destination_does_not_know_stops_the_delivery_and_loses_nobody(
    world: Make, ledger: Ledger, context: Context, vendors: tuple[Served, dict[str, Any]], hubspot: HubSpotDestination
) -> None:
    shop = world(3)
    stopped = shop.deliver(ledger, hubspot, context).stopped
    assert stopped
    assert "a field is no property of contacts in this account" in stopped
    assert ledger.states().get("acked", 0) == 0
    add_property(vendors[0])
    assert shop.deliver(ledger, hubspot, context).verdicts == {"acked": 3}
    assert vendors[1]["hubspot"].store.count("contact") == 3


def test_a_malformed_address_is_rejected_alone_and_rests_until_it_is_another(
    world: Make, ledger: Ledger, context: Context, vendors: tuple[Served, dict[str, Any]], hubspot: HubSpotDestination
) -> None:
    add_property(vendors[0])
    shop = world(3)
    shop.emails[2] = "no-address"
    assert shop.deliver(ledger, hubspot, context).verdicts == {"acked": 2, "rejected": 1}
    assert {key: reason for key, reason in outcomes(ledger).items() if key[1] == "rejected"} == {(2, "rejected"): "VALIDATION_ERROR"}
    assert shop.deliver(ledger, hubspot, context).sent == 0
    shop.emails[2] = "ben@example.com"
    assert shop.deliver(ledger, hubspot, context).verdicts == {"acked": 1}


def test_a_value_of_the_wrong_type_is_rejected_alone_and_rests_until_something_changes(
    world: Make, ledger: Ledger, context: Context, vendors: tuple[Served, dict[str, Any]], hubspot: HubSpotDestination
) -> None:
    add_property(vendors[0], "number")
    shop = world(4)
    shop.tiers = {1: "7", 2: "gold", 3: "2.5"}
    assert shop.deliver(ledger, hubspot, context).verdicts == {"acked": 3, "rejected": 1}
    assert {key: reason for key, reason in outcomes(ledger).items() if key[1] == "rejected"} == {(2, "rejected"): "VALIDATION_ERROR"}
    assert shop.deliver(ledger, hubspot, context).sent == 0
    shop.tiers[2] = "9"
    assert shop.deliver(ledger, hubspot, context).verdicts == {"acked": 1}
    store = vendors[1]["hubspot"].store
    assert sorted(record.body.get("tier", "") for record in store.select("contact")) == ["", "2.5", "7", "9"]


@pytest.mark.parametrize("text", ["no-address", "ann@", "@example.com", "ann@example", "ann example@example.com", "ann@@example.com"])
def test_a_malformed_address_of_a_source_reaches_nobody(text: str) -> None:
    import re

    assert not re.fullmatch(EMAIL, text)


def test_a_field_that_is_too_long_is_rejected_alone(
    world: Make, ledger: Ledger, context: Context, vendors: tuple[Served, dict[str, Any]], customerio: CustomerIoDestination
) -> None:
    shop = world(3)
    shop.tiers[2] = "x" * 2_000
    shop.deliver(ledger, customerio, context)
    states = outcomes(ledger)
    assert {key for key in states if key[1] == "acked"} == {(1, "acked"), (3, "acked")}
    assert states[2, "rejected"]
    assert "x" * 100 not in str(states)
    shop.tiers[2] = "gold"
    assert shop.deliver(ledger, customerio, context).verdicts == {"acked": 1}
