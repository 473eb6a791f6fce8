"""What connectors send, through Prism: recorded on the way to a stand-in, then told again to Prism, which knows the vendor's specification and nothing else.

It refuses a request the specification does not allow (422), and an answer of the stand-in it does not describe (500).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from connectors.braze import BrazeDestination
from connectors.braze.emulation import API_KEY
from connectors.customerio import CustomerIoDestination
from connectors.customerio.emulation import APP_KEY, SITE_ID, TRACK_KEY
from connectors.hubspot import HubSpotDestination, HubSpotSource
from connectors.hubspot.emulation import PRIVATE_APP_TOKEN
from connectors.marketo import MarketoDestination
from connectors.marketo import emulation as marketo
from connectors.onetrust import OneTrustConsents, OneTrustSource
from connectors.onetrust import emulation as onetrust
from connectors.people_data_labs import PeopleDataLabsEnricher
from connectors.people_data_labs.emulation import API_KEY as PDL_KEY
from connectors.salesforce import SalesforceDestination, SalesforceSource
from connectors.salesforce import emulation as salesforce
from connectors.sandbox.people import Person
from connectors.sandbox.server import emulations, serving
from connectors.testkit.proxy import Proxy, Seen
from connectors.types import Context, Operation, OpKind, Subject
from tests.connectors.sandbox.conftest import some_people
from tests.connectors.sandbox.test_specification import NOT_DESCRIBED, PRISM, described, prism

Run = Callable[[str, Context], None]
EMAILS = ["p0@example.com", "new@example.com"]


def delivers(connector: Any, key: Callable[[str], str] = str, **settings: Any) -> Run:
    """Adds two persons, removes one and erases the other, where that is possible."""

    def run(url: str, context: Context) -> None:
        filled = {name: url if value == "URL" else value for name, value in settings.items()}
        destination = connector(connector.config_model.model_validate(filled))
        object, fields = destination.objects()[0].name, FIELDS[connector.meta.id]
        adds = [Operation(f"add-{n}", OpKind.ADD, "vip", key(email), fields) for n, email in enumerate(EMAILS)]
        destination.deliver(object, adds, context)
        destination.deliver(object, [Operation("out", OpKind.REMOVE, "vip", adds[0].key)], context)
        if hasattr(destination, "erase"):
            destination.erase(object, [adds[1].key], context)

    return run


def reads(connector: Any, **settings: Any) -> Run:
    """Asks for the watermark and reads everything."""

    def run(url: str, context: Context) -> None:
        source = connector(connector.config_model.model_validate({"base_url": url, **settings}))
        (stream,) = source.streams(context)
        source.watermark(stream.name, context)
        list(source.read(stream.name, None, context))

    return run


def decides(url: str, context: Context) -> None:
    provider = OneTrustConsents(OneTrustConsents.config_model(base_url=url, **TENANT))
    provider.decide([Subject("a", {"email": EMAILS[0]})], "profiling", context)


def enriches(url: str, context: Context) -> None:
    enricher = PeopleDataLabsEnricher(PeopleDataLabsEnricher.config_model(base_url=url, api_key=PDL_KEY))
    list(enricher.enrich([Subject("a", {"email": EMAILS[0]})], ["sex"], context))


FIELDS = {
    "braze": {"first_name": "Ann", "home_city": "Graz"},
    "customerio": {"first_name": "Ann"},
    "hubspot": {"firstname": "Ann", "city": "Graz"},
    "marketo": {"firstName": "Ann", "city": "Graz"},
    "salesforce": {"LastName": "Smith", "MailingCity": "Graz"},
}
TENANT = {"client_id": onetrust.CLIENT, "client_secret": onetrust.SECRET, "purposes": {"profiling": next(iter(onetrust.PURPOSES))}}
ORG = {"client_id": salesforce.CLIENT, "client_secret": salesforce.SECRET}
CASES: list[tuple[str, str, Sequence[str], Sequence[Run]]] = [
    ("hubspot", "hubspot/prism-ready/contacts.2026-03.json", ["/crm/objects/2026-03/contacts"], [
        delivers(HubSpotDestination, base_url="URL", access_token=PRIVATE_APP_TOKEN), reads(HubSpotSource, access_token=PRIVATE_APP_TOKEN)]),
    ("hubspot", "hubspot/prism-ready/lists-memberships.2026-03.json", ["/memberships"], [
        delivers(HubSpotDestination, base_url="URL", access_token=PRIVATE_APP_TOKEN)]),
    ("braze", "braze/braze-users.strict.derived-openapi.json", ["/users/"], [delivers(BrazeDestination, base_url="URL", api_key=API_KEY)]),
    ("marketo", "marketo/prism-ready/swagger-mapi.strict.derived.json", ["/rest/v1/"], [
        delivers(MarketoDestination, base_url="URL", client_id=marketo.CLIENT, client_secret=marketo.SECRET, folder=1)]),
    ("customerio", "customerio/customer-io-track-api-openapi.json", ["/api/"], [
        delivers(CustomerIoDestination, track_url="URL", app_url="URL", site_id=SITE_ID, track_api_key=TRACK_KEY, app_api_key=APP_KEY, match_key="email")]),
    ("onetrust", "onetrust/consent-preferences-universal-consent-preference-management-oas.json", ["/rest/"], [
        reads(OneTrustSource, **TENANT), decides]),
    ("people_data_labs", "people-data-labs/peopledatalabs-docs-openapi.json", ["/v5/person/enrich"], [enriches]),
    ("salesforce", "salesforce/salesforce-core.authored-openapi.yaml", ["/services/data/"], [
        delivers(SalesforceDestination, base_url="URL", match_key="email", **ORG), reads(SalesforceSource, **ORG)]),
]  # fmt: skip
"""Vendor, the document, which of its paths are tried, and what is done."""


@described
@pytest.mark.prism
@pytest.mark.skipif(not PRISM, reason="SEG_PRISM does not name Prism's dist/index.js, see docs/sandbox.md")
@pytest.mark.parametrize(("vendor", "document", "paths", "runs"), CASES, ids=[f"{case[0]}-{Path(case[1]).stem}" for case in CASES])
def test_the_specification_allows_what_a_connector_sends_and_what_it_is_answered(vendor, document, paths, runs, tmp_path, context):
    from tests.connectors.sandbox.specification import SPECS

    (emulation,) = emulations(tmp_path / "vendor", [vendor])
    emulation.clock = context.clock.now
    people: Sequence[Person] = some_people(4)
    emulation.seed(people)
    with serving(emulation) as served:
        with Proxy(served.url(emulation), context.clock.now).running() as wire:
            for run in runs:
                run(wire.url.rstrip("/"), context)
            told = [one for one in wire.seen if f"{one.method} {one.path.partition('?')[0].removeprefix(f'/{vendor}')}" not in NOT_DESCRIBED[vendor]]
            sent = [one for one in told if any(path in one.path for path in paths)]
        with prism(SPECS / document, served.url(emulation)) as address, httpx.Client(base_url=address, trust_env=False, timeout=30) as client:
            faults = [fault for one in sent if (fault := _judged(client, one, f"/{vendor}"))]
    assert faults == []
    assert sent or vendor == "people_data_labs", "nothing was sent to what the document describes"


def _judged(client: httpx.Client, one: Seen, base: str) -> str | None:
    """What Prism finds wrong with a request or with the answer to it."""
    headers = {name: value for name, value in one.headers.items() if name.lower() not in {"host", "content-length", "connection", "accept-encoding"}}
    answer = client.request(one.method, one.path.removeprefix(base), headers=headers, content=one.body)
    violation = answer.headers.get("content-type", "").startswith("application/problem+json") and answer.json()
    if violation and "stoplight" in violation.get("type", ""):
        found = violation.get("validation", violation.get("detail"))
        return f"{one.method} {one.path.partition('?')[0]}: {violation['title']}: {json.dumps(found)[:600]}"
    return None
