"""The demo's HubSpot, Braze and Customer.io: stand-ins on this machine, started by whoever delivers first. What they hold is kept in `sandbox/`.

It is also an example of a project's own plug-in: `${SEG_SANDBOX}` in project.yaml is a secret that this file knows, as another would ask a vault.
"""

import atexit
from contextlib import ExitStack
from functools import cache
from pathlib import Path

from pydantic import SecretStr

from seg_assets.project.load import home_of
from seg_assets.sdk import hookimpl

VENDORS = ("hubspot", "braze", "customerio")
HUBSPOT_PROPERTIES = ("engagement", "persona", "best_channel", "top_categories", "offer")
"""Contact properties of our own, which HubSpot must know before it takes them."""


@hookimpl
def seg_secret(name: str) -> SecretStr | None:
    return SecretStr(_sandbox().removesuffix("/")) if name == "SEG_SANDBOX" else None


@cache
def _sandbox() -> str:
    """Address of the stand-ins; they stop with this process, unless another one serves them."""
    from connectors.sandbox.shared import shared

    stack = ExitStack()
    atexit.register(stack.close)
    served, started = stack.enter_context(shared(home_of(Path(__file__).resolve().parents[1]).resolve() / "sandbox", VENDORS))
    if started:
        _set_up(served.url("hubspot"))
    return served.page


def _set_up(hubspot: str) -> None:
    """What an administrator does once in HubSpot's settings; a property that is there already stays."""
    import httpx

    from connectors.hubspot.emulation import PRIVATE_APP_TOKEN

    headers = {"Authorization": f"Bearer {PRIVATE_APP_TOKEN}"}
    with httpx.Client(base_url=hubspot, headers=headers, trust_env=False) as client:
        for name in HUBSPOT_PROPERTIES:
            client.post("/crm/v3/properties/contacts", json={"name": name, "label": name, "type": "string", "fieldType": "text"})
