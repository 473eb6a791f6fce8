"""Where the files of tables are: a local folder, or a bucket of an object store (`object_store.py`). Nothing else of the lake differs by place.

New files are always written to a local folder first; `keep` brings them to their place, where no reader sees them until a commit names them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Protocol, TypeVar

from deltalake import DeltaTable

from seg_assets.lake.engine import Engine, WrittenFile

Key = tuple[str, ...]

LANES = 16
"""Files moved or compared at a time."""

T = TypeVar("T")
R = TypeVar("R")


class Files(Protocol):
    """The place of a lake's files. Paths of stored files are relative to their table."""

    root: str
    options: dict[str, str]

    def uri(self, key: Key) -> str:
        """Where the table of `key` lives."""
        ...

    def keys(self) -> list[Key]:
        """The key of every table, sorted."""
        ...

    def holds(self, key: Key) -> bool:
        """Whether there is such a table."""
        ...

    def table(self, key: Key, version: int | None = None) -> DeltaTable:
        """A table that is there, in a version; None is the newest."""
        ...

    def staging(self, key: Key) -> Path:
        """The local folder below which files of a table are written; their paths in it are those in the table."""
        ...

    def keep(self, key: Key, files: Sequence[WrittenFile]) -> None:
        """Brings written files to their place; they are not in `staging` afterwards if that is another one."""
        ...

    def addresses(self, key: Key, table: DeltaTable, engine: Engine) -> list[str]:
        """What the engine reads a table's files by."""
        ...

    def local(self, key: Key, path: str) -> AbstractContextManager[Path]:
        """A stored file as one on this machine, for as long as the context lasts."""
        ...

    def reached(self) -> AbstractContextManager[None]:
        """Turns failures of the place itself into a LakeError."""
        ...


class Folder:
    """Files in a local folder, written where they stay."""

    def __init__(self, root: str) -> None:
        self.root, self.options = root, dict[str, str]()

    def uri(self, key: Key) -> str:
        return str(self.staging(key))

    def keys(self) -> list[Key]:
        root = Path(self.root)
        return sorted(log.parent.relative_to(root).parts for log in root.rglob("_delta_log"))

    def holds(self, key: Key) -> bool:
        return DeltaTable.is_deltatable(self.uri(key))

    def table(self, key: Key, version: int | None = None) -> DeltaTable:
        return DeltaTable(self.uri(key), version=version)

    def staging(self, key: Key) -> Path:
        return Path(self.root, *key).absolute()

    def keep(self, key: Key, files: Sequence[WrittenFile]) -> None:
        pass

    def addresses(self, key: Key, table: DeltaTable, engine: Engine) -> list[str]:
        return table.file_uris()

    def local(self, key: Key, path: str) -> AbstractContextManager[Path]:
        return nullcontext(self.staging(key) / path)

    def reached(self) -> AbstractContextManager[None]:
        return nullcontext()


def files_at(root: str, options: dict[str, str]) -> Files:
    """The files of a lake: below an address with a scheme in an object store, else in a folder."""
    if "://" not in root:
        return Folder(root)
    from seg_assets.lake.object_store import Bucket

    return Bucket(root, options)


def side_by_side(work: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """What `work` makes of each item, in their order."""
    with ThreadPoolExecutor(LANES) as lanes:
        return list(lanes.map(work, items))
