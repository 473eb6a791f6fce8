"""Tables at rest and the engine that computes on them: the only package that knows DuckDB and Delta Lake."""

from seg_assets.lake.engine import Engine
from seg_assets.lake.lake import Commit, Lake
from seg_assets.lake.landing import land
from seg_assets.lake.raw_table import Landed

__all__ = ["Commit", "Engine", "Lake", "Landed", "land"]
