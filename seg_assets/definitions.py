"""The code location: the graph of the project that SEG_PROJECT names (default: the demo)."""

import dagster as dg

from seg_assets.build import build_defs


@dg.definitions
def defs() -> dg.Definitions:
    return build_defs()
