"""OneTrust keeps the contracts of sources and consent providers; and what the contracts do not reach."""

from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest

from connectors.errors import ConfigError
from connectors.onetrust import OneTrustConsents, OneTrustSource
from connectors.onetrust.emulation import CLIENT, PURPOSES, SECRET, OneTrust
from connectors.sandbox.server import serving
from connectors.testkit import ConsentContract, SourceContract
from connectors.types import Consent, Subject

IDS = {name: key for key, name in PURPOSES.items()}
AT = 1_767_000_000_000
"""Milliseconds; when decisions were made."""
DAY = 86_400_000


@dataclass
class Stand:
    """A stand-in and its address."""

    emulation: OneTrust
    url: str

    def decide(self, email, purpose, status="ACTIVE", at=AT, until=None):
        """Has somebody decide about a purpose at an instant."""
        store = self.emulation.store
        known = [one for one in store.find("profile", "identifier", [email]).get(email, []) if one.body["purposeId"] == IDS[purpose]]
        body = {"identifier": email, "purposeId": IDS[purpose], "status": status, "count": 1, "firstAt": at, "expiryDate": until}
        record = known[0] if known else store.make("profile", body, at)
        record.body, record.changed_at = body, at
        subjects = [] if store.find("subject", "identifier", [email]) else [store.make("subject", {"identifier": email, "language": "de"}, at)]
        store.save([record, *subjects])

    def profiles(self):
        return self.emulation.store.select("profile", order="changed_at, id")


@contextmanager
def serve(folder, now):
    emulation = OneTrust(folder / "onetrust.sqlite", now)
    with serving(emulation) as served:
        yield Stand(emulation, served.url(emulation))


@contextmanager
def decided(folder, now):
    """Four persons and two purposes, over three weeks; the last two decisions at one instant."""
    with serve(folder, now) as stand:
        for n in range(8):
            email, purpose = f"canary-{n % 4}@example.org", ("marketing_email", "advertising")[n // 4]
            stand.decide(email, purpose, "WITHDRAWN" if n % 3 == 0 else "ACTIVE", AT - (6 - min(n, 6)) * 3 * DAY)
        yield stand


def settings(url, **more):
    purposes = {"ads": IDS["advertising"], "mail": IDS["marketing_email"]}
    return {"base_url": url, "client_id": CLIENT, "client_secret": SECRET, "purposes": purposes, "since": "2025-12-05", "page_size": 3} | more


class TestDecisions(SourceContract):
    connector = OneTrustSource
    calls = "/rest/"

    def serve(self, folder, clock):
        return decided(folder, clock.now)

    def config(self, url):
        return settings(url)

    def grow(self, vendor):
        vendor.decide("canary-8@example.org", "advertising", at=AT)
        vendor.decide("canary-9@example.org", "advertising", at=AT)
        return 2

    def size(self, vendor):
        return len(vendor.profiles())


class TestConsents(ConsentContract):
    connector = OneTrustConsents
    calls = "/rest/"

    def serve(self, folder, clock):
        return decided(folder, clock.now)

    def config(self, url):
        return settings(url)

    def known(self, vendor):
        words = {IDS["advertising"]: "ads", IDS["marketing_email"]: "mail"}
        found = [(one.body["identifier"], words[one.body["purposeId"]], one.body["status"]) for one in vendor.profiles()]
        return [(subject(email), purpose, Consent.ALLOW if status == "ACTIVE" else Consent.DENY) for email, purpose, status in found]

    def unknown(self, vendor):
        return subject("canary-99@example.org")

    def withdraw(self, vendor, subject, purpose):
        vendor.decide(subject.identifiers["email"], {"ads": "advertising", "mail": "marketing_email"}[purpose], "WITHDRAWN", AT)


def subject(email):
    return Subject(f"person {email[7:-12]}", {"email": email})


@pytest.fixture
def stand(tmp_path, context):
    with serve(tmp_path, context.clock.now) as stand:
        yield stand


def connect(kind, stand, **more):
    return kind(kind.config_model.model_validate(settings(stand.url, **more)))


@pytest.mark.parametrize(
    ("status", "consent"),
    [
        *((word, Consent.ALLOW) for word in ("ACTIVE", "EXTEND", "OPT_IN", "ALWAYS_ACTIVE")),
        *((word, Consent.DENY) for word in ("WITHDRAWN", "OPT_OUT", "HARD_OPT_OUT", "NO_CONSENT", "EXPIRED")),
        *((word, Consent.UNKNOWN) for word in ("PENDING", "IMPLICIT", "NOT_OPT_OUT", "CHANGE_PREFERENCES", "SOMETHING_NEW", "")),
    ],
)
def test_only_named_statuses_are_permission(stand, context, status, consent):
    stand.decide("ann@example.org", "advertising", status)
    provider = connect(OneTrustConsents, stand)
    assert provider.decide([Subject("ann", {"email": "ann@example.org"})], "ads", context)["ann"].consent is consent
    (page,) = connect(OneTrustSource, stand).read("consents", None, context)
    assert (page.rows["state"][0].as_py() == "granted") is (consent is Consent.ALLOW)


def test_implied_consent_counts_where_the_project_says_so(stand, context):
    stand.decide("ann@example.org", "advertising", "IMPLICIT")
    provider = connect(OneTrustConsents, stand, allowing=["ACTIVE", "IMPLICIT"])
    assert provider.decide([Subject("ann", {"email": "ann@example.org"})], "ads", context)["ann"].consent is Consent.ALLOW


def test_a_permission_that_ended_is_none(stand, context):
    stand.decide("ann@example.org", "advertising", until="2025-12-30T00:00:00.000Z")
    decision = connect(OneTrustConsents, stand).decide([Subject("ann", {"email": "ann@example.org"})], "ads", context)["ann"]
    assert (decision.consent, decision.expires_at) == (Consent.DENY, datetime(2025, 12, 30, tzinfo=UTC))


def test_other_purposes_are_left_out(stand, context):
    stand.decide("ann@example.org", "profiling")
    stand.decide("ann@example.org", "advertising")
    (page,) = connect(OneTrustSource, stand).read("consents", None, context)
    assert page.rows["purpose"].to_pylist() == ["ads"]


def test_a_purpose_nobody_configured_is_a_mistake_and_not_permission(stand, context):
    with pytest.raises(ConfigError, match="no purpose 'sms'"):
        connect(OneTrustConsents, stand).decide([], "sms", context)


@pytest.mark.parametrize("identifiers", [{}, {"phone": "+491"}, {"email": "änn@example.org"}, {"email": ""}])
def test_who_can_not_be_asked_about_has_allowed_nothing(stand, context, identifiers):
    assert connect(OneTrustConsents, stand).decide([Subject("a", identifiers)], "ads", context)["a"].consent is Consent.UNKNOWN


def test_years_are_read_in_periods_and_no_decision_at_their_seams_comes_twice(stand, context):
    start = datetime(2025, 9, 1, tzinfo=UTC)
    for n in range(5):
        at = round((start + timedelta(days=30 * n)).timestamp() * 1000)
        for k in range(3):
            stand.decide(f"p{n}-{k}@example.org", "advertising", at=at + k - 1)
    pages = list(connect(OneTrustSource, stand, since="2025-08-01").read("consents", None, context))
    emails = [email for page in pages for email in page.rows["email"].to_pylist()]
    assert len(emails) == len(set(emails)) == 15


def test_the_next_read_goes_on_where_this_one_ended(stand, context):
    stand.decide("ann@example.org", "advertising")
    *_, last = connect(OneTrustSource, stand).read("consents", None, context)
    stand.decide("bob@example.org", "advertising", at=AT + 1)
    later = replace(context, as_of=context.as_of + timedelta(days=1))
    (page,) = connect(OneTrustSource, stand).read("consents", last.cursor, later)
    assert page.rows["email"].to_pylist() == ["ann@example.org", "bob@example.org"]
