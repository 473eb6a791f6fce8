"""Acme keeps the contract of sources, against its stand-in."""

from seg_connector_acme.source import AcmeSource
from seg_connector_acme.source_emulation import TOKEN, AcmeContacts

from connectors.testkit import SourceContract, standing

AT = 1_767_000_000_000
"""Milliseconds; when the newest contacts changed."""


class TestAcmeSource(SourceContract):
    connector = AcmeSource

    def serve(self, folder, clock):
        """Eight contacts, three to a page; the last two changed at one instant."""
        acme = AcmeContacts(folder / "acme.sqlite", clock.now)
        acme.page = 3
        for number in range(8):
            acme.add(f"canary-{number}@example.org", AT - max(6 - number, 0), first_name="Ann")
        return standing(acme)

    def config(self, url):
        return {"base_url": url, "token": TOKEN}

    def size(self, vendor):
        return vendor.emulation.store.count("contact")

    def grow(self, vendor):
        vendor.emulation.add("canary-new@example.org", AT)
        return 1
