"""A project of this folder refreshed on the real data beside the repository, and questions put to that data directly, past everything we wrote."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest

from seg_assets.lake import Lake
from tests.cli.command import Done, seg

HERE = Path(__file__).parent
DATA = (HERE.parents[1] / ".." / "shared" / "data").resolve()


@dataclass(frozen=True)
class Refreshed:
    """What `seg run` left of a project."""

    done: Done
    home: Path

    @classmethod
    def of(cls, project: str, home: Path) -> Refreshed:
        """Runs a project's folder with its lake in `home`. Skips the test where the data is not there."""
        if not (DATA / project).is_dir():
            pytest.skip(f"the data set {project} is not in {DATA}")
        return cls(seg("run", "--project", HERE / project, "--json", SEG_SHARED_DATA=DATA, SEG_HOME=home), home)

    @property
    def segments(self) -> dict[str, int]:
        return {segment["id"]: segment["size"] for segment in self.done.json["segments"]}

    def table(self, *key: str) -> Any:
        return Lake(self.home / "lake").read(key)

    def members(self, segment: str) -> set[int]:
        memberships = self.table("segments", "memberships")
        return set(memberships.filter(memberships.segment == segment).person_id.to_pyarrow().to_pylist())

    def persons(self) -> dict[str, int]:
        """Customer id to person."""
        links = self.table("identity", "links")
        rows = links.filter(links.identifier_type == "user_id").select("identifier", "person_id").to_pyarrow().to_pylist()
        return {row["identifier"]: row["person_id"] for row in rows}

    def accounts(self) -> dict[str, dict[str, int]]:
        """Per stream: rows read, rows kept in a canonical table, rows in quarantine."""
        quarantine = self.table("unified", "quarantine")
        lost = quarantine.filter(quarantine.lost == "row").select("source", "slice", "position", "stage").distinct().to_pyarrow().to_pylist()
        quarantined = Counter(row["source"] for row in lost)
        kept = Counter(source for to in ("events", "contacts") for source in self.table("unified", to).source.to_pyarrow().to_pylist())
        raw = {"/".join(key[1:]): int(self.table(*key).count().execute()) for key in Lake(self.home / "lake").tables() if key[0] == "raw"}
        return {source: {"read": rows, "kept": kept[source], "quarantined": quarantined[source]} for source, rows in raw.items()}

    def reasons(self) -> dict[tuple[str, str], int]:
        """How often each reason to lose a row or a value stands in the quarantine."""
        rows = self.table("unified", "quarantine").select("lost", "reason").to_pyarrow().to_pylist()
        return dict(Counter((row["lost"], row["reason"]) for row in rows))


def ask(query: str) -> list[tuple[Any, ...]]:
    """Rows DuckDB finds in the data itself; `{data}` is its folder."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        return connection.execute(query.replace("{data}", str(DATA))).fetchall()
