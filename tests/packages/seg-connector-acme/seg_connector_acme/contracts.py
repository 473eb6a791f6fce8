"""Acme's contracts: what an author writes. Classes without `Test` in their names, so that changed connectors can be tried too."""

from decimal import Decimal

from connectors.testkit import ConsentContract, DestinationContract, EnricherContract, SourceContract
from seg_assets.sdk import Consent, Subject
from seg_connector_acme.connectors import AcmeConsents, AcmeDestination, AcmeEnricher, AcmeSource
from seg_connector_acme.stand_in import SECRETS, Acme


class AtAcme:
    calls = "/(members|read|contacts|enrich|decide|changes)"
    renews = "/token"

    def serve(self, folder, clock):
        return Acme().running()

    def config(self, url):
        return {"url": url, "client_secret": SECRETS["client_secret"], "refresh_token": SECRETS["refresh_token"]}


def subject(number, email=None):
    return Subject(f"person-{number}", {"email": email or f"canary-{number}@example.org"})


class Destination(AtAcme, DestinationContract):
    connector = AcmeDestination

    def held(self, vendor, audience):
        return vendor.lists.get(audience, {})

    def refuse(self, vendor, key):
        vendor.refused.add(key)


class Source(AtAcme, SourceContract):
    connector = AcmeSource

    def grow(self, vendor):
        newest = max(row["changed"] for row in vendor.contacts)
        vendor.contacts.append({"id": len(vendor.contacts), "email": "canary-new@example.org", "changed": newest})
        return 1

    def size(self, vendor):
        return len(vendor.contacts)


class Enricher(AtAcme, EnricherContract):
    connector = AcmeEnricher

    def known(self, vendor):
        return [(subject(n, email), values) for n, (email, values) in enumerate(vendor.people.items())]

    def unknown(self, vendor):
        return subject(99)

    def spent(self, vendor):
        return Decimal(vendor.charged)


class Consents(AtAcme, ConsentContract):
    connector = AcmeConsents

    def known(self, vendor):
        newest = {(one["email"], one["purpose"]): one["choice"] for one in vendor.consents}
        return [
            (subject(int(email[7]), email), purpose, Consent.ALLOW if choice == "yes" else Consent.DENY)
            for (email, purpose), choice in newest.items()
        ]

    def unknown(self, vendor):
        return subject(99)

    def withdraw(self, vendor, subject, purpose):
        vendor.consents.append({"seq": len(vendor.consents), "email": subject.identifiers["email"], "purpose": purpose, "choice": "no"})
