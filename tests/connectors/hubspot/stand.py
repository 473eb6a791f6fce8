"""HubSpot's stand-in on this machine, filled and looked into without HTTP."""

from contextlib import contextmanager
from dataclasses import dataclass

from connectors.hubspot.emulation import CLIENT, PRIVATE_APP_TOKEN, REFRESH_TOKEN, SECRET, HubSpot
from connectors.sandbox.server import serving

AT = 1_767_000_000_000
"""Milliseconds; when the contacts a test makes were changed."""


@dataclass
class Stand:
    """A stand-in and its address."""

    emulation: HubSpot
    url: str

    def add(self, *emails, at=AT, **properties):
        """Makes contacts that changed at an instant; returns their ids."""
        store = self.emulation.store
        records = [store.make("contact", {"email": email, **properties}, at) for email in emails]
        store.save(records)
        return [record.id for record in records]

    def members(self, name):
        """Contacts on a list: e-mail address to properties."""
        store = self.emulation.store
        lists = store.find("list", "name", [name.lower()])
        if not lists:
            return {}
        ids = [member for member, _ in store.list_page(next(iter(lists.values()))[0].id)]
        return {record.body["email"]: record.body for record in store.get("contact", ids).values()}


@contextmanager
def serve(folder, now):
    emulation = HubSpot(folder / "hubspot.sqlite", now)
    with serving(emulation) as served:
        yield Stand(emulation, served.url(emulation))


KEY = {"access_token": PRIVATE_APP_TOKEN}
APP = {"client_id": CLIENT, "client_secret": SECRET, "refresh_token": REFRESH_TOKEN}
