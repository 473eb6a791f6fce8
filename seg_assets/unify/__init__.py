"""From raw streams to the canonical tables: mapping, normalisation, validation, removal of duplicates, quarantine."""

from seg_assets.unify.mapping import FromColumn, FromSql, FromValue, StreamMapping
from seg_assets.unify.unify import Unified, unify

__all__ = ["FromColumn", "FromSql", "FromValue", "StreamMapping", "Unified", "unify"]
