"""Acme keeps the contract of enrichers, against its stand-in."""

from decimal import Decimal

from seg_connector_acme.enricher import AcmeEnricher
from seg_connector_acme.enricher_emulation import TOKEN, AcmePeople

from connectors.testkit import EnricherContract, standing
from seg_assets.sdk import Subject


def subject(number):
    return Subject(f"person-{number}", {"email": f"canary-{number}@example.org"})


class TestAcmeEnricher(EnricherContract):
    connector = AcmeEnricher

    def serve(self, folder, clock):
        acme = AcmePeople(folder / "acme.sqlite", clock.now)
        for number in range(4):
            acme.know(f"canary-{number}@example.org", job_title=f"job {number}", city=f"city {number}")
        return standing(acme)

    def config(self, url):
        return {"base_url": url, "token": TOKEN}

    def known(self, vendor):
        return [(subject(number), {"job_title": f"job {number}", "city": f"city {number}"}) for number in range(4)]

    def unknown(self, vendor):
        return subject(99)

    def spent(self, vendor):
        return Decimal(vendor.emulation.spent())
