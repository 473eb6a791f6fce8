"""Does a destination still hold what it acknowledged? Asked for a sample of persons, the same ones for the same seed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from connectors.types import Context, ReadsBack


@dataclass(frozen=True)
class Member:
    """Somebody a destination acknowledged to hold.

    Args:
        audience: where.
        key: the match key's value. Personal data.
        fields: what it was told.
    """

    audience: str
    key: str
    fields: Mapping[str, Any]


@dataclass(frozen=True)
class Drift:
    """How many were asked for, how many are not members any more, and how often each field differs. No personal data."""

    asked: int
    missing: int
    differing: Mapping[str, int]

    @property
    def share(self) -> float:
        """Share of those asked for who are missing or have a differing field, at least."""
        return max(self.missing, *self.differing.values(), 0) / self.asked if self.asked else 0.0


def sample(persons: Sequence[int], size: int, seed: str) -> list[int]:
    """Persons chosen by a hash of their id: whoever is known, no order of rows and no clock decides."""
    return sorted(sorted(persons, key=lambda p: hashlib.blake2b(f"{seed}/{p}".encode(), digest_size=8).digest())[:size])


def drift(destination: ReadsBack, object: str, members: Sequence[Member], context: Context) -> Drift:
    """Asks for members and compares; a field the destination does not tell is not compared, and values are compared as texts.

    Raises:
        ConnectorError: the destination can't be asked.
    """
    audiences: dict[str, dict[str, Member]] = {}
    for member in members:
        audiences.setdefault(member.audience, {})[member.key.casefold()] = member
    asked, missing, differing = 0, 0, dict[str, int]()
    for audience, wanted in sorted(audiences.items()):
        found = {row.key.casefold(): row for row in destination.read_back(object, audience, [m.key for m in wanted.values()], context)}
        for key, member in wanted.items():
            asked += 1
            row = found.get(key)
            if row is None or not row.present:
                missing += 1
                continue
            for name, value in member.fields.items():
                if name in row.fields and _text(row.fields[name]) != _text(value):
                    differing[name] = differing.get(name, 0) + 1
    return Drift(asked, missing, differing)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "" if value is None else str(value)
