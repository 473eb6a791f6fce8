"""The code location: the graph of the project that SEG_PROJECT names (default: the demo)."""

import gc

import dagster as dg

gc.freeze()  # Dagster stays: looking through it for garbage again and again would take a quarter of the time to load the rest

from seg_assets.build import build_defs  # noqa: E402


@dg.definitions
def defs() -> dg.Definitions:
    return build_defs()
