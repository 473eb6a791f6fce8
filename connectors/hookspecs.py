"""The pluggy hooks by which a package declares connectors. Hooks declare; rows never pass through them.

Example (module named by the entry point, or a file in the project's `connectors/` folder):

    from seg_assets.sdk import hookimpl

    @hookimpl
    def seg_sources():
        return [AcmeSource]
"""

from __future__ import annotations

from collections.abc import Sequence

import pluggy

from connectors.types import Destination, Source

PROJECT = "seg"
ENTRY_POINT_GROUP = "seg_assets.connectors"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class ConnectorSpecs:
    """Called once when the graph loads."""

    @hookspec
    def seg_sources(self) -> Sequence[type[Source]]:  # type: ignore[empty-body]
        """Source classes this plug-in offers."""

    @hookspec
    def seg_destinations(self) -> Sequence[type[Destination]]:  # type: ignore[empty-body]
        """Destination classes this plug-in offers."""
