"""The files source keeps the contract of sources, as far as it applies without HTTP."""

import os
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from connectors.files import FilesSource
from connectors.testkit import SourceContract


@dataclass
class Folder:
    """CSV files of three rows each, all of the same instant."""

    path: Path
    files: int = 0
    url: None = None

    def add(self):
        rows = "".join(f"{self.files}-{n},canary-{n}@example.org\n" for n in range(3))
        file = self.path / f"{self.files}.csv"
        file.write_text(f"id,email\n{rows}")
        os.utime(file, (1_767_000_000, 1_767_000_000))
        self.files += 1


class TestFiles(SourceContract):
    connector = FilesSource
    keys = ("id",)

    @contextmanager
    def serve(self, folder, clock):
        files = Folder(folder)
        for _ in range(4):
            files.add()
        yield files

    def config(self, url):
        return {"path": "vendor/*.csv"}

    def grow(self, vendor):
        vendor.add()
        return 3

    def size(self, vendor):
        return 3 * vendor.files
