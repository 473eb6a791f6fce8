"""The smallest project that can go wrong: files of our own making, read by the `files` connector, refreshed up to the unified tables."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from seg_assets.lake import Lake
from tests.cli.command import Done, seg

UNIFIED = '+key:"unified/quarantine" or key:"unified/events" or key:"unified/contacts"'
EVENT_COLUMNS = {"event_id": "id", "event_type": "type", "event_time": "time", "user_id": "user"}


class Account(NamedTuple):
    """What became of the rows of a stream. `read` is what the source delivered, rejected lines included."""

    read: int
    kept: int
    quarantined: int


@dataclass(frozen=True)
class Tiny:
    """A project folder whose one connection `src` reads `data/`."""

    root: Path

    @classmethod
    def make(cls, root: Path, streams: Mapping[str, Mapping[str, Any]], **settings: Any) -> Tiny:
        """Writes project.yaml (JSON is YAML). A stream is its mapping, with `path` and other options of the `files` connector under `files`."""
        connection = {
            "connector": "files",
            "config": {"streams": {name: stream["files"] for name, stream in streams.items()}},
            "streams": {name: {k: v for k, v in stream.items() if k != "files"} for name, stream in streams.items()},
        }
        project = {"project": "tiny", "as_of": "2026-07-01T00:00:00Z", "connections": {"src": connection}, **settings}
        (root / "data").mkdir(parents=True, exist_ok=True)
        (root / "project.yaml").write_text(json.dumps(project, indent=2), encoding="utf-8")
        return cls(root)

    def write(self, name: str, content: str | bytes) -> None:
        (self.root / "data" / name).write_bytes(content if isinstance(content, bytes) else content.encode())

    def run(self, select: str = UNIFIED, **environment: str) -> Done:
        """`seg run` up to the unified tables and the quarantine."""
        done = seg("run", "--project", self.root, "--json", "--select", select, **environment)
        assert "Traceback" not in done.err
        return done

    def rows(self, *key: str) -> list[dict[str, Any]]:
        return Lake(self.root / "lake").read(key).to_pyarrow().to_pylist()

    def events(self, stream: str) -> dict[str, dict[str, Any]]:
        """The stream's events by their id."""
        return {row["event_id"]: row for row in self.rows("unified", "events") if row["source"] == f"src/{stream}"}

    def quarantine(self, stream: str) -> dict[tuple[str, str], list[tuple[str, str]]]:
        """Slice and position to what was lost there, and why."""
        found: dict[tuple[str, str], list[tuple[str, str]]] = {}
        for row in sorted(self.rows("unified", "quarantine"), key=lambda row: row["reason"]):
            if row["source"] == f"src/{stream}":
                found.setdefault((row["slice"], row["position"]), []).append((row["lost"], row["reason"]))
        return found

    def accounts(self) -> dict[str, Account]:
        """One account per stream."""
        raw = {key[2]: len(self.rows(*key)) for key in Lake(self.root / "lake").tables() if key[0] == "raw"}
        kept = Counter(row["source"].removeprefix("src/") for to in ("events", "contacts") for row in self.rows("unified", to))
        lost = {
            (r["source"].removeprefix("src/"), r["slice"], r["position"], r["stage"])
            for r in self.rows("unified", "quarantine")
            if r["lost"] == "row"
        }
        quarantined = Counter(stream for stream, *_ in lost)
        unread = Counter(stream for stream, _, _, stage in lost if stage == "read")
        return {stream: Account(rows + unread[stream], kept[stream], quarantined[stream]) for stream, rows in raw.items()}


def csv(*lines: str) -> str:
    """A file of events with the columns id, type, time, user and those of further fields."""
    return "\n".join(lines) + "\n"
