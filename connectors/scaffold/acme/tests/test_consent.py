"""Acme keeps the contract of consent providers, against its stand-in."""

from seg_connector_acme.consent import AcmeConsents
from seg_connector_acme.consent_emulation import TOKEN, AcmeDecisions

from connectors.testkit import ConsentContract, standing
from seg_assets.sdk import Consent, Subject

AT = 1_767_000_000_000
"""Milliseconds; when all decisions were made."""
CHOICES = [(number, purpose, "no" if number % 3 == 0 else "yes") for number in range(4) for purpose in ("ads", "mail")]


def email(number):
    return f"canary-{number}@example.org"


class TestAcmeConsents(ConsentContract):
    connector = AcmeConsents

    def serve(self, folder, clock):
        """Eight decisions, three to a page."""
        acme = AcmeDecisions(folder / "acme.sqlite", clock.now)
        acme.page = 3
        for number, purpose, choice in CHOICES:
            acme.decided(email(number), purpose, choice, AT)
        return standing(acme)

    def config(self, url):
        return {"base_url": url, "token": TOKEN, "purposes": ("ads", "mail")}

    def known(self, vendor):
        newest = {(one.body["email"], one.body["purpose"]): one.body["choice"] for one in vendor.emulation.store.select("decision")}
        words = {"yes": Consent.ALLOW, "no": Consent.DENY}
        return [(Subject(f"person-{at}", {"email": at}), purpose, words[choice]) for (at, purpose), choice in newest.items()]

    def unknown(self, vendor):
        return Subject("nobody", {"email": email(99)})

    def withdraw(self, vendor, subject, purpose):
        vendor.emulation.decided(subject.identifiers["email"], purpose, "no", AT)
