"""The error family: every failure a user can cause or mend is a `SegError`.

A message says what is wrong, where (file, line, field, connection) and what to do. Messages never carry secrets or personal data.
Programming errors are not wrapped: they keep their traceback.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Place:
    """Where in a user's file something stands. `line` and `column` count from 1."""

    file: Path | None = None
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        parts = [str(self.file) if self.file else "", *(str(n) for n in (self.line, self.column) if n)]
        return ":".join(p for p in parts if p)


class SegError(Exception):
    """Something the user can mend. The CLI prints it in one line and exits with 2."""

    def __init__(self, message: str, *, place: Place | None = None, hint: str | None = None) -> None:
        self.message, self.place, self.hint = message, place, hint
        where = f"{place}: " if place and str(place) else ""
        super().__init__(f"{where}{message}{f' ({hint})' if hint else ''}")


class ProjectError(SegError):
    """The project folder (project.yaml, taxonomy.yaml) is not valid."""


class SegmentError(SegError):
    """A segment definition is not valid."""


class MappingError(SegError):
    """A stream can't be mapped onto its canonical table."""


class LakeError(SegError):
    """A lake table is missing or does not have the schema it must have."""


class DeliveryError(SegError):
    """A destination could not be served."""
