"""Built-in plug-in `onetrust`: decisions as a source, and asked one by one. `emulation.py` is the sandbox's stand-in."""

from connectors.hookspecs import hookimpl
from connectors.onetrust.provider import OneTrustConsents
from connectors.onetrust.source import OneTrustSource

__all__ = ["OneTrustConsents", "OneTrustSource"]


@hookimpl
def seg_sources() -> list[type[OneTrustSource]]:
    return [OneTrustSource]


@hookimpl
def seg_consent_providers() -> list[type[OneTrustConsents]]:
    return [OneTrustConsents]
