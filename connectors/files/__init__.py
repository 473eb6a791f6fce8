"""Built-in plug-in `files`: CSV, JSON Lines and Parquet files on disk as a source."""

from connectors.files.source import FilesSource
from connectors.hookspecs import hookimpl

__all__ = ["FilesSource"]


@hookimpl
def seg_sources() -> list[type[FilesSource]]:
    return [FilesSource]
