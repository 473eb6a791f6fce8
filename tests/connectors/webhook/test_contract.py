"""The webhook keeps the contract of destinations, against the sandbox's receiver."""

from connectors.testkit import DestinationContract
from connectors.webhook import WebhookDestination
from connectors.webhook.emulation import Receiver, running

SECRET = "a canary of sixteen characters"


class TestWebhook(DestinationContract):
    connector = WebhookDestination

    def serve(self, folder, clock):
        return running(Receiver(folder / "receiver.db", SECRET, clock.now))

    def config(self, url):
        return {"url": url, "secret": SECRET, "timeout": 5, "max_batch": 4}

    def held(self, vendor, audience):
        return vendor.receiver.held.members(audience)

    def refuse(self, vendor, key):
        vendor.receiver.faults.rejected_keys.add(key)
