"""Acme keeps the contract of destinations, against its stand-in."""

from seg_connector_acme.destination import AcmeDestination
from seg_connector_acme.destination_emulation import TOKEN, AcmeLists

from connectors.testkit import DestinationContract, standing


class TestAcmeDestination(DestinationContract):
    connector = AcmeDestination

    def serve(self, folder, clock):
        return standing(AcmeLists(folder / "acme.sqlite", clock.now))

    def config(self, url):
        return {"base_url": url, "token": TOKEN}

    def held(self, vendor, audience):
        return vendor.emulation.members(audience)

    def refuse(self, vendor, key):
        vendor.emulation.faults.rejected_keys.add(key)
