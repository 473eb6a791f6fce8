"""HubSpot keeps the contracts: members as an OAuth app, contacts with a private app's token."""

from contextlib import contextmanager

from connectors.hubspot import HubSpotDestination, HubSpotSource
from connectors.testkit import DestinationContract, SourceContract
from tests.connectors.hubspot.stand import APP, AT, KEY, serve


class AtHubSpot:
    calls = "/crm/"

    def serve(self, folder, clock):
        return serve(folder, clock.now)

    def config(self, url):
        return {"base_url": url, **KEY}


class TestMembers(AtHubSpot, DestinationContract):
    connector = HubSpotDestination
    fields = ("firstname", "city")
    renews = "/oauth/"

    def config(self, url):
        return {"base_url": url, **APP}

    def held(self, vendor, audience):
        return vendor.members(audience)

    def refuse(self, vendor, key):
        vendor.emulation.faults.rejected_keys.add(key)


class TestContacts(AtHubSpot, SourceContract):
    connector = HubSpotSource

    @contextmanager
    def serve(self, folder, clock):
        """Eight contacts, the last two changed at one instant."""
        with super().serve(folder, clock) as stand:
            for number in range(8):
                stand.add(f"canary-{number}@example.org", at=AT + min(number // 2, 3), firstname=f"First {number}", city="Graz")
            yield stand

    def config(self, url):
        return {"base_url": url, **KEY, "page_size": 3}

    def grow(self, vendor):
        return len(vendor.add("canary-8@example.org", "canary-9@example.org", at=AT + 3))

    def size(self, vendor):
        return vendor.emulation.store.count("contact")
